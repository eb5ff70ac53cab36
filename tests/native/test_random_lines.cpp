// The probe of random cache lines counts loads by the clock.
#include <chrono>

#include "check.hpp"
#include "machine/random_lines.hpp"

using namespace graphkit;

TEST(figures_are_loads_by_the_clock) {
    for (const unsigned threads : {1U, 2U, 3U}) {
        const std::uint64_t loads = 200'000;
        const auto start = std::chrono::steady_clock::now();
        const RandomLines measured = measure_random_lines(1 << 20, threads, loads, 24);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        // What was measured lies within the call, and no machine loads 100 lines a nanosecond.
        CHECK(threads * loads / measured.independent_per_second <= seconds);
        CHECK(measured.independent_per_second < 1e11);
        CHECK(measured.dependent_seconds > 1e-11 && measured.dependent_seconds < seconds);
    }
}

TEST(a_table_of_one_line_is_enough) { CHECK(measure_random_lines(0, 1, 1, 0).independent_per_second > 0); }

CHECK_MAIN()
