// What the shim gives threads, one call a kernel.

extern "C" __global__ void places(long long* found) {
    unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    long long number = static_cast<long long>(block) * blockDim.x * blockDim.y * blockDim.z + thread;
    found[number] = number;
}

extern "C" __global__ void shuffles(const long long* values, long long* found, long long operand, long long width) {
    long long value = values[threadIdx.x];
    int step = static_cast<int>(operand), lanes = static_cast<int>(width);
    found[threadIdx.x] = __shfl_sync(0xffffffffu, value, step, lanes);
    found[blockDim.x + threadIdx.x] = __shfl_up_sync(0xffffffffu, value, step, lanes);
    found[2 * blockDim.x + threadIdx.x] = __shfl_down_sync(0xffffffffu, value, step, lanes);
    found[3 * blockDim.x + threadIdx.x] = __shfl_xor_sync(0xffffffffu, value, step, lanes);
}

// Even and odd lanes vote apart.
extern "C" __global__ void votes(const int* values, int* found) {
    unsigned mask = threadIdx.x % 2 == 0 ? 0x55555555u : 0xaaaaaaaau;
    found[threadIdx.x] = static_cast<int>(__ballot_sync(mask, values[threadIdx.x]));
    found[blockDim.x + threadIdx.x] = __any_sync(mask, values[threadIdx.x]);
    found[2 * blockDim.x + threadIdx.x] = __all_sync(mask, values[threadIdx.x]);
}

extern "C" __global__ void atomics_of_ints(const int* values, int* found) {
    int value = values[blockIdx.x * blockDim.x + threadIdx.x];
    atomicAdd(&found[0], value);
    atomicMax(&found[1], value);
    atomicMin(&found[2], value);
    atomicOr(&found[3], value);
    atomicAnd(&found[4], value);
    atomicXor(&found[5], value);
    if (atomicCAS(&found[6], value, -1) == value) atomicSub(&found[7], 1);
    atomicExch(&found[8], value);
}

extern "C" __global__ void atomics_of_floats(const float* values, float* found, double* total) {
    float value = values[blockIdx.x * blockDim.x + threadIdx.x];
    atomicAdd(&found[0], value);
    atomicAdd(total, static_cast<double>(value));
}

extern "C" __global__ void bits(const int* values, const float* reals, int* found) {
    int value = values[threadIdx.x];
    int* to = found + 9 * threadIdx.x;
    to[0] = __popc(static_cast<unsigned>(value));
    to[1] = __ffs(value);
    to[2] = __clz(value);
    to[3] = static_cast<int>(__umulhi(static_cast<unsigned>(value), 0x9e3779b9u));
    to[4] = static_cast<int>(__umul64hi(static_cast<unsigned long long>(value), 0x9e3779b97f4a7c15ull));
    to[5] = __float_as_int(reals[threadIdx.x]);
    to[6] = __float_as_int(__int_as_float(value));
    to[7] = max(value, 7);
    to[8] = min(value, 7);
}

// Threads wait in many places: fibers go on where they stopped, with what they had.
extern "C" __global__ void prefix_sums(const long long* values, long long* sums, long long count) {
    extern __shared__ long long partial[];
    long long value = threadIdx.x < count ? values[threadIdx.x] : 0;
    partial[threadIdx.x] = value;
    for (unsigned step = 1; step < blockDim.x; step *= 2) {
        __syncthreads();
        long long before = threadIdx.x >= step ? partial[threadIdx.x - step] : 0;
        __syncthreads();
        partial[threadIdx.x] += before;
    }
    if (threadIdx.x < count) sums[threadIdx.x] = partial[threadIdx.x];
}

// What shared memory holds before anything is written, in each block.
extern "C" __global__ void what_was_there(float* found) {
    extern __shared__ long long partial[];
    __shared__ float kept[4];
    found[4 * blockIdx.x + threadIdx.x] = partial[threadIdx.x] == -1 ? kept[threadIdx.x] : 0.0f;
    __syncthreads();
    kept[threadIdx.x] = 1.0f;
    partial[threadIdx.x] = 1;
}
