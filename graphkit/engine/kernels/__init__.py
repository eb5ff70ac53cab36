"""Operations that take most of a step, each defined by a plain torch twin."""

from graphkit.engine.kernels.beta_moments import beta_moments
from graphkit.engine.kernels.branch_attention import attended_means, attention_weights
from graphkit.engine.kernels.duplicate_ids import reduce_duplicates
from graphkit.engine.kernels.l2_product import l2_distances
from graphkit.engine.kernels.log_softmax import cross_entropy
from graphkit.engine.kernels.negative_terms import log_sum_terms, softplus_terms
from graphkit.engine.kernels.pair_losses import chunk_scores, log_sigmoid_losses
from graphkit.engine.kernels.pair_scores import Kind, pair_scores
from graphkit.engine.kernels.rank_counts import Answers, PairDistance, count_pairs, count_scores
from graphkit.engine.kernels.relation_steps import require_directed, translate, turn
from graphkit.engine.kernels.sparse_optimizers import adagrad_, adam_, row_adagrad_, sgd_

__all__ = [
    "Answers",
    "Kind",
    "PairDistance",
    "adagrad_",
    "adam_",
    "attended_means",
    "attention_weights",
    "beta_moments",
    "chunk_scores",
    "count_pairs",
    "count_scores",
    "cross_entropy",
    "l2_distances",
    "log_sigmoid_losses",
    "log_sum_terms",
    "pair_scores",
    "reduce_duplicates",
    "require_directed",
    "row_adagrad_",
    "sgd_",
    "softplus_terms",
    "translate",
    "turn",
]
