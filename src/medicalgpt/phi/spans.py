"""A found piece of personal data, and one list out of many that overlap."""

from bisect import bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from medicalgpt.phi.kinds import Kind

_PLACES: Final = frozenset({Kind.ADDRESS, Kind.ORGANIZATION})


@dataclass(frozen=True, order=True, slots=True)
class Span:
    """Characters `start` to `end` (not included) of a text are personal data.

    `source` says who found it ("pattern:phone", "context", "lac", "propagated"), `confidence` how sure it is, 0 to 1: an order
    among finders, not a probability.
    """

    start: int
    end: int
    kind: Kind
    source: str
    confidence: float

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(
                f"a span from {self.start} to {self.end} holds nothing; start must be ≥ 0 and less than end"
            )


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans in order of place that do not overlap and cover every character that any given one covers.

    Where two overlap, the surer one keeps its place (the longer of equally sure ones) and the other keeps what is left of it,
    so that merging never uncovers a character.
    """
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (-s.confidence, s.start - s.end, s.start, s.kind)):
        for part in _left_over(span, kept):
            insort(kept, part)
    return kept


def _left_over(span: Span, kept: list[Span]) -> list[Span]:
    """The parts of a span that none of `kept` covers; kept ones are in order and do not overlap."""
    first = bisect_right(kept, span.start, key=lambda other: other.end)
    parts, at = [], span.start
    for other in islice(kept, first, None):
        if other.start >= span.end:
            break
        if at < other.start:
            parts.append(replace(span, start=at, end=other.start))
        at = other.end
    if at < span.end:
        parts.append(replace(span, start=at))
    return parts


def tidied(text: str, spans: Iterable[Span]) -> list[Span]:
    """Merged spans without blanks at their ends, without those that hold no letter or digit, and as one where a place or
    an institution goes on in the next."""
    out: list[Span] = []
    for span in spans:
        value = text[span.start : span.end]
        if not any(c.isalnum() for c in value):
            continue
        start = span.end - len(value.lstrip())
        if value.count(")") > value.count("(") and text[start - 1 : start] == "(" and (not out or out[-1].end < start):
            start -= 1  # (212) 555-0100: a label before it took the bracket for its own
        span = replace(span, start=start, end=span.end - len(value) + len(value.rstrip()))
        before = out[-1] if out else None
        if (
            before
            and before.kind == span.kind
            and text[before.end : span.start] in ("", " " if span.kind in _PLACES else "")
        ):
            out[-1] = replace(before, end=span.end, confidence=max(before.confidence, span.confidence))
        else:
            out.append(span)
    return out
