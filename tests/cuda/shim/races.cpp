#include "races.hpp"

#include <algorithm>

namespace shim {

void Races::begin_block(std::uint32_t block, std::size_t threads) {
    block_ = block;
    interval_ = 0;
    clocks_.assign(threads, {});
    for (std::size_t thread = 0; thread < threads; ++thread) clocks_[thread][thread % 32] = 1;
    shared_.clear();
}

void Races::sync_warp(unsigned first, unsigned mask, unsigned lanes) {
    std::array<std::uint32_t, 32> known{};
    const auto named = [&](unsigned lane) { return (mask >> lane & 1) != 0; };
    for (unsigned lane = 0; lane < lanes; ++lane) {
        if (!named(lane)) continue;
        for (unsigned of = 0; of < 32; ++of) known[of] = std::max(known[of], clocks_[first + lane][of]);
    }
    for (unsigned lane = 0; lane < lanes; ++lane) {
        if (!named(lane)) continue;
        clocks_[first + lane] = known;
        ++clocks_[first + lane][lane];
    }
}

std::optional<Conflict> Races::access(const std::byte* at, std::size_t bytes, bool shared, Kind kind, unsigned thread,
                                      std::uint32_t place) {
    const Access now{block_, interval_, clocks_[thread][thread % 32], place, static_cast<std::uint16_t>(thread),
                     kind,   true};
    const auto begin = reinterpret_cast<std::uintptr_t>(at);
    Page* page = nullptr;
    for (std::uintptr_t byte = begin; byte < begin + bytes; ++byte) {
        if (page == nullptr || byte % kPage == 0) {
            auto& kept = (shared ? shared_ : global_)[byte / kPage];
            if (kept == nullptr) kept = std::make_unique<Page>();
            page = kept.get();
        }
        Byte& state = (*page)[byte % kPage];
        if (const Access* before = find(state, now)) return Conflict{*before, now, at + (byte - begin)};
        remember(state, now);
    }
    return std::nullopt;
}

bool Races::ordered(const Access& before, const Access& now) const {
    if (before.thread == now.thread || before.interval < now.interval) return true;
    if (before.thread / 32 != now.thread / 32) return false;
    return clocks_[now.thread][before.thread % 32] >= before.clock;
}

bool Races::conflicts(const Access& before, const Access& now) const {
    return before.used && (before.block != now.block || !ordered(before, now));
}

const Access* Races::find(const Byte& state, const Access& now) const {
    if (conflicts(state.write, now)) return &state.write;
    if (now.kind != Kind::kRead) {
        for (const Access& before : {std::cref(state.reads[0]), std::cref(state.reads[1])}) {
            if (conflicts(before, now)) return &before;
        }
        if (conflicts(state.earlier_read, now)) return &state.earlier_read;
    }
    if (now.kind != Kind::kAtomic) {
        for (const Access& before : {std::cref(state.atomics[0]), std::cref(state.atomics[1])}) {
            if (conflicts(before, now)) return &before;
        }
        if (conflicts(state.earlier_atomic, now)) return &state.earlier_atomic;
    }
    return nullptr;
}

void Races::remember(Byte& state, const Access& now) const {
    if (now.kind == Kind::kRead) {
        remember_shared(state.reads, state.earlier_read, now);
    } else if (now.kind == Kind::kAtomic) {
        remember_shared(state.atomics, state.earlier_atomic, now);
    } else {
        state = Byte{};  // all before is ordered before this, so what will be ordered after this is after them
        state.write = now;
    }
}

void Races::remember_shared(std::array<Access, 2>& all, Access& earlier, const Access& now) const {
    for (Access& before : all) {
        if (before.used && before.block != now.block) earlier = before, before.used = false;
    }
    for (Access& before : all) {
        if (before.used && before.thread == now.thread) return static_cast<void>(before = now);
    }
    for (Access& before : all) {
        if (!before.used || ordered(before, now)) return static_cast<void>(before = now);
    }
    const auto warp = [](const Access& access) { return access.thread / 32; };
    if (warp(all[0]) == warp(all[1]) && warp(now) != warp(all[0])) all[1] = now;
}

}  // namespace shim
