"""What a reward model's held-out pairs said of it, stored beside its weights."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from medicalgpt.errors import RunError
from medicalgpt.runs.intervals import Estimate

FILE = "reward.json"


@dataclass
class RewardReport:
    """Numbers of a reward model on pairs. Scores have no unit; `mean` and `std` normalize them for PPO.

    `length_accuracy` is what always taking the longer answer would reach; `calibration_error` the mean gap between
    σ(|margin|) and the share of right pairs over five equal bins (expected calibration error, arXiv 1706.04599).
    """

    accuracy: Estimate
    margin: Estimate
    mean: float
    std: float
    length_correlation: float
    length_accuracy: float
    calibration_error: float
    by_length: dict[str, Estimate] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(lines(self))

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


def lines(report: RewardReport) -> list[str]:
    """The report in words for a terminal."""
    a, m = report.accuracy, report.margin
    out = [
        f"held-out accuracy {a.value:.1%} [{a.low:.1%}, {a.high:.1%}] of {a.rows} pairs; "
        f"margin {m.value:.3f} [{m.low:.3f}, {m.high:.3f}]",
        *(f"  {name}: {e.value:.1%} [{e.low:.1%}, {e.high:.1%}] of {e.rows}" for name, e in report.by_length.items()),
        f"score mean {report.mean:.3f}, std {report.std:.3f}; correlation with length {report.length_correlation:+.2f} "
        f"(taking the longer answer: {report.length_accuracy:.1%}); calibration error {report.calibration_error:.3f}",
    ]
    return [*out, *(f"warning: {w}" for w in report.warnings)]


def read_report(folder: Path) -> RewardReport | None:
    """The report beside a reward model's weights; None where there is none."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        for name in ("accuracy", "margin"):
            values[name] = Estimate(**values[name])
        values["by_length"] = {k: Estimate(**v) for k, v in values["by_length"].items()}
        return RewardReport(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(
            f"{path} is damaged ({type(error).__name__}); copy the model again, or train it again"
        ) from error


def write(folder: Path, report: RewardReport) -> None:
    """Store the report beside the weights."""
    (folder / FILE).write_text(json.dumps(report.as_dict(), indent=1) + "\n", encoding="utf-8")
