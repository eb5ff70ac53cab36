#include "engine_module.hpp"

namespace graphkit {

// Outputs are made by the Python callers, who also check shapes among each other; dtypes and memory order are checked
// by the bindings.
void bind_engine(nanobind::module_& m) {
    bind_pairs(m);
    bind_rank_counts(m);
    bind_losses(m);
    bind_beta_moments(m);
    bind_branch_attention(m);
    bind_rows(m);
    bind_sparse_optimizers(m);
}

}  // namespace graphkit
