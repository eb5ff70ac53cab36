#include "engine/kernels.hpp"

#include "engine/paths/tables.hpp"

namespace graphkit {
namespace {

struct Path {
    const char* name;
    const Kernels* table;
};

std::vector<Path> supported() {
    std::vector<Path> paths{{"portable", portable::table()}};
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    if (avx2::table() != nullptr && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        paths.push_back({"avx2", avx2::table()});
    if (avx512::table() != nullptr && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd"))
        paths.push_back({"avx512", avx512::table()});
#endif
    return paths;
}

const Kernels*& chosen() {
    static const Kernels* table = supported().back().table;
    return table;
}

}  // namespace

const Kernels& kernels() { return *chosen(); }

std::vector<std::string> kernel_paths() {
    std::vector<std::string> names;
    for (const Path& path : supported()) names.emplace_back(path.name);
    return names;
}

bool choose_kernels(const std::string& name) {
    for (const Path& path : supported())
        if (name == path.name) {
            chosen() = path.table;
            return true;
        }
    return false;
}

}  // namespace graphkit
