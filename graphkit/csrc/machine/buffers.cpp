#include "machine/buffers.hpp"

#include <algorithm>
#include <bit>
#include <deque>
#include <mutex>

#include "machine/resident.hpp"

namespace graphkit {
namespace {

struct Buffer {
    std::unique_ptr<ResidentPages> pages;
    std::size_t bytes;
};

class Pool {
  public:
    Buffer take(std::size_t bytes) {
        const std::size_t size = rounded(bytes);
        {
            const std::lock_guard lock(mutex_);
            // The latest first: the caches may still hold some of it.
            for (auto it = kept_.rbegin(); it != kept_.rend(); ++it)
                if (it->bytes == size) {
                    Buffer found = std::move(*it);
                    kept_.erase(std::next(it).base());
                    total_ -= found.bytes;
                    return found;
                }
        }
        return {std::make_unique<ResidentPages>(size), size};
    }

    void give_back(Buffer buffer) {
        if (buffer.bytes > kMostKept) return;  // would drive all others out, and not stay either
        std::deque<Buffer> dropped;            // unmapped outside of the lock
        const std::lock_guard lock(mutex_);
        total_ += buffer.bytes;
        kept_.push_back(std::move(buffer));
        while (total_ > kMostKept) {
            total_ -= kept_.front().bytes;
            dropped.push_back(std::move(kept_.front()));
            kept_.pop_front();
        }
    }

    std::size_t total() {
        const std::lock_guard lock(mutex_);
        return total_;
    }

  private:
    // Sizes in steps of an eighth, so that batches of a like size share buffers.
    static std::size_t rounded(std::size_t bytes) {
        const std::size_t step = std::max<std::size_t>(std::bit_floor(std::max<std::size_t>(bytes, 1)) / 8, 4096);
        return (bytes + step - 1) / step * step;
    }

    std::mutex mutex_;
    std::deque<Buffer> kept_;
    std::size_t total_ = 0;
};

// Never destroyed: arrays may outlive everything else.
Pool& pool() {
    static Pool* const pool = new Pool;
    return *pool;
}

}  // namespace

std::shared_ptr<void> take_buffer(std::size_t bytes) {
    auto* buffer = new Buffer(pool().take(bytes));
    void* data = buffer->pages->data();
    return {data, [buffer](void*) {
                pool().give_back(std::move(*buffer));
                delete buffer;
            }};
}

std::size_t kept_bytes() { return pool().total(); }

}  // namespace graphkit
