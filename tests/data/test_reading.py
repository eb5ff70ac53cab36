"""Triples from text files: layouts, vocabularies, and the sentence for each bad input."""

from __future__ import annotations

import csv
import gzip
import io
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphkit.data import reading
from graphkit.data.encoding import LabelEncoder
from graphkit.data.reading import EncodedTriples, TripleReader, read_triples
from graphkit.errors import GraphkitError

Rows = list[tuple[str, str, str]]

# What gives readers trouble: blanks, quotation marks, delimiters, other scripts, Unicode line separators.
LETTERS = st.sampled_from(list("ab \"',;|#:éß中\u2028\x85\x0b😀NA0"))
LABELS = st.text(LETTERS, min_size=1, max_size=6)
TRIPLES = st.lists(st.tuples(LABELS, LABELS, LABELS), min_size=1, max_size=30)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def tsv(rows: Rows) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


def decoded(triples: EncodedTriples) -> Rows:
    entities, relations = triples.entities.to_pylist(), triples.relations.to_pylist()
    return [(entities[h], relations[r], entities[t]) for h, r, t in triples.ids.tolist()]


def error_of(path: Path, **options: object) -> str:
    with pytest.raises(GraphkitError) as caught:
        read_triples(path, **options)  # type: ignore[arg-type]
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence.replace(str(path), path.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reading")


# ------------------------------------------------------------------------------------------------ laws


@given(rows=TRIPLES, newline=st.sampled_from(["\n", "\r\n"]), bom=st.booleans(), zipped=st.booleans())
def test_tsv_round_trip(folder: Path, rows: Rows, newline: str, bom: bool, zipped: bool) -> None:
    text = newline.join("\t".join(row) for row in rows) + newline
    data = text.encode("utf-8-sig" if bom else "utf-8")
    path = write(folder, "round.tsv", gzip.compress(data) if zipped else data)
    triples = read_triples(path, delimiter="tab", header=False)
    assert triples.ids.shape == (len(rows), 3)
    assert triples.ids.dtype == np.int64
    assert decoded(triples) == rows


@given(rows=TRIPLES, delimiter=st.sampled_from([",", ";"]))
def test_quoted_csv_round_trip(folder: Path, rows: Rows, delimiter: str) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
    path = write(folder, "round.csv", buffer.getvalue())
    assert decoded(read_triples(path, delimiter=delimiter, header=False)) == rows


@given(rows=TRIPLES)
def test_ids_follow_first_appearance(folder: Path, rows: Rows) -> None:
    triples = read_triples(write(folder, "order.tsv", tsv(rows)), delimiter="tab", header=False)
    assert triples.entities.to_pylist() == list(dict.fromkeys(x for h, _, t in rows for x in (h, t)))
    assert triples.relations.to_pylist() == list(dict.fromkeys(r for _, r, _ in rows))


@given(rows=TRIPLES, cuts=st.lists(st.integers(0, 30), max_size=4))
def test_encoder_does_not_depend_on_batches(rows: Rows, cuts: list[int]) -> None:
    def encoded(edges: list[int]) -> tuple[list[list[int]], list[str]]:
        encoder, parts = LabelEncoder(), []
        for start, end in zip([0, *edges], [*edges, len(rows)], strict=True):
            heads, tails = (pa.array([row[i] for row in rows[start:end]], pa.string()) for i in (0, 2))
            parts.append(np.stack(encoder.encode(heads, tails)))
        labels = encoder.labels().to_pylist()
        assert len(encoder) == len(labels)
        return np.concatenate(parts, axis=1).tolist(), labels

    assert encoded(sorted(min(cut, len(rows)) for cut in cuts)) == encoded([])


def test_small_blocks_give_the_same_triples(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(f"e{i * 7919 % 101}", f"r{i % 5}", f"e{i % 89}") for i in range(2_000)]
    monkeypatch.setattr(reading, "_BLOCK_BYTES", 300)
    assert decoded(read_triples(write(folder, "blocks.tsv", tsv(rows)))) == rows
    aligned = "".join(f"  {h:12} {r}\t{t:>9} \n" for h, r, t in rows)
    assert decoded(read_triples(write(folder, "blocks.txt", aligned))) == rows
    quoted = "".join(f'"{h}\n",{r},"\n{t}"\n' for h, r, t in rows)
    assert decoded(read_triples(write(folder, "blocks.csv", quoted))) == [(f"{h}\n", r, f"\n{t}") for h, r, t in rows]


# ------------------------------------------------------------------------------------------------ layouts


@pytest.mark.parametrize(
    ("content", "delimiter", "columns", "header"),
    [
        ("a\tr\tb\nc\tr\td\n", "\t", "hrt", False),
        ("a,r,b\nc,r,d\n", ",", "hrt", False),
        ("a;r;b\nc;r;d", ";", "hrt", False),
        ("a|r|b\nc|r|d\n", "|", "hrt", False),
        ("a r b\nc r d\n", " ", "hrt", False),
        ("  a   r  b \nc r \t d  \n   \n", " ", "hrt", False),
        ("a\tr\tb\rc\tr\td\r", "\t", "hrt", False),
        ("Head,Relation,Tail\na,r,b\nc,r,d\n", ",", "hrt", True),
        ("SUBJECT\tpredicate\tObject\na\tr\tb\nc\tr\td\n", "\t", "hrt", True),
        ("source;target;type\na;b;r\nc;d;r\n", ";", "htr", True),
        (":START_ID,weight,:END_ID,:TYPE\na,1,b,r\nc,2,d,r\n", ",", "h-tr", True),
        ("\n\nhead_id relation tail_id\na r b\n\nc r d\n", " ", "hrt", True),
        ('"head","relation","tail"\n"a","r","b"\n"c","r","d"\n', ",", "hrt", True),
    ],
)
def test_layout_is_sniffed(folder: Path, content: str, delimiter: str, columns: str, header: bool) -> None:
    triples = read_triples(write(folder, "layout.txt", content))
    (layout,) = triples.formats
    assert (layout.delimiter, layout.columns, layout.header) == (delimiter, columns, header)
    assert decoded(triples) == [("a", "r", "b"), ("c", "r", "d")]


@pytest.mark.parametrize(
    ("columns", "line"), [("hrt", "a r b"), ("htr", "a b r"), ("trh", "b r a"), ("-h-rt", "x a y r b")]
)
def test_column_order_is_an_option(folder: Path, columns: str, line: str) -> None:
    path = write(folder, "columns.txt", line + "\n")
    assert decoded(read_triples(path, columns=columns)) == [("a", "r", "b")]


def test_column_order_overrides_the_header(folder: Path) -> None:
    path = write(folder, "inverse.tsv", "tail\trelation\thead\na\tr\tb\n")
    assert decoded(read_triples(path)) == [("b", "r", "a")]
    assert decoded(read_triples(path, columns="hrt")) == [("a", "r", "b")]


def test_header_can_be_forced_either_way(folder: Path) -> None:
    path = write(folder, "forced.tsv", "head\trelation\ttail\na\tr\tb\n")
    assert decoded(read_triples(path, header=False)) == [("head", "relation", "tail"), ("a", "r", "b")]
    path = write(folder, "unknown.tsv", "Land\tliegt neben\tLand\na\tr\tb\n")
    assert decoded(read_triples(path, header=True)) == [("a", "r", "b")]
    assert len(read_triples(path).ids) == 2


@pytest.mark.parametrize("delimiter", ["tab", "\t", "\\t"])
def test_delimiter_has_a_name_and_a_character(folder: Path, delimiter: str) -> None:
    path = write(folder, "named.tsv", "a,b\tr\tc,d\n")
    assert decoded(read_triples(path, delimiter=delimiter)) == [("a,b", "r", "c,d")]


def test_labels_are_kept_as_they_stand(folder: Path) -> None:
    path = write(folder, "kept.tsv", ' a \t"r"\tNA\nnull\t"r"\t#1\n')
    assert decoded(read_triples(path)) == [(" a ", '"r"', "NA"), ("null", '"r"', "#1")]


def test_quoted_fields_hold_delimiters_quotes_and_line_ends(folder: Path) -> None:
    path = write(folder, "quoted.csv", '"a, x",r,"b""c"\n"d\ne",r,f\n')
    assert decoded(read_triples(path)) == [("a, x", "r", 'b"c'), ("d\ne", "r", "f")]


def test_gzip_is_told_by_content_and_may_have_members(folder: Path) -> None:
    data = gzip.compress(b"a\tr\tb\n") + gzip.compress(b"c\tr\td\n")
    assert decoded(read_triples(write(folder, "members.tsv", data))) == [("a", "r", "b"), ("c", "r", "d")]
    assert decoded(read_triples(write(folder, "plain.gz", "a\tr\tb\n"))) == [("a", "r", "b")]


def test_several_files_follow_one_another(folder: Path) -> None:
    first, second = write(folder, "1.tsv", "a\tr\tb\n"), write(folder, "2.csv", "b,s,c\n")
    triples = read_triples([str(first), second])
    assert decoded(triples) == [("a", "r", "b"), ("b", "s", "c")]
    assert [layout.delimiter for layout in triples.formats] == ["\t", ","]


def test_splits_read_by_one_reader_share_a_vocabulary(folder: Path) -> None:
    reader = TripleReader()
    train, _ = reader.read(write(folder, "train.tsv", "a\tr\tb\n"))
    test, _ = reader.read(write(folder, "test.tsv", "c\tr\ta\n"))
    assert (train.tolist(), test.tolist()) == ([[0, 0, 1]], [[2, 0, 0]])
    assert (reader.entities.to_pylist(), reader.relations.to_pylist()) == (["a", "b", "c"], ["r"])


def test_200k_lines_take_seconds(folder: Path) -> None:
    lines = [f"e{i * 7919 % 50_021}\tr{i % 7}\te{i % 49_999}\n" for i in range(200_000)]
    path = write(folder, "long.tsv.gz", gzip.compress("".join(lines).encode(), compresslevel=1))
    start = time.perf_counter()
    triples = read_triples(path)
    assert time.perf_counter() - start < 10  # 0.4 s on two idle cores
    assert decoded(triples)[-1] == tuple(lines[-1].strip().split("\t"))
    assert triples.ids.shape == (200_000, 3)


# ------------------------------------------------------------------------------------------------ bad input

GOOD = "a\tr\tb\n"


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        ("", {}, "x is empty; expected one triple a line (head, relation, tail)"),
        ("\n \n", {}, "x is empty; expected one triple a line (head, relation, tail)"),
        (
            "head,relation,tail\n",
            {},
            "x holds only a header, 'head,relation,tail'; expected triples below it",
        ),
        (GOOD, {"header": True}, r"x holds only a header, 'a\tr\tb'; expected triples below it"),
        (
            3 * GOOD + "a\tb\n" + GOOD,
            {},
            r"x, line 4: 2 columns under the delimiter tab in 'a\tb'; expected 3 (hrt), so mend the line, "
            "or set delimiter or columns",
        ),
        (
            300 * GOOD + "\n" + "x" * 100,
            {},
            f"x, line 302: only one column under the delimiter tab in '{'x' * 79}…'; expected 3 (hrt), so "
            "mend the line, or set delimiter or columns",
        ),
        (
            "h r t w\na r b 1\na r b 2 c\n",
            {},
            "x, line 3: 5 columns under the delimiter space in 'a r b 2 c'; expected 4 (hrt-), so mend the "
            "line, or set delimiter or columns",
        ),
        (
            2 * "a\tr\tb\t1\n",
            {},
            r"x, line 1: 4 columns under the delimiter tab in 'a\tr\tb\t1'; expected 3, so set columns to "
            "say which hold head, relation and tail, such as hrt-",
        ),
        (
            GOOD,
            {"delimiter": "comma"},
            r"x, line 1: only one column under the delimiter comma in 'a\tr\tb'; expected 3, so set "
            "delimiter to the one that is used",
        ),
        (
            "\na b\nc d\n",
            {},
            "x, line 2: no delimiter out of tab, comma, semicolon, pipe, space gives three columns in 'a "
            "b'; put head, relation and tail on each line, or set delimiter",
        ),
        (
            GOOD,
            {"columns": "hrt-"},
            r"x, line 1: no delimiter out of tab, comma, semicolon, pipe, space gives the 4 columns of hrt- "
            r"in 'a\tr\tb'; put head, relation and tail on each line, or set delimiter",
        ),
        (
            GOOD + "a\t\tb\n",
            {},
            r"x, line 2: the relation is empty in 'a\t\tb'; a triple needs a head, a relation and a tail, "
            "so fill it in or take the line out",
        ),
        (
            GOOD.encode() + b"a\tr\tcaf\xe9\n",
            {},
            r"x, line 2: the tail is not UTF-8 in 'a\tr\tcaf\xe9'; convert the file, for instance with "
            "iconv -f latin1 -t utf-8",
        ),
        (
            "ä\tr\tb\n".encode("utf-16"),
            {},
            r"x, line 1: the head is not UTF-8 in '\xff\xfe\xe4\x00\t\x00r\x00\t\x00b\x00'; convert the "
            "file, for instance with iconv -f utf-16 -t utf-8",
        ),
        (
            'a,r,b\n"c,r,d\ne,r,f\n',
            {},
            "x, line 2: a quotation mark is not closed on the line '\"c,r,d'; close or double it, or set "
            "delimiter to tab, under which quotation marks are letters",
        ),
        (
            GOOD,
            {"columns": "hrr"},
            "columns is 'hrr'; it needs one letter a column, h, r and t once each and - for a column to "
            "skip, such as hrt, htr or h-rt",
        ),
        (
            GOOD,
            {"delimiter": "tabs"},
            "delimiter is 'tabs'; allowed are one ASCII character or one of tab, comma, semicolon, pipe, space",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    folder: Path, content: str | bytes, options: dict[str, object], sentence: str
) -> None:
    assert error_of(write(folder, "x", content), **options) == sentence


def test_line_numbers_count_header_and_quoted_line_ends(folder: Path) -> None:
    path = write(folder, "x", 'head,relation,tail\n\n"a\nb",r,c\nd,,e\n')
    assert error_of(path).startswith("x, line 5: the relation is empty in 'd,,e'")
    path = write(folder, "x", "who,,whom\na,r,b\nc,,d\n")
    assert error_of(path, header=True).startswith("x, line 3: the relation is empty in 'c,,d'")


def test_tabs_win_where_blanks_would_fit_every_line(folder: Path) -> None:
    path = write(folder, "x", 2 * "a b\tr\tc d\n" + "a b c\td e\n")
    assert error_of(path).startswith(r"x, line 3: 2 columns under the delimiter tab in 'a b c\td e'")


def test_labels_may_be_blank(folder: Path) -> None:
    path = write(folder, "blank.tsv", " \t \t\u2028\n")
    assert decoded(read_triples(path)) == decoded(read_triples(path, delimiter="tab")) == [(" ", " ", "\u2028")]


def test_gzip_cut_in_half(folder: Path) -> None:
    lines = "".join(f"{i * 7919 % 100_003}\tr\t{i}\n" for i in range(50_000))
    whole = gzip.compress(lines.encode())
    sentence = error_of(write(folder, "x", whole[: len(whole) // 2]))
    assert sentence.startswith("x cannot be read beyond line 2")
    assert sentence.endswith(": the gzip data are cut short or damaged; fetch or compress the file again")
    assert "beyond line 0: the gzip data are cut short" in error_of(write(folder, "x", whole[:20]))


def test_damaged_gzip_is_not_taken_for_a_bad_line(folder: Path) -> None:
    lines = "".join(f"{i * 7919 % 100_003}\tr\t{i}\n" for i in range(50_000))
    data = bytearray(gzip.compress(lines.encode()))
    data[len(data) // 2] ^= 0xFF
    assert "the gzip data are cut short or damaged" in error_of(write(folder, "x", bytes(data)))


def test_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path, "train.tsv", GOOD)
    assert error_of(tmp_path / "trian.tsv") == (
        f"there is no file trian.tsv; the nearest names in {tmp_path} are train.tsv"
    )
    assert error_of(tmp_path / "no" / "trian.tsv") == "there is no file trian.tsv; check the path"


def test_folder_instead_of_file(tmp_path: Path) -> None:
    sentence = f"{tmp_path.name} is a folder; give the files in it that hold the triples, one triple a line"
    assert error_of(tmp_path) == sentence


def test_no_file_at_all() -> None:
    with pytest.raises(GraphkitError, match="no file was named to read triples from"):
        read_triples([])
