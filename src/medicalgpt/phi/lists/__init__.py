"""Word lists that come with the package. Written by us from public facts; see the head of each file."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

_PLACE: Final = Path(__file__).parent


class Words(tuple[str, ...]):
    """Words of one list in their order, with quick membership."""

    def __init__(self, _: tuple[str, ...]) -> None:
        self._set = frozenset(self)

    def __contains__(self, word: object) -> bool:
        return word in self._set


@cache
def words(name: str) -> Words:
    """A list by its name, such as "zh/surnames": words between white space, or lines where its head says so; `#` begins a remark."""
    lines = (_PLACE / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    one_a_line = any(line.startswith("# one a line") for line in lines)
    return Words(tuple(dict.fromkeys(_parsed(lines, one_a_line))))


def _parsed(lines: list[str], one_a_line: bool) -> Iterator[str]:
    for line in lines:
        text = line.partition("#")[0].strip()
        if text:
            yield from [text] if one_a_line else text.split()
