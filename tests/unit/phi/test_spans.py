"""Spans: what merging keeps, and folding that moves nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medicalgpt.phi import Kind, Span, merged
from medicalgpt.phi.fold import fold
from medicalgpt.phi.spans import tidied

SPANS = st.lists(
    st.builds(
        lambda start, size, kind, sure: Span(start, start + size, kind, "test", sure),
        st.integers(0, 40),
        st.integers(1, 12),
        st.sampled_from(Kind),
        st.sampled_from([0.5, 0.7, 0.9]),
    ),
    max_size=12,
)


def _covered(spans: list[Span]) -> list[int]:
    return [i for s in spans for i in range(s.start, s.end)]


@given(SPANS)
def test_merging_covers_the_same_characters_once_and_in_order(spans: list[Span]) -> None:
    out = merged(spans)
    assert _covered(out) == sorted(set(_covered(spans)))
    assert out == sorted(out)


def test_the_surer_span_keeps_its_place_and_the_other_what_is_left() -> None:
    weak, sure = Span(0, 10, Kind.OTHER_ID, "long", 0.6), Span(3, 6, Kind.NAME, "label", 0.9)
    assert [(s.start, s.end, s.kind) for s in merged([weak, sure])] == [
        (0, 3, Kind.OTHER_ID),
        (3, 6, Kind.NAME),
        (6, 10, Kind.OTHER_ID),
    ]


def test_tidying_drops_marks_and_joins_the_parts_of_a_place() -> None:
    text = "St. Mary's Hospital, # 12"
    parts = [
        Span(0, 10, Kind.ORGANIZATION, "a", 0.8),
        Span(10, 19, Kind.ORGANIZATION, "b", 0.7),
        Span(21, 22, Kind.OTHER_ID, "c", 0.7),
    ]
    (one,) = tidied(text, parts)
    assert text[one.start : one.end] == "St. Mary's Hospital"


@pytest.mark.parametrize(("start", "end"), [(2, 2), (3, 1), (-1, 2)])
def test_a_span_that_holds_nothing_is_refused(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="holds nothing"):
        Span(start, end, Kind.NAME, "test", 0.5)


@given(st.text())
def test_folding_keeps_every_place(text: str) -> None:
    assert len(fold(text)) == len(text)


def test_folding_takes_width_dashes_and_spaces_away() -> None:
    assert fold("１３８－１２３４　ＡＢ：\u200b’") == "138-1234 AB: '"
