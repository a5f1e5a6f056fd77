"""Token stores: what is written is what is read, and nothing half-written is ever read."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.trees import CHAIN, PAIR, SHORT_ROOT_PAIR, THREE_LEVELS, grow

from medicalgpt.data.records import Source
from medicalgpt.disk import arrays
from medicalgpt.errors import RenderError, RunError
from medicalgpt.rendering import store as store_
from medicalgpt.rendering.store import StoreWriter, TreeStore
from medicalgpt.rendering.tree import Segment, TokenTree, chain

TREES = [grow(shape, 400, seed) for seed, shape in enumerate((PAIR, CHAIN, THREE_LEVELS, SHORT_ROOT_PAIR))]


def write(folder: Path, trees: list[TokenTree]) -> TreeStore:
    writer = StoreWriter(folder)
    for tree in trees:
        writer.add(tree)
    writer.close({"kind": "preference"})
    return TreeStore(folder)


def test_trees_come_back_as_they_went_in(tmp_path: Path) -> None:
    store = write(tmp_path / "s", TREES)
    assert len(store) == len(list(store)) == len(TREES)
    assert store.meta["kind"] == "preference"
    for found, tree in zip(store, TREES):
        assert found.source == tree.source
        assert [s.parent for s in found.segments] == [s.parent for s in tree.segments]
        for a, b in zip(found.segments, tree.segments):
            np.testing.assert_array_equal(a.ids, b.ids)
            np.testing.assert_array_equal(a.weights, b.weights)
    assert store[2].starts == TREES[2].starts


def test_lengths_and_trained_tokens(tmp_path: Path) -> None:
    store = write(tmp_path / "s", TREES)
    assert store.lengths.tolist() == [21, 8, 21, 6]
    assert store.trained == sum(tree.trained for tree in TREES)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_large_stores_are_worked_through_in_blocks(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree's segments may stand in two blocks, and arrays in files."""
    monkeypatch.setattr(store_, "_BLOCK", size)
    monkeypatch.setattr(arrays, "SMALL", 64)
    store = write(tmp_path / "s", TREES)
    assert store.lengths.tolist() == [len(tree) for tree in TREES]
    assert store.first.tolist() == [0, *np.cumsum([len(tree.segments) for tree in TREES])]
    index = [3, 0, 0, 2, 1, 3]
    taken = store.take(np.asarray(index))
    assert taken.lengths.tolist() == [len(TREES[i]) for i in index]
    for found, i in zip(taken, index, strict=True):
        assert found.source == TREES[i].source
        assert [s.parent for s in found.segments] == [s.parent for s in TREES[i].segments]
        assert [s.ids.tolist() for s in found.segments] == [s.ids.tolist() for s in TREES[i].segments]


def test_indices_beyond_the_end_are_errors(tmp_path: Path) -> None:
    store = write(tmp_path / "s", TREES)
    for index in (-1, 4):
        with pytest.raises(IndexError):
            store[index]


def test_a_slice_is_a_list_of_trees(tmp_path: Path) -> None:
    store = write(tmp_path / "s", TREES)
    assert [tree.source for tree in store[1:9:2]] == [TREES[1].source, TREES[3].source]
    assert store[4:] == []


def test_an_empty_store(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [])
    assert (len(store), store.trained, store.lengths.tolist(), list(store)) == (0, 0, [], [])


def test_sources_of_several_files(tmp_path: Path) -> None:
    rows = [chain([1, 2], [0, 1], Source(file, row)) for file, row in (("b.jsonl", 3), ("a.jsonl", 1), ("b.jsonl", 4))]
    assert [str(tree.source) for tree in write(tmp_path / "s", rows)] == ["b.jsonl:3", "a.jsonl:1", "b.jsonl:4"]


def test_before_close_there_is_no_store(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "s")
    writer.add(TREES[0])
    assert not (tmp_path / "s").exists()
    with pytest.raises(FileNotFoundError):
        TreeStore(tmp_path / "s")
    writer.close({})
    assert [p.name for p in tmp_path.iterdir()] == ["s"]  # no temporary folder is left


def test_a_new_store_replaces_the_old_one(tmp_path: Path) -> None:
    write(tmp_path / "s", TREES)
    assert len(write(tmp_path / "s", TREES[:1])) == 1


def test_a_store_of_another_format_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "s", TREES)
    path = tmp_path / "s" / "store.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(RunError, match="token store of format 99, expected 3; delete it"):
        TreeStore(tmp_path / "s")


def segment(length: int, parent: int = -1, weight: float = 1.0, weights: int | None = None) -> Segment:
    values = np.full(length if weights is None else weights, weight, np.float32)
    if parent < 0 and len(values):
        values[0] = 0.0
    return Segment(np.arange(length, dtype=np.int32), values, parent)


BAD = {
    "no trained token": ((segment(3, weight=0.0),), "no token of this row is trained"),
    "a trained first token": (
        (Segment(np.arange(2, dtype=np.int32), np.ones(2, np.float32)),),
        "first token has nothing before it",
    ),
    "fewer weights than ids": ((segment(3, weights=2),), "segment 0 has 3 ids and 2 weights"),
    "an empty segment": ((segment(3), segment(0, 0)), "segment 1 has 0 ids"),
    "a parent that comes later": ((segment(3), segment(2, 2), segment(2, 0)), "segment 1 has parent 2"),
    "a second root": ((segment(3), segment(2)), "segment 1 has parent -1"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_malformed_tree_is_refused(case: str, tmp_path: Path) -> None:
    segments, message = BAD[case]
    with pytest.raises(RenderError, match=f"f.jsonl:5: .*{message}"):
        StoreWriter(tmp_path / "s").add(TokenTree(segments, Source("f.jsonl", 5)))


def test_verdicts_come_back(tmp_path: Path) -> None:
    rows = [TokenTree(grow(CHAIN, 400, i).segments, Source("f", i), v) for i, v in enumerate((True, None, False, True))]
    store = write(tmp_path / "s", rows)
    assert [tree.desirable for tree in store] == [True, None, False, True]
    assert store.verdicts == (2, 1)
