"""Data sets by name: published splits below ``$GRAPHKIT_DATA``, and the built-in ``geography``."""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from graphkit.data.encoding import LabelEncoder
from graphkit.data.reading import TripleReader
from graphkit.data.splitting import entity_covering_split, symmetric_groups
from graphkit.errors import GraphkitError, nearest
from graphkit.graph import KnowledgeGraph, Vocabulary

#: The environment variable that names the folder with the published data sets.
VARIABLE = "GRAPHKIT_DATA"

#: The data set that comes with the package and needs no files.
BUILT_IN = "geography"

_TEXT_FILES = ("train.txt.gz", "valid.txt.gz", "test.txt.gz")
_ARRAY_FILES = ("core.npz", "entities.txt.gz", "relations.txt")


@dataclass(frozen=True)
class NamedDataset:
    """One published data set: where its files lie and what they hold."""

    name: str
    #: The folder below ``$GRAPHKIT_DATA``.
    folder: str
    entities: int
    relations: int
    #: Distinct training triples; the files of countries_s1 to s3 repeat one line more.
    train: int
    valid: int
    test: int
    #: The files in the folder.
    files: tuple[str, ...] = _TEXT_FILES

    @property
    def counts(self) -> tuple[int, int, int, int, int]:
        """Entities, relations, train, valid and test triples."""
        return self.entities, self.relations, self.train, self.valid, self.test


_PUBLISHED = (
    NamedDataset("fb15k237", "kg/FB15k-237", 14_541, 237, 272_115, 17_535, 20_466),
    NamedDataset("wn18", "kg/WN18", 40_943, 18, 141_442, 5_000, 5_000),
    NamedDataset("wn18rr", "kg/WN18RR", 40_943, 11, 86_835, 3_034, 3_134),
    NamedDataset("nell995", "kg/NELL-995", 75_492, 200, 149_678, 543, 3_992),
    NamedDataset("codex_s", "kg/codex-s", 2_034, 42, 32_888, 1_827, 1_828),
    NamedDataset("umls", "kg/umls", 135, 46, 5_216, 652, 661),
    NamedDataset("kinships", "kg/kinships", 104, 25, 8_544, 1_068, 1_074),
    NamedDataset("nations", "kg/nations", 14, 55, 1_592, 199, 201),
    NamedDataset("countries_s1", "kg/countries_S1", 271, 2, 1_110, 24, 24),
    NamedDataset("countries_s2", "kg/countries_S2", 271, 2, 1_062, 24, 24),
    NamedDataset("countries_s3", "kg/countries_S3", 271, 2, 984, 24, 24),
    NamedDataset("hs_gene_go", "kg/hs-gene-go", 155_492, 65, 712_191, 18_741, 18_741, _ARRAY_FILES),
)

#: The published data sets by name.
DATASETS: dict[str, NamedDataset] = {dataset.name: dataset for dataset in _PUBLISHED}


def names() -> tuple[str, ...]:
    """The names that :func:`load` knows, the built-in one last."""
    return (*DATASETS, BUILT_IN)


def load(name: str, *, root: Path | None = None) -> KnowledgeGraph:
    """Load a data set by name, with its published split.

    Args:
        name: One of :func:`names`.
        root: The folder with the data sets; ``None`` takes the environment variable ``GRAPHKIT_DATA``.
            ``geography`` needs none.

    Returns:
        The graph, in memory.

    Raises:
        GraphkitError: for an unknown name, files that are not there (with the files that are needed), and
            files that hold other counts than the published set.
    """
    if name == BUILT_IN:
        return _geography()
    if name not in DATASETS:
        near = nearest(name, names())
        hint = f"the nearest are {', '.join(near)}, and all are" if near else "there are"
        raise GraphkitError(f"there is no data set named {name!r}; {hint} {', '.join(names())}")
    dataset = DATASETS[name]
    folder = published_folder(name, dataset.folder, dataset.files, root)
    graph = _from_arrays(folder) if dataset.files == _ARRAY_FILES else _from_text(folder)
    held_out = len(graph.triples("valid")), len(graph.triples("test"))
    found = (graph.num_entities, graph.num_relations, len(graph.triples("train")), *held_out)
    if found != dataset.counts:
        raise GraphkitError(
            f"{folder} is not the published {name}: entities, relations, train, valid and test triples are "
            f"{_listed(found)} instead of {_listed(dataset.counts)}; put the published files there, or "
            "import these with graphkit data import"
        )
    return graph


def _listed(counts: tuple[int, ...]) -> str:
    return " / ".join(str(count) for count in counts)


def published_folder(name: str, below: str, files: tuple[str, ...], root: Path | None) -> Path:
    """Returns the folder of a published set, which holds all of its files.

    Args:
        name: of the set, for messages.
        below: the folder below `root`.
        files: the files that are needed.
        root: the folder with the data sets; ``None`` takes the environment variable ``GRAPHKIT_DATA``.

    Raises:
        GraphkitError: `root` is not known, or a file is missing.
    """
    given = root if root is not None else os.environ.get(VARIABLE)
    needed = f"{below}/{{{','.join(files)}}}"
    if not given:
        raise GraphkitError(
            f"the data set {name} needs the environment variable {VARIABLE}, which is not set; set "
            f"it to a folder that holds {needed}"
        )
    folder = Path(given) / below
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        raise GraphkitError(
            f"the data set {name} lacks {', '.join(missing)} in {folder}; put {needed} below "
            f"{given}, or set {VARIABLE} to the folder that holds them"
        )
    return folder


def _from_text(folder: Path) -> KnowledgeGraph:
    reader = TripleReader(delimiter="tab", header=False, columns="hrt")
    train, valid, test = (reader.read(folder / file)[0] for file in _TEXT_FILES)
    return KnowledgeGraph.from_triples(
        train,
        valid,
        test,
        entities=Vocabulary(reader.entities),
        relations=Vocabulary(reader.relations, kind="relation"),
    )


def _from_arrays(folder: Path) -> KnowledgeGraph:
    """Read integer triples with their labels; labels that have no triple (of the articles) are left out."""
    with np.load(folder / "core.npz", allow_pickle=False) as arrays:
        triples: npt.NDArray[np.int64] = arrays["triples"].astype(np.int64)
        split = arrays["split"]
    entities, triples[:, [0, 2]] = _compact(labels_of(folder / "entities.txt.gz"), triples[:, [0, 2]])
    relations, triples[:, 1] = _compact(labels_of(folder / "relations.txt"), triples[:, 1])
    train, valid, test = (triples[split == part] for part in range(3))
    return KnowledgeGraph.from_triples(
        train, valid, test, entities=Vocabulary(entities), relations=Vocabulary(relations, kind="relation")
    )


def labels_of(path: Path) -> pa.Array:
    """Returns the lines of a text file, gzipped or plain: line i is the label of id i."""
    raw = path.read_bytes()
    text = gzip.decompress(raw) if path.suffix == ".gz" else raw
    return pa.array(text.decode().removesuffix("\n").split("\n"), pa.string())


def _compact(labels: pa.Array, ids: npt.NDArray[np.int64]) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    used, compact = np.unique(ids, return_inverse=True)
    return labels.take(pa.array(used)), compact.reshape(ids.shape)


def _geography() -> KnowledgeGraph:
    from graphkit.data import geography  # a few thousand literals, of no use to the other sets

    heads, relations, tails = (pa.array(column, pa.string()) for column in zip(*geography.triples(), strict=True))
    entity_ids, relation_ids = LabelEncoder(), LabelEncoder()
    head_ids, tail_ids = entity_ids.encode(heads, tails)
    triples = np.stack([head_ids, relation_ids.encode(relations)[0], tail_ids], axis=1)
    entity_labels = Vocabulary(entity_ids.labels())
    relation_labels = Vocabulary(relation_ids.labels(), kind="relation")
    symmetric = relation_labels.ids(sorted(geography.symmetric_relations))
    split = entity_covering_split(
        triples,
        len(entity_labels),
        len(relation_labels),
        fractions=(0.8, 0.1, 0.1),
        seed=0,
        groups=symmetric_groups(triples, symmetric.tolist()),
    )
    return KnowledgeGraph.from_triples(
        split.train, split.valid, split.test, entities=entity_labels, relations=relation_labels
    )
