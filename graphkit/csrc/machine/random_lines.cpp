#include "machine/random_lines.hpp"

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "machine/resident.hpp"

namespace graphkit {
namespace {

struct alignas(64) Line {
    std::uint64_t words[8];
};

constexpr std::uint64_t kDependentShare = 16;  // a dependent load takes some sixteen times as long

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A linear congruential generator: its numbers are known ahead at a cycle each, so that loads alone take time.
std::uint64_t next(std::uint64_t state) { return state * 0xD1342543DE82EF95ULL + 0x9E3779B97F4A7C15ULL; }

std::uint64_t below(std::uint64_t state, std::uint64_t size) {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(state) * size) >> 64);
}

// One generator runs `ahead` numbers before the other; returns a sum, so that no load is optimised away.
std::uint64_t read_lines(const Line* lines, std::uint64_t size, std::uint64_t loads, unsigned ahead,
                         std::uint64_t seed) {
    std::uint64_t fetching = seed, reading = seed, sum = 0;
    const auto fetch = [&] {
        fetching = next(fetching);
        __builtin_prefetch(lines + below(fetching, size));
    };
    for (unsigned i = 0; i < ahead; ++i) fetch();
    for (std::uint64_t i = 0; i < loads; ++i) {
        fetch();
        reading = next(reading);
        sum += lines[below(reading, size)].words[0];
    }
    return sum;
}

}  // namespace

RandomLines measure_random_lines(std::uint64_t bytes, unsigned threads, std::uint64_t loads, unsigned ahead) {
    const std::uint64_t size = std::max<std::uint64_t>(bytes / sizeof(Line), 1);
    const ResidentPages pages(size * sizeof(Line));
    auto* lines = static_cast<Line*>(pages.data());
    for (std::uint64_t i = 0; i < size; ++i) lines[i].words[0] = next(i);  // touches every page before the clock starts

    std::vector<std::uint64_t> sums(threads);
    auto start = std::chrono::steady_clock::now();
    {
        std::vector<std::jthread> running;
        for (unsigned t = 0; t < threads; ++t)
            running.emplace_back([&, t] { sums[t] = read_lines(lines, size, loads, ahead, t + 1); });
    }
    const double independent = static_cast<double>(threads * loads) / seconds_since(start);

    std::uint64_t state = sums[0];
    const std::uint64_t dependent_loads = std::max<std::uint64_t>(loads / kDependentShare, 1);
    start = std::chrono::steady_clock::now();
    for (std::uint64_t i = 0; i < dependent_loads; ++i) state = next(state + lines[below(state, size)].words[0]);
    const double dependent = seconds_since(start) / static_cast<double>(dependent_loads);
    const volatile std::uint64_t kept = state;
    static_cast<void>(kept);
    return {independent, dependent};
}

}  // namespace graphkit
