// The distinct ids of a batch in ascending order, and the place of each id among them, without sorting: a bit for each
// entity, and for each word of bits how many are set before it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace graphkit {

class IdResolver {
  public:
    explicit IdResolver(std::uint64_t num_ids)
        : num_ids_(num_ids), words_((num_ids + 63) / 64), before_(words_.size()) {}

    // Forgets all ids.
    void clear();

    // Adds ids; returns the place of the first that is none, and adds nothing then.
    std::optional<std::size_t> add(std::span<const std::int64_t> ids);

    // Ends adding; returns how many distinct ids were added.
    std::size_t finish();

    // Fills ids [what finish returned], ascending.
    void write(std::span<std::int64_t> ids) const;

    // Fills the place of each id among the distinct ones; all must have been added.
    void locate(std::span<const std::int64_t> ids, std::span<std::int64_t> places) const;

    // Says of each id whether it was added.
    void contains(std::span<const std::int64_t> ids, std::span<bool> found) const;

  private:
    std::uint64_t num_ids_;
    std::vector<std::uint64_t> words_;
    std::vector<std::uint32_t> before_;
};

}  // namespace graphkit
