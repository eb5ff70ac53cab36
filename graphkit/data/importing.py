"""From text files to a graph store on disk: what ``graphkit data import`` does."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from graphkit.data.reading import Files, TripleReader, file_list
from graphkit.data.sniffing import FileFormat
from graphkit.data.sources import check_file
from graphkit.data.splitting import check_fractions, distinct, entity_covering_split
from graphkit.graph import SPLITS, KnowledgeGraph, Vocabulary
from graphkit.graph.store import require_free

_Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PartReport:
    """What one split of an imported graph holds."""

    #: Triples in the store.
    triples: int
    #: Valid or test triples that name an entity or a relation without a training triple; 0 for train.
    unseen: int = 0
    #: Valid or test triples that stand in train too; 0 for train.
    leaked: int = 0


@dataclass(frozen=True)
class ImportReport:
    """What an import read and made."""

    #: The folder of the store.
    out: Path
    entities: int
    relations: int
    #: Lines with a triple in all files.
    read: int
    #: Lines that repeated a triple of the same split and were dropped.
    duplicates: int
    train: PartReport
    valid: PartReport
    test: PartReport
    #: The seed of the split, or None where valid or test were given as files.
    split_seed: int | None
    #: How each file was laid out.
    formats: tuple[FileFormat, ...]
    #: The first line where it was read as a triple whose relation occurs nowhere else: perhaps a header.
    odd_first: tuple[str, str, str] | None = None

    def lines(self) -> list[str]:
        """The report as lines for a terminal; lines that start with ``warning:`` deserve a look."""
        repeated = f", {self.duplicates:,} of them repeated and dropped" if self.duplicates else ""
        how = "as given" if self.split_seed is None else f"split with seed {self.split_seed}"
        said = [str(layout) for layout in self.formats]
        said.append(f"read {self.read:,} triples{repeated}")
        said.append(f"{self.entities:,} entities, {self.relations:,} relations")
        said.append(
            f"{self.train.triples:,} train, {self.valid.triples:,} valid, {self.test.triples:,} test triples ({how})"
        )
        if self.odd_first is not None:
            said.append(
                f"warning: the first line was read as a triple ({', '.join(self.odd_first)}), and its relation occurs "
                "nowhere else; if it is a header, import again with --header"
            )
        why = "name an entity or a relation that train does not have"
        for name, part in (("valid", self.valid), ("test", self.test)):
            if part.unseen:
                said.append(f"warning: {part.unseen:,} {name} triples {why}")
            if part.leaked:
                said.append(f"warning: {part.leaked:,} {name} triples stand in train too")
        said.append(f"saved in {self.out}")
        return said


@dataclass(frozen=True)
class _Found:
    #: int64[M, 3] train, valid and test in the order of the files; the last two distinct, empty if not given.
    parts: dict[str, _Ids]
    entities: Vocabulary
    relations: Vocabulary
    #: Lines with a triple, repeated ones included.
    lines: int
    formats: tuple[FileFormat, ...]


def import_triples(
    files: Files,
    out: str | os.PathLike[str],
    *,
    valid: Files | None = None,
    test: Files | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    columns: str | None = None,
    split: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    overwrite: bool = False,
) -> ImportReport:
    """Read triples from text files and save them as a graph store.

    Entities and relations are numbered in the order in which they appear in train, then valid, then test.
    Repeated triples of a split are dropped. Nothing is left behind when an error ends the import.

    Args:
        files: The training triples, or all triples when neither ``valid`` nor ``test`` is given.
        out: The folder of the new store.
        valid: The validation triples.
        test: The test triples.
        delimiter: See :class:`~graphkit.data.reading.TripleReader`, as for the next two.
        header: Whether files have a header.
        columns: The order of the columns.
        split: Shares of train, valid and test where neither ``valid`` nor ``test`` is given.
        seed: Of that split.
        overwrite: Whether a store in ``out`` may be replaced.

    Returns:
        What was read and made.

    Raises:
        GraphkitError: if ``out`` exists, a file cannot be read, a line is not a triple, or an option is
            wrong.
    """
    folder = Path(out)
    require_free(folder, overwrite=overwrite)
    check_fractions(split)
    held_out = {"valid": valid, "test": test}
    given = {"train": files} | {name: part for name, part in held_out.items() if part is not None}
    found = _read(given, TripleReader(delimiter=delimiter, header=header, columns=columns))
    parts, size, kinds = found.parts, len(found.entities), len(found.relations)
    if len(given) == 1:
        dealt = entity_covering_split(distinct(parts["train"]), size, kinds, fractions=split, seed=seed)
        parts = {"train": dealt.train, "valid": dealt.valid, "test": dealt.test}
    graph = KnowledgeGraph.from_triples(*parts.values(), entities=found.entities, relations=found.relations)
    graph.save(folder, overwrite=overwrite)
    return _report(folder, graph, parts, found, split_seed=seed if len(given) == 1 else None)


def _report(
    folder: Path, graph: KnowledgeGraph, parts: dict[str, _Ids], found: _Found, *, split_seed: int | None
) -> ImportReport:
    return ImportReport(
        out=folder,
        entities=graph.num_entities,
        relations=graph.num_relations,
        read=found.lines,
        duplicates=found.lines - graph.num_edges - len(parts["valid"]) - len(parts["test"]),
        train=PartReport(graph.num_edges),
        valid=_part_report(graph, parts["train"], parts["valid"]),
        test=_part_report(graph, parts["train"], parts["test"]),
        split_seed=split_seed,
        formats=found.formats,
        odd_first=_odd_first(found),
    )


def _odd_first(found: _Found) -> tuple[str, str, str] | None:
    if found.formats[0].header or len(found.relations) < 2:
        return None
    head, relation, tail = found.parts["train"][0].tolist()
    if sum(int((part[:, 1] == relation).sum()) for part in found.parts.values()) > 1:
        return None
    return found.entities.label(head), found.relations.label(relation), found.entities.label(tail)


def _read(given: dict[str, Files], reader: TripleReader) -> _Found:
    for files in given.values():  # a missing test file shows before train has been read
        for path in file_list(files):
            check_file(path)
    parts: dict[str, _Ids] = {name: np.empty((0, 3), np.int64) for name in SPLITS}
    formats: tuple[FileFormat, ...] = ()
    lines = 0
    for name, files in given.items():
        ids, layouts = reader.read(files)
        lines += len(ids)
        parts[name] = ids if name == "train" else distinct(ids)  # the store drops those of train
        formats += layouts
    relations = Vocabulary(reader.relations, kind="relation")
    return _Found(parts, Vocabulary(reader.entities), relations, lines, formats)


def _part_report(graph: KnowledgeGraph, train: _Ids, part: _Ids) -> PartReport:
    """Count what is wrong with held-out triples: ``train`` and ``part`` are ``(M, 3) int64``."""
    known_entities = np.zeros(graph.num_entities, np.bool_)
    known_entities[train[:, 0]] = True
    known_entities[train[:, 2]] = True
    known_relations = np.zeros(graph.num_relations, np.bool_)
    known_relations[train[:, 1]] = True
    heads, relations, tails = part.T
    seen = known_entities[heads] & known_relations[relations] & known_entities[tails]
    leaked = graph.has_edge(heads, 2 * relations, tails)
    return PartReport(len(part), int((~seen).sum()), int(leaked.sum()))
