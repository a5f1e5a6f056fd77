"""Strings that an expression matches, drawn at random from its parse tree."""

import re
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any

from medicalgpt.phi.parse_tree import tree_of

CHARACTERS = (
    "".join(map(chr, range(33, 127)))
    + " \n\t一二三四五六七八九十王李陈小老医院生日年月号区路中心士师姓名患者男女的在国é·、。，：（）"
)
EDGES = ("", "\n", " ", "。", "、", "我", ":", "x", "(", "在", "1", '"')
_CATEGORIES = {
    "CATEGORY_DIGIT": "0123456789٣",
    "CATEGORY_SPACE": " \n\t\u3000",
    "CATEGORY_WORD": "aZ_7王学",
    "CATEGORY_NOT_WORD": " ,-、",
}
_NOT = {"CATEGORY_NOT_DIGIT": str.isdecimal, "CATEGORY_NOT_SPACE": str.isspace}


def matching(regex: re.Pattern[str], rng: Random, tries: int) -> Iterator[str]:
    """Texts in which an expression matches, of so many that are drawn: what it asks to stand around a place may not come out right."""
    tree = tree_of(regex)
    assert tree is not None
    for _ in range(tries):
        text = rng.choice(EDGES) + _Drawn(rng).sequence(tree) + rng.choice(EDGES)
        if regex.flags & re.IGNORECASE and rng.random() < 0.5:
            text = text.swapcase()
        if regex.search(text):
            yield text


class _Drawn:
    """One draw, which knows what its groups hold."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._groups: dict[int, str] = {}

    def sequence(self, items: Sequence[tuple[Any, Any]]) -> str:
        text = ""
        for number, (code, given) in enumerate(items):
            name, last = str(code), number + 1 == len(items)
            if name == "ASSERT" and (given[0] < 0 or last or self._rng.random() < 0.3):
                # What stands before is put there; what is to follow is drawn by itself where nothing does, and else left to chance.
                text = self.sequence(given[1]) + text if given[0] < 0 and not text else text
                text += self.sequence(given[1]) if given[0] > 0 else ""
            elif name not in ("ASSERT", "ASSERT_NOT", "AT"):
                text += self._node(name, given)
        return text

    def _node(self, name: str, given: Any) -> str:
        match name:
            case "LITERAL":
                return chr(given)
            case "NOT_LITERAL":
                return self._rng.choice([char for char in CHARACTERS if ord(char) != given])
            case "ANY":
                return self._rng.choice(CHARACTERS.replace("\n", ""))
            case "IN":
                return self._member(given)
            case "BRANCH":
                return self.sequence(self._rng.choice(given[1]))
            case "SUBPATTERN":
                text = self.sequence(given[3])
                self._groups[given[0]] = text
                return text
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, tree = given
                return "".join(self.sequence(tree) for _ in range(self._rng.randint(least, min(most, least + 4))))
            case "GROUPREF":
                return self._groups[given]
        raise AssertionError(f"{name}: draw it here, too")

    def _member(self, items: Sequence[tuple[Any, Any]]) -> str:
        if str(items[0][0]) == "NEGATE":
            out = re.compile("|".join(_excluded(items[1:])))
            return self._rng.choice([char for char in CHARACTERS if not out.fullmatch(char)])
        code, given = self._rng.choice(items)
        match str(code):
            case "LITERAL":
                return chr(given)
            case "RANGE":
                return chr(self._rng.randint(*given))
        name = str(given)
        return self._rng.choice(_CATEGORIES.get(name) or [char for char in CHARACTERS if not _NOT[name](char)])


def _excluded(items: Iterable[tuple[Any, Any]]) -> Iterator[str]:
    letters = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}
    for code, given in items:
        match str(code):
            case "LITERAL":
                yield re.escape(chr(given))
            case "RANGE":
                yield f"[{re.escape(chr(given[0]))}-{re.escape(chr(given[1]))}]"
            case _:
                name = str(given).removeprefix("CATEGORY_")
                yield letters[name] if name in letters else letters[name.removeprefix("NOT_")].upper()
