"""The tree that `re` reads an expression into."""

import re
from importlib import import_module
from typing import Any

Given = Any
"""What a node of the tree holds: a number, a tuple or further nodes, by its name."""
Node = tuple[object, Given]
"""The name of a node (`str` of it) and what it holds."""
Tree = list[Node]


def tree_of(regex: re.Pattern[str]) -> Tree | None:
    """The parse tree of an expression, a sequence of nodes; None where Python does not give it, since it has no public way to it."""
    try:
        return list(import_module("re._parser").parse(regex.pattern, regex.flags))
    except (ImportError, AttributeError):
        return None
