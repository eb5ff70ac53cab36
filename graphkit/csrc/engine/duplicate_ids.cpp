#include "engine/duplicate_ids.hpp"

#include <algorithm>
#include <vector>

#include "graph/radix_sort.hpp"
#include "machine/threads.hpp"

namespace graphkit {
namespace {

// Reals that a task adds up, some 50 us of work.
constexpr std::size_t kTaskReals = std::size_t{1} << 16;

}  // namespace

std::size_t group_ids(std::span<const std::int64_t> ids, std::span<std::uint32_t> order,
                      std::span<std::int64_t> distinct, std::span<std::int64_t> offsets) {
    std::vector<std::uint64_t> keys(ids.size()), scratch;
    for (std::size_t i = 0; i < ids.size(); ++i) keys[i] = static_cast<std::uint64_t>(ids[i]) << 32 | i;
    radix_sort(std::span(keys), scratch);
    std::size_t groups = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const auto id = static_cast<std::int64_t>(keys[i] >> 32);
        order[i] = static_cast<std::uint32_t>(keys[i]);
        if (groups > 0 && distinct[groups - 1] == id) continue;
        distinct[groups] = id;
        offsets[groups++] = static_cast<std::int64_t>(i);
    }
    offsets[groups] = static_cast<std::int64_t>(ids.size());
    return groups;
}

void sum_groups(const RowGroups& in, std::size_t groups, float* sums, unsigned threads) {
    // A task is the groups that begin within a range of places, so that one large group is no large task of many.
    const auto places = static_cast<std::size_t>(in.offsets[groups]);
    const std::size_t step = std::max<std::size_t>(kTaskReals / std::max<std::size_t>(in.width, 1), 1);
    const auto first = [&](std::size_t task) {
        const auto place = static_cast<std::int64_t>(std::min(places, task * step));
        return static_cast<std::size_t>(std::lower_bound(in.offsets, in.offsets + groups, place) - in.offsets);
    };
    run_tasks((places + step - 1) / step, threads,
              [&](std::size_t task) { kernels().sum_groups(in, first(task), first(task + 1), sums); });
}

}  // namespace graphkit
