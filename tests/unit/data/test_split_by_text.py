"""Shares of text: rows of similar size are split as ever, large ones do not take the share of all, long documents give passages."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.passages import LONGEST, SHORTEST, passages
from medicalgpt.data.read_row import record_texts
from medicalgpt.data.reader import read
from medicalgpt.data.records import Dialogue, Document, Kind, Message, Record, Source
from medicalgpt.data.split import LONG, Sizes, Split, choose_eval, group_key, split_of, split_records

ROOT = Path(__file__).resolve().parents[3]
SEEDS = range(8)


def book(name: str, characters: int) -> Document:
    """Numbered paragraphs, so that no two passages are alike."""
    lines, i = [], 0
    while sum(map(len, lines)) < characters:
        i += 1
        lines.append(f"{name}, paragraph {i}: the pulse of case {i * 7} was {60 + i % 40} a minute at rest.\n\n")
    return Document("".join(lines)[:characters], Source(f"{name}.txt", 1))


def split_with(sizes: Mapping[str, int], fraction: float, seed: int, documents: bool) -> Split:
    """The split of rows with these keys and characters."""
    rows = Sizes()
    for key, characters in sizes.items():
        rows.add(key, characters)
    return split_of(*rows.arrays, fraction, seed, documents)


def shares(records: list[Document], fraction: float, seed: int) -> tuple[float, Counter[str]]:
    """The share of characters that is held out, and held-out characters by file; proves on the way that none is lost."""
    split, held, total = split_records(records, fraction, seed), Counter[str](), 0
    for record in records:
        parts = split.parts(record)
        assert "".join(part.text for part, _ in parts) == record.text  # type: ignore[union-attr]
        assert [part.ends for part, _ in parts] == [False] * (len(parts) - 1) + [True]  # type: ignore[union-attr]
        assert all(a != b for (_, a), (_, b) in pairwise(parts))
        total += len(record.text)
        for part, side in parts:
            held[record.source.file] += len(part.text) * side  # type: ignore[union-attr]
    return held.total() / total, +held


# -- rows of similar size -----------------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(400, 800), min_size=2, max_size=200), st.floats(0.001, 0.9), st.integers(0, 99), st.booleans()
)
@settings(max_examples=300, deadline=None)
def test_rows_within_a_factor_of_two_are_split_by_rows_as_ever(
    sizes: list[int], fraction: float, seed: int, documents: bool
) -> None:
    rows = {f"{i:016x}": size for i, size in enumerate(sizes)}
    assert split_with(rows, fraction, seed, documents) == Split(frozenset(choose_eval(list(rows), fraction, seed)))


@pytest.mark.parametrize("documents", [True, False])
def test_twice_as_long_is_alike_and_more_is_not(documents: bool) -> None:
    """At the very bound: the one that is chosen is as long as it may be, or one character longer."""
    keys = [f"{i:016x}" for i in range(4)]
    (chosen,) = choose_eval(keys, 0.05, 3)
    assert split_with({**dict.fromkeys(keys, 500), chosen: 1_000}, 0.05, 3, documents).whole == {chosen}
    (other,) = split_with({**dict.fromkeys(keys, 500), chosen: 1_001}, 0.05, 3, documents).whole
    assert other != chosen


SAMPLES: list[tuple[str, Kind]] = [
    ("documents", "document"),
    ("documents/en", "document"),
    ("documents/zh-Hant", "document"),
    ("dialogues", "dialogue"),
    ("dialogues/en.jsonl", "dialogue"),
    ("dialogues/zh-Hans.jsonl", "dialogue"),
    ("preferences", "preference"),
    ("preferences/zh-Hant.jsonl", "preference"),
    ("tools", "dialogue"),
]


@pytest.mark.parametrize(("path", "kind"), SAMPLES, ids=[path for path, _ in SAMPLES])
def test_the_sample_data_is_split_by_rows_as_ever(path: str, kind: Kind) -> None:
    """The numbers in docs/results.md, the demo and the notebooks hang on it."""
    sizes: Counter[str] = Counter()
    for record in read([ROOT / "examples/data" / path], kind, ledger=Ledger()):
        sizes[group_key(record)] += sum(map(len, record_texts(record)))
    for fraction in (0.03, 0.05, 0.1, 0.2):
        for seed in (42, *SEEDS):
            ever = Split(frozenset(choose_eval(list(sizes), fraction, seed)))
            assert split_with(sizes, fraction, seed, kind == "document") == ever


# -- rows that differ by orders of magnitude ----------------------------------------------------------------------------

SHELVES = {
    "a book among leaflets": [2_000, 2_200, 40_000, 3_000],
    "three books": [27_000, 124_000, 286_000],
    "two files": [10_000, 11_000],
    "books alike": [60_000] * 6,
    "many leaflets and some books": [300] * 200 + [20_000] * 12,
    "one long row among many": [900] * 99 + [400_000],
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shelf", SHELVES)
def test_five_percent_of_a_shelf_is_about_five_percent_of_its_text(shelf: str, seed: int) -> None:
    records = [book(f"b{i}", size) for i, size in enumerate(SHELVES[shelf])]
    share, files = shares(records, 0.05, seed)
    assert 0.025 <= share <= 0.1
    if split_records(records, 0.05, seed).cut:  # whole books were not within the bounds
        longest = max(records, key=lambda record: len(record.text))
        assert 0 < files[longest.source.file] <= 0.15 * len(longest.text)


def test_only_where_whole_books_are_a_fair_share_none_is_cut() -> None:
    cut = {
        shelf: [bool(split_records([book(f"b{i}", n) for i, n in enumerate(sizes)], 0.05, s).cut) for s in SEEDS]
        for shelf, sizes in SHELVES.items()
    }
    assert all(all(found) for shelf, found in cut.items() if shelf != "many leaflets and some books")
    assert len(set(cut["many leaflets and some books"])) == 2


@pytest.mark.parametrize(
    ("size", "fraction"), [(1_000, 0.05), (5_000, 0.05), (900_000, 0.05), (40_000, 0.4), (9_000, 0.9)]
)
def test_one_file_has_held_out_text(size: int, fraction: float) -> None:
    share, _ = shares([book("only", size)], fraction, seed=3)
    assert share == pytest.approx(fraction, abs=max(0.03, SHORTEST / size))


def test_one_short_text_cannot_be_held_out() -> None:
    assert not split_records([book("leaflet", 2 * SHORTEST - 1)], 0.05, 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_text_over_and_over_is_not_held_out_as_a_whole(seed: int) -> None:
    assert shares([Document("Rest. " * 3_000, Source("a", 1))], 0.05, seed)[0] <= 0.1
    boilerplate = "All rights reserved. " * 40
    chapters = "".join(book(f"c{i}", 3_000).text + "\n\n" + boilerplate + "\n\n" for i in range(20))
    assert 0.02 <= shares([Document(chapters, Source("a", 1))], 0.05, seed)[0] <= 0.12


def test_a_passage_that_comes_again_is_on_the_same_side() -> None:
    """Boilerplate between chapters, and a second copy of the whole book."""
    chapter = book("chapter", 30_000).text
    records = [Document(chapter * 2, Source("a", 1)), Document(chapter * 2, Source("b", 1)), book("else", 90_000)]
    for seed in SEEDS:
        split = split_records(records, 0.1, seed)
        sides: dict[str, bool] = {}
        for record in records[:2]:
            held = [(part.text, side) for part, side in split.parts(record)]  # type: ignore[union-attr]
            assert [side for _, side in held] == [side for _, side in split.parts(records[0])]
            for text, side in held:
                assert sides.setdefault(text, side) == side
        assert True in sides.values()


def dialogue(name: str, size: int) -> Dialogue:
    return Dialogue((Message("user", f"Question {name}?"), Message("assistant", "a" * size)), Source("d", 1))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_giant_among_dialogues_is_not_the_one_held_out(seed: int) -> None:
    records: list[Record] = [dialogue(str(i), 200) for i in range(39)]
    giant = dialogue("giant", 80_000)
    split = split_records([*records, giant], 0.05, seed)
    assert split.parts(giant) == [(giant, False)]
    assert len(split.whole) == 2
    assert split_records([dialogue("small", 50), giant], 0.05, seed).whole == {group_key(dialogue("small", 50))}


def test_a_shelf_without_long_documents_holds_out_whole_ones() -> None:
    records = [book(f"b{i}", size) for i, size in enumerate([500, 600, LONG - 1, 700])]
    for seed in SEEDS:
        share, files = shares(records, 0.05, seed)
        assert share <= 0.1
        assert len(files) == 1


# -- passages -----------------------------------------------------------------------------------------------------------

TEXT = st.lists(st.sampled_from(["word ", "句子。", "End. ", "\n", "\n\n", " " * 40, "x" * 90]), max_size=900).map(
    "".join
)


@given(TEXT, st.floats(0.001, 0.999))
@settings(max_examples=150, deadline=None)
def test_passages_join_to_the_text(text: str, share: float) -> None:
    found = passages(text, share)
    assert "".join(found) == text
    assert all(found)
    assert all(SHORTEST // 2 <= len(piece) <= 2 * LONGEST for piece in found[1:])
    assert len(found) >= 2 or len(text) < 2 * LONGEST


def test_passages_begin_where_the_text_pauses() -> None:
    assert all(piece.startswith("b, paragraph") for piece in passages(book("b", 30_000).text, 0.05))
    lines = "".join(f"Line {i} of a text without blank lines\n" for i in range(400))
    assert all(piece.startswith("Line") for piece in passages(lines, 0.05))
    sentences = "患者体温正常。" * 2_000
    assert all(piece.startswith("患") for piece in passages(sentences, 0.05))
    assert {len(piece) for piece in passages("x" * 20_000, 0.05)[:-1]} == {1_000}


def test_the_ledger_says_of_which_files_and_what_share() -> None:
    ledger = Ledger()
    assert "held_out" not in ledger.as_dict()
    for file, size, held in (("a", 900, False), ("a", 100, True), ("b", 1_000, False)):
        ledger.count_text(file, size, held)
    files = {"a": {"characters": 100, "of": 1_000}}
    assert ledger.as_dict()["held_out"] == {"characters": 100, "of": 2_000, "share": 0.05, "files": files}


def test_passages_carry_the_weight_of_their_document() -> None:
    whole = replace(book("b", 40_000), weight=0.5)
    split = split_records([whole], 0.05, 1)
    assert {part.weight for part, _ in split.parts(whole) if isinstance(part, Document)} == {0.5}
