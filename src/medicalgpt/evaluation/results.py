"""The numbers of an evaluation as results.json has them: each test by itself, and groups over the items of their tests."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np

from medicalgpt.config.evaluation import WRITTEN, NamedTest
from medicalgpt.evaluation.answer_scores import AnswerSummary, summarize_answers
from medicalgpt.evaluation.catalog import FoundTest
from medicalgpt.evaluation.clean import clean_scores
from medicalgpt.evaluation.outcomes import JsonObject, Outcome, Summary, summarize
from medicalgpt.evaluation.readings import MEANS, RUBRIC
from medicalgpt.evaluation.safety.conduct import ConductSummary, summarize_conduct
from medicalgpt.evaluation.safety.summary import RequestSummary, summarize_requests
from medicalgpt.evaluation.settings import Settings
from medicalgpt.evaluation.suite import groups_of
from medicalgpt.evaluation.written.summary import WrittenSummary, clipped, summarize_written
from medicalgpt.runs.intervals import mean, share

SCHEMA: Final = 2
AnySummary = Summary | RequestSummary | WrittenSummary


def results_of(
    facts: JsonObject,
    key: str,
    tests: Sequence[FoundTest],
    settings: Settings,
    outcomes: Mapping[str, Sequence[Outcome]],
    corpora: Sequence[Path] = (),
) -> JsonObject:
    """What results.json holds of the tests: facts of model and settings, then every test and every group.

    Args:
        corpora: the curations that the model was trained on; each test then has its score without the items in them (`clean`).
    """
    scores = {t.config.name: _summary(t.config, outcomes[t.config.name], settings) for t in tests}
    told = {}
    for test in tests:
        config, found = test.config, scores[test.config.name]
        told[config.name] = {
            "title": config.title,
            "version": config.version,
            "group": config.group,
            "license": config.license,
            "files": facts["tests"][config.name]["files"],
            "items": len(outcomes[config.name]),
            "of": config.items,
            "headline": settings.headline(config),
            **({"kind": config.kind} if config.kind != "choice" else {}),
            **({"expected": config.expected} if config.kind == "requests" else {}),
            **_scores(found),
        }
        if settings.answers is not None:
            told[config.name]["answers"] = _answers(found, outcomes[config.name])
    clean = clean_scores(corpora, tests, outcomes, lambda name, some: _group([name], told, {name: some}))
    for name, score in clean.items():
        told[name]["clean"] = score
    groups = {group: _group(names, told, outcomes) for group, names in groups_of([t.config for t in tests])}
    head = {"schema_version": SCHEMA, "key": key, "model": facts["model"], "settings": facts["settings"]}
    return head | {"tests": told, "groups": groups}


def _summary(test: NamedTest, outcomes: Sequence[Outcome], settings: Settings) -> AnySummary:
    if test.kind in WRITTEN:
        return summarize_written(outcomes, settings.headline(test))
    return summarize_requests(outcomes) if test.kind == "requests" else summarize(outcomes, settings.headline(test))


def _answers(found: AnySummary, outcomes: Sequence[Outcome]) -> JsonObject:
    """What was written to a test; of one that is nothing else, in the same place and form."""
    match found:
        case WrittenSummary():
            told = _scores(found)
            kept = ("used", "too_long", "scores", "stop", "repeats", "masks")
            return {name: told[name] for name in kept if name in told}
        case RequestSummary():
            return _scores(summarize_conduct(outcomes))
        case Summary():
            return _scores(summarize_answers(outcomes))


def _scores(found: AnySummary | AnswerSummary | ConductSummary) -> JsonObject:
    values = {name: _numbers(value) for name, value in asdict(found).items()}
    return {name: value for name, value in values.items() if name == "scores" or value not in (None, {})}


def _numbers(value: object) -> object:
    """JSON values; a share of nothing, which JSON cannot hold, is null."""
    if isinstance(value, dict):
        return {name: _numbers(one) for name, one in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _group(names: Sequence[str], told: JsonObject, outcomes: Mapping[str, Sequence[Outcome]]) -> JsonObject:
    """A group's number: the share of right picks, or the mean where scores are numbers, over the items of all its tests.

    Each item counts once, so it is the tests' numbers weighted by their items, not the mean of the tests. Gates pool items, too.
    """
    found = [outcome.number(told[name]["headline"]) for name in names for outcome in outcomes[name]]
    numbers = np.asarray([number for number in found if number is not None], float)
    headlines = {told[name]["headline"] for name in names}
    if headlines.isdisjoint(MEANS) or not len(numbers):
        estimate = share(round(numbers.sum()), len(numbers))
    elif headlines == {RUBRIC}:
        estimate = clipped(numbers)[0]
    else:
        estimate = mean(numbers)
    return {"tests": list(names), **{name: _numbers(number) for name, number in asdict(estimate).items()}}
