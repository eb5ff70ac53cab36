"""Encoders of nodes: over a graph they are GNNs of the tensors that were trained without one."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from every_model import settings_of, target
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import block_diag, csr_matrix
from torch import Tensor, nn

from graphkit import GraphkitError
from graphkit.models import Encoder, GCNEncoder, SGCEncoder
from graphkit.nodes.propagation import normalized

SETTINGS = settings_of(Encoder)
#: Every YAML, and the depths that settings make.
FORMS: dict[str, tuple[type[Encoder], dict[str, Any]]] = {
    **{name: (target(settings), {}) for name, settings in SETTINGS.items()},
    **{f"sgc-{hops}": (SGCEncoder, {"hops": hops}) for hops in (1, 3)},
    **{f"gcn-{layers}": (GCNEncoder, {"layers": layers}) for layers in (2, 3)},
}
each = pytest.mark.parametrize("form", FORMS)
#: Features narrower and wider than embeddings: the order of products differs.
each_width = pytest.mark.parametrize("features", [3, 5, 9])
DIM = 5


def make(form: str, features: int, *, seed: int = 0) -> Encoder:
    """An encoder of float64, whose biases and slopes are no constants."""
    kind, settings = FORMS[form]
    encoder = kind(features, dim=DIM, **settings)
    generator = torch.Generator().manual_seed(seed)
    encoder.initialize(generator)
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.dim() == 1:
                parameter.uniform_(-1, 1, generator=generator)
    return encoder.double()


def rows(count: int, width: int, *, seed: int = 1) -> Tensor:
    return torch.randn(count, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def random_adjacency(nodes: int, share: float, *, seed: int = 2) -> csr_matrix:
    drawn = np.triu(np.random.default_rng(seed).random((nodes, nodes)) < share, k=1)
    return csr_matrix((drawn | drawn.T).astype(np.float32))


def hat(adjacency: csr_matrix) -> Tensor:
    return normalized(adjacency).double()


def definition(encoder: Encoder, x: Tensor, dense: Tensor) -> Tensor:
    """The inference form, written out over a dense matrix."""
    if isinstance(encoder, SGCEncoder):
        return torch.linalg.matrix_power(dense, encoder.hops) @ x @ encoder.layer.weight.T + encoder.layer.bias
    assert isinstance(encoder, GCNEncoder)
    for layer in encoder.layers:
        x = dense @ x @ layer.weight.T + layer.bias
    return torch.where(x > 0, x, x * encoder.activation.weight)


def test_there_is_a_yaml_for_every_public_encoder() -> None:
    models = import_module("graphkit.models")
    public = {found for found in map(models.__dict__.get, models.__all__) if issubclass(found, Encoder)}
    assert {target(settings) for settings in SETTINGS.values()} == public - {Encoder}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_yaml_lists_every_keyword_with_its_default(name: str) -> None:
    parameters = inspect.signature(target(SETTINGS[name])).parameters
    keywords = {key: part.default for key, part in parameters.items() if part.kind is part.KEYWORD_ONLY}
    assert {"_target_": SETTINGS[name]["_target_"], **keywords} == SETTINGS[name]
    assert next(iter(parameters)) == "num_features"


# ------------------------------------------------------------------------------------------------------------- forms


@each
@each_width
def test_both_forms_equal_their_definition(form: str, features: int) -> None:
    encoder, x, adjacency = make(form, features), rows(8, features), hat(random_adjacency(8, 0.4))
    torch.testing.assert_close(encoder.embed(x, adjacency), definition(encoder, x, adjacency.to_dense()))
    torch.testing.assert_close(encoder(x), definition(encoder, x, torch.eye(8, dtype=torch.float64)))
    assert encoder(x).shape == (8, DIM)


@each
@each_width
def test_without_edges_the_gnn_is_the_mlp(form: str, features: int) -> None:
    encoder, x = make(form, features), rows(6, features)
    torch.testing.assert_close(encoder.embed(x, hat(csr_matrix((6, 6), dtype=np.float32))), encoder(x))


@each
@given(clusters=st.integers(1, 4), size=st.integers(1, 5), seed=st.integers(0, 99))
def test_over_equal_cliques_each_node_gets_the_embedding_of_its_clique(
    form: str, clusters: int, size: int, seed: int
) -> None:
    """Â X = M X_c and Â 1 = 1 there, so that training and inference agree at any depth."""
    clique = np.ones((size, size), dtype=np.float32) - np.eye(size, dtype=np.float32)
    members = torch.randperm(clusters * size, generator=torch.Generator().manual_seed(seed))
    cluster = torch.empty_like(members)
    cluster[members] = torch.arange(clusters).repeat_interleave(size)
    order = members.argsort().numpy()
    adjacency = hat(block_diag([clique] * clusters, format="csr")[order][:, order])
    x = rows(clusters * size, 4, seed=seed)
    pooled = torch.stack([x[cluster == number].mean(dim=0) for number in range(clusters)])
    encoder = make(form, 4, seed=seed)
    torch.testing.assert_close(encoder.embed(x, adjacency), encoder(pooled)[cluster], rtol=1e-6, atol=1e-6)


@each
@each_width
def test_relabelling_the_nodes_relabels_the_embeddings(form: str, features: int) -> None:
    encoder, x, adjacency = make(form, features), rows(9, features), random_adjacency(9, 0.3)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    relabelled = encoder.embed(x[order], hat(adjacency[order.numpy()][:, order.numpy()]))
    torch.testing.assert_close(relabelled, encoder.embed(x, hat(adjacency))[order])


@each
@each_width
def test_the_full_graph_form_has_the_gradient_of_its_definition(form: str, features: int) -> None:
    encoder, x, adjacency = make(form, features), rows(7, features), hat(random_adjacency(7, 0.4))
    x.requires_grad_()
    leaves, weights = [x, *encoder.parameters()], rows(7, DIM, seed=5)
    found = torch.autograd.grad((encoder.embed(x, adjacency) * weights).sum(), leaves)
    expected = torch.autograd.grad((definition(encoder, x, adjacency.to_dense()) * weights).sum(), leaves)
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other)


# --------------------------------------------------------------------------------------------------------- hand-over


@each
@each_width
def test_the_pyg_module_holds_copies_of_the_weights_and_gives_the_same_embeddings(form: str, features: int) -> None:
    encoder, x, adjacency = make(form, features).float(), rows(8, features).float(), random_adjacency(8, 0.4)
    module = encoder.gnn()
    assert isinstance(module, nn.Module)
    mine, theirs = list(encoder.parameters()), list(module.parameters())
    assert len(mine) == len(theirs)
    for parameter in mine:
        assert sum(torch.equal(parameter, other) for other in theirs) == 1
    edges = torch.from_numpy(np.stack(adjacency.nonzero()).astype(np.int64))
    expected = encoder.embed(x, normalized(adjacency)).detach()
    torch.testing.assert_close(module(x, edges), expected, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        for parameter in mine:
            parameter.zero_()
    torch.testing.assert_close(module(x, edges), expected, rtol=1e-5, atol=1e-5)


@each
def test_weights_survive_a_state_dict(form: str) -> None:
    encoder, other = make(form, 4), make(form, 4, seed=1)
    other.load_state_dict(encoder.state_dict())
    for name, value in encoder.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    assert torch.equal(other(rows(3, 4)), encoder(rows(3, 4)))


# ------------------------------------------------------------------------------------------------------ fresh values


@each
def test_fresh_values_are_finite_and_follow_the_generator_alone(form: str) -> None:
    kind, settings = FORMS[form]

    def fresh(seed: int) -> list[Tensor]:
        encoder = kind(40, dim=30, **settings)
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter.fill_(torch.nan)
        torch.rand(1)  # the generator of all moves on
        encoder.initialize(torch.Generator().manual_seed(seed))
        return [parameter.detach() for parameter in encoder.parameters()]

    first, again, other = fresh(0), fresh(0), fresh(1)
    for one, same, different in zip(first, again, other, strict=True):
        assert torch.isfinite(one).all()
        assert torch.equal(one, same)
        assert one.dim() == 1 or not torch.equal(one, different)


def test_fresh_values_are_those_of_torch_and_pyg() -> None:
    generator = torch.Generator().manual_seed(0)
    linear = SGCEncoder(100, dim=200)
    linear.initialize(generator)
    for parameter in linear.parameters():  # U(±1/√F), of weights and bias
        assert parameter.detach().abs().max() == pytest.approx(0.1, rel=0.05)
        assert parameter.detach().std() == pytest.approx(0.1 / 3**0.5, rel=0.1)
    graph = GCNEncoder(100, dim=200, layers=2)
    graph.initialize(generator)
    for layer, width in zip(graph.layers, (300, 400), strict=True):
        assert layer.weight.detach().abs().max() == pytest.approx((6 / width) ** 0.5, rel=0.01)
        assert not layer.bias.any()
    assert torch.equal(graph.activation.weight, torch.full((200,), 0.25))


# ------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make_one", "message"),
    [
        (lambda: SGCEncoder(0), "the nodes have 0 features, and an encoder needs at least 1"),
        (
            lambda: GCNEncoder(3, dim=0),
            "model.dim is 0, and at least 1 is needed; give the number of columns of an embedding",
        ),
        (lambda: SGCEncoder(3, hops=0), "model.hops is 0, and at least 1 is needed"),
        (lambda: GCNEncoder(3, layers=0), "model.layers is 0, and at least 1 is needed"),
    ],
)
def test_a_number_below_one_is_refused(make_one: Any, message: str) -> None:
    with pytest.raises(GraphkitError) as error:
        make_one()
    assert str(error.value) == message


@each
def test_features_of_another_graph_are_refused(form: str) -> None:
    encoder, adjacency = make(form, 4), hat(random_adjacency(6, 0.5))
    expected = (
        "the features have 5 columns and the encoder was made for 4; give features of the graph that it was made for"
    )
    for use in (lambda: encoder(rows(6, 5)), lambda: encoder.embed(rows(6, 5), adjacency)):
        with pytest.raises(GraphkitError) as error:
            use()
        assert str(error.value) == expected
    with pytest.raises(GraphkitError) as error:
        encoder.embed(rows(7, 4), adjacency)
    assert str(error.value) == "the features have 7 rows and the adjacency has 6 nodes; give both of one graph"
