"""Vocabularies: labels and ids are inverse to each other, on disk too, and wrong labels are answered kindly."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphkit import GraphkitError, Vocabulary

labels = st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True, min_size=1, max_size=20)


@given(labels)
def test_label_and_id_are_inverse(words: list[str]) -> None:
    vocabulary = Vocabulary(words)
    assert len(vocabulary) == len(words)
    assert [vocabulary.label(i) for i in range(len(words))] == words
    assert [vocabulary.id(word) for word in words] == list(range(len(words)))


@given(labels, st.data())
def test_ids_of_many_equal_the_id_of_each(words: list[str], data: st.DataObject) -> None:
    vocabulary = Vocabulary(words)
    wanted = data.draw(st.lists(st.sampled_from(words)))
    found = vocabulary.ids(wanted)
    assert found.dtype == np.int64
    assert found.tolist() == [words.index(word) for word in wanted]


@given(labels)
def test_saved_labels_come_back(words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.arrow"
        Vocabulary(words).save(path)
        assert Vocabulary.load(path).labels.to_pylist() == words


@given(st.lists(st.sampled_from("abcde"), min_size=1))
def test_numbered_follows_the_first_appearance(words: list[str]) -> None:
    assert Vocabulary.numbered(words).labels.to_pylist() == list(dict.fromkeys(words))


def test_an_arrow_array_is_taken_as_it_is() -> None:
    array = pa.array(["a", "b"])
    assert Vocabulary(array).labels is array


def test_a_repeated_label_is_refused_by_name() -> None:
    with pytest.raises(GraphkitError) as error:
        Vocabulary(["a", "b", "c", "b"])
    assert str(error.value) == "a vocabulary has the entity label 'b' twice; each label may stand for one id"


def test_a_missing_label_is_refused_with_its_id() -> None:
    with pytest.raises(GraphkitError) as error:
        Vocabulary(pa.array(["a", None]), kind="relation")
    assert str(error.value) == "a vocabulary has an empty relation label at id 1"


@pytest.mark.parametrize("look_up", [Vocabulary.id, lambda v, word: v.ids(["Austria", word])], ids=["id", "ids"])
def test_an_unknown_label_names_the_nearest_spellings(look_up) -> None:
    vocabulary = Vocabulary(["Austria", "Australia", "Chad"])
    with pytest.raises(GraphkitError) as error:
        look_up(vocabulary, "autria")
    assert str(error.value) == "the graph has no entity 'autria'; nearest: Austria, Australia"


def test_an_unknown_label_without_a_near_one_names_examples() -> None:
    with pytest.raises(GraphkitError) as error:
        Vocabulary(["borders", "capital", "currency", "member_of"], kind="relation").id("xyzzy")
    expected = "the graph has no relation 'xyzzy', nor one spelled like it; it has 4, e.g. borders, capital, currency"
    assert str(error.value) == expected
