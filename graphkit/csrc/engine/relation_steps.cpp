#include "engine/relation_steps.hpp"

#include <algorithm>

#include "machine/threads.hpp"

namespace graphkit {
namespace {

// Reals of a task: waking another thread takes as long as copying some thousand.
constexpr std::size_t kRealsOfTask = std::size_t{1} << 15;

// Runs row(b) for each row.
template <class Row>
void for_rows(const RelationSteps& in, unsigned threads, const Row& row) {
    const std::size_t step = std::max<std::size_t>(kRealsOfTask / std::max<std::size_t>(in.width, 1), 1);
    in_steps(in.count, step, threads, [&](std::size_t begin, std::size_t end) {
        for (std::size_t b = begin; b < end; ++b) row(b);
    });
}

unsigned threads_worth(const RelationSteps& in, unsigned threads) {
    return in.count * in.width < kRealsOfTask ? 1 : threads;
}

void clear(float* table, std::size_t rows, std::size_t width, std::size_t begin, std::size_t end) {
    for (std::size_t row = 0; row < rows; ++row)
        std::fill(table + row * width + begin, table + row * width + end, 0.0f);
}

std::size_t table_row(std::int64_t directed) { return static_cast<std::size_t>(directed) >> 1; }

float direction(std::int64_t directed) { return (directed & 1) != 0 ? -1.0f : 1.0f; }

}  // namespace

void translate(const RelationSteps& in, const float* x, const float* vectors, float* to, unsigned threads) {
    for_rows(in, threads, [&](std::size_t b) {
        const float *from = in.row(x, b), *vector = vectors + table_row(in.directed[b]) * in.width;
        const float sign = direction(in.directed[b]);
        float* __restrict__ result = to + b * in.width;
        for (std::size_t d = 0; d < in.width; ++d) result[d] = from[d] + sign * vector[d];
    });
}

void translate_gradients(const RelationSteps& in, const float* of_result, float* of_vectors, unsigned threads) {
    in_columns(in.width, threads_worth(in, threads), [&](std::size_t begin, std::size_t end) {
        clear(of_vectors, in.table_rows, in.width, begin, end);
        for (std::size_t b = 0; b < in.count; ++b) {
            const float* from = of_result + b * in.width;
            const float sign = direction(in.directed[b]);
            float* __restrict__ sum = of_vectors + table_row(in.directed[b]) * in.width;
            for (std::size_t d = begin; d < end; ++d) sum[d] += sign * from[d];
        }
    });
}

void turn(const RelationSteps& in, const float* x, const float* real, const float* imaginary, float* to,
          unsigned threads) {
    const std::size_t n = in.width / 2;
    for_rows(in, threads, [&](std::size_t b) {
        const float *re = in.row(x, b), *im = re + n;
        const float *c = real + table_row(in.directed[b]) * n, *s = imaginary + table_row(in.directed[b]) * n;
        const float sign = direction(in.directed[b]);
        float* __restrict__ to_re = to + b * in.width, * __restrict__ to_im = to_re + n;
        for (std::size_t d = 0; d < n; ++d) {
            const float sine = sign * s[d];
            to_re[d] = re[d] * c[d] - im[d] * sine;
            to_im[d] = re[d] * sine + im[d] * c[d];
        }
    });
}

void turn_gradients(const RelationSteps& in, const float* of_result, const float* x, const float* real,
                    const float* imaginary, float* of_x, float* of_real, float* of_imaginary, unsigned threads) {
    const std::size_t n = in.width / 2;
    in_columns(n, threads_worth(in, threads), [&](std::size_t begin, std::size_t end) {
        clear(of_real, in.table_rows, n, begin, end);
        clear(of_imaginary, in.table_rows, n, begin, end);
        for (std::size_t b = 0; b < in.count; ++b) {
            const std::size_t row = table_row(in.directed[b]) * n;
            const float *re = in.row(x, b), *im = re + n, *g_re = of_result + b * in.width, *g_im = g_re + n;
            const float *c = real + row, *s = imaginary + row;
            const float sign = direction(in.directed[b]);
            float* __restrict__ of_re = of_x + b * in.width, * __restrict__ of_im = of_re + n;
            float* __restrict__ of_c = of_real + row, * __restrict__ of_s = of_imaginary + row;
            for (std::size_t d = begin; d < end; ++d) {
                const float sine = sign * s[d];
                of_re[d] = g_re[d] * c[d] + g_im[d] * sine;
                of_im[d] = g_im[d] * c[d] - g_re[d] * sine;
                of_c[d] += g_re[d] * re[d] + g_im[d] * im[d];
                of_s[d] += sign * (g_im[d] * re[d] - g_re[d] * im[d]);
            }
        }
    });
}

}  // namespace graphkit
