"""How far a short answer and its reference say the same: F1 over their words, Chinese and Japanese by characters."""

import re
from collections import Counter
from typing import Final

from medicalgpt.rewards.matching import CJK, folded

_TOKEN: Final = re.compile(rf"\d+(?:\.\d+)?|[{CJK}]|[^\W\d_{CJK}]+")
_ARTICLES: Final = frozenset({"a", "an", "the"})


def words(text: str) -> list[str]:
    """Words, numbers and CJK characters of a folded text, without punctuation."""
    return _TOKEN.findall(folded(text))


def tokens(text: str) -> list[str]:
    """The same without English articles: "5 mg" is 5 and mg."""
    found = words(text)
    # An answer that is nothing but "A" stays one.
    return [token for token in found if token not in _ARTICLES] or found


def token_f1(answer: str, reference: str) -> float:
    """2·P·R / (P + R) of the tokens that both have, each as often as in both (arXiv 1606.05250); 0 where they share none."""
    said, wanted = Counter(tokens(answer)), Counter(tokens(reference))
    both = (said & wanted).total()
    return 2 * both / (said.total() + wanted.total()) if both else 0.0
