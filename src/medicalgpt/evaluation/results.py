"""The numbers of an evaluation as results.json has them: each test by itself, and groups over the items of their tests."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

from medicalgpt.config.evaluation import NamedTest
from medicalgpt.evaluation.answer_scores import AnswerSummary, summarize_answers
from medicalgpt.evaluation.catalog import FoundTest
from medicalgpt.evaluation.outcomes import JsonObject, Outcome, Summary, summarize
from medicalgpt.evaluation.safety.conduct import ConductSummary, summarize_conduct
from medicalgpt.evaluation.safety.summary import RequestSummary, summarize_requests
from medicalgpt.evaluation.suite import Settings, groups_of
from medicalgpt.runs.intervals import share

SCHEMA: Final = 2


def results_of(
    facts: JsonObject,
    key: str,
    tests: Sequence[FoundTest],
    settings: Settings,
    outcomes: Mapping[str, Sequence[Outcome]],
) -> JsonObject:
    """What results.json holds of the tests: facts of model and settings, then every test and every group."""
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
            **({"kind": config.kind, "expected": config.expected} if config.kind != "choice" else {}),
            **_scores(found),
        }
        if settings.answers is not None:
            told[config.name]["answers"] = _scores(_answers(config, outcomes[config.name]))
    groups = {group: _group(names, scores, told) for group, names in groups_of([t.config for t in tests])}
    head = {"schema_version": SCHEMA, "key": key, "model": facts["model"], "settings": facts["settings"]}
    return head | {"tests": told, "groups": groups}


def _summary(test: NamedTest, outcomes: Sequence[Outcome], settings: Settings) -> Summary | RequestSummary:
    return summarize_requests(outcomes) if test.kind == "requests" else summarize(outcomes, settings.headline(test))


def _answers(test: NamedTest, outcomes: Sequence[Outcome]) -> AnswerSummary | ConductSummary:
    return summarize_conduct(outcomes) if test.kind == "requests" else summarize_answers(outcomes)


def _scores(found: Summary | RequestSummary | AnswerSummary | ConductSummary) -> JsonObject:
    values = {name: _numbers(value) for name, value in asdict(found).items()}
    return {name: value for name, value in values.items() if name == "scores" or value not in (None, {})}


def _numbers(value: object) -> object:
    """JSON values; a share of nothing, which JSON cannot hold, is null."""
    if isinstance(value, dict):
        return {name: _numbers(one) for name, one in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _group(names: Sequence[str], scores: Mapping[str, Summary | RequestSummary], told: JsonObject) -> JsonObject:
    """A group's number: the share of right picks over the items of all its tests."""
    right = sum(scores[n].scores[told[n]["headline"]].value * scores[n].used for n in names if scores[n].used)
    used = sum(scores[n].used for n in names)
    value = {name: _numbers(number) for name, number in asdict(share(round(right), used)).items()}
    return {"tests": list(names), **value}
