#include "engine/sparse_optimizers.hpp"

#include <algorithm>
#include <atomic>

#include "machine/threads.hpp"

namespace graphkit {
namespace {

// Reals of a task: some 100 us of work, so that the first rows of a task, which nobody fetched ahead, weigh little.
constexpr std::size_t kTaskReals = std::size_t{1} << 16;

// Runs part(begin, end) for all rows; a single task where that is all there is to do.
template <class Part>
void in_tasks(std::size_t rows, std::size_t width, unsigned threads, const Part& part) {
    const std::size_t step = std::max<std::size_t>(kTaskReals / width, 1);
    if (threads == 1) return part(0, rows);
    run_tasks((rows + step - 1) / step, threads,
              [&](std::size_t task) { part(task * step, std::min(rows, (task + 1) * step)); });
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

}  // namespace graphkit
