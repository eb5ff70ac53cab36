// Functions that gain from wide vectors are compiled for several instruction sets; which is taken is decided when the
// library is loaded, so that one binary runs on every processor.
#pragma once

// Needs indirect functions (ELF, glibc), and sanitizers do not bear them.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define GRAPHKIT_VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define GRAPHKIT_VECTOR_CLONES
#endif
