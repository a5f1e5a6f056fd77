"""No row vanishes: whatever is read and however it ends, the ledger's totals add up."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medicalgpt.data.ledger import OUTCOMES, Ledger
from medicalgpt.data.reader import read
from medicalgpt.errors import DataError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["question", "answer", "messages", "text", "instruction", "output", "chosen", "prompt", "x"])
TURN = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "x"]), "content": st.text(max_size=5)}
)
VALUE = JSON | st.lists(TURN, max_size=4)
GOOD = st.fixed_dictionaries({"question": st.just("q"), "answer": st.just("a")}, optional={"id": st.integers()})
LINE = st.one_of(
    GOOD.map(json.dumps),
    st.dictionaries(NAMES, VALUE, max_size=4).map(json.dumps),
    JSON.map(json.dumps),
    st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), max_size=20),
)


@given(st.lists(st.lists(LINE, max_size=12), min_size=1, max_size=3), st.randoms())
@settings(max_examples=150, deadline=None)
def test_every_row_of_any_file_is_yielded_or_dropped_with_a_reason(files: list[list[str]], random: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for i, lines in enumerate(files):
            # A first good row, so that the file is one of dialogues; odd rows may follow.
            content = "\n".join(['{"question": "q", "answer": "a"}', *lines])
            Path(folder, f"{i}.jsonl").write_text(content, encoding="utf-8", newline="")
        ledger = Ledger()
        records = list(read([folder], "dialogue", on_bad_row="drop", max_bad_share=1.0, ledger=ledger))
    rows = sum(1 + sum(bool(line.strip()) for line in lines) for lines in files)
    assert sum(ledger.seen.values()) == rows
    assert ledger.total("dropped") == rows - len(records)
    assert sum(ledger.reasons.values()) == ledger.total("dropped")
    for record in records:
        ledger.settle(record.source.file, random.choice(OUTCOMES), "too long")  # type: ignore[attr-defined]
    ledger.check()
    totals = ledger.as_dict()
    assert totals["rows"] == sum(totals[outcome] for outcome in OUTCOMES) == rows
    assert sum(entry["rows"] for entry in totals["files"].values()) == rows


FATES = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(OUTCOMES)), min_size=1, max_size=30)


@given(FATES, st.data())
@settings(deadline=None)
def test_one_fate_missing_or_too_many_is_noticed(fates: list[tuple[str, str]], data: st.DataObject) -> None:
    odd = data.draw(st.integers(0, len(fates) - 1))
    missing, doubled = Ledger(), Ledger()
    for i, (file, outcome) in enumerate(fates):
        for ledger, times in ((missing, int(i != odd)), (doubled, 1 + int(i == odd))):
            ledger.see(file)
            for _ in range(times):
                ledger.settle(file, outcome, "reason")  # type: ignore[arg-type]
    for ledger in (missing, doubled):
        with pytest.raises(DataError, match=f"{fates[odd][0]}: .* rows were read but"):
            ledger.check()


def test_a_row_settled_in_a_file_that_was_never_read_is_noticed() -> None:
    ledger = Ledger()
    ledger.settle("ghost.jsonl", "kept")
    with pytest.raises(DataError, match=r"ghost\.jsonl: 0 rows were read but 1 were accounted for"):
        ledger.check()


def test_a_drop_needs_a_reason_and_an_outcome_a_name() -> None:
    with pytest.raises(ValueError, match="needs a reason"):
        Ledger().settle("a", "dropped")
    with pytest.raises(ValueError, match="unknown outcome 'lost'"):
        Ledger().settle("a", "lost")  # type: ignore[arg-type]
