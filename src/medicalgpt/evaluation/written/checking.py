"""How far a judge can be trusted: against labels of people, on real answers beside damaged ones, and on the same question twice."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Final

import numpy as np

from medicalgpt.config.evaluation import GraderConfig
from medicalgpt.errors import ConfigError, DataError
from medicalgpt.evaluation.catalog import FoundTest
from medicalgpt.evaluation.outcomes import JsonObject
from medicalgpt.evaluation.suite import spread
from medicalgpt.evaluation.written.checked import SCHEMA, identity
from medicalgpt.evaluation.written.grading import Grader, grade
from medicalgpt.evaluation.written.items import Written, read_written
from medicalgpt.rewards.judge import Verdicts
from medicalgpt.runs.hashes import hash_file
from medicalgpt.runs.intervals import Estimate, ratio, share

Say = Callable[[str], None]
Asked = tuple[Written, str]
Answered = dict[tuple[str, str], Verdicts | None]
"""Verdicts by item and answer."""
_AT_ONCE: Final = 64  # questions whose verdicts are kept together


def check_judge(config: GraderConfig, items: Sequence[Written], say: Say) -> JsonObject:
    """Ask a judge about labelled and reference answers, about damaged ones, and about all but those a second time.

    The first time it is asked as an evaluation asks, from the cache where it can; the second time it is always asked.

    Raises:
        DataError: no item has labels, or a reference answer. RunError: the judge is silent, or refuses whatever is asked.
        ConfigError: the judge is elsewhere and that is not allowed, or its key is not set.
    """
    labelled = [(item, item.labels.answer) for item in items if item.labels is not None]
    real = [(item, item.references[0]) for item in items if item.references]
    if not labelled and not real:
        raise DataError(
            "no row has labels of people (labels, with completion), or an answer of a person (reference, "
            "ideal_completions_data): there is nothing to check a judge with"
        )
    cut = [(item, answer, half) for item, answer in real if (half := _half(answer))]
    following = [*real[1:], *real[:1]]
    swapped = [(item, answer, other) for (item, answer), (_, other) in zip(real, following) if other != answer]
    damaged = [(item, worse) for item, _, worse in (*cut, *swapped)]
    first, again = Grader(config), Grader(config, fresh=True)
    whole = _verdicts(first, [*labelled, *real, *damaged], say, "asked")
    second = _verdicts(again, [*labelled, *real], say, "asked again")
    silent = [verdict is None for found in (whole, second) for verdict in found.values()]
    found: JsonObject = {
        "labels": _labels(labelled, whole),
        "truncated": _order(cut, whole),
        "swapped": _order(swapped, whole),
        "repeats": _repeats(whole, second),
        "ungraded": asdict(share(sum(silent), len(silent))),
        "failures": dict(sorted((first.judge.failures + again.judge.failures).items())),
    }
    return {"schema_version": SCHEMA, "judge": identity(config)} | {k: v for k, v in found.items() if v is not None}


def _half(text: str) -> str:
    """The first half of an answer, without the word that was cut."""
    half = text[: len(text) // 2]
    return half.rsplit(None, 1)[0] if len(half.split()) > 1 else half.strip()


def _verdicts(grader: Grader, asked: Sequence[Asked], say: Say, words: str) -> Answered:
    """What a judge says, some questions at once, so that a check that is broken off loses little."""
    found: Answered = {}
    for start in range(0, len(asked), _AT_ONCE):
        part = asked[start : start + _AT_ONCE]
        found |= {(item.id, answer): verdict for (item, answer), verdict in zip(part, grader.verdicts(part))}
        say(f"{words}: {start + len(part)} of {len(asked)}")
    return found


def _labels(labelled: Sequence[Asked], found: Answered) -> JsonObject | None:
    """Agreement with every label of people, over criteria and people, with bootstrap over answers."""
    pairs: list[list[tuple[bool, bool]]] = []
    people: list[tuple[bool, bool]] = []
    for item, answer in labelled:
        verdict = found[item.id, answer]
        assert item.labels is not None  # those that have some
        people += [pair for labels in item.labels.met for pair in combinations(labels, 2)]
        if verdict is not None:
            pairs.append([(said, label) for said, labels in zip(verdict, item.labels.met) for label in labels])
    if not pairs:
        return None
    agreed = np.asarray([sum(said == label for said, label in mine) for mine in pairs], float)
    told = asdict(_mean(agreed, np.asarray([len(mine) for mine in pairs], float)))
    counted = Counter(pair for mine in pairs for pair in mine)
    told |= {"kappa": kappa(counted), "macro_f1": macro_f1(counted), "pairs": counted.total()}
    return told | ({"people": asdict(share(sum(a == b for a, b in people), len(people)))} if people else {})


def kappa(counted: Counter[tuple[bool, bool]]) -> float | None:
    """Cohen's κ (1960) of pairs (judge, person); None where both always say the same one thing."""
    total = counted.total()
    agreed = (counted[True, True] + counted[False, False]) / total
    judge = (counted[True, True] + counted[True, False]) / total
    person = (counted[True, True] + counted[False, True]) / total
    chance = judge * person + (1 - judge) * (1 - person)
    return (agreed - chance) / (1 - chance) if chance < 1 else None


def macro_f1(counted: Counter[tuple[bool, bool]]) -> float:
    """Mean of the F1 of "met" and of "not met", as HealthBench tells agreement; a side that nobody ever takes has none."""
    wrong = counted[True, False] + counted[False, True]
    sides = [(2 * right, 2 * right + wrong) for right in (counted[True, True], counted[False, False])]
    scores = [part / whole for part, whole in sides if whole]
    return sum(scores) / len(scores)


def _order(pairs: Sequence[tuple[Written, str, str]], found: Answered) -> JsonObject | None:
    """In which share of pairs the real answer scores above the damaged one; equal scores are no right order, and counted."""
    gaps = []
    for item, real, damaged in pairs:
        better, worse = found[item.id, real], found[item.id, damaged]
        if better is not None and worse is not None:
            gaps.append(grade(item.criteria, better).score - grade(item.criteria, worse).score)
    if not gaps:
        return None
    return asdict(share(sum(gap > 0 for gap in gaps), len(gaps))) | {"ties": sum(gap == 0 for gap in gaps)}


def _repeats(first: Answered, again: Answered) -> JsonObject | None:
    """In which share of criteria the judge says the same of the same answer, with bootstrap over answers."""
    both = [(one, other) for key, other in again.items() if (one := first[key]) is not None and other is not None]
    if not both:
        return None
    same = np.asarray([sum(a == b for a, b in zip(one, other)) for one, other in both], float)
    return asdict(_mean(same, np.asarray([len(one) for one, _ in both], float)))


def _mean(sums: np.ndarray, counts: np.ndarray) -> Estimate:
    """A share over criteria; where all agree, or none, Wilson's interval, as resampling would claim certainty."""
    if sums.sum() in (0, counts.sum()):
        return share(len(sums) if sums.any() else 0, len(sums))
    return ratio(sums, counts)


def check_tests(config: GraderConfig, tests: Sequence[FoundTest], limit: int | None, say: Say) -> JsonObject:
    """Check a judge with the rows of tests, at most `limit` of each, evenly spread.

    Raises:
        ConfigError: a test has no rubrics. Else as `check_judge`, and DataError for rows that cannot be read.
    """
    if others := [test.config.name for test in tests if test.config.kind != "rubric"]:
        raise ConfigError(f"{', '.join(others)}: no judge grades these; name tests with `kind: rubric`")
    items = {test.config.name: spread(read_written(test.config, test.files), limit) for test in tests}
    found = check_judge(config, [item for mine in items.values() for item in mine], say)
    files = {test.config.name: {path: hash_file(place) for path, place in test.files.items()} for test in tests}
    return found | {"tests": {name: {"items": len(mine), "files": files[name]} for name, mine in items.items()}}
