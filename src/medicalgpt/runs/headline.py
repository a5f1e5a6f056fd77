"""Held-out numbers before and after, for people: with intervals, whether that is better, and what a number means."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["better", "worse", "unclear", ""]

_DOWN = ("loss", "perplexity", "sft_loss", "odds_loss", "answer_loss")
_UP = ("accuracy", "rewards/accuracy", "rewards/margin", "rewards/target_reached", "score", "reward", "stop_rate")
_SHARES = ("accuracy", "rewards/accuracy", "rewards/target_reached", "stop_rate")
_PARTS = ("_low", "_high")

MEANINGS: Mapping[str, str] = {
    "loss": "the objective on rows that were not trained on; lower is better",
    "perplexity": "among how many equally likely tokens the model hesitates; lower is better",
    "accuracy": "share of the answers' tokens that the model would have put first. No measure of medical correctness",
    "rewards/accuracy": "preference accuracy: share of held-out answer pairs in which training moved the model towards the preferred "
    "answer and away from the other; 50 % is chance. It says which of two given answers is liked, not that what the model "
    "writes is medically right",
    "rewards/margin": "how far preferred and other answers are apart, in units of the objective; higher is better",
    "score": "what the reward says of the model's own answers; no judgment by a clinician",
    "reward": "the score less what leaving the reference costs",
    "stop_rate": "share of answers that end by themselves within the limit",
    "answer_loss": "loss of the data's own answers: rises where the model forgets",
    "kl": "how far the model has moved from its reference; not better or worse by itself",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One metric: its name, the texts to show, and the verdict ("unclear": the intervals overlap)."""

    name: str
    before: str
    before_interval: str
    after: str
    after_interval: str
    change: str
    verdict: Verdict
    meaning: str


def better_when(name: str) -> Literal["min", "max"] | None:
    """Whether less or more of a held-out number is better; None where that is not known."""
    metric = name.removeprefix("eval/")
    for part in _PARTS:
        metric = metric.removesuffix(part)
    if metric in _DOWN:
        return "min"
    return "max" if metric in _UP or metric.startswith("parts/") else None


def held_out_rows(after: Mapping[str, float | None]) -> int | None:
    """On how many rows the numbers rest; None where that was not noted."""
    count = after.get("eval/rows")
    return None if count is None else int(count)


def headline(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> list[Line]:
    """A line for each metric that was measured; what was not, or is not finite, is a dash."""
    return list(_lines(before, after))


def _lines(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> Iterator[Line]:
    names = dict.fromkeys([*before, *after])
    for name in names:
        if name == "eval/rows" or (name.endswith(_PARTS) and name.rpartition("_")[0] in names):
            continue
        metric = name.removeprefix("eval/")
        share = metric in _SHARES
        old, new = before.get(name), after.get(name)
        change = None if old is None or new is None else new - old
        unit = " points" if share else ""
        yield Line(
            name,
            _number(old, share),
            _interval(before, name, share),
            _number(new, share),
            _interval(after, name, share),
            "–" if change is None else f"{'+' if change > 0 else ''}{_number(change, share).removesuffix(' %')}{unit}",
            _verdict(metric, change, _bounds(before, name), _bounds(after, name)),
            _meaning(metric),
        )


def _meaning(metric: str) -> str:
    if metric.startswith("parts/"):
        return "the mean of this reward alone, without its weight"
    return MEANINGS.get(metric, "")


def _bounds(values: Mapping[str, float | None], name: str) -> tuple[float, float] | None:
    low, high = values.get(f"{name}_low"), values.get(f"{name}_high")
    return None if low is None or high is None else (low, high)


def _interval(values: Mapping[str, float | None], name: str, share: bool) -> str:
    bounds = _bounds(values, name)
    return "" if bounds is None else f"[{_number(bounds[0], share)}, {_number(bounds[1], share)}]"


def _verdict(
    metric: str, change: float | None, before: tuple[float, float] | None, after: tuple[float, float] | None
) -> Verdict:
    if change is None or change == 0 or metric not in (*_DOWN, *_UP):
        return ""
    if before is not None and after is not None and before[0] <= after[1] and after[0] <= before[1]:
        return "unclear"
    return "better" if (change < 0) == (metric in _DOWN) else "worse"


def _number(value: float | None, share: bool) -> str:
    """Four significant digits, a share as a percentage, nothing as a dash."""
    if value is None:
        return "–"
    return f"{value:.1%}".replace("%", " %") if share else f"{value:.4g}"
