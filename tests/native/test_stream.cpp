// OrderedStream: whatever the threads do, batches come in order, errors reach the consumer, and nothing hangs or leaks.
#include <atomic>
#include <chrono>
#include <set>
#include <stdexcept>
#include <string>

#include "check.hpp"
#include "samplers/stream.hpp"

using namespace graphkit;
using namespace std::chrono_literals;

namespace {

struct Numbers {
    std::uint64_t number = 0;
    std::vector<std::uint64_t> values;
};

// Earlier numbers take longer, so that threads finish in another order than they began.
void fill_slowly(std::uint64_t number, Numbers& out, const std::stop_token&) {
    std::this_thread::sleep_for(std::chrono::microseconds(number % 5 == 0 ? 300 : 10));
    out.number = number;
    out.values.assign(50, number * number);
}

}  // namespace

TEST(batches_come_in_order_for_any_number_of_threads) {
    for (const unsigned threads : {1U, 2U, 4U, 9U})
        for (const unsigned ahead : {1U, 3U, 16U}) {
            OrderedStream<Numbers> stream(fill_slowly, threads, ahead, 7);
            bool right = true;
            for (std::uint64_t number = 7; number < 80; ++number) {
                const auto batch = stream.next();
                right = right && batch->number == number && batch->values == std::vector(50, number * number);
            }
            CHECK(right);
        }
}

TEST(a_stream_makes_no_more_than_it_was_told_to_make_ahead) {
    std::atomic<std::uint64_t> highest = 0;
    OrderedStream<Numbers> stream(
        [&](std::uint64_t number, Numbers&, const std::stop_token&) { highest = std::max(highest.load(), number); }, 2,
        3, 0);
    std::this_thread::sleep_for(20ms);
    CHECK(highest <= 2);
    static_cast<void>(stream.next());
    std::this_thread::sleep_for(20ms);
    CHECK(highest <= 3);
}

TEST(an_exception_reaches_the_consumer_in_its_place_and_stays) {
    OrderedStream<Numbers> stream(
        [](std::uint64_t number, Numbers& out, const std::stop_token&) {
            if (number == 3) throw std::runtime_error("batch three");
            out.number = number;
        },
        4, 4, 0);
    for (std::uint64_t number = 0; number < 3; ++number) CHECK_EQ(stream.next()->number, number);
    for (int again = 0; again < 2; ++again) {
        std::string said;
        try {
            static_cast<void>(stream.next());
        } catch (const std::runtime_error& error) {
            said = error.what();
        }
        CHECK_EQ(said, "batch three");
    }
}

TEST(a_stream_that_is_full_or_busy_or_unused_can_be_destroyed) {
    for (int i = 0; i < 50; ++i) {
        OrderedStream<Numbers> full([](std::uint64_t, Numbers&, const std::stop_token&) {}, 4, 2, 0);
        if (i % 2 == 0) std::this_thread::sleep_for(200us);  // all slots are filled, the threads wait for room
        OrderedStream<Numbers> busy(fill_slowly, 4, 8, 0);
        if (i % 3 == 0) static_cast<void>(busy.next());
    }
    CHECK(true);  // reached: no destructor waits for ever
}

TEST(batches_outlive_their_stream) {
    std::vector<std::shared_ptr<const Numbers>> kept;
    {
        OrderedStream<Numbers> stream(fill_slowly, 3, 4, 0);
        for (int i = 0; i < 10; ++i) kept.push_back(stream.next());
    }
    for (std::uint64_t number = 0; number < 10; ++number)
        CHECK_EQ(kept[number]->values, std::vector(50, number * number));
}

TEST(a_buffer_that_is_held_is_not_given_out_again) {
    OrderedStream<Numbers> stream(fill_slowly, 2, 2, 0);
    std::vector<std::shared_ptr<const Numbers>> kept;
    for (int i = 0; i < 20; ++i) kept.push_back(stream.next());
    for (int i = 0; i < 100; ++i) static_cast<void>(stream.next());
    for (std::uint64_t number = 0; number < 20; ++number) CHECK_EQ(kept[number]->number, number);
}

TEST(buffers_are_recycled) {
    OrderedStream<Numbers> stream(fill_slowly, 1, 2, 0);
    std::set<const Numbers*> places;
    for (int i = 0; i < 100; ++i) places.insert(stream.next().get());
    CHECK(places.size() <= 5);
}

TEST(several_consumers_share_the_stream) {
    // On the heap and let go of when a consumer is stuck: a destructor must not wait for it.
    struct Shared {
        OrderedStream<Numbers> stream{fill_slowly, 2, 3, 0};
        std::mutex mutex;
        std::multiset<std::uint64_t> numbers;
        std::atomic<int> finished = 0;
    };
    const auto shared = std::make_shared<Shared>();
    for (int consumer = 0; consumer < 3; ++consumer)
        std::thread([shared] {
            for (int i = 0; i < 40; ++i) {
                const std::uint64_t number = shared->stream.next()->number;
                const std::scoped_lock lock(shared->mutex);
                shared->numbers.insert(number);
            }
            ++shared->finished;
        }).detach();
    for (int i = 0; i < 300 && shared->finished < 3; ++i) std::this_thread::sleep_for(10ms);
    CHECK_EQ(shared->finished.load(), 3);
    const std::scoped_lock lock(shared->mutex);
    CHECK_EQ(shared->numbers.size(), 120);
    CHECK_EQ(std::set<std::uint64_t>(shared->numbers.begin(), shared->numbers.end()).size(), 120);
}

CHECK_MAIN()
