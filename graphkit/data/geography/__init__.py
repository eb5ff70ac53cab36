"""The built-in knowledge graph: countries and territories, and what lies in, around and between them.

Written by hand for graphkit from well-known facts, as of 1 January 2026. What is doubtful was left out, and
so was what touches one country and nothing else (most lakes, inland towns and minority languages), of which
nothing can be learnt: a missing triple does not mean that the fact is false.

One line of a table describes one thing:

* The first column is the thing itself; every other column is named after the relation that leads from it to
  each of the ``;``-separated labels of its cell. In a column ``inverse:R`` these labels are the heads of
  ``R``.
* ``borders`` is symmetric. `borders.tsv` names each land border once, below the neighbour that comes first
  in the alphabet; `triples` gives both directions.
* The column ``kind`` of `countries.tsv` gives ``member_of United Nations`` for ``UN member`` and nothing
  else.

What the relations mean where that is not plain from their names:

* ``in_region``, ``part_of``: regions and continents are those of the United Nations' geoscheme (Mexico in
  Central America, Iran in Southern Asia, Cyprus in Western Asia, one continent ``Americas``), under names
  in common use. A sea is ``part_of`` the next larger sea or ocean.
* ``on_coast_of``, ``on_sea``: the narrowest named seas that the country or city touches; a wider one beside
  it only where a part of the coast lies on none of the narrower ones. The Caspian Sea, the Aral Sea and the
  Dead Sea are lakes (``shore_on``), the Río de la Plata is a sea.
* ``flows_through``: also along a border. Headstreams with names of their own are rivers of their own: the
  Nile begins where the Blue Nile and the White Nile meet. Amu Darya and Syr Darya count as reaching the
  Aral Sea.
* ``currency``: also one that is legal tender or in common use beside the country's own. ``pegged_to``: its
  rate is fixed to that currency, or kept close to it.
* ``official_language``: by law or in fact, at the national level. ``spoken_language``: of minorities,
  regions or everyday life, and not counted as official.
* ``time_zone``: the standard time of the capital. ``drives_on``: the side of the road.
* ``independent_from``: the power whose rule, protectorate, mandate, union or federation the country left;
  countries that became independent by small steps (Canada, Australia) have none.
* ``member_of``: a suspended member is a member (Venezuela in Mercosur).

Where states disagree the tables take no side, yet they need one label and one place:

* The 193 members of the United Nations, its observers Palestine and Vatican City, and Kosovo and Taiwan,
  which some states recognise and others do not, are countries. Western Sahara has no capital and no
  ``territory_of``; among the 55 members of the African Union it stands for the Sahrawi Republic. Taiwan's
  membership of APEC is under the name of Chinese Taipei.
* ``capital`` is where the government sits for Israel (Jerusalem) and Palestine (Ramallah). Jerusalem has no
  ``city_in``. South Africa has three capitals (Pretoria, Cape Town, Bloemfontein), Bolivia two (Sucre, La
  Paz).
* City-states (Monaco, Singapore, Vatican City) and Gibraltar, Hong Kong and Macau have no capital: it would
  bear their own name. Montserrat, the Northern Mariana Islands, Norfolk Island and Tokelau have none
  either.
* The Cook Islands and Niue govern themselves in free association with New Zealand and are nobody's
  ``territory_of``. Overseas regions (French Guiana, Réunion) stand beside their states as territories.
* France has its European neighbours, French Guiana its own; Spain meets Morocco at Ceuta and Melilla.
  Causeways, military bases and Hans Island make no border.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["symmetric_relations", "triples"]

#: Relations that hold in both directions; `triples` contains both.
symmetric_relations: frozenset[str] = frozenset({"borders"})

_FOLDER = Path(__file__).parent
_TABLES = (
    "countries",
    "borders",
    "memberships",
    "independence",
    "regions",
    "cities",
    "currencies",
    "languages",
    "families",
    "coasts",
    "seas",
    "rivers",
    "lakes",
    "ranges",
)
_INVERSE = "inverse:"

Triple = tuple[str, str, str]


def triples() -> list[Triple]:
    """Returns all facts as (head label, relation, tail label), in the order of the tables, none twice.

    Raises:
        ValueError: A table has a line with too many or too few cells, or a stray blank or separator.
    """
    return [triple for table in _TABLES for triple in _expand(table)]


def _expand(table: str) -> Iterator[Triple]:
    for row in _rows(table):
        columns = iter(row.items())
        _, (subject,) = next(columns)
        for column, labels in columns:
            for label in labels:
                yield from _facts(subject, column, label)


def _facts(subject: str, column: str, label: str) -> Iterator[Triple]:
    if column == "kind":
        if label == "UN member":
            yield subject, "member_of", "United Nations"
    elif column.startswith(_INVERSE):
        yield label, column.removeprefix(_INVERSE), subject
    else:
        yield subject, column, label
        if column in symmetric_relations:
            yield label, column, subject


def _rows(table: str) -> Iterator[dict[str, list[str]]]:
    """Yields the lines of a table as column name → labels; the first column has exactly one."""
    path = _FOLDER / f"{table}.tsv"
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    columns = header.split("\t")
    for number, line in enumerate(lines, start=2):
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise ValueError(f"{path}:{number}: {len(cells)} cells, the header has {len(columns)}")
        row = {column: cell.split(";") if cell else [] for column, cell in zip(columns, cells, strict=True)}
        labels = [label for cell in row.values() for label in cell]
        if len(row[columns[0]]) != 1 or any(not label or label != label.strip() for label in labels):
            raise ValueError(f"{path}:{number}: want one name, then labels with only ';' between them")
        yield row
