"""Text written by `flow` reads back equal, and plain scalars mean what they look like."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medicalgpt.config.yaml_text import flow, parse

TRAPS = ["2e-4", "no", "on", "~", "", "1:30", "010", "0o7", "2024-01-01", "<<", "=", "null", "1_000", "#"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(
        ["2e-4", "no", "on", "~", "", "1:30", "010", "0o7", "2024-01-01", "<<", "=", "null", "1_000", "#"]
    )
)
KEYS = st.text(max_size=20)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=8)


@given(VALUES)
def test_what_is_written_reads_back_equal_and_stays_on_one_line(value: Any) -> None:
    text = flow(value)
    assert len(text.splitlines()) <= 1
    parsed = parse(f"key: {text}  # comment\n")
    assert parsed.faults == []
    assert parsed.value == {"key": value}
    assert repr(parsed.value["key"]) == repr(value)  # 1, 1.0 and true are equal in Python, not here


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-4", 2e-4),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("-1.", -1.0),
        ("010", 10),
        ("0x10", 16),
        ("0o17", 15),
        ("+3", 3),
        ("True", True),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("1e", "1e"),
        (".", "."),
        (".nan", ".nan"),
        ("'5'", "5"),
        ("!!str 5", "5"),
    ],
)
def test_plain_scalars(text: str, value: object) -> None:
    found = parse(f"k: {text}\n").value["k"]
    assert (found, type(found)) == (value, type(value))


def test_keys_are_words_as_written() -> None:
    assert parse("{on: 1, 2: b, null: c}").value == {"on": 1, "2": "b", "null": "c"}


def test_lines_count_from_one_and_cover_keys_and_items() -> None:
    parsed = parse("# c\na:\n  b: 1\n  c:\n  - x\n  - {d: 2}\n")
    assert parsed.lines == {
        ("a",): 2,
        ("a", "b"): 3,
        ("a", "c"): 4,
        ("a", "c", 0): 5,
        ("a", "c", 1): 6,
        ("a", "c", 1, "d"): 6,
    }


def test_a_merged_mapping_used_twice_is_not_taken_for_duplicates() -> None:
    parsed = parse("a: &a {x: 1}\nb: &b {<<: *a, x: 2}\nc: *b\nd: *b\n")
    assert parsed.faults == []
    assert parsed.value["d"] == {"x": 2}
