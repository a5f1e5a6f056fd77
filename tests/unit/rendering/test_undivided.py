"""Trees stored before it is known which are held out end up as if it had been known."""

from pathlib import Path

import numpy as np
import pytest

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.records import Source
from medicalgpt.data.split import Split
from medicalgpt.rendering import undivided as undivided_
from medicalgpt.rendering.packed import pack
from medicalgpt.rendering.row_work import RowKey, RowTrees
from medicalgpt.rendering.rows import Rendered
from medicalgpt.rendering.store import StoreWriter, TreeStore
from medicalgpt.rendering.tree import Segment, TokenTree
from medicalgpt.rendering.undivided import Undivided

HELD = {f"{n:016x}" for n in range(0, 40, 3)}


def tree(source: Source, number: int) -> TokenTree:
    ids = np.arange(number, number + 3 + number % 4, dtype=np.int32)
    trunk = Segment(ids, np.zeros(len(ids), np.float32))
    return TokenTree((trunk, Segment(ids, np.full(len(ids), 0.5, np.float32), 0)), source, number % 2 == 0)


def rows() -> list[RowTrees]:
    """Forty rows of two files: some without a tree (dropped), some with two."""
    found = []
    for number in range(40):
        source = Source("a.jsonl" if number < 25 else "b.jsonl", number % 25 + 1)
        trees = [tree(source, number + k) for k in range((1, 0, 2)[number % 5 % 3])]
        row = Rendered((), "kept") if trees else Rendered((), "dropped", "longer")
        key = RowKey(f"{number // 2:016x}", 10 + number)
        found.append(RowTrees(source, row, (pack(trees) if trees else None, None), (0, 0), key=key))
    return found


@pytest.mark.parametrize("most", [3, 4096])
def test_stores_are_those_of_a_split_that_was_known(most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undivided_, "_MOST", most)
    split, ledger, known = Split(frozenset(HELD)), Ledger(), Ledger()
    undivided = Undivided(tmp_path / "temp")
    writers = [StoreWriter(tmp_path / name) for name in ("train", "held", "known train", "known held")]
    for row in rows():
        undivided.add(row)
        assert row.key is not None
        held = row.key.key in HELD
        if row.packed[0] is not None:
            writers[2 + held].append(row.packed[0], row.source.file)
        if row.row.outcome != "dropped":
            known.count_text(row.source.file, row.key.size, held)
    undivided.close()
    undivided.divide(split, writers[0], writers[1], ledger)
    assert [(s.file, s.row) for s in undivided.held_out(split)] == [
        (r.source.file, r.source.row) for r in rows() if r.key is not None and r.key.key in HELD
    ]
    for writer in writers:
        writer.close({})
    for name in ("train", "held"):
        ours, theirs = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in (name, f"known {name}"))
        assert ours == theirs
        assert len(TreeStore(tmp_path / name)) > 5
    assert ledger.text == known.text


def test_no_row_is_no_split(tmp_path: Path) -> None:
    undivided = Undivided(tmp_path)
    undivided.close()
    assert not undivided.split(0.1, 1)
    assert list(undivided.held_out(Split(frozenset(HELD)))) == []
