"""How near an answer is to a short reference: the same, F1 of its words, and ROUGE-L."""

from collections.abc import Sequence

from medicalgpt.rewards.matching import same_text
from medicalgpt.rewards.overlap import token_f1, words

_MOST = 2000
"""Words that ROUGE-L looks at from the beginning of a text; it takes the product of both lengths."""


def nearness(answer: str, references: Sequence[str]) -> dict[str, float]:
    """By scoring the best of all references: `exact` (0 or 1), `f1` and `rouge_l`, each from 0 to 1."""
    return {
        "exact": float(any(same_text(answer, one) for one in references)),
        "f1": max(token_f1(answer, one) for one in references),
        "rouge_l": max(rouge_l(answer, one) for one in references),
    }


def rouge_l(answer: str, reference: str) -> float:
    """F1 of the longest common subsequence (Lin 2004) of words, Chinese by characters, without stemming; 0 without a word."""
    said, wanted = words(answer)[:_MOST], words(reference)[:_MOST]
    common = _common(said, wanted)
    return 2 * common / (len(said) + len(wanted)) if common else 0.0


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for place, its in enumerate(other, 1):
            before, row[place] = row[place], before + 1 if word == its else max(row[place], row[place - 1])
    return row[-1]
