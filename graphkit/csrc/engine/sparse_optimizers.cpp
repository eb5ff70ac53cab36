#include "engine/sparse_optimizers.hpp"

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "engine/duplicate_ids.hpp"
#include "machine/buffers.hpp"
#include "machine/threads.hpp"

namespace graphkit {
namespace {

// Reals of a task: some 100 us of work, so that the first rows of a task, which nobody fetched ahead, weigh little.
constexpr std::size_t kTaskReals = std::size_t{1} << 16;

// Runs part(begin, end) for all rows; a single task where that is all there is to do.
template <class Part>
void in_tasks(std::size_t rows, std::size_t width, unsigned threads, const Part& part) {
    if (threads == 1) return part(0, rows);
    in_steps(rows, std::max<std::size_t>(kTaskReals / width, 1), threads, part);
}

// Distinct rows of a table, ascending, and where the gradient of each stands: with those given, or in `sums`.
struct SummedRows {
    std::vector<std::int64_t> ids;
    std::vector<const float*> gradients;
    std::shared_ptr<void> sums;
    std::size_t num_sums;
};

// Adds up what belongs to the same row. A gradient that is alone, as most are, is not copied.
SummedRows summed(std::span<const std::int64_t> ids, const float* gradient, std::size_t width, unsigned threads) {
    std::vector<std::uint32_t> order(ids.size());
    std::vector<std::int64_t> offsets(ids.size() + 1), ends{0};
    SummedRows found{std::vector<std::int64_t>(ids.size()), {}, nullptr, 0};
    const std::size_t rows = group_ids(ids, order, found.ids, offsets);
    found.ids.resize(rows);
    // Places of rows that have several come first in `order`, which holds no other afterwards.
    std::size_t kept = 0;
    for (std::size_t u = 0; u < rows; ++u) {
        const auto begin = static_cast<std::size_t>(offsets[u]), end = static_cast<std::size_t>(offsets[u + 1]);
        const bool alone = end - begin == 1;
        found.gradients.push_back(alone ? gradient + order[begin] * width : nullptr);
        if (alone) continue;
        for (std::size_t i = begin; i < end; ++i) order[kept++] = order[i];
        ends.push_back(static_cast<std::int64_t>(kept));
    }
    found.num_sums = ends.size() - 1;
    found.sums = take_buffer(found.num_sums * width * sizeof(float));
    auto* sum = static_cast<float*>(found.sums.get());
    sum_groups({gradient, width, order.data(), ends.data()}, found.num_sums, sum, threads);
    for (const float*& place : found.gradients)
        if (place == nullptr) place = std::exchange(sum, sum + width);
    return found;
}

}  // namespace

std::optional<std::size_t> first_bad_id(std::span<const std::int64_t> ids, std::size_t rows) {
    const auto bad = std::ranges::find_if(ids, [&](std::int64_t id) { return static_cast<std::uint64_t>(id) >= rows; });
    if (bad == ids.end()) return std::nullopt;
    return static_cast<std::size_t>(bad - ids.begin());
}

std::optional<std::size_t> first_not_finite(const float* values, std::size_t rows, std::size_t width,
                                            unsigned threads) {
    if (width == 0) return std::nullopt;
    std::atomic<std::size_t> first = rows;
    in_tasks(rows, width, threads, [&](std::size_t begin, std::size_t end) {
        const std::size_t found = kernels().first_not_finite(values, width, begin, end);
        std::size_t before = first.load();
        while (found < end && found < before && !first.compare_exchange_weak(before, found)) {
        }
    });
    if (first == rows) return std::nullopt;
    return first.load();
}

void step_rows(const RowStep& in, std::size_t rows, unsigned threads) {
    if (in.width == 0) return;
    in_tasks(rows, in.width, threads, [&](std::size_t begin, std::size_t end) { kernels().step_rows(in, begin, end); });
}

bool step_summed_rows(const RowStep& in, std::size_t rows, unsigned threads) {
    const std::span ids(in.ids, in.ids == nullptr ? 0 : rows);
    if (std::ranges::adjacent_find(ids, std::greater_equal<>()) == ids.end()) {
        step_rows(in, rows, threads);
        return true;
    }
    const SummedRows found = summed(ids, in.gradient, in.width, threads);
    if (first_not_finite(static_cast<const float*>(found.sums.get()), found.num_sums, in.width, threads)) return false;
    RowStep step = in;
    step.ids = found.ids.data();
    step.gradients = found.gradients.data();
    step_rows(step, found.ids.size(), threads);
    return true;
}

}  // namespace graphkit
