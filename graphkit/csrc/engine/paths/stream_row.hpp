// Rows copied past the caches.

namespace graphkit::GRAPHKIT_PATH {

// A line that is streamed in one piece need not be read before. Those that a row shares with its neighbours are copied.
static void stream_row(std::byte* to, const std::byte* from, std::size_t bytes) {
    constexpr std::size_t kLine = 64;
    const std::size_t before = -reinterpret_cast<std::uintptr_t>(to) % kLine, head = before < bytes ? before : bytes;
    std::memcpy(to, from, head);
    std::size_t byte = head;
    for (; byte + kLine <= bytes; byte += kLine)
        for (std::size_t part = byte; part < byte + kLine; part += sizeof(Vec)) {
            Vec v;
            std::memcpy(&v, from + part, sizeof v);
            stream(to + part, v);
        }
    std::memcpy(to + byte, from + byte, bytes - byte);
}

}  // namespace graphkit::GRAPHKIT_PATH
