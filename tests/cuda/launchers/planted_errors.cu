// Kernels with a mistake each, beside those without it: tests of the shim find the first and pass the second.

// Reverses the values of each block.
extern "C" __global__ void reverse_without_barrier(const long long* values, long long* reversed) {
    extern __shared__ long long exchanged[];
    long long first = static_cast<long long>(blockIdx.x) * blockDim.x;
    exchanged[threadIdx.x] = values[first + threadIdx.x];
    reversed[first + threadIdx.x] = exchanged[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void reverse(const long long* values, long long* reversed) {
    extern __shared__ long long exchanged[];
    long long first = static_cast<long long>(blockIdx.x) * blockDim.x;
    exchanged[threadIdx.x] = values[first + threadIdx.x];
    __syncthreads();
    reversed[first + threadIdx.x] = exchanged[blockDim.x - 1 - threadIdx.x];
}

// Swaps the halves of a warp.
extern "C" __global__ void swap_halves_by_shuffle_alone(float* values) {
    __shared__ float exchanged[32];
    exchanged[threadIdx.x] = values[threadIdx.x];
    float own = __shfl_sync(0xffffffffu, values[threadIdx.x], threadIdx.x);
    values[threadIdx.x] = exchanged[threadIdx.x ^ 16] + 0.0f * own;
}

extern "C" __global__ void swap_halves(float* values) {
    __shared__ float exchanged[32];
    exchanged[threadIdx.x] = values[threadIdx.x];
    __syncwarp();
    values[threadIdx.x] = exchanged[threadIdx.x ^ 16];
}

// Adds up one value of each thread.
extern "C" __global__ void total_without_atomic(const float* values, float* total) {
    if (threadIdx.x == 0) total[0] += values[blockIdx.x];
}

extern "C" __global__ void total(const float* values, float* total) {
    if (threadIdx.x == 0) atomicAdd(total, values[blockIdx.x]);
}

// Reads a counter that other threads of the block increase.
extern "C" __global__ void count_and_read(int* counter, int* seen) {
    atomicAdd(counter, 1);
    if (threadIdx.x == 0) seen[0] = counter[0];
}

extern "C" __global__ void count_then_read(int* counter, int* seen) {
    atomicAdd(counter, 1);
    __syncthreads();
    if (threadIdx.x == 0) seen[0] = counter[0];
}

extern "C" __global__ void double_one_too_many(float* values, long long count) {
    long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i <= count) values[i] = 2.0f;
}

extern "C" __global__ void double_all(float* values, long long count) {
    long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count) values[i] = 2.0f;
}

extern "C" __global__ void sum_of_half_named(float* sums) {
    float sum = static_cast<float>(threadIdx.x);
    for (int step = 8; step > 0; step /= 2) sum += __shfl_xor_sync(0x0000ffffu, sum, step);
    if (threadIdx.x == 0) sums[0] = sum;
}

extern "C" __global__ void sum_of_some_that_come(float* sums, long long count) {
    if (threadIdx.x >= count) return;
    float sum = static_cast<float>(threadIdx.x);
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
    if (threadIdx.x == 0) sums[0] = sum;
}

// Reads lane 16, which is not named, from lane 0.
extern "C" __global__ void read_unnamed(float* sums) {
    if (threadIdx.x >= 16) return;
    float other = __shfl_down_sync(0x0000ffffu, 1.0f, 16);
    sums[threadIdx.x] = other;
}

extern "C" __global__ void barrier_for_some(float* values) {
    if (threadIdx.x < 32) __syncthreads();
    values[threadIdx.x] = 1.0f;
}

extern "C" __global__ void barriers_in_branches(float* values) {
    if (threadIdx.x % 2 == 0) {
        __syncthreads();
    } else {
        __syncthreads();
    }
    values[threadIdx.x] = 1.0f;
}

extern "C" __global__ void barrier_against_shuffle(float* values) {
    if (threadIdx.x == 5) __syncthreads();
    values[threadIdx.x] = __shfl_sync(0xffffffffu, 1.0f, 0);
}

extern "C" __global__ void copy_vectors(const float4* from, float4* to, long long count) {
    for (long long i = threadIdx.x; i < count; i += blockDim.x) to[i] = from[i];
}

extern "C" __global__ void beyond_a_fixed_array(float* values, long long at) {
    __shared__ float kept[8], other[8];
    kept[threadIdx.x] = 1.0f;
    other[threadIdx.x] = 2.0f;
    if (threadIdx.x == 0) kept[at] = 3.0f;
    values[threadIdx.x] = kept[threadIdx.x] + other[threadIdx.x];
}

extern "C" __global__ void shift_too_far(long long* values, long long bits) { values[0] = 1LL << bits; }

extern "C" __global__ void take_an_int(float* values, int count) { values[0] = static_cast<float>(count); }

extern "C" __global__ void __launch_bounds__(64, 2) bounded_to_64(float* values) { values[threadIdx.x] = 1.0f; }
