"""Lists of pieces as they are published: one a line, alone or with an id, a score or a frequency beside it."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from medicalgpt.config.sections import Encodings
from medicalgpt.data.encoding import numbered_lines
from medicalgpt.errors import DataError

_NUMBER: Final = r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
# SentencePiece: token TAB score; jieba: word SPACE frequency SPACE part of speech; tables: word,count.
_COLUMNS: Final = {
    "\t": re.compile(rf"(.*)\t[ ]*({_NUMBER})[ ]*(?:\t[A-Za-z]{{0,8}})?"),
    ",": re.compile(rf"(.*[^\s,;，])\s*[,;，]\s*({_NUMBER})\s*(?:[,;，]\s*[A-Za-z]{{1,8}})?"),
    " ": re.compile(rf"(\S(?:.*\S)?) +({_NUMBER})(?: +[A-Za-z]{{1,8}})?"),
}
_CONTROL: Final = re.compile(
    r"<\|[^\s|]{1,60}\|>|</?[A-Za-z0-9_.:-]{1,60}/?>|\[(?:UNK|CLS|SEP|PAD|MASK|BOS|EOS|EOT|[gs]MASK|unused\d+)\]"
)

Line = tuple[int, str]  # its number from 1, its text


def read_list(path: Path, say: Callable[[str], None], encoding: Encodings = "auto") -> list[str]:
    """The pieces of a list, the most important first: by a column of scores or frequencies, else as they stand.

    Args:
        say: gets a line about what was left out.
        encoding: as `open_text`.

    Raises:
        DataError: the file cannot be read or decoded, or some lines have a second column and some not, with the line.
    """
    lines = [(number, line.rstrip("\n")) for number, line in numbered_lines(path, newline=None, encoding=encoding)]
    column = _column(path, lines)
    if column is None:
        pieces = [line.rstrip() for _, line in lines]
    else:
        pieces = _by_column(lines, column, say)
    kept = [piece for piece in pieces if not _CONTROL.fullmatch(piece)]
    if len(kept) < len(pieces):
        say(f"{path.name}: {len(pieces) - len(kept)} control tokens left out (<unk>, <s>, [CLS] and the like)")
    return kept


def _column(path: Path, lines: Sequence[Line]) -> re.Pattern[str] | None:
    """What takes a line apart, None where pieces stand alone.

    Raises:
        DataError: the first line that is unlike the others.
    """
    tabbed = any("\t" in line.strip() for _, line in lines)
    comma = not tabbed and 2 * sum(bool(_COLUMNS[","].fullmatch(line)) for _, line in lines) > len(lines)
    column = _COLUMNS["\t" if tabbed else "," if comma else " "]
    odd = [number for number, line in lines if not column.fullmatch(line)]
    # A piece may well be a word and a number ("factor 8"), and a line with a tab is never one.
    most = 2 * len(odd) < len(lines)
    if not odd and lines:
        return column
    if not tabbed and not most:
        return None
    place = odd[0] if most else next(number for number, line in lines if "\t" in line.strip())
    raise DataError(
        f"{path}:{place}: this line is unlike most others, or has a tab without a number behind it; allowed: one piece a line, "
        "either all alone or all with a number behind them (id, score or frequency, after a tab, a comma or a space)"
    )


def _by_column(lines: Sequence[Line], column: re.Pattern[str], say: Callable[[str], None]) -> list[str]:
    parts = [found.groups() for _, line in lines if (found := column.fullmatch(line))]
    numbers = [float(number) for _, number in parts]
    pieces = [piece for piece, _ in parts]
    if all(after > before for before, after in pairwise(numbers)):
        say(f"{len(pieces)} lines have an id behind their piece, which is left out")
        return pieces
    say(f"{len(pieces)} lines have a score or frequency behind their piece; it is left out, and the highest come first")
    order = sorted(range(len(pieces)), key=lambda i: -numbers[i])
    return [pieces[i] for i in order]
