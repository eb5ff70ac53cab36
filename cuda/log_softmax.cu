// Softmax over long rows of logits, which are at hand chunk by chunk: see graphkit/engine/kernels/log_softmax.py. The
// products that logits are made of are torch's.
//
// Launch: one dimension, blocks and grids of any size. A row of a chunk is cut into `parts` (few rows would leave most
// of a card idle), a block takes a part at a time; `merge` then adds up the parts of a row, a team of `lanes` threads a
// row, in an order that the parts decide: results repeat bit for bit.
//
// Predictions, nothing here was measured on a GPU:
//   registers     32 on sm_90 (nvcc 13.0), of `merge` 50: all 64 warps resident; 256 bytes of shared memory
//   memory        sums 4 bytes a logit (bfloat16 2), gradients 8 (4), in 16 bytes a thread: rows whose length is no
//                 multiple of that begin and end one by one
//   FLOP a logit  sums 6 and a special function, gradients 4 and one. Bound by memory: 0.5 to 3 FLOP a byte
#include "packs.cuh"
#include "warp_sums.cuh"

namespace {

// Calls visit(at, pack of logits) for all from `first` to `last`: 16 bytes at a time between the first and the last
// address that allows it. Each is visited by one thread of the block.
template <class Logit, class Visit>
__device__ __forceinline__ void for_logits(Logit* first, Logit* last, Visit& visit) {
    constexpr int kSize = 16 / sizeof(Logit);
    const long long count = last - first, thread = threadIdx.x, threads = blockDim.x;
    const long long off = static_cast<long long>(reinterpret_cast<unsigned long long>(first) % 16 / sizeof(Logit));
    const long long before = min(off == 0 ? 0 : kSize - off, count);
    const long long packs = (count - before) / kSize;
    for (long long i = thread; i < before; i += threads) visit(first + i, load_pack<1>(first + i));
    for (long long i = thread; i < packs; i += threads) {
        Logit* at = first + before + i * kSize;
        visit(at, load_pack<kSize>(at));
    }
    for (long long i = before + packs * kSize + thread; i < count; i += threads)
        visit(first + i, load_pack<1>(first + i));
}

// The largest logit and the sum of e^(logit - largest); at first -infinity and 0. A NaN is not the largest, and shows
// in the sum, and so does infinity.
struct Sums {
    float most, total;
};

// e^(x - most) for x up to most, where most may be that of no logits at all.
__device__ __forceinline__ float rescaled(float total, float from, float most) {
    return from == most ? total : total * expf(from - most);
}

// Sums over logits as they come (Milakov and Gimelshein, 2018).
struct AddUp {
    Sums sums;

    template <class Logit, int Size>
    __device__ __forceinline__ void operator()(const Logit*, const Pack<Size>& logits) {
        float most = sums.most;
        for (int i = 0; i < Size; ++i) most = Largest()(most, logits.at[i]);
        // Seldom after the first few.
        if (most > sums.most) sums = {most, rescaled(sums.total, sums.most, most)};
        const float from = most == -infinity() ? 0 : most;
        for (int i = 0; i < Size; ++i) sums.total += expf(logits.at[i] - from);
    }
};

struct Weigh {
    float weight, log_total;

    template <class Logit, int Size>
    __device__ __forceinline__ void operator()(Logit* at, const Pack<Size>& logits) const {
        Pack<Size> found;
        for (int i = 0; i < Size; ++i) found.at[i] = weight * expf(logits.at[i] - log_total);
        store_pack(at, found);
    }
};

// The logits of a part of a row.
template <class Logit>
struct Span {
    Logit *first, *last;

    __device__ Span(Logit* logits, long long columns, long long parts, long long piece) {
        const long long part = piece % parts, wide = (columns + parts - 1) / parts;
        Logit* row = logits + piece / parts * columns;
        first = row + min(part * wide, columns);
        last = row + min((part + 1) * wide, columns);
    }
};

template <class Logit>
__device__ __forceinline__ void sums_of_parts(const Logit* logits, long long rows, long long columns, long long parts,
                                              float* most, float* totals) {
    for (long long piece = blockIdx.x; piece < rows * parts; piece += gridDim.x) {
        const Span<const Logit> span(logits, columns, parts, piece);
        AddUp visit{{-infinity(), 0}};
        for_logits(span.first, span.last, visit);
        const float largest = block_total(visit.sums.most, Largest());
        const float total = block_total(rescaled(visit.sums.total, visit.sums.most, largest), Sum());
        if (threadIdx.x == 0) {
            most[piece] = largest;
            totals[piece] = total;
        }
    }
}

template <class Logit>
__device__ __forceinline__ void gradients(Logit* logits, long long rows, long long columns, long long parts,
                                          const float* log_totals, const float* weights) {
    for (long long piece = blockIdx.x; piece < rows * parts; piece += gridDim.x) {
        const Span<Logit> span(logits, columns, parts, piece);
        const Weigh visit{weights[piece / parts], log_totals[piece / parts]};
        for_logits(span.first, span.last, visit);
    }
}

}  // namespace

// Fill the largest logit and the sum of e^(logit - largest) of each part, [rows, parts], of logits [rows, columns].
extern "C" __global__ void __launch_bounds__(1024)
    log_softmax_sums_f32(const float* logits, long long rows, long long columns, long long parts, float* part_most,
                         float* part_totals) {
    sums_of_parts(logits, rows, columns, parts, part_most, part_totals);
}

extern "C" __global__ void __launch_bounds__(1024)
    log_softmax_sums_bf16(const unsigned short* logits, long long rows, long long columns, long long parts,
                          float* part_most, float* part_totals) {
    sums_of_parts(logits, rows, columns, parts, part_most, part_totals);
}

// Goes on with those of each row, [rows]; at first -infinity and 0.
extern "C" __global__ void __launch_bounds__(1024)
    log_softmax_merge(const float* part_most, const float* part_totals, long long rows, long long parts,
                      long long lanes, float* most, float* totals) {
    const Team team = team_of(lanes);
    for (long long row = team.index; row < rows; row += team.count) {
        const float *mosts = part_most + row * parts, *sums = part_totals + row * parts;
        float largest = team.lane == 0 ? most[row] : -infinity();
        for (long long i = team.lane; i < parts; i += team.lanes) largest = Largest()(largest, mosts[i]);
        largest = team_total(team, largest, Largest());
        float total = 0;
        for (long long i = team.lane; i < parts; i += team.lanes) total += rescaled(sums[i], mosts[i], largest);
        total = team_total(team, total, Sum());
        if (team.lane == 0) {
            total += rescaled(totals[row], most[row], largest);
            // Where all logits are -infinity, e^(logit - largest) is no number.
            totals[row] = largest == -infinity() ? largest - largest : total;
            most[row] = largest;
        }
    }
}

// Replace logits by weights[row] * e^(logit - log_totals[row]).
extern "C" __global__ void __launch_bounds__(1024)
    log_softmax_gradients_f32(float* logits, long long rows, long long columns, long long parts,
                              const float* log_totals, const float* weights) {
    gradients(logits, rows, columns, parts, log_totals, weights);
}

extern "C" __global__ void __launch_bounds__(1024)
    log_softmax_gradients_bf16(unsigned short* logits, long long rows, long long columns, long long parts,
                               const float* log_totals, const float* weights) {
    gradients(logits, rows, columns, parts, log_totals, weights);
}
