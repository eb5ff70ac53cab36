"""Types of the native extension; nanobind's own stub says `object` where these arrays are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Ids = NDArray[np.int64]

def build_index(
    triples: Ids, num_entities: int, num_relations: int, *, wide_relations: bool, wide_offsets: bool
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[np.uint32], int]: ...

class EdgeSorter:
    def __init__(self, file: int, *, num_entities: int, num_relations: int, piece_edges: int) -> None: ...
    def add(self, triples: Ids) -> None: ...
    def finish(self) -> int: ...
    def piece(
        self, number: int
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32], int]: ...

def copy_resident(array: NDArray[Any]) -> NDArray[np.uint8]: ...
def random_lines(size: int, *, threads: int, loads: int, ahead: int) -> tuple[float, float]: ...

MAX_QUERY_DEPTH: int

def execute(index: Index, code: Ids, rows: Ids, *, threads: int) -> tuple[Ids, Ids]: ...

class Index:
    num_entities: int
    num_edges: int
    def __init__(
        self,
        entity_runs: NDArray[Any],
        run_relations: NDArray[Any],
        run_starts: NDArray[Any],
        targets: NDArray[np.uint32],
    ) -> None: ...
    def neighbors(self, heads: Ids, relations: Ids) -> tuple[Ids, Ids]: ...
    def has_edge(self, heads: Ids, relations: Ids, tails: Ids) -> NDArray[np.bool_]: ...
    def degree(self, entities: Ids) -> Ids: ...
    def check(self, num_directed_relations: int) -> None: ...
    def add_shortcuts(self) -> None: ...
    @property
    def has_shortcuts(self) -> bool: ...

class QueryStream:
    def __init__(
        self,
        index: Index,
        *,
        structures: list[tuple[Ids, int]],
        batch_size: int,
        negatives: int,
        chunks: int,
        mode: int,
        corruption: int,
        answers: int,
        backtracking: bool,
        expansion_limit: int,
        min_answers: int,
        max_answers: int,
        attempts: int,
        seed: int,
        threads: int,
        ahead: int,
        first: int,
    ) -> None: ...
    def next(
        self,
    ) -> tuple[
        int,
        Ids,
        Ids,
        Ids,
        Ids,
        NDArray[np.bool_],
        NDArray[np.float64],
        Ids | None,
        NDArray[np.bool_] | None,
        NDArray[np.float32] | None,
        Ids,
        int,
    ]: ...

def adjacency_fault(starts: NDArray[Any], targets: NDArray[Any]) -> tuple[int, int, int] | None: ...
def heavy_edge_clusters(starts: NDArray[Any], targets: NDArray[Any], *, clusters: int, threads: int) -> Ids: ...

class ClusterStream:
    def __init__(
        self,
        starts: Ids,
        members: Ids,
        kept_sizes: Ids | None,
        *,
        batch_size: int,
        negatives: int,
        negatives_once: bool,
        seed: int,
        threads: int,
        ahead: int,
        first: int,
    ) -> None: ...
    def next(self) -> tuple[int, Ids, Ids | None, Ids | None, Ids | None]: ...

def kernel_paths() -> list[str]: ...
def choose_kernels(path: str) -> bool: ...
def group_pairs(places: Tensor, order: Tensor, offsets: Tensor) -> int: ...
def own_scores(
    kind: int,
    queries: Tensor,
    rows: Tensor,
    order: Tensor,
    offsets: Tensor,
    inside: float,
    scores: Tensor,
    threads: int,
) -> None: ...
def own_gradients(
    kind: int,
    queries: Tensor,
    rows: Tensor,
    order: Tensor,
    offsets: Tensor,
    inside: float,
    weights: Tensor,
    of_queries: Tensor,
    of_rows: Tensor,
    threads: int,
) -> None: ...
def shared_scores(kind: int, queries: Tensor, rows: Tensor, inside: float, scores: Tensor, threads: int) -> None: ...
def shared_gradients(
    kind: int,
    queries: Tensor,
    rows: Tensor,
    inside: float,
    weights: Tensor,
    of_queries: Tensor,
    of_rows: Tensor,
    threads: int,
) -> None: ...
def empty(size: int) -> Tensor: ...

class IdResolver:
    def __init__(self, num_ids: int) -> None: ...
    def clear(self) -> None: ...
    def add(self, ids: Tensor) -> int: ...
    def finish(self) -> int: ...
    def write(self, ids: Tensor) -> None: ...
    def locate(self, ids: Tensor, places: Tensor) -> None: ...
    def contains(self, ids: Tensor, found: Tensor) -> None: ...

def sum_rows(to: Tensor, places: list[Tensor], rows: list[Tensor], onto: bool, threads: int) -> None: ...
def keep_freed_memory() -> None: ...
def gather_rows(table: Tensor, ids: Tensor, places: Tensor | None, to: Tensor, threads: int) -> None: ...
def softmax_sums(logits: Tensor, halves: bool, most: Tensor, totals: Tensor, threads: int) -> None: ...
def softmax_gradients(logits: Tensor, halves: bool, log_totals: Tensor, weights: Tensor, threads: int) -> None: ...
def translate(x: Tensor, vectors: Tensor, directed: Tensor, to: Tensor, threads: int) -> None: ...
def translate_gradients(of_result: Tensor, directed: Tensor, of_vectors: Tensor, threads: int) -> None: ...
def turn(x: Tensor, real: Tensor, imaginary: Tensor, directed: Tensor, to: Tensor, threads: int) -> None: ...
def turn_gradients(
    of_result: Tensor,
    x: Tensor,
    real: Tensor,
    imaginary: Tensor,
    directed: Tensor,
    of_x: Tensor,
    of_real: Tensor,
    of_imaginary: Tensor,
    threads: int,
) -> None: ...
def shared_losses(
    kind: int,
    queries: Tensor,
    answers: Tensor,
    rows: Tensor,
    mask: Tensor,
    chunks: int,
    inside: float,
    offset: float,
    sharpness: float,
    losses: Tensor,
    of_answers: Tensor,
    slopes: Tensor,
    threads: int,
) -> None: ...
def shared_loss_gradients(
    kind: int,
    queries: Tensor,
    answers: Tensor,
    rows: Tensor,
    chunks: int,
    inside: float,
    of_losses: Tensor,
    of_answer_distances: Tensor,
    slopes: Tensor,
    of_queries: Tensor,
    of_answers: Tensor,
    of_rows: Tensor,
    threads: int,
) -> None: ...
def softplus_terms(
    negative: Tensor, mask: Tensor, sharpness: float, terms: Tensor, slopes: Tensor, threads: int
) -> None: ...
def log_sum_terms(negative: Tensor, mask: Tensor, terms: Tensor, slopes: Tensor, threads: int) -> None: ...
def beta_moments(parameters: Tensor, statistics: Tensor, log_beta: Tensor, threads: int) -> None: ...
def beta_gradients(
    parameters: Tensor,
    statistics: Tensor,
    of_statistics: Tensor,
    of_log_beta: Tensor,
    gradients: Tensor,
    threads: int,
) -> None: ...
def attention_hidden(
    branches: Tensor, queries: Tensor, hidden: Tensor, bias: Tensor, differences: Tensor, threads: int
) -> None: ...
def attention_means(
    branches: Tensor, queries: Tensor, rows: Tensor, scores: Tensor, means: Tensor, threads: int
) -> None: ...
def attention_gradients(
    branches: Tensor,
    queries: Tensor,
    rows: Tensor,
    scores: Tensor,
    of_means: Tensor,
    of_rows: Tensor,
    of_scores: Tensor,
    threads: int,
) -> None: ...
def attention_hidden_gradients(
    branches: Tensor,
    queries: Tensor,
    of_differences: Tensor,
    hidden: Tensor,
    of_hidden: Tensor,
    threads: int,
) -> None: ...
def count_scores(
    candidates: Tensor,
    answers: Tensor,
    offsets: Tensor,
    known: Tensor,
    known_offsets: Tensor,
    first: int,
    counts: Tensor,
    wrong: Tensor,
    threads: int,
) -> None: ...
def count_pairs(
    kind: int,
    queries: Tensor,
    rows: Tensor,
    inside: float,
    offset: float,
    answers: Tensor,
    offsets: Tensor,
    known: Tensor,
    known_offsets: Tensor,
    first: int,
    counts: Tensor,
    wrong: Tensor,
    threads: int,
) -> None: ...
def step_rows(
    rule: int,
    weight: Tensor,
    first: Tensor | None,
    second: Tensor | None,
    steps: Tensor | None,
    ids: Tensor | None,
    gradient: Tensor,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    seed: int,
    threads: int,
) -> bool: ...
def first_bad_id(ids: Tensor, rows: int) -> int: ...
def first_not_finite(rows: Tensor, threads: int) -> int: ...
def group_ids(ids: Tensor, order: Tensor, distinct: Tensor, offsets: Tensor) -> int: ...
def sum_groups(gradients: Tensor, order: Tensor, offsets: Tensor, sums: Tensor, threads: int) -> None: ...
def update_rows(table: Tensor, ids: Tensor, *, threads: int, ahead: int) -> float: ...
def use_huge_pages(memory: Tensor) -> None: ...
