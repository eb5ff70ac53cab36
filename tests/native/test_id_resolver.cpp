// Distinct ids and their places against sorting.
#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "check.hpp"
#include "engine/id_resolver.hpp"

using namespace graphkit;

TEST(distinct_ids_and_places_are_those_of_sorting) {
    std::mt19937_64 random(1);
    for (const std::uint64_t size : {1, 63, 64, 65, 1000, 100'000}) {
        IdResolver resolver(size);
        for (const std::size_t count : {0, 1, 7, 500}) {
            std::vector<std::int64_t> ids(count);
            for (auto& id : ids) id = static_cast<std::int64_t>(random() % size);
            resolver.clear();
            CHECK(!resolver.add(ids));
            std::vector<std::int64_t> expected = ids;
            std::ranges::sort(expected);
            expected.erase(std::ranges::unique(expected).begin(), expected.end());
            std::vector<std::int64_t> distinct(resolver.finish()), places(count);
            resolver.write(distinct);
            CHECK(distinct == expected);
            resolver.locate(ids, places);
            for (std::size_t i = 0; i < count; ++i) CHECK(distinct[places[i]] == ids[i]);
            std::vector<std::int64_t> all(size);
            for (std::size_t i = 0; i < size; ++i) all[i] = static_cast<std::int64_t>(i);
            const auto found = std::make_unique<bool[]>(size);
            resolver.contains(all, {found.get(), size});
            for (std::size_t i = 0; i < size; ++i)
                CHECK(found[i] == std::ranges::binary_search(expected, static_cast<std::int64_t>(i)));
        }
        const auto end = static_cast<std::int64_t>(size);
        resolver.clear();
        CHECK(resolver.add(std::vector<std::int64_t>{0, end, 0}) == 1);
        CHECK(resolver.add(std::vector<std::int64_t>{-1}) == 0);
        CHECK(resolver.finish() == 0);
    }
}

CHECK_MAIN()
