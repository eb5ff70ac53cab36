// Queries that follow a relation: translated, or turned in the complex plane, by a row of a table that each names.
#pragma once

#include <cstddef>
#include <cstdint>

namespace graphkit {

// Steps of `count` rows [count, width]. directed[b] is 2 * (row of the tables) + (1 where it is followed backwards).
struct RelationSteps {
    const std::int64_t* directed;
    std::size_t count;
    std::size_t width;
    std::size_t table_rows;
    const std::int64_t* places;  // [count], where the rows of x stand; null = one after the other

    const float* row(const float* x, std::size_t b) const {
        return x + (places == nullptr ? b : static_cast<std::size_t>(places[b])) * width;
    }
};

// to[b] = row b of x + the vector of its relation, or - it backwards. Vectors are [table_rows, width].
void translate(const RelationSteps&, const float* x, const float* vectors, float* to, unsigned threads);

// Fills the gradient of the vectors, given that of the translated rows.
void translate_gradients(const RelationSteps&, const float* of_result, float* of_vectors, unsigned threads);

// to[b] = row b of x times the complex number of each coordinate, or its conjugate backwards. The first half of a row
// holds real parts, the second imaginary ones; tables are [table_rows, width / 2].
void turn(const RelationSteps&, const float* x, const float* real, const float* imaginary, float* to, unsigned threads);

// Fills the gradients of the rows of x, [count, width], and of the tables, given that of the turned rows.
void turn_gradients(const RelationSteps&, const float* of_result, const float* x, const float* real,
                    const float* imaginary, float* of_x, float* of_real, float* of_imaginary, unsigned threads);

}  // namespace graphkit
