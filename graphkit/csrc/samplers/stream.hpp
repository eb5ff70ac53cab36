// Batches made ahead of the consumer by native threads and delivered in order. What a batch holds depends on its
// number alone, so the stream is the same for any number of threads and can start at any number.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

namespace graphkit {

// Buffers that come back when their last user lets go, so that a running stream allocates nothing. The pool lives as
// long as any buffer that left it.
template <class Buffer>
class BufferPool : public std::enable_shared_from_this<BufferPool<Buffer>> {
  public:
    // A buffer that was used before, or a new one that is made of `arguments`.
    template <class... Arguments>
    std::shared_ptr<Buffer> take(Arguments&&... arguments) {
        std::unique_ptr<Buffer> buffer;
        {
            const std::scoped_lock lock(mutex_);
            if (!free_.empty()) {
                buffer = std::move(free_.back());
                free_.pop_back();
            }
        }
        if (!buffer) buffer = std::make_unique<Buffer>(std::forward<Arguments>(arguments)...);
        return {buffer.release(), [pool = this->shared_from_this()](Buffer* used) { pool->put(used); }};
    }

  private:
    void put(Buffer* used) {
        const std::scoped_lock lock(mutex_);
        free_.emplace_back(used);
    }

    std::mutex mutex_;
    std::vector<std::unique_ptr<Buffer>> free_;
};

template <class Buffer>
class OrderedStream {
  public:
    // Called by the worker threads, at the same time for different numbers; must depend on `number` alone. When a stop
    // is requested it may return at any time: nobody reads the buffer.
    using Fill = std::function<void(std::uint64_t number, Buffer& buffer, const std::stop_token& stop)>;

    OrderedStream(Fill fill, unsigned threads, unsigned ahead, std::uint64_t first)
        : fill_(std::move(fill)), slots_(ahead), claimed_(first), delivered_(first) {
        for (unsigned i = 0; i < threads; ++i) workers_.emplace_back([this](std::stop_token stop) { work(stop); });
    }

    ~OrderedStream() {
        for (auto& worker : workers_) worker.request_stop();
        room_.notify_all();
    }  // the jthreads join before the members that they use go: they are declared last

    // The next batch; waits until it is made, or returns nothing after a while, so that the caller can see to signals.
    // Rethrows what `fill` threw.
    std::shared_ptr<const Buffer> next(std::chrono::milliseconds patience) {
        std::unique_lock lock(mutex_);
        // Another consumer may take the slot that this one began to wait for: which slot is next is asked each time.
        if (!ready_.wait_for(lock, patience, [&] { return slots_[delivered_ % slots_.size()].done; })) return nullptr;
        Slot& slot = slots_[delivered_ % slots_.size()];
        if (slot.error) std::rethrow_exception(slot.error);
        auto batch = std::exchange(slot.batch, nullptr);
        slot.done = false;
        ++delivered_;
        lock.unlock();
        room_.notify_one();
        ready_.notify_all();  // the slot after it may be filled already
        return batch;
    }

    std::shared_ptr<const Buffer> next() {
        while (true)
            if (auto batch = next(std::chrono::seconds(1))) return batch;
    }

  private:
    struct Slot {
        bool done = false;
        std::shared_ptr<Buffer> batch;
        std::exception_ptr error;
    };

    void work(std::stop_token stop) {
        while (true) {
            std::uint64_t number;
            {
                std::unique_lock lock(mutex_);
                const auto has_room = [&] { return claimed_ < delivered_ + slots_.size(); };
                if (!room_.wait(lock, stop, has_room) || stop.stop_requested()) return;
                number = claimed_++;
            }
            Slot made{.done = true, .batch = nullptr, .error = nullptr};
            try {
                made.batch = pool_->take();
                fill_(number, *made.batch, stop);
            } catch (...) {
                made.error = std::current_exception();
            }
            {
                const std::scoped_lock lock(mutex_);
                slots_[number % slots_.size()] = std::move(made);
            }
            ready_.notify_all();
        }
    }

    Fill fill_;
    std::shared_ptr<BufferPool<Buffer>> pool_ = std::make_shared<BufferPool<Buffer>>();
    std::mutex mutex_;
    std::condition_variable_any room_;  // a slot was emptied
    std::condition_variable ready_;     // a slot was filled
    std::vector<Slot> slots_;
    std::uint64_t claimed_, delivered_;
    std::vector<std::jthread> workers_;
};

}  // namespace graphkit
