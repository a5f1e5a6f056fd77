"""Lines of pages joined to the paragraphs they were broken from, in Chinese and in text with spaces; words divided at their end mended.

A line goes on in the next one where the first word there had no room left on it, where neither space nor indentation parts them,
and where the next one does not begin like an item of a list or a field of a form.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median
from typing import Final

from medicalgpt.data.documents.block import BREAK, LINE, LONGEST_BLOCK
from medicalgpt.data.documents.pdf_page import HYPHEN, Line, Page, is_ideograph

_ITEM: Final = re.compile(
    r"\s*(?:[•·●○■□▪◦‣*–—-]\s|\d{1,3}[.)]\s|\d{1,3}[、．)）]|[(（]\d{1,3}[)）]|[一二三四五六七八九十]{1,3}、|[A-Z][.)]\s)"
)
_FIELD: Final = re.compile(r"\s*(?:[\u3400-\u9fff]{1,8}\s?[：:]|[A-Z][\w/-]*(?: [\w/-]+){0,3}:\s)")
_FIRST: Final = re.compile(r"\S+")
_ENDED: Final = re.compile(r"[。！？!?.:：;；…][”」』’\"')）]*\s*$")
_NEAR: Final = 12  # lines whose ends say where the margin is
_WORD_END: Final = re.compile(rf"([^\W\d_]{{2,}})([{HYPHEN}‐-])$")
_LONGEST_WORD: Final = 64
_MOST_KNOWN: Final = 50_000
_WORD_START: Final = re.compile(r"[a-zà-ÿ]+")


class Paragraphs:
    """Takes pages one after another, and gives paragraphs: page, text, and what stands before it."""

    def __init__(self) -> None:
        self._text = ""
        self._page = 1
        self._glue = LINE
        self._last: tuple[Line, bool] | None = None  # the line before, and whether it is full
        self._known: set[str] = set()  # words with a hyphen of their own

    def take(self, page: Page) -> Iterator[tuple[int, str, str]]:
        """A page. What is not at its end yet comes with the next one, or at the end."""
        pitch = _pitch(page.lines)
        for number, line in enumerate(page.lines):
            if len(self._known) < _MOST_KNOWN:
                self._known.update(re.findall(r"[^\W\d_]+-[^\W\d_]+", line.text))
            before, full = self._last if self._last is not None else (line, False)
            same_page = number > 0
            joins = full and (_follows(before, line, pitch) if same_page else _goes_on(before, line))
            if joins and 0 < len(self._text) < LONGEST_BLOCK:
                self._text = self._joined(self._text, line.text.strip())
            else:
                yield from self.rest()
                gap = before.y - line.y if same_page else 0.0
                self._glue = BREAK if gap > 1.6 * pitch > 0 else LINE
                self._text, self._page = line.text.strip(), page.number
            following = page.lines[number + 1] if number + 1 < len(page.lines) else None
            self._last = line, _is_full(line, following, page, number)

    def rest(self) -> Iterator[tuple[int, str, str]]:
        """What is left."""
        text = self._text.replace(HYPHEN, "-").strip()
        if text:
            yield self._page, text, self._glue
        self._text = ""

    def _joined(self, first: str, second: str) -> str:
        if not second:
            return first
        divided, start = _WORD_END.search(first[-_LONGEST_WORD:]), _WORD_START.match(second)
        if divided and start:
            whole = f"{divided[1]}-{start[0]}"
            keeps = whole in self._known
            return first[:-1] + ("-" if keeps else "") + second
        if first[-1] in (HYPHEN, "-", "‐", "/"):
            return first.removesuffix(HYPHEN) + ("-" if first[-1] == HYPHEN else "") + second
        if is_ideograph(ord(first[-1])) or is_ideograph(ord(second[0])):
            return first + second
        return f"{first} {second}"


def _pitch(lines: Sequence[Line]) -> float:
    """The usual distance from one line to the next below it; 0 where there is none."""
    steps = [a.y - b.y for a, b in pairwise(lines) if 0 < a.y - b.y < 4 * max(a.height, 1.0)]
    return median(steps) if steps else 0.0


def _follows(line: Line, below: Line, pitch: float) -> bool:
    """Whether nothing parts a line from the one below it."""
    step = line.y - below.y
    if not 0 < step <= 1.35 * pitch or step > 3 * max(line.height, below.height) or line.tabular or below.tabular:
        return False
    return (
        _same_size(line, below) and _not_begun(below) and (below.left - line.left < 0.8 * line.height or _is_item(line))
    )


def _goes_on(line: Line, above: Line) -> bool:
    """Whether the last line of a page goes on in the first of the next one. A capital may begin a heading, so it goes on in none."""
    begins = above.text.lstrip()[:1]
    if line.tabular or above.tabular:
        return False
    return _same_size(line, above) and _not_begun(above) and not (_ENDED.search(line.text) or begins.isupper())


def _same_size(first: Line, second: Line) -> bool:
    return abs(first.height - second.height) <= 0.2 * max(first.height, second.height)


def _is_item(line: Line) -> bool:
    return _ITEM.match(line.text) is not None


def _not_begun(line: Line) -> bool:
    return not _is_item(line) and _FIELD.match(line.text) is None


def _is_full(line: Line, following: Line | None, page: Page, number: int) -> bool:
    """Whether the first word of the line below had no room left on this one, which is one of running text."""
    near = page.lines[max(0, number - _NEAR) : number + _NEAR + 1]
    column = [other.right for other in near if other is not line and abs(other.left - line.left) < 4 * line.height]
    margin = max(
        [line.right, *column] if column else [line.right, page.width - line.left]
    )  # alone: as wide as on the left
    units = _units(line.text)
    width = line.right - line.left
    if width < 0.35 * page.width or units < 20 or width <= 0:
        return False
    first = _FIRST.match(following.text.strip()) if following is not None else None
    word = first[0] if first else "word"
    if is_ideograph(ord(word[0])):
        word = word[:2]
    room = margin - line.right
    return room < (_units(word) + 0.5) * width / units


def _units(text: str) -> int:
    """Width of a text in half-width characters."""
    return sum(2 if is_ideograph(ord(c)) else 1 for c in text)
