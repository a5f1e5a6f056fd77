"""Chinese names and institutions by the network: names by a score (`name_score`), 小王, foreign names with a dot, institutions."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, groupby
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lac import Word, lac
from medicalgpt.phi.name_blanks import closed
from medicalgpt.phi.name_company import Marks
from medicalgpt.phi.name_score import Text, by_score
from medicalgpt.phi.spans import Span
from medicalgpt.phi.zh_classics import classical
from medicalgpt.phi.zh_institutions import institution
from medicalgpt.phi.zh_names import (
    ANNOUNCED,
    NOT_NAMES,
    SURNAMES,
    TITLES,
    named,
    plausible,
    transliterated,
)

_FAMILIAR: Final = "小老阿大"
_TITLE: Final = re.compile(rf"(?:{TITLES})$")
LEAST: Final = 0.3
"""How much the labels of 小王 lead on average."""


def by_network(folded: Sequence[str], known: Sequence[Sequence[Span]], of: Sequence[int]) -> list[list[Span]]:
    """Names and institutions of each text. `known`: what rules found in each, `of`: the document of each, in order; the fields of a
    document are read as lines of one text, so that each is company for the others."""
    found: list[list[Span]] = [[] for _ in folded]
    fields = [list(group) for _, group in groupby(range(len(folded)), key=lambda i: of[i])]
    starts = [[0, *accumulate(len(folded[i]) + 1 for i in mine)] for mine in fields]
    documents = ["\n".join(folded[i] for i in mine) for mine in fields]
    marks = [
        [
            replace(span, start=span.start + at, end=span.end + at)
            for i, at in zip(mine, places, strict=False)
            for span in known[i]
        ]
        for mine, places in zip(fields, starts, strict=True)
    ]
    for number, span in _of_documents(documents, marks):
        at = bisect_right(starts[number], span.start) - 1
        first = starts[number][at]
        found[fields[number][at]].append(replace(span, start=span.start - first, end=span.end - first))
    return found


def _of_documents(texts: Sequence[str], known: Sequence[Sequence[Span]]) -> Iterator[tuple[int, Span]]:
    """The same of whole documents, with the number of each."""
    marks = [Marks.of_text(text, spans) for text, spans in zip(texts, known, strict=True)]
    old = [classical(text) and not mark.places() for text, mark in zip(texts, marks, strict=True)]
    spaced = [one for one in closed(texts) if not old[one.index]]
    readings = lac().read([*texts, *(one.text for one in spaced)])
    for number, (text, reading, ancient) in enumerate(zip(texts, readings, old, strict=False)):
        yield from ((number, span) for word in reading.words for span in _of_word(text, word, ancient))
    scored = [Text(i, text, readings[i], marks[i]) for i, text in enumerate(texts) if not old[i]]
    scored += [
        Text(one.index, one.text, reading, Marks.from_spans(one.carried(known[one.index])), one)
        for one, reading in zip(spaced, readings[len(texts) :], strict=True)
    ]
    yield from by_score(scored)


def _of_word(text: str, word: Word, old: bool) -> Iterator[Span]:
    """A word that the network calls a name or an institution."""
    value = _TITLE.sub("", text[word.start : word.end].strip())
    if not value or word.tag not in ("PER", "ORG"):
        return
    start = text.index(value, word.start)
    end = start + len(value)
    if word.tag == "ORG" and institution(value):
        yield Span(start, end, Kind.ORGANIZATION, "lac", 0.65)
    if word.tag == "PER" and (_announced(text, start, end) if old else _familiar(value, word.sure)):
        yield Span(start, end, Kind.NAME, "lac", 0.75)


def _familiar(value: str, sure: float) -> bool:
    """小王, or a foreign name with a dot."""
    if transliterated(value):
        return True
    called = len(value) in (2, 3) and value[0] in _FAMILIAR and value[1] in SURNAMES
    return called and value not in NOT_NAMES and plausible(value[1:]) and sure >= LEAST


def _announced(text: str, start: int, end: int) -> bool:
    """A name behind a word that announces one, which is all that counts in the language of the classics."""
    value = text[start:end]
    return named(value) and value[-1] not in "氏某" and bool(ANNOUNCED.search(text, max(0, start - 8), start))
