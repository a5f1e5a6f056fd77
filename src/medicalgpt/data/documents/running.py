"""Running headers and footers: lines at the edge of a page that stand at the same place of pages near it.

Looked for near a page, not in the whole, so that a book's chapters may have headers of their own and no file is held whole. A line
counts as the same when its numbers are, but for one that grows as the pages do: rows of figures that happen to have one form
are no page numbers.
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from medicalgpt.data.documents.pdf_page import Line, Page

NEAR: Final = 4
"""Pages before and behind one that are looked at."""
_EDGE: Final = 4  # lines from the top, and as many from the bottom
_ZONE: Final = 0.15  # of the page's height, above and below
_SAME_PLACE: Final = 3.0  # points
_OTHERS: Final = 2  # pages that must have it, too
_NUMBER: Final = re.compile(r"\d{1,9}")


class _Edge:
    """What may be running lines of a page: form, numbers, place."""

    def __init__(self, page: Page) -> None:
        self.number = page.number
        heights = sorted({round(line.y) for line in page.lines})
        low, high = _ZONE * page.height, (1 - _ZONE) * page.height
        edge = {*heights[:_EDGE], *heights[-_EDGE:]}
        self.lines = [
            (at, _form(line), [int(n) for n in _NUMBER.findall(line.text)], line.y)
            for at, line in enumerate(page.lines)
            if round(line.y) in edge and not low < line.y < high
        ]


def _form(line: Line) -> str:
    return "".join(_NUMBER.sub("0", line.text).split())


def without_running(pages: Iterator[Page], count: int) -> Iterator[Page]:
    """The pages of a document of `count`, without their running lines; one is read so far ahead as is looked."""
    window: deque[tuple[Page, _Edge]] = deque()
    following = 0
    for page in pages:
        window.append((page, _Edge(page)))
        while window[-1][0].number - window[following][0].number >= NEAR:
            yield _cleaned(window, following, count)
            following += 1
            if following > NEAR:
                window.popleft()
                following -= 1
    while following < len(window):
        yield _cleaned(window, following, count)
        following += 1


def _cleaned(window: deque[tuple[Page, _Edge]], at: int, count: int) -> Page:
    page, edge = window[at]
    others = [other for place, (_, other) in enumerate(window) if place != at]
    needed = min(_OTHERS, count - 1)
    gone = {
        place
        for place, form, numbers, y in edge.lines
        if needed and sum(_has(other, form, numbers, y, other.number - page.number) for other in others) >= needed
    }
    lines = [line for place, line in enumerate(page.lines) if place not in gone]
    return replace(page, lines=lines)


def _counts(numbers: list[int], others: list[int], pages: int) -> bool:
    """Whether the numbers of a line are those of another, but for one that may count the pages."""
    grown = [other - number for number, other in zip(numbers, others) if other != number]
    return not grown or grown == [pages]


def _has(other: _Edge, form: str, numbers: list[int], y: float, pages: int) -> bool:
    return any(
        form == theirs and abs(y - place) <= _SAME_PLACE and _counts(numbers, found, pages)
        for _, theirs, found, place in other.lines
    )
