#include "scheduler.hpp"

#include <algorithm>
#include <array>

#include "shared_memory.hpp"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace shim {
namespace {

constexpr unsigned kWarp = 32;

std::string triple(std::uint64_t number, const dim3& extent) {
    const std::uint64_t x = number % extent.x, y = number / extent.x % extent.y, z = number / extent.x / extent.y;
    return "(" + std::to_string(x) + ", " + std::to_string(y) + ", " + std::to_string(z) + ")";
}

std::string name_of(ShimWarpKind kind) {
    constexpr std::array names{"__syncwarp",       "__shfl_sync",     "__shfl_up_sync",
                               "__shfl_down_sync", "__shfl_xor_sync", "a vote"};
    return names[kind];
}

std::string hexadecimal(unsigned mask) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "0x%08x", mask);
    return text.data();
}

}  // namespace

Scheduler& scheduler() {
    static Scheduler only;
    return only;
}

std::string Scheduler::block_name(std::uint64_t block) const { return "block " + triple(block, gridDim); }

std::string Scheduler::thread_name(unsigned thread) const { return "thread " + triple(thread, blockDim); }

// ------------------------------------------------------------------------------------------------------- a launch

int Scheduler::run(const char* kernel, const ShimLaunch& launch, void (*call)(void*), void* context) {
    kernel_ = kernel, call_ = call, context_ = context;
    error_.clear();
    shuffled_ = launch.schedule_seed != 0;
    random_ = launch.schedule_seed;
    gridDim = {launch.grid[0], launch.grid[1], launch.grid[2]};
    blockDim = {launch.block[0], launch.block[1], launch.block[2]};
    const std::uint64_t blocks = std::uint64_t{gridDim.x} * gridDim.y * gridDim.z;
    threads_.resize(std::size_t{blockDim.x} * blockDim.y * blockDim.z);
    std::vector<std::uint64_t> order(blocks);
    for (std::uint64_t block = 0; block < blocks; ++block) order[block] = block;
    if (shuffled_) {
        for (std::uint64_t block = blocks; block > 1; --block) std::swap(order[block - 1], order[draw(block)]);
    }
    const SharedMemory shared = find_shared_memory();
    image_ = shared.image.begin;
    memory_.reset(), races_.reset();
    if (launch.regions != nullptr) memory_.emplace(launch, shared), races_.emplace();
    for (const std::uint64_t block : order) {
        spoil(shared, launch.shared_bytes);
        run_block(block);
        if (!error_.empty()) return 1;
    }
    return 0;
}

void Scheduler::run_block(std::uint64_t block) {
    block_ = block;
    if (races_) races_->begin_block(static_cast<std::uint32_t>(block), threads_.size());
    blockIdx = {static_cast<unsigned>(block % gridDim.x), static_cast<unsigned>(block / gridDim.x % gridDim.y),
                static_cast<unsigned>(block / gridDim.x / gridDim.y)};
    ready_.resize(threads_.size());
    for (unsigned thread = 0; thread < threads_.size(); ++thread) {
        threads_[thread] = Thread{};
        ready_[thread] = thread;
    }
    next_ready_ = 0, ended_ = 0, at_barrier_ = 0;
    free_.clear();
    for (const auto& fiber : fibers_) free_.push_back(fiber.get());
    if (!pop()) return;
    enter(current_);
    if (error_.empty()) return;
    for (const auto& fiber : fibers_) fiber->reset();  // what they hold is given up
}

// Goes to where the thread `current_` goes on, or begins.
void Scheduler::enter(unsigned thread) {
    Fiber* to = threads_[thread].fiber;
    if (to == nullptr) {
        if (free_.empty()) {
            fibers_.push_back(std::make_unique<Fiber>([] { scheduler().begin_threads(); }));
            free_.push_back(fibers_.back().get());
        }
        to = free_.back();
        free_.pop_back();
    }
    Fiber* from = running_;
    running_ = to;
    if (from != to) from->switch_to(*to);
}

// A fiber runs threads to their ends, one after another, as long as they do not wait: kernels without barriers need
// one.
void Scheduler::begin_threads() {
    while (true) {
        Thread& thread = threads_[current_];
        thread.fiber = running_;
        thread.state = State::kRunning;
        const unsigned x = current_ % blockDim.x, y = current_ / blockDim.x % blockDim.y;
        threadIdx = {x, y, current_ / blockDim.x / blockDim.y};
        call_(context_);
        threads_[current_].state = State::kEnded;
        ++ended_;
        Fiber* self = running_;
        if (pop()) {
            if (threads_[current_].fiber == nullptr) continue;
            free_.push_back(self);
            enter(current_);
        } else if (ended_ == threads_.size()) {
            free_.push_back(self);
            running_ = &main_;
            self->switch_to(main_);
        } else {
            tell_deadlock();
        }
    }
}

void Scheduler::proceed() {
    const unsigned self = current_;
    if (!pop()) tell_deadlock();
    if (current_ != self) enter(current_);
    threads_[self].state = State::kRunning;
    const unsigned x = self % blockDim.x, y = self / blockDim.x % blockDim.y;
    threadIdx = {x, y, self / blockDim.x / blockDim.y};
}

bool Scheduler::pop() {
    const std::size_t left = ready_.size() - next_ready_;
    if (left == 0) return false;
    if (shuffled_) std::swap(ready_[next_ready_], ready_[next_ready_ + draw(left)]);
    current_ = ready_[next_ready_++];
    return true;
}

void Scheduler::push(unsigned thread) {
    if (next_ready_ == ready_.size()) ready_.clear(), next_ready_ = 0;
    threads_[thread].state = State::kReady;
    ready_.push_back(thread);
}

// The generator of Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
std::uint64_t Scheduler::draw(std::uint64_t bound) {
    std::uint64_t z = random_ += 0x9E3779B97F4A7C15U;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
    z = (z ^ z >> 27) * 0x94D049BB133111EBU;
    return (z ^ z >> 31) % bound;
}

// ------------------------------------------------------------------------------------------- threads that wait

void Scheduler::sync_threads(const char* file, int line) {
    Thread& thread = threads_[current_];
    thread.state = State::kAtBarrier, thread.file = file, thread.line = line;
    if (++at_barrier_ == threads_.size()) {
        for (unsigned other = 0; other < threads_.size(); ++other) {
            if (threads_[other].line == line && threads_[other].file == file) continue;
            fail(block_name(block_) + ": " + thread_name(other) + " " + where(other) + " and " + thread_name(current_) +
                 " " + where(current_) + "; let all threads of a block come to the same barrier");
        }
        at_barrier_ = 0;
        if (races_) races_->barrier();
        for (unsigned other = 0; other < threads_.size(); ++other) push(other);
    }
    proceed();
}

std::uint64_t Scheduler::warp(const ShimWarpCall& call) {
    Thread& thread = threads_[current_];
    thread.state = State::kInWarp, thread.call = call, thread.line = call.line;
    if ((call.mask >> current_ % kWarp & 1) == 0) {
        fail_here(where(current_) + ", which does not name its lane " + std::to_string(current_ % kWarp) +
                  "; name all lanes that take part");
    }
    const unsigned self = current_;
    complete(self);
    proceed();
    return threads_[self].result;
}

void Scheduler::complete(unsigned self) {
    const unsigned first = self / kWarp * kWarp;
    const auto lanes = static_cast<unsigned>(std::min<std::size_t>(kWarp, threads_.size() - first));
    const ShimWarpCall call = threads_[self].call;
    const auto named = [&](unsigned lane) { return (call.mask >> lane & 1) != 0; };
    for (unsigned lane = 0; lane < lanes; ++lane) {
        const Thread& other = threads_[first + lane];
        if (!named(lane)) continue;
        if (other.state != State::kInWarp || other.call.kind != call.kind || other.call.mask != call.mask) return;
    }
    for (unsigned lane = 0; lane < lanes; ++lane) {
        if (named(lane)) answer(lane, first, threads_[first + lane].call);
    }
    if (races_ && call.kind == kShimSync) races_->sync_warp(first, call.mask, lanes);
    for (unsigned lane = 0; lane < lanes; ++lane) {
        if (named(lane)) push(first + lane);
    }
}

void Scheduler::answer(unsigned lane, unsigned first, const ShimWarpCall& call) {
    std::uint64_t& result = threads_[first + lane].result;
    const auto lanes = static_cast<unsigned>(std::min<std::size_t>(kWarp, threads_.size() - first));
    if (call.kind == kShimSync) return;
    if (call.kind == kShimBallot) {
        result = 0;
        for (unsigned other = 0; other < lanes; ++other) {
            if ((call.mask >> other & 1) != 0 && threads_[first + other].call.value != 0) result |= 1U << other;
        }
        return;
    }
    // Lanes are shuffled within segments of `width`; who would read beyond its own keeps its value.
    const int width = call.width, own = static_cast<int>(lane), begin = own / width * width, end = begin + width;
    int source = own;
    if (call.kind == kShimShuffle) source = begin + (call.operand & (width - 1));
    if (call.kind == kShimShuffleUp && own - call.operand >= begin) source = own - call.operand;
    if (call.kind == kShimShuffleDown && own + call.operand < end) source = own + call.operand;
    if (call.kind == kShimShuffleXor && (own ^ call.operand) < end) source = own ^ call.operand;
    if (source >= static_cast<int>(lanes) || (call.mask >> source & 1) == 0) {
        current_ = first + lane;
        fail_here(where(current_) + " and reads from lane " + std::to_string(source) +
                  ", which takes no part; name it in the mask, or do not read from it");
    }
    result = threads_[first + static_cast<unsigned>(source)].call.value;
}

// ------------------------------------------------------------------------------------------------------- memory

void Scheduler::access(const std::byte* at, std::size_t bytes, Kind kind, const void* place) {
    if (!races_ || running_ == &main_ || running_->holds(at)) return;
    const auto offset = static_cast<std::uint32_t>(static_cast<const std::byte*>(place) - image_);
    const Belongs owner = memory_->owner(at, bytes);
    if (owner == Belongs::kPrivate) return;
    if (owner == Belongs::kNowhere) {
        fail_here((kind == Kind::kRead ? "reads " : "writes ") + std::to_string(bytes) + " bytes" + place_name(offset) +
                  " at " + memory_->name(at) + ", which has " + memory_->size_of_nearest(at) + "; stay within it");
    }
    const bool shared = owner == Belongs::kShared;
    if (const auto found = races_->access(at, bytes, shared, kind, current_, offset)) tell_conflict(*found);
}

// For Python to find the line of the source.
std::string Scheduler::place_name(std::uint32_t place) const {
    return " in line {place " + std::to_string(place) + "}";
}

void Scheduler::tell_conflict(const Conflict& found) {
    const auto does = [](const Access& access) {
        constexpr std::array verbs{"reads", "writes", "atomically changes"};
        return std::string(verbs[static_cast<std::size_t>(access.kind)]);
    };
    const bool blocks = found.before.block != found.now.block;
    fail_here(does(found.now) + " " + memory_->name(found.at) + place_name(found.now.place) + ", and " +
              thread_name(found.before.thread) + (blocks ? " of " + block_name(found.before.block) : "") + " " +
              does(found.before) + " it" + place_name(found.before.place) +
              (blocks ? ", and nothing orders blocks; let one block do both, or let both be atomic"
                      : ", and nothing orders them; put __syncthreads between, or __syncwarp within a warp"));
}

// ------------------------------------------------------------------------------------------------------- errors

std::string Scheduler::where(unsigned thread) const {
    const Thread& it = threads_[thread];
    const std::string line = " of line " + std::to_string(it.line);
    switch (it.state) {
        case State::kAtBarrier:
            return "waits at __syncthreads" + line;
        case State::kInWarp:
            return "waits at " + name_of(it.call.kind) + line + " with mask " + hexadecimal(it.call.mask);
        case State::kEnded:
            return "has ended";
        default:
            return "runs";
    }
}

// No thread can run: the first that waits for lanes of its warp explains it, else the first that waits for the block.
void Scheduler::tell_deadlock() {
    for (unsigned thread = 0; thread < threads_.size(); ++thread) {
        if (threads_[thread].state != State::kInWarp) continue;
        const ShimWarpCall& call = threads_[thread].call;
        for (unsigned lane = 0; lane < kWarp; ++lane) {
            const unsigned other = thread / kWarp * kWarp + lane;
            if ((call.mask >> lane & 1) == 0 || other >= threads_.size()) continue;
            const Thread& named = threads_[other];
            if (named.state == State::kInWarp && named.call.kind == call.kind && named.call.mask == call.mask) continue;
            fail(block_name(block_) + ": " + thread_name(thread) + " " + where(thread) + ", and lane " +
                 std::to_string(lane) + ", " + thread_name(other) + ", " + where(other) +
                 "; let all lanes that the mask names take part");
        }
    }
    unsigned waits = 0, other = 0;
    while (threads_[waits].state != State::kAtBarrier) ++waits;
    while (threads_[other].state == State::kAtBarrier) ++other;
    fail(block_name(block_) + ": " + thread_name(waits) + " " + where(waits) + ", and " + thread_name(other) + " " +
         where(other) + "; let all threads of a block come to the same barrier");
}

void Scheduler::fail_here(const std::string& what) {
    fail(block_name(block_) + ": " + thread_name(current_) + " " + what);
}

void Scheduler::fail(const std::string& what) {
    error_ = "kernel " + std::string(kernel_) + ", " + what;
    Fiber* from = running_;
    running_ = &main_;
    from->switch_to(main_);
    __builtin_unreachable();
}

}  // namespace shim

extern "C" {

void shim_sync_threads(const char* file, int line) { shim::scheduler().sync_threads(file, line); }

std::uint64_t shim_warp(const ShimWarpCall* call) { return shim::scheduler().warp(*call); }

void shim_fail(const char* what) { shim::scheduler().fail_here(what); }

int shim_run(const char* kernel, const ShimLaunch* launch, void (*call)(void*), void* context) {
    return shim::scheduler().run(kernel, *launch, call, context);
}

const char* shim_error() { return shim::scheduler().error().c_str(); }
}
