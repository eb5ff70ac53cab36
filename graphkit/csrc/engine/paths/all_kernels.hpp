// All kernels, compiled for the instruction set of the file that includes this; see machine/vec.hpp.
#include "engine/paths/tables.hpp"
#include "machine/fetch.hpp"
#include "machine/vec.hpp"
// Kernels use the vectors above.
#include "engine/paths/beta_moments.hpp"
#include "engine/paths/duplicate_ids.hpp"
#include "engine/paths/log_softmax.hpp"
// Its terms take exponentials.
#include "engine/paths/negative_terms.hpp"
// A softmax, too.
#include "engine/paths/branch_attention.hpp"
#include "engine/paths/pair_scores.hpp"
// Gradients are of its kinds.
#include "engine/paths/pair_gradients.hpp"
// Counts score pairs.
#include "engine/paths/rank_counts.hpp"
#include "engine/paths/sparse_optimizers.hpp"
#include "engine/paths/stream_row.hpp"

namespace graphkit::GRAPHKIT_PATH {

const Kernels* table() {
    static const Kernels kernels{
        .lanes = kLanes,
        .own_scores = own_scores,
        .shared_scores = shared_scores,
        .own_gradients = own_gradients,
        .shared_gradients = shared_gradients,
        .paired_scores = paired_scores,
        .paired_gradients = paired_gradients,
        .softmax_sums = softmax_sums,
        .softmax_gradients = softmax_gradients,
        .softplus_term = softplus_term,
        .log_sum_term = log_sum_term,
        .softplus = softplus,
        .beta_moments = beta_moments,
        .beta_gradients = beta_gradients,
        .attention_hidden = attention_hidden,
        .attention_means = attention_means,
        .attention_gradients = attention_gradients,
        .attention_hidden_gradients = attention_hidden_gradients,
        .count_scores = count_scores,
        .count_pairs = count_pairs,
        .step_rows = step_rows,
        .first_not_finite = first_not_finite,
        .stream_row = stream_row,
        .sum_groups = sum_groups,
    };
    return &kernels;
}

}  // namespace graphkit::GRAPHKIT_PATH
