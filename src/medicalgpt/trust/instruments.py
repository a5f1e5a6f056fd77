"""What judged in place of people, and how far it can be trusted: the refusal detector, and models that graded answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Final

from medicalgpt.evaluation.finished import Evaluation
from medicalgpt.evaluation.outcomes import JsonObject
from medicalgpt.refusals.detector import refusal_detector
from medicalgpt.runs.trust_parts import Estimate, Instrument

_CHECKS: Final = ("truncated", "swapped", "repeats", "ungraded")
_PARTS: Final = ("value", "low", "high", "rows")


def detectors() -> Iterator[Instrument]:
    """The refusal detector, a language each."""
    for language, head in refusal_detector().heads.items():
        agreement = Estimate.model_validate(asdict(head.agreement))
        yield Instrument(kind="refusals", name="refusals", language=language, agreement=agreement, on=head.on)


def judges(by_model: Mapping[str, Sequence[Evaluation]]) -> list[Instrument]:
    """The models that graded answers in these evaluations, each once, with what was found out about them."""
    found: dict[str, Instrument] = {}
    for evaluations in by_model.values():
        for one in evaluations:
            judge = one.results.get("judge")
            if isinstance(judge, dict):
                name = str(judge.get("model"))
                check = judge.get("check")
                found.setdefault(name, _judge(name, check if isinstance(check, dict) else {}))
    return list(found.values())


def _judge(name: str, check: JsonObject) -> Instrument:
    checks = {part: estimate for part in _CHECKS if (estimate := _estimate(check.get(part))) is not None}
    tests = ", ".join(check.get("tests", {}))
    return Instrument(
        kind="judge", name=name, language=None, agreement=_estimate(check.get("labels")), on=tests, checks=checks
    )


def _estimate(found: object) -> Estimate | None:
    if not isinstance(found, dict) or not set(_PARTS) <= set(found):
        return None
    return Estimate.model_validate({part: found[part] for part in _PARTS})
