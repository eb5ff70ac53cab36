// The vectors of CUDA C++, as aligned as there.
#pragma once

#define SHIM_PAIR(name, type, alignment) \
    struct alignas(alignment) name {     \
        type x, y;                       \
    };                                   \
    inline name make_##name(type x, type y) { return {x, y}; }
#define SHIM_TRIPLE(name, type) \
    struct name {               \
        type x, y, z;           \
    };                          \
    inline name make_##name(type x, type y, type z) { return {x, y, z}; }
#define SHIM_QUADRUPLE(name, type, alignment) \
    struct alignas(alignment) name {          \
        type x, y, z, w;                      \
    };                                        \
    inline name make_##name(type x, type y, type z, type w) { return {x, y, z, w}; }

using uchar = unsigned char;
using ushort = unsigned short;
using uint = unsigned int;

SHIM_PAIR(float2, float, 8)
SHIM_PAIR(double2, double, 16)
SHIM_PAIR(int2, int, 8)
SHIM_PAIR(uint2, unsigned, 8)
SHIM_PAIR(short2, short, 4)
SHIM_PAIR(ushort2, unsigned short, 4)
SHIM_PAIR(longlong2, long long, 16)
SHIM_PAIR(ulonglong2, unsigned long long, 16)
SHIM_TRIPLE(float3, float)
SHIM_TRIPLE(int3, int)
SHIM_QUADRUPLE(float4, float, 16)
SHIM_QUADRUPLE(int4, int, 16)
SHIM_QUADRUPLE(uint4, unsigned, 16)
SHIM_QUADRUPLE(short4, short, 8)
SHIM_QUADRUPLE(ushort4, unsigned short, 8)
SHIM_QUADRUPLE(uchar4, unsigned char, 4)
