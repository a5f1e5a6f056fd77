"""How far from where it begins an expression may look, so that a part of a text can be searched as if it were all of it."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Final, NamedTuple

from medicalgpt.phi.parse_tree import Given, Node, tree_of

FAR: Final = 1_000_000_000
"""Characters: any number of them."""


class Reach(NamedTuple):
    """Of an expression or a part of it: the most characters it matches, and how many from its beginning it looks ahead and behind."""

    width: int
    ahead: int
    behind: int


def _of(items: Iterable[Node], groups: dict[int | None, int]) -> Reach:
    """The reach of parts one behind the other; `groups` gets the width of each group."""
    width = ahead = behind = 0
    for code, given in items:
        one = _node(str(code), given, groups)
        ahead, behind = max(ahead, width + one.ahead), max(behind, one.behind)
        width = min(FAR, width + one.width)
    return Reach(width, max(ahead, width), behind)


def _node(name: str, given: Given, groups: dict[int | None, int]) -> Reach:
    match name:
        case "LITERAL" | "NOT_LITERAL" | "IN" | "ANY":
            return Reach(1, 1, 0)
        case "AT":
            return Reach(0, 2, 1)  # "$" also stands before the last line break
        case "BRANCH":
            found = [_of(branch, groups) for branch in given[1]]
            return Reach(*(max(part[at] for part in found) for at in range(3)))
        case "SUBPATTERN":
            part = _of(given[3], groups)
            groups[given[0]] = part.width
            return part
        case "ATOMIC_GROUP":
            return _of(given, groups)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            part, most = _of(given[2], groups), int(given[1])
            before = min(FAR, part.width * max(0, most - 1))
            return Reach(min(FAR, part.width * most), min(FAR, before + part.ahead), part.behind)
        case "ASSERT" | "ASSERT_NOT":
            part = _of(given[1], groups)
            return Reach(0, part.ahead, part.behind) if given[0] > 0 else Reach(0, 0, part.width + part.behind)
        case "GROUPREF":
            width = groups.get(given, FAR)
            return Reach(width, width, 0)
    return Reach(FAR, FAR, FAR)  # what is not known


@cache
def reach(regex: re.Pattern[str]) -> Reach:
    """How far an expression looks; `FAR` where that is not known."""
    tree = tree_of(regex)
    return Reach(FAR, FAR, FAR) if tree is None else _of(tree, {})
