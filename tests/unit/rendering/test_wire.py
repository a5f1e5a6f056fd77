"""Rows that came from another process are those that were made there."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest

from medicalgpt.data.ledger import Rejected
from medicalgpt.data.read_row import ReadRow
from medicalgpt.data.records import Dialogue, Message, Source
from medicalgpt.data.rows import Row
from medicalgpt.errors import DataError
from medicalgpt.rendering.packed import Packed
from medicalgpt.rendering.row_work import RowKey, RowTrees
from medicalgpt.rendering.rows import Rendered
from medicalgpt.rendering.wire import Found, answered, failed, get, put, taken

FILE = "ward/rows.jsonl"
KEPT = Rendered(())
KEY = RowKey("00ff00ff00ff00ff", 12)
IDS, WEIGHTS = np.array([1, 49151], np.int32).tobytes(), np.array([0, 1], np.float32).tobytes()
ONE, TWO = Packed(IDS, WEIGHTS, b"seg", b"s"), Packed(IDS[:4], b"", b"segments", b"so")


def row(number: int, **more: Any) -> Row:
    return Row(number, None, **more)


def trees(number: int, ending: Rendered = KEPT, **more: Any) -> RowTrees:
    return RowTrees(Source(FILE, number), ending, **{"packed": (ONE, None), "characters": (12, 0), "key": KEY, **more})


def read(place: Row, value: RowTrees | RowKey | None = None, **more: Any) -> Any:
    return ReadRow(place, more.pop("present", frozenset()), value, **more)


RECORD = Dialogue((Message("user", "A fever?"), Message("assistant", "Rest.")), Source(FILE, 9))
ROWS: dict[str, Found] = {
    "kept": read(row(1), trees(1)),
    "both sides": read(row(2), trees(2, packed=(TWO, ONE), characters=(3, 4), held_out=True, key=None)),
    "held out": read(row(3), trees(3, packed=(None, TWO), held_out=True)),
    "truncated": read(row(4), trees(4, Rendered((), "truncated"))),
    "kept for a reason": read(row(5), trees(5, Rendered((), "kept", "as it is"))),
    "too long": read(row(6), trees(6, Rendered((), "dropped", "longer", over_length=True), packed=(None, None))),
    "not learned": read(row(7), trees(7, Rendered((), "dropped", "weight 0", not_learned=True), packed=(None, None))),
    "not rendered": read(row(8), trees(8, Rendered((), "dropped", "no"), error="no", refused=("a", "b"))),
    "with its record": read(row(9), trees(9, record=RECORD)),
    "noted": read(row(10, note="odd", line="sheet 2, row 3"), trees(10), left=("id",), damaged=True),
    "of mapped columns": read(row(11), trees(11), present=frozenset(("ask", "reply"))),
    "a key": read(row(12, line=14), KEY),
    "refused": read(
        row(13, problem="not valid JSON", where="column 3"), refused=Rejected(row(13), "not valid JSON", "rows:13: not")
    ),
    "passed over": read(row(14, problem="a picture", passed=True, allowed="text")),
    "of another kind": read(row(15), other=("document", "document")),
}


@pytest.mark.parametrize("ids", [[0, 65535], [70000, 3], [-1], []])
@pytest.mark.parametrize("weights", [[0, 1, 255], [0.5, 1], [256], [-1], [-0.0], [float("nan")], [float("inf")], []])
def test_ids_and_weights_of_any_size_come_as_they_were(ids: list[int], weights: list[float]) -> None:
    packed = Packed(np.array(ids, np.int32).tobytes(), np.array(weights, np.float32).tobytes(), b"seg", b"s")
    found = [read(row(n), trees(n, packed=(packed, ONE))) for n in (1, 2)]
    assert taken(answered(found), FILE) == found


def test_ids_and_weights_take_less_room_where_they_can() -> None:
    def size(token: int, weight: float) -> int:
        ids, weights = np.full(1000, token, np.int32).tobytes(), np.full(1000, weight, np.float32).tobytes()
        return len(answered([read(row(1), trees(1, packed=(Packed(ids, weights, b"", b""), None)))]))

    assert size(70000, 0.5) - size(65535, 1) == 2000 + 3000


@pytest.mark.parametrize("name", ROWS)
def test_a_row_comes_as_it_was(name: str) -> None:
    assert taken(answered([ROWS[name]]), FILE) == [ROWS[name]]


def test_rows_come_in_their_order() -> None:
    rows = [*ROWS.values()] * 3
    assert taken(answered(rows), FILE) == rows
    assert taken(answered([]), FILE) == []


def test_an_error_comes_as_it_was_raised() -> None:
    with pytest.raises(DataError, match=r"^ward: no rows$"):
        taken(failed(DataError("ward: no rows")), FILE)


def test_an_error_that_cannot_be_sent_is_named() -> None:
    class Odd(Exception):
        """Of no module that another process could import."""

    with pytest.raises(RuntimeError, match=r"^Odd in a process that rendered rows$"):
        taken(failed(Odd()), FILE)


def test_a_message_that_was_cut_off_is_none() -> None:
    stream = BytesIO()
    put(stream, answered([ROWS["kept"]]))
    written = stream.getvalue()
    assert taken(get(BytesIO(written)), FILE) == [ROWS["kept"]]
    for end in (0, 3, 8, len(written) - 1):
        with pytest.raises(EOFError):
            get(BytesIO(written[:end]))
