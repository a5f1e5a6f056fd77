"""Regular expressions of strangers, compiled within bounds; how long they may match is for whoever uses them to say.

`regex` writes the body of a repeated group out twice, so that twenty repeated groups within each other, in 200 characters,
take 16 s and 1.4 GB before anything is matched.
"""

import re
from functools import lru_cache
from typing import Any, Final

import regex

DEEPEST_GROUP: Final = 6
"""Groups within each other; a pattern of a thousand characters then compiles in some 50 ms at most."""
LONGEST_PATTERN: Final = 1000

# What JavaScript's dialect, which schemas have, does not know, and what would make parentheses hard to count.
_FOREIGN = re.compile(r"\(\?#|\(\?[a-zA-Z0-9-]*[xV]|\[:")
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()]", re.DOTALL)


def refused(pattern: str) -> str | None:
    """Why a pattern is not even compiled; None where it may be."""
    if len(pattern) > LONGEST_PATTERN:
        return f"a pattern has {len(pattern)} characters; allowed: {LONGEST_PATTERN}"
    if found := _FOREIGN.search(pattern):
        return f"a pattern has '{found.group()[:20]}', which JSON Schema's dialect (ECMA 262) does not know"
    if (deepest := _deepest(pattern)) > DEEPEST_GROUP:
        return f"a pattern has {deepest} groups within each other; allowed: {DEEPEST_GROUP}"
    return None


@lru_cache(64)  # one may take a megabyte
def compiled(pattern: str) -> Any:
    """A pattern; schemas have them in JavaScript's dialect, which this one knows for the most part.

    Raises:
        regex.error, RecursionError, OverflowError: it is none, or `refused`.
    """
    if reason := refused(pattern):
        raise regex.error(reason)
    return regex.compile(pattern)


def _deepest(pattern: str) -> int:
    """How many groups stand within each other at most; sets and escaped characters hold no groups."""
    depth = deepest = 0
    for token in _TOKEN.findall(pattern):
        depth += (token == "(") - (token == ")")
        deepest = max(deepest, depth)
    return deepest
