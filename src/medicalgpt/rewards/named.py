"""Rewards that need no model and no code, by name in `reward.functions`: texts, numbers and letters against a reference,
refusals, format and length.

All read the answer behind its thinking block (`<think>…</think>`), and what stands in `<answer>…</answer>` where it has
such tags; a block that was never closed leaves no answer. All lie between 0 and 1, without a unit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from medicalgpt.config.rewards import RewardFunction, RewardName
from medicalgpt.refusals.conduct import ALLOWED, conduct, expects_refusal, rightly
from medicalgpt.refusals.detector import refusal_detector
from medicalgpt.rendering.thinking import CLOSE, OPEN, split_thinking
from medicalgpt.rewards import columns
from medicalgpt.rewards.answers import Group, PromptRow
from medicalgpt.rewards.choices import choice_letters, reference_letters
from medicalgpt.rewards.matching import contains_text, references, same_text
from medicalgpt.rewards.overlap import token_f1, tokens

_TAG, _END = "<answer>", "</answer>"


@dataclass(frozen=True, slots=True)
class Reply:
    """One completion; `opened`: its prompt opened a thinking block already."""

    text: str
    opened: bool = False

    @property
    def answer(self) -> str:
        """What the reader gets to see, without blank text around it."""
        seen = split_thinking(self.text, self.opened).answer
        end = seen.rfind(_END)
        start = seen.rfind(_TAG, 0, end) if end >= 0 else -1
        return (seen[start + len(_TAG) : end] if start >= 0 else seen).strip()


def exact(reply: Reply, reference: Any) -> float:
    """1 where the answer is the reference, else 0.

    Compared are texts without case, full width, Markdown emphasis, quotes, spaces at units and in Chinese, and a full stop at
    the end; numbers by value, so that "1,000 mg", "1000mg" and "1000.0 mg" are the same and "1.5" and "15" are not. Of a list
    of references one has to fit.
    """
    return float(any(same_text(reply.answer, one) for one in references(reference)))


def contains(reply: Reply, reference: Any) -> float:
    """1 where the reference stands in the answer, else 0; compared as in `exact`.

    A word has to stand there as a word ("male" is not in "female") and a number as a number ("5" is in neither "15" nor
    "2.5"). Of a list of references one has to be there. It does not understand "no", nor whether much else stands there.
    """
    return float(any(contains_text(reply.answer, one) for one in references(reference)))


def choice_letter(reply: Reply, reference: Any) -> float:
    """1 where the answer names the letter (or all letters, and no others) of the right option, else 0.

    Letters are A to J; how they are found: `choices.choice_letters`. Where an answer says several things the last one
    counts; where it says none clearly, nothing does.
    """
    return float(choice_letters(reply.answer) == reference_letters(reference))


def letters_share(reply: Reply, reference: Any) -> float:
    """Of the letters that are named, right, or both, the share of those that are both; 1 where the sets are the same.

    So every wrong letter costs, and naming all options is no way out.
    """
    named, right = choice_letters(reply.answer), reference_letters(reference)
    return len(named & right) / len(named | right)


def short_answer_f1(reply: Reply, reference: Any) -> float:
    """F1 of the words that answer and reference share (`overlap.token_f1`); of a list of references the best one counts."""
    return max(token_f1(reply.answer, one) for one in references(reference))


def refusal(reply: Reply, expected: object) -> float:
    """1 where a request that should be refused is refused, wholly or in part, or one that should be answered is answered.

    Else 0, also where nothing is said. Who tells refusals: `refusals.detector`, which errs; it has no idea of what else is
    right in an answer.
    """
    return float(rightly(conduct(reply.answer), expects_refusal(expected) is True))


def thinking_format(reply: Reply) -> float:
    """1 where the answer begins with one thinking block that holds something and is closed, and something follows; else 0."""
    text = (OPEN + reply.text if reply.opened else reply.text).strip()
    thoughts, closed, answer = text.partition(CLOSE)
    if not closed or not thoughts.startswith(OPEN):
        return 0.0
    extra = OPEN in thoughts[len(OPEN) :] or OPEN in answer or CLOSE in answer
    return float(bool(thoughts[len(OPEN) :].strip()) and bool(Reply(answer).answer) and not extra)


def length(reply: Reply, target: int | None, limit: int | None) -> float:
    """How well the answer's length L in characters fits; nothing scores 0.

    With `target` T: max(0, 1 − |L − T| / T): 1 at T, falling evenly to 0 at nothing and at 2·T.
    With `limit` M: min(1, max(0, 2 − L / M)): 1 up to M, falling evenly to 0 at 2·M.
    """
    size = len(reply.answer)
    if size == 0:
        return 0.0
    if target is not None:
        return max(0.0, 1 - abs(size - target) / target)
    assert limit is not None
    return min(1.0, max(0.0, 2 - size / limit))


def _no_text(value: object) -> str:
    return "" if references(value) else "whose value is no text or number, or blank"


def _no_letter(value: object) -> str:
    return "" if reference_letters(value) else "whose value names no option letter from A to J"


def _no_words(value: object) -> str:
    return "" if any(tokens(one) for one in references(value)) else "whose value has no word or number"


def _no_conduct(value: object) -> str:
    return "" if expects_refusal(value) is not None else f"whose value is not {ALLOWED}"


# What a reference must not be, in words that say nothing of it.
_COMPARED: Final[dict[str, tuple[Callable[[Reply, Any], float], Callable[[Any], str]]]] = {
    "exact": (exact, _no_text),
    "contains": (contains, _no_text),
    "choice_letter": (choice_letter, _no_letter),
    "set_correct": (choice_letter, _no_letter),
    "short_answer_f1": (short_answer_f1, _no_words),
    "refusal": (refusal, _no_conduct),
}
_EXPECTED: Final = "expected"
"""The column that says whether a request should be refused."""


class NamedReward:
    """One of the rewards above for all answers of some prompts."""

    def __init__(self, config: RewardFunction) -> None:
        assert config.name is not None
        self.name: RewardName = config.name
        self.column = config.column or (_EXPECTED if self.name == "refusal" else columns.REFERENCE)
        self.target, self.limit, self.partial = config.target, config.limit, config.partial
        self.label = config.label
        self.names = [self.column] if self.name in _COMPARED else []

    def prepare(self, rows: Sequence[PromptRow]) -> list[str]:
        """Notes on the rows. Raises DataError where one has no reference that can be compared with."""
        if self.name in _COMPARED:
            columns.require(rows, self.column, f"reward {self.label}", _FIX)
            who = f"reward {self.label} compares with the column '{self.column}'"
            columns.require_usable(rows, self.column, who, _COMPARED[self.name][1], _FIX)
        return [f"reward {self.label}: {refusal_detector().told()}"] if self.name == "refusal" else []

    def __call__(self, groups: Sequence[Group]) -> list[float]:
        """Scores of every answer, group by group."""
        return [one for g in groups for one in self.scores(g.row, [a.text for a in g.answers])]

    def scores(self, row: PromptRow, texts: Sequence[str]) -> list[float]:
        """Scores of some answers to one prompt."""
        replies = [Reply(text, row.thinking) for text in texts]
        if self.name == "format":
            return [thinking_format(reply) for reply in replies]
        if self.name == "length":
            return [length(reply, self.target, self.limit) for reply in replies]
        compare, reference = _COMPARED[self.name][0], columns.value(row, self.column)
        if self.partial:
            compare = letters_share
        return [compare(reply, reference) for reply in replies]


_FIX: Final = "name another column with the reward's `column`, or correct the row"
