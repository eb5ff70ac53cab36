// A very small assertion header for the C++ tests that run without Python (see `make sanitize`).
//
//     #include "check.hpp"
//     TEST(sum_is_commutative) { CHECK_EQ(1 + 2, 2 + 1); }
//     CHECK_MAIN()
//
// A failed check prints file:line and the test goes on, so that one run shows every failure.
#pragma once

#include <exception>
#include <iostream>
#include <type_traits>
#include <utility>
#include <vector>

namespace check {

inline int failures = 0;
inline std::vector<std::pair<const char*, void (*)()>> tests;

inline bool add(const char* name, void (*body)()) {
    tests.emplace_back(name, body);
    return true;
}

inline void that(bool ok, const char* what, const char* file, int line) {
    if (ok) return;
    ++failures;
    std::cerr << file << ":" << line << ": CHECK(" << what << ") failed\n";
}

// Integers of unlike signs compare by value: CHECK_EQ(v.size(), 3) must not trip -Wsign-compare.
template <class A, class B>
constexpr bool equal(const A& a, const B& b) {
    constexpr bool integers = std::is_integral_v<A> && std::is_integral_v<B> && !std::is_same_v<A, bool> &&
                              !std::is_same_v<B, bool> && !std::is_same_v<A, char> && !std::is_same_v<B, char>;
    if constexpr (integers)
        return std::cmp_equal(a, b);
    else
        return a == b;
}

template <class T>
void print(const T& value) {
    if constexpr (requires { std::cerr << value; })
        std::cerr << value;
    else
        std::cerr << "(a value that cannot be printed)";
}

template <class A, class B>
void equals(const char* what, const char* file, int line, const A& a, const B& b) {
    if (equal(a, b)) return;
    ++failures;
    std::cerr << file << ":" << line << ": CHECK_EQ(" << what << ") failed: ";
    print(a);
    std::cerr << " != ";
    print(b);
    std::cerr << "\n";
}

// Runs every TEST; the exit code is 0 if and only if all checks held and nothing was thrown.
inline int run() {
    for (const auto& [name, body] : tests) {
        try {
            body();
        } catch (const std::exception& error) {
            ++failures;
            std::cerr << "TEST(" << name << ") threw: " << error.what() << "\n";
        }
    }
    std::cout << tests.size() << " tests, " << failures << " failed checks\n";
    return tests.empty() || failures != 0 ? 1 : 0;
}

}  // namespace check

#define CHECK(...) ::check::that(static_cast<bool>(__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)
// Variadic, so that commas inside braces and template lists may be written plainly.
#define CHECK_EQ(...) ::check::equals(#__VA_ARGS__, __FILE__, __LINE__, __VA_ARGS__)
#define CHECK_THROWS(expression, type)                                           \
    do {                                                                         \
        bool thrown = false;                                                     \
        try {                                                                    \
            static_cast<void>(expression);                                       \
        } catch (const type&) {                                                  \
            thrown = true;                                                       \
        }                                                                        \
        ::check::that(thrown, #expression " throws " #type, __FILE__, __LINE__); \
    } while (false)
#define TEST(name)                                              \
    static void name();                                         \
    static const bool name##_added = ::check::add(#name, name); \
    static void name()
#define CHECK_MAIN() \
    int main() { return ::check::run(); }
