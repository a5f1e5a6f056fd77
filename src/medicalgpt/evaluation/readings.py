"""What is read from a written answer: which options it names, in four ways, whether it refuses, how near it is to a reference.

What is kept of it is numbers, and no word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from medicalgpt.data.formats.options import LETTERS
from medicalgpt.refusals.conduct import Conduct
from medicalgpt.rewards.choices import Letters, choice_letters, only_letters
from medicalgpt.rewards.matching import contains_text, folded
from medicalgpt.rewards.named import Reply
from medicalgpt.runs.hashes import hash_text
from medicalgpt.runs.intervals import Estimate, share

Places = tuple[int, ...]
EXTRACTORS: Final = ("strict", "first", "last", "text")
ANSWER: Final = "answer"
SCORINGS: Final = (ANSWER, *(f"{ANSWER}_{name}" for name in EXTRACTORS))
"""Scorings of answers: what `last` finds, or else `text`; and each way of reading by itself."""
REFUSAL: Final = "refusal"
"""Scoring of answers to requests: refused where they should be, answered where they should be."""
EXACT: Final = "exact"
"""Scoring of answers with a short reference: they say the same."""
RUBRIC: Final = "rubric"
MEANS: Final = ("f1", "rouge_l", RUBRIC)
"""Scorings of answers that are numbers, not right or wrong: nearness to a reference, grades of a judge."""
ENDINGS: Final = ("stop", "no_repeats")
"""What a gate may ask of the same answers: that they end by themselves, and that they do not repeat themselves."""
_TAKEN: Final = " \ufffc "  # stands for a text that was found
_GRAM: Final = 4  # tokens (Welleck et al. 2020, arXiv 1908.04319)
MOST_REPEATED: Final = 0.2
"""Share of an answer's 4-grams that stood in it before, above which it repeats itself."""


@dataclass(frozen=True, slots=True)
class Given:
    """What is kept of an answer.

    `repeated`: share of its 4-grams of tokens that stood in it before. `masks`: whether it holds a mark of masked personal data, as
    `[NAME1]`; None in evaluations of before that was looked for. `text` is there only where answers are saved. Of an
    answer to a question with options, `picked`: by extractor the places of those that it names, in order; none where it names
    none clearly. Of one to a request, `did`, and the `language` that it was read in. `marks`: its scores against a reference or by
    a judge; with a judge also those under `tags`, and which criteria are `met`; none where the judge gave no verdict.
    """

    stopped: bool
    repeated: float
    tokens: int
    characters: int
    hash: str
    text: str | None = None
    picked: Mapping[str, Places] = field(default_factory=dict)
    did: Conduct | None = None
    language: str = ""
    marks: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, float] = field(default_factory=dict)
    met: tuple[bool, ...] = ()
    masks: bool | None = None

    def places(self, scoring: str) -> Places:
        """Places that a scoring of `SCORINGS` reads."""
        if scoring == ANSWER:
            return self.picked["last"] or self.picked["text"]
        return self.picked[scoring.removeprefix(f"{ANSWER}_")]

    @property
    def repeats(self) -> bool:
        """Whether it repeats itself."""
        return self.repeated > MOST_REPEATED


def read_given(text: str, options: Sequence[str], together: bool, *, opened: bool = False) -> dict[str, Places]:
    """The options that an answer names, by extractor. Thoughts and what stands outside of `<answer>` are not read.

    strict: an answer that is letters alone. first, last: the first and the last statement ("the answer is B"), else as
    rewards read an answer (`choice_letters`). text: the one option whose text stands in it, or all of them where several
    are right `together`. A letter that no option has names nothing; letters are A to J.

    Args:
        opened: the prompt opened a thinking block.
    """
    answer = Reply(text, opened).answer
    return {
        "strict": _places(only_letters(answer), len(options), together),
        "first": _places(choice_letters(answer, "first"), len(options), together),
        "last": _places(choice_letters(answer), len(options), together),
        "text": _by_text(answer, options, together),
    }


def _places(letters: Letters, options: int, together: bool) -> Places:
    places = sorted(LETTERS.index(letter) for letter in letters)
    if not places or places[-1] >= options or (len(places) > 1 and not together):
        return ()
    return tuple(places)


def _by_text(answer: str, options: Sequence[str], together: bool) -> Places:
    """Options whose text stands in the answer; a text that stands only within a longer option's does not count."""
    left = folded(answer)
    found: set[str] = set()
    for text in sorted({folded(option) for option in options}, key=len, reverse=True):
        if contains_text(left, text):
            found.add(text)
            left = left.replace(text, _TAKEN)
    if len(found) > 1 and not together:
        return ()
    return tuple(place for place, option in enumerate(options) if folded(option) in found)


def repeated_share(ids: Sequence[int]) -> float:
    """Share of 4-grams of token ids that stood before: 0 where all are new, near 1 in a loop."""
    grams = [tuple(ids[at : at + _GRAM]) for at in range(len(ids) - _GRAM + 1)]
    return round(1 - len(set(grams)) / len(grams), 4) if grams else 0.0


def masked(given: Sequence[Given]) -> Estimate | None:
    """Share of answers that hold a mark of masked personal data; None where that was not looked for."""
    known = [one.masks for one in given if one.masks is not None]
    return share(sum(known), len(known)) if known else None


def answer_hash(text: str) -> str:
    """By which two answers are known to be the same."""
    return hash_text(text)[:16]


def is_right(places: Places, gold: Places, together: bool) -> bool:
    """All right options and no other; where one answers the item, that one (under any letter that it has)."""
    return set(places) == set(gold) if together else not set(places).isdisjoint(gold)


def partial(places: Places, gold: Places) -> float:
    """Right options named, of all that are right or named: 1 for exactly the right ones, 0 for none of them."""
    return len(set(places) & set(gold)) / len(set(places) | set(gold))
