// The shared threads run every task once, whoever asks, and buffers come back to those who gave them.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

#include "check.hpp"
#include "engine/gather.hpp"
#include "engine/kernels.hpp"
#include "machine/buffers.hpp"
#include "machine/threads.hpp"

using namespace graphkit;

TEST(every_task_runs_once) {
    for (const unsigned threads : {1, 2, 5, 3})
        for (const std::size_t tasks : {0, 1, 2, 100}) {
            std::vector<int> times(tasks);
            run_tasks(tasks, threads, [&](std::size_t task) { ++times[task]; });
            for (const int count : times) CHECK(count == 1);
        }
}

TEST(several_callers_do_not_wait_for_each_other) {
    std::atomic<std::size_t> sum{0};
    {
        std::vector<std::jthread> callers;
        for (int caller = 0; caller < 4; ++caller)
            callers.emplace_back([&] {
                for (int round = 0; round < 50; ++round)
                    run_tasks(10, 3, [&](std::size_t task) {
                        run_tasks(2, 2, [&](std::size_t inner) { sum += task + inner; });
                    });
            });
    }
    CHECK(sum == 4 * 50 * (2 * 45 + 10));
}

TEST(tasks_that_run_tasks_leave_the_threads_free) {
    run_tasks(2, 2, [](std::size_t) { run_tasks(2, 2, [](std::size_t) {}); });
    // Each waits for the other: one thread alone would never see both.
    std::atomic<int> there{0}, met{0};
    run_tasks(2, 2, [&](std::size_t) {
        ++there;
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (there < 2 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
        if (there == 2) ++met;
    });
    CHECK_EQ(met.load(), 2);
}

TEST(buffers_are_used_again) {
    void* first = nullptr;
    {
        const auto buffer = take_buffer(10'000'000);
        first = buffer.get();
        std::memset(first, 1, 10'000'000);
        CHECK(kept_bytes() == 0);
    }
    CHECK(kept_bytes() >= 10'000'000);
    CHECK(take_buffer(9'950'000).get() == first);  // of a like size
    CHECK(take_buffer(20'000'000).get() != first);
    {
        std::vector<std::shared_ptr<void>> many;
        for (int i = 0; i < 20; ++i) many.push_back(take_buffer(100'000'000));
    }
    CHECK(kept_bytes() <= kMostKept);
}

TEST(a_buffer_larger_than_what_is_kept_drives_no_other_out) {
    take_buffer(10'000'000).reset();
    const std::size_t before = kept_bytes();
    CHECK(before >= 10'000'000);
    take_buffer(kMostKept + 1).reset();
    CHECK_EQ(kept_bytes(), before);
}

TEST(rows_are_gathered_to_their_places) {
    std::vector<int> table(7 * 50'000);
    std::iota(table.begin(), table.end(), 0);
    std::vector<std::int64_t> ids, places;
    for (std::int64_t i = 0; i < 60'000; ++i) {
        ids.push_back(i * 7919 % 50'000);
        places.push_back(59'999 - i);
    }
    std::vector<int> rows(7 * ids.size());
    const auto bytes = [](auto* data) { return reinterpret_cast<std::byte*>(data); };
    gather_rows(bytes(table.data()), 28, ids, nullptr, bytes(rows.data()), 3);
    for (std::size_t i = 0; i < rows.size(); ++i) CHECK(rows[i] == 7 * ids[i / 7] + static_cast<int>(i % 7));
    gather_rows(bytes(table.data()), 28, ids, places.data(), bytes(rows.data()), 3);
    for (std::size_t i = 0; i < rows.size(); ++i) CHECK(rows[i] == 7 * ids[59'999 - i / 7] + static_cast<int>(i % 7));
}

// Gathers as many rows of `width` as are streamed, to `shift` floats behind the start of a cache line.
void gather_streamed(std::size_t width, std::size_t shift) {
    constexpr std::size_t kFloatsOfLine = 16;
    const std::size_t rows = kStreamed / (sizeof(int) * width) + 1;
    std::vector<int> table(width * 1000), memory(width * rows + 2 * kFloatsOfLine, -1);
    std::iota(table.begin(), table.end(), 0);
    std::vector<std::int64_t> ids(rows), places(rows);
    for (std::size_t i = 0; i < rows; ++i) {
        ids[i] = static_cast<std::int64_t>(i * 7919 % 1000);
        places[i] = static_cast<std::int64_t>(rows - 1 - i);
    }
    const std::size_t past_line = reinterpret_cast<std::uintptr_t>(memory.data()) / sizeof(int) % kFloatsOfLine;
    const std::size_t first = (kFloatsOfLine - past_line) % kFloatsOfLine + shift;
    const auto copied = memory.begin() + static_cast<std::ptrdiff_t>(first);
    gather_rows(reinterpret_cast<std::byte*>(table.data()), sizeof(int) * width, ids, places.data(),
                reinterpret_cast<std::byte*>(&*copied), 3);
    for (std::size_t i = 0; i < rows; ++i)
        CHECK(std::equal(copied + width * i, copied + width * (i + 1), table.begin() + width * ids[rows - 1 - i]));
    CHECK(std::all_of(memory.begin(), copied, [](int value) { return value == -1; }));
    CHECK(std::all_of(copied + width * rows, memory.end(), [](int value) { return value == -1; }));
}

TEST(rows_that_are_streamed_arrive_whole) {
    for (const std::string& path : kernel_paths()) {
        CHECK(choose_kernels(path));
        for (const std::size_t width : {7, 16, 50, 64})  // less than a line, lines, and lines with parts of others
            for (const std::size_t shift : {0, 1}) gather_streamed(width, shift);
    }
}

CHECK_MAIN()
