"""Names with blanks between their characters, as forms and optical reading leave them: 王 建 国."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from medicalgpt.phi.spans import Span

_HAN: Final = r"[\u3400-\u9fff]"
_RUN: Final = re.compile(rf"{_HAN}(?: {{1,2}}{_HAN}){{1,4}}")
_SENTENCE: Final = re.compile(r"[^。！？!?；;\n\r]{2,1024}")


@dataclass(frozen=True)
class Closed:
    """A sentence without the blanks inside such runs: `at` has the place in text number `index` of each of its characters."""

    index: int
    text: str
    at: tuple[int, ...]

    def opened(self, start: int, end: int) -> tuple[int, int] | None:
        """Where in its text characters `start` to `end` stand, if a blank follows each of them but the last."""
        places = self.at[start:end]
        apart = all(b - a > 1 for a, b in pairwise(places))
        return (places[0], places[-1] + 1) if apart else None

    def carried(self, spans: Sequence[Span]) -> list[Span]:
        """Spans of its text that lie within it, at their places in it."""
        inside = (span for span in spans if self.at[0] <= span.start and span.end <= self.at[-1] + 1)
        moved = ((span, bisect_left(self.at, span.start), bisect_left(self.at, span.end)) for span in inside)
        return [replace(span, start=start, end=end) for span, start, end in moved if start < end]


def closed(texts: Sequence[str]) -> Iterator[Closed]:
    """The sentences of texts that hold a run of single Chinese characters with blanks between them."""
    for index, text in enumerate(texts):
        if not _RUN.search(text):
            continue
        for sentence in _SENTENCE.finditer(text):
            start, end = sentence.span()
            left_out = {at for run in _RUN.finditer(text, start, end) for at in range(*run.span()) if text[at] == " "}
            if left_out:
                at = tuple(i for i in range(start, end) if i not in left_out)
                yield Closed(index, "".join(text[i] for i in at), at)
