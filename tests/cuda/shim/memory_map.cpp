#include "memory_map.hpp"

#include <algorithm>

namespace shim {
namespace {

bool holds(const Bytes& part, const std::byte* at, std::size_t bytes) {
    return at >= part.begin && at + bytes <= part.begin + part.size;
}

}  // namespace

MemoryMap::MemoryMap(const ShimLaunch& launch, SharedMemory shared)
    : image_(shared.image), thread_local_begin_(shared.begin) {
    for (std::size_t i = 0; i < launch.region_count; ++i) {
        const ShimRegion& region = launch.regions[i];
        global_.push_back(
            {{static_cast<std::byte*>(region.begin), region.bytes}, "argument " + std::to_string(region.argument)});
    }
    for (const Bytes& array : shared.dynamic) {
        shared_.push_back({{array.begin, std::min(array.size, launch.shared_bytes)}, "dynamic shared memory"});
    }
    for (const Bytes& part : shared.fixed) shared_.push_back({part, ""});
}

Belongs MemoryMap::owner(const std::byte* at, std::size_t bytes) const {
    const auto found = [&](const Named& part) { return holds(part.bytes, at, bytes); };
    if (std::any_of(global_.begin(), global_.end(), found)) return Belongs::kGlobal;
    if (std::any_of(shared_.begin(), shared_.end(), found)) return Belongs::kShared;
    return holds(image_, at, bytes) ? Belongs::kPrivate : Belongs::kNowhere;
}

const MemoryMap::Named& MemoryMap::nearest(const std::byte* at) const {
    const auto distance = [at](const Named& part) -> std::size_t {
        const std::byte *begin = part.bytes.begin, *end = begin + part.bytes.size;
        if (at < begin) return static_cast<std::size_t>(begin - at);
        return at < end ? 0 : static_cast<std::size_t>(at - end) + 1;
    };
    static const Named nothing{{nullptr, 0}, "address 0"};
    const Named* best = &nothing;
    for (const auto* parts : {&global_, &shared_}) {
        for (const Named& part : *parts) {
            if (distance(part) < distance(*best)) best = &part;
        }
    }
    return *best;
}

std::string MemoryMap::name(const std::byte* at) const {
    const Named& part = nearest(at);
    if (part.name.empty()) return "{fixed " + std::to_string(at - thread_local_begin_) + "}";
    return "byte " + std::to_string(at - part.bytes.begin) + " of " + part.name;
}

std::string MemoryMap::size_of_nearest(const std::byte* at) const { return std::to_string(nearest(at).bytes.size); }

}  // namespace shim
