#include "machine/threads.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace graphkit {
namespace {

class Pool {
  public:
    void run(std::size_t tasks, unsigned threads, const std::function<void(std::size_t)>& task) {
        {
            const std::lock_guard lock(mutex_);
            while (workers_ + 1 < threads) {
                std::thread([this, number = workers_] { work(number); }).detach();
                ++workers_;
            }
            task_ = &task;
            tasks_ = tasks;
            next_.store(0, std::memory_order_relaxed);
            invited_ = std::min<unsigned>(threads - 1, workers_);
            running_ = invited_;
            ++round_;
        }
        wake_.notify_all();
        take();
        std::unique_lock lock(mutex_);
        done_.wait(lock, [this] { return running_ == 0; });
    }

    // Set while somebody runs tasks. A task may ask again for the threads that it runs on, which a mutex would forbid.
    std::atomic_flag busy;

  private:
    void take() {
        for (std::size_t i = next_.fetch_add(1, std::memory_order_relaxed); i < tasks_;
             i = next_.fetch_add(1, std::memory_order_relaxed))
            (*task_)(i);
    }

    void work(unsigned number) {
        std::uint64_t seen = 0;
        for (;;) {
            {
                std::unique_lock lock(mutex_);
                wake_.wait(lock, [&] { return round_ != seen; });
                seen = round_;
                if (number >= invited_) continue;
            }
            take();
            const std::lock_guard lock(mutex_);
            if (--running_ == 0) done_.notify_one();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_, done_;
    std::uint64_t round_ = 0;
    unsigned workers_ = 0, invited_ = 0, running_ = 0;
    const std::function<void(std::size_t)>* task_ = nullptr;
    std::size_t tasks_ = 0;
    std::atomic<std::size_t> next_{0};
};

// The pool of this process. It is never destroyed, since its threads wait in it until the process ends; a child that
// was forked has none of the threads, and makes a pool of its own.
Pool& pool() {
    static std::mutex mutex;
    static Pool* current = nullptr;
    static pid_t owner = 0;
    const std::lock_guard lock(mutex);
    if (current == nullptr || owner != getpid()) {
        current = new Pool;
        owner = getpid();
    }
    return *current;
}

// Takes a flag where it is free, and gives it back.
class Claim {
  public:
    explicit Claim(std::atomic_flag& flag) : flag_(flag.test_and_set(std::memory_order_acquire) ? nullptr : &flag) {}
    ~Claim() {
        if (flag_ != nullptr) flag_->clear(std::memory_order_release);
    }
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

    explicit operator bool() const { return flag_ != nullptr; }

  private:
    std::atomic_flag* flag_;
};

}  // namespace

void run_tasks(std::size_t tasks, unsigned threads, const std::function<void(std::size_t)>& task) {
    threads = static_cast<unsigned>(std::min<std::size_t>(threads, tasks));
    if (threads > 1) {
        Pool& shared = pool();
        if (const Claim claim(shared.busy); claim) {
            shared.run(tasks, threads, task);
            return;
        }
    }
    for (std::size_t i = 0; i < tasks; ++i) task(i);
}

}  // namespace graphkit
