// Queries and rows as the bindings of pairs take them.
#pragma once

#include "engine/kernels.hpp"
#include "engine_arrays.hpp"

namespace graphkit {

inline PairInput pair_input(int kind, const Matrix& queries, const Matrix& rows, float inside) {
    return {static_cast<PairKind>(kind),
            queries.data(),
            queries.shape(0),
            queries.shape(1),
            rows.data(),
            rows.shape(0),
            rows.shape(1),
            inside};
}

}  // namespace graphkit
