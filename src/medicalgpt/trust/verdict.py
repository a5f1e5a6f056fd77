"""The gates as they were judged, and the one word that comes of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import ValidationError

from medicalgpt.errors import RunError
from medicalgpt.evaluation.gates import Judged
from medicalgpt.evaluation.leakage.told import places_of
from medicalgpt.evaluation.names import LEAKAGE as LEAKAGE_FILE
from medicalgpt.evaluation.outcomes import JsonObject
from medicalgpt.evaluation.paired import Difference
from medicalgpt.pipeline.plan import GATES, read_gates
from medicalgpt.runs.trust_parts import GateLine, Link, Reason, Verdict, Word
from medicalgpt.trust.places import same_weights
from medicalgpt.trust.subject import Subject

LEAKAGE: Final = "leakage"
LEAKS: Final = "leaks"
"""What a pipeline calls its gate on the same."""
WEIGHTS: Final = ("*.safetensors", "*.jinja")
"""Files by which `weights_of` names a model unless told otherwise."""
_SAID: Final = ("name", "verdict", "value", "low", "high", "rows")


def pipeline_gates(subject: Subject) -> list[GateLine]:
    """The verdicts that gates.json holds, stage after stage.

    Raises:
        RunError: it is damaged.
    """
    path = subject.folder / GATES
    found = read_gates(path)
    try:
        return [_line(stage.name, dict(one)) for stage, _ in subject.finished for one in found.get(stage.name, [])]
    except (KeyError, TypeError, ValidationError, ZeroDivisionError):
        raise RunError(f"{path} is damaged; remove it and give the command of the pipeline again") from None


def run_gates(stage: str, judged: Sequence[Judged]) -> list[GateLine]:
    """Verdicts on a run against the model before it."""
    return [_line(stage, one.as_dict()) for one in judged]


def leakage_gates(subject: Subject, judged: Sequence[GateLine] = ()) -> list[GateLine]:
    """What the models that lie here gave away of their training data, by leakage.json of each; the gate is 0 leaks.

    Args:
        judged: gates of the pipeline; where it looked for leaks itself, its own verdict stands.

    Raises:
        RunError: it is damaged.
    """
    found, own = [], {gate.stage for gate in judged if gate.name == LEAKS}
    for stage, _ in subject.finished:
        if stage.name in own:
            continue
        path = stage.folder / "evaluation" / LEAKAGE / LEAKAGE_FILE
        if not path.is_file():
            continue
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            leaks, verdict, weights = told["leaks"], told["verdict"], told["model"]
            if same_weights(stage.models, weights, WEIGHTS):
                known = None if verdict == "INCONCLUSIVE" else leaks
                numbers = {"value": known, "low": known, "high": known, "rows": places_of(told), "limit": 0.0}
                note = str(told.get("note", ""))
                found.append(
                    GateLine(stage=stage.name, kind="stage", name=LEAKAGE, verdict=verdict, note=note, **numbers)
                )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise RunError(f"{path} is damaged; remove it, or look for leaks again") from None
    return found


def _line(stage: str, one: JsonObject) -> GateLine:
    said = {name: one[name] for name in _SAID}
    if "number" in one:
        limits = {"limit": one["limit"], "at_least": one["at_least"], "note": one["note"]}
        return GateLine(stage=stage, kind="stage", **said, **limits)
    needed = None
    if one["verdict"] == "INCONCLUSIVE":
        parts = ("value", "low", "high", "worse", "changed", "rows")
        needed = Difference(*(one[part] for part in parts)).needed(one["margin"] / 100)
    more = {
        "margin": one["margin"],
        "lower_is_better": one["lower_is_better"],
        "needed": needed,
        "note": one.get("note", ""),
    }
    return GateLine(stage=stage, kind="items", **said, **more)


def verdict_of(
    subject: Subject, gates: Sequence[GateLine], links: Sequence[Link], wanted: Mapping[str, bool]
) -> Verdict:
    """In one word; what is worse comes first.

    Args:
        wanted: stages that were to be judged, and whether they were.
    """
    blocked = list(dict.fromkeys(gate.stage for gate in gates if gate.verdict == "BLOCK"))
    missing = [s.name for s in subject.stages if s.record is None or not wanted.get(s.name, True)]
    found: dict[Reason, bool] = {
        "changed": any(link.state == "changed" for link in links),
        "blocked": bool(blocked),
        "went_on": bool(blocked) and subject.plan is not None and subject.plan.on_block == "warn",
        "unfinished": bool(missing),
        "inconclusive": any(gate.verdict == "INCONCLUSIVE" for gate in gates),
        "no_gates": not gates,
    }
    reasons = [reason for reason, holds in found.items() if holds] or ["passed"]
    words: dict[Reason, Word] = {
        "changed": "BROKEN",
        "blocked": "BLOCK",
        "unfinished": "UNFINISHED",
        "inconclusive": "INCONCLUSIVE",
        "no_gates": "NOT JUDGED",
        "passed": "PASS",
    }
    return Verdict(word=words[reasons[0]], reasons=reasons, missing=missing, blocked=blocked)
