// Some neighbouring reals of a row, loaded at once: float32, or bfloat16 as the upper halves of float32.
#pragma once

template <int Size>
struct Pack {
    float at[Size];
};

// Whether an address is a multiple of `bytes`, a power of two.
__device__ __forceinline__ bool is_aligned(const void* address, unsigned bytes) {
    return (reinterpret_cast<unsigned long long>(address) & (bytes - 1)) == 0;
}

__device__ __forceinline__ float infinity() { return __uint_as_float(0x7F800000u); }

__device__ __forceinline__ float lower_half(unsigned word) { return __uint_as_float(word << 16); }
__device__ __forceinline__ float upper_half(unsigned word) { return __uint_as_float(word & 0xFFFF0000u); }

// The bfloat16 nearest to a value, ties to even. A NaN stays one: adding to its bits could make a zero of it.
__device__ __forceinline__ unsigned nearest_half(float value) {
    const unsigned bits = __float_as_uint(value);
    return value == value ? (bits + 0x7FFFu + (bits >> 16 & 1)) >> 16 : 0x7FFFu;
}

// Addresses are aligned to the size of the pack.
template <int Size>
__device__ __forceinline__ Pack<Size> load_pack(const float* from);
template <int Size>
__device__ __forceinline__ Pack<Size> load_pack(const unsigned short* from);

template <>
__device__ __forceinline__ Pack<1> load_pack<1>(const float* from) {
    return {{*from}};
}
template <>
__device__ __forceinline__ Pack<4> load_pack<4>(const float* from) {
    const float4 v = *reinterpret_cast<const float4*>(from);
    return {{v.x, v.y, v.z, v.w}};
}
template <>
__device__ __forceinline__ Pack<1> load_pack<1>(const unsigned short* from) {
    return {{lower_half(*from)}};
}
template <>
__device__ __forceinline__ Pack<4> load_pack<4>(const unsigned short* from) {
    const uint2 v = *reinterpret_cast<const uint2*>(from);
    return {{lower_half(v.x), upper_half(v.x), lower_half(v.y), upper_half(v.y)}};
}
template <>
__device__ __forceinline__ Pack<8> load_pack<8>(const unsigned short* from) {
    const uint4 v = *reinterpret_cast<const uint4*>(from);
    return {{lower_half(v.x), upper_half(v.x), lower_half(v.y), upper_half(v.y), lower_half(v.z), upper_half(v.z),
             lower_half(v.w), upper_half(v.w)}};
}

__device__ __forceinline__ void store_pack(float* to, const Pack<1>& v) { *to = v.at[0]; }
__device__ __forceinline__ void store_pack(float* to, const Pack<4>& v) {
    *reinterpret_cast<float4*>(to) = make_float4(v.at[0], v.at[1], v.at[2], v.at[3]);
}

// The lower 16 bits of each word, as neighbours.
__device__ __forceinline__ void store_halves(unsigned short* to, const unsigned (&words)[1]) {
    *to = static_cast<unsigned short>(words[0]);
}
__device__ __forceinline__ void store_halves(unsigned short* to, const unsigned (&words)[4]) {
    *reinterpret_cast<uint2*>(to) = make_uint2(words[0] | words[1] << 16, words[2] | words[3] << 16);
}
__device__ __forceinline__ void store_halves(unsigned short* to, const unsigned (&words)[8]) {
    *reinterpret_cast<uint4*>(to) = make_uint4(words[0] | words[1] << 16, words[2] | words[3] << 16,
                                               words[4] | words[5] << 16, words[6] | words[7] << 16);
}

// Rounded to the nearest.
template <int Size>
__device__ __forceinline__ void store_pack(unsigned short* to, const Pack<Size>& v) {
    unsigned words[Size];
    for (int i = 0; i < Size; ++i) words[i] = nearest_half(v.at[i]);
    store_halves(to, words);
}
