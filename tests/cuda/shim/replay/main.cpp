// Replays launches that tests wrote (cases.py), linked with the kernels of one launcher, all of it under the address
// and undefined-behaviour sanitizers. Memory of arguments is allocated as large as it is, so that a byte beyond is
// found.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "../runtime.hpp"

namespace {

// Bytes whose address has a remainder by 16.
class Memory {
  public:
    Memory(std::size_t remainder, std::size_t bytes)
        : all_(static_cast<char*>(std::malloc(remainder + bytes)), &std::free), remainder_(remainder), bytes_(bytes) {}
    char* begin() const { return all_.get() + remainder_; }
    std::size_t size() const { return bytes_; }

  private:
    std::unique_ptr<char, decltype(&std::free)> all_;
    std::size_t remainder_, bytes_;
};

union Value {
    void* pointer;
    long long integer;
    float real;
};

Value read_argument(std::istream& in, const std::vector<Memory>& memories) {
    std::string kind;
    in >> kind;
    Value value{};
    if (kind == "p") {
        std::size_t number = 0, offset = 0;
        in >> number >> offset;
        value.pointer = memories.at(number).begin() + offset;
    } else if (kind != "n") {
        std::string text;
        in >> text;
        if (kind == "q") value.integer = std::stoll(text);
        if (kind == "f") value.real = static_cast<float>(std::stod(text));
    }
    return value;
}

// Whether the launch made no error.
bool replay(const char* path) {
    std::ifstream in(path, std::ios::binary);
    std::string kernel;
    ShimLaunch launch{};
    std::size_t spans = 0, count = 0;
    in >> kernel;
    for (unsigned& extent : launch.grid) in >> extent;
    for (unsigned& extent : launch.block) in >> extent;
    in >> launch.shared_bytes >> launch.schedule_seed >> spans >> count;
    std::vector<Memory> memories;
    for (std::size_t i = 0; i < spans; ++i) {
        std::size_t remainder = 0, bytes = 0;
        in >> remainder >> bytes;
        memories.emplace_back(remainder, bytes);
    }
    std::vector<Value> values;
    for (std::size_t i = 0; i < count; ++i) values.push_back(read_argument(in, memories));
    in.get();  // the end of the line
    for (const Memory& memory : memories) in.read(memory.begin(), static_cast<std::streamsize>(memory.size()));
    using Run = int(const ShimLaunch*, void**);
    auto* run = reinterpret_cast<Run*>(dlsym(RTLD_DEFAULT, ("shim_launch_" + kernel).c_str()));
    if (!in || run == nullptr) {
        std::cerr << path << " is no launch of a kernel that is here\n";
        return false;
    }
    std::vector<void*> arguments;
    for (Value& value : values) arguments.push_back(&value);
    if (run(&launch, arguments.data()) == 0) return true;
    std::cerr << path << ": " << shim_error() << '\n';
    return false;
}

}  // namespace

int main(int count, char** paths) {
    for (int i = 1; i < count; ++i) {
        if (!replay(paths[i])) return EXIT_FAILURE;
    }
    std::cout << count - 1 << " launches\n";
}
