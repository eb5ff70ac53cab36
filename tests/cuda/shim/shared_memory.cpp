#include "shared_memory.hpp"

#include <link.h>

#include <algorithm>
#include <cstring>

#include "runtime.hpp"

// Arrays are where the dynamic linker says that the thread-local ones of this library are.
extern "C" void* __tls_get_addr(std::size_t*);

namespace shim {
namespace {

struct Dynamic {
    void* (*find)();
    std::size_t bytes;
};

std::vector<Dynamic>& dynamic_arrays() {
    static std::vector<Dynamic> all;
    return all;
}

struct Library {
    Bytes image{nullptr, 0}, thread_local_part{nullptr, 0};
};

// Finds the library that this function is in.
int find_library(dl_phdr_info* info, std::size_t, void* result) {
    const auto self = reinterpret_cast<ElfW(Addr)>(&find_library);
    const ElfW(Phdr)* local = nullptr;
    ElfW(Addr) begin = ~ElfW(Addr){0}, end = 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const ElfW(Phdr) & part = info->dlpi_phdr[i];
        if (part.p_type == PT_TLS) local = &part;
        if (part.p_type != PT_LOAD) continue;
        begin = std::min(begin, info->dlpi_addr + part.p_vaddr);
        end = std::max(end, info->dlpi_addr + part.p_vaddr + part.p_memsz);
    }
    if (self < begin || self >= end) return 0;
    auto& found = *static_cast<Library*>(result);
    found.image = {reinterpret_cast<std::byte*>(begin), end - begin};
    if (local != nullptr) {
        std::size_t of_module[2] = {info->dlpi_tls_modid, 0};
        found.thread_local_part = {static_cast<std::byte*>(__tls_get_addr(of_module)), local->p_memsz};
    }
    return 1;
}

}  // namespace

SharedMemory find_shared_memory() {
    SharedMemory all;
    for (const Dynamic& array : dynamic_arrays()) {
        all.dynamic.push_back({static_cast<std::byte*>(array.find()), array.bytes});
    }
    std::sort(all.dynamic.begin(), all.dynamic.end(), [](const Bytes& a, const Bytes& b) { return a.begin < b.begin; });
    Library library;
    dl_iterate_phdr(find_library, &library);
    all.image = library.image;
    const Bytes whole = library.thread_local_part;
    all.begin = whole.begin;
    std::byte* begin = whole.begin;
    for (const Bytes& array : all.dynamic) {
        all.fixed.push_back({begin, static_cast<std::size_t>(array.begin - begin)});
        begin = array.begin + array.size;
    }
    if (whole.size > 0) all.fixed.push_back({begin, static_cast<std::size_t>(whole.begin + whole.size - begin)});
    return all;
}

void spoil(const SharedMemory& memory, std::size_t dynamic_bytes) {
    for (const Bytes& part : memory.fixed) std::memset(part.begin, 0xFF, part.size);
    for (const Bytes& array : memory.dynamic) std::memset(array.begin, 0xFF, std::min(array.size, dynamic_bytes));
}

}  // namespace shim

int shim_add_dynamic_shared(void* (*find)(), std::size_t bytes) {
    shim::dynamic_arrays().push_back({find, bytes});
    return 0;
}
