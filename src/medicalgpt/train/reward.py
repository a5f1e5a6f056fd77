"""How good a reward model is on held-out pairs, and whether it merely likes long answers."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.records import Kind
from medicalgpt.errors import ModelError
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.embedded.registry import cache_root
from medicalgpt.models.load import Loaded, names_classifier
from medicalgpt.models.reward import RewardPolicy, probe_scores
from medicalgpt.render.build import prepare
from medicalgpt.render.template import ChatTemplate
from medicalgpt.render.tree import TokenTree
from medicalgpt.runs.intervals import Estimate, ratio, share
from medicalgpt.train.data import batches

FILE = "reward.json"
BINS = 5
# A correlation of score and length above this is called out: a quarter of the scores' variance.
_LENGTH_EXPLAINS = 0.5


@dataclass
class RewardReport:
    """Numbers of a reward model on pairs. Scores have no unit; `mean` and `std` normalise them for PPO.

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

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@torch.no_grad()
def score_trees(policy: RewardPolicy, trees: Sequence[TokenTree], capacity: int = 2048) -> list[np.ndarray]:
    """Scores of every tree's leaves, in the order of `trees`."""
    training = policy.training
    policy.eval()
    out = [np.empty(0)] * len(trees)
    for batch in batches(trees, policy.batching, capacity, device=next(policy.parameters()).device):
        scores, at = policy.scores(batch).cpu().numpy().astype(np.float64), 0
        for i in batch.items:
            leaves = len(trees[i].leaves)
            out[i], at = scores[at : at + leaves], at + leaves
    policy.train(training)
    return out


@dataclass(frozen=True)
class ScoredRows:
    """Scores [rows, answers] with the rows' places and the answers' lengths in tokens."""

    places: list[str]
    scores: np.ndarray
    lengths: np.ndarray

    def report(self) -> RewardReport:
        """The report on pairs."""
        return evaluate(self.scores, self.lengths)


def score_file(loaded: Loaded, source: Path, kind: Kind, max_tokens: int, template: str | None = None) -> ScoredRows:
    """Score a file's pairs (two answers a row) or dialogues (the last answer).

    Raises:
        MedicalGPTError: a bad row, with its place; or a model that was not trained to score.
    """
    require_scorer(loaded)
    chat = ChatTemplate.load(loaded.tokenizer, template)
    data = DataConfig(train=[str(source)], eval_fraction=0, max_tokens=max_tokens)
    trees = prepare(data, kind, chat, cache_root(), seed=0).train
    rows = [trees[i] for i in range(len(trees))]
    policy = RewardPolicy(loaded.model, probe_scores(loaded.model).batching)
    return ScoredRows([str(t.source) for t in rows], np.stack(score_trees(policy, rows)), answer_lengths(rows))


def require_scorer(loaded: Loaded) -> None:
    """Raises ModelError for a model whose score layer was made up while it was loaded."""
    if loaded.adapter is None and not names_classifier(getattr(unwrap(loaded.model).config, "architectures", None)):
        raise ModelError(
            f"{loaded.base.path_or_id} is no reward model: it would score with random weights. Train one with `medicalgpt train rm`"
        )


def answer_lengths(trees: Sequence[TokenTree]) -> np.ndarray:
    """Tokens of the two answers of each pair [pairs, 2]."""
    return np.asarray([[len(t.segments[leaf]) for leaf in t.leaves] for t in trees])


def evaluate(scores: np.ndarray, lengths: np.ndarray) -> RewardReport:
    """The report from scores and lengths [pairs, 2], the chosen answer first."""
    gap = scores[:, 0] - scores[:, 1]
    longer = lengths[:, 0] - lengths[:, 1]
    report = RewardReport(
        accuracy=_accuracy(gap),
        margin=ratio(gap, np.ones_like(gap)),
        mean=float(scores.mean()),
        std=float(scores.std()),
        length_correlation=_correlation(scores.ravel(), lengths.ravel()),
        length_accuracy=float(((longer > 0) + 0.5 * (longer == 0)).mean()),
        calibration_error=_calibration(gap),
        by_length={
            "chosen shorter": _accuracy(gap[longer < 0]),
            "same length": _accuracy(gap[longer == 0]),
            "chosen longer": _accuracy(gap[longer > 0]),
        },
    )
    report.by_length = {k: v for k, v in report.by_length.items() if v.rows}
    report.warnings = _warnings(report)
    return report


def _accuracy(gap: np.ndarray) -> Estimate:
    return share(float((gap > 0).sum() + 0.5 * (gap == 0).sum()), len(gap))


def _correlation(scores: np.ndarray, lengths: np.ndarray) -> float:
    if scores.std() == 0 or lengths.std() == 0:
        return 0.0
    return float(np.corrcoef(scores, lengths)[0, 1])


def _calibration(gap: np.ndarray) -> float:
    sure = 1 / (1 + np.exp(-np.abs(gap)))
    which = np.minimum(((sure - 0.5) * 2 * BINS).astype(int), BINS - 1)
    right = (gap > 0) + 0.5 * (gap == 0)
    gaps = [
        abs(sure[which == b].mean() - right[which == b].mean()) * (which == b).sum()
        for b in range(BINS)
        if (which == b).any()
    ]
    return float(sum(gaps) / len(gap))


def _warnings(report: RewardReport) -> list[str]:
    found = []
    if report.accuracy.low <= 0.5:
        found.append(
            f"the accuracy's 95 % interval [{report.accuracy.low:.1%}, {report.accuracy.high:.1%}] reaches 50 %: on these pairs "
            "the model is not better than a coin; PPO refuses it. More pairs, more steps, or clearer labels are needed"
        )
    if abs(report.length_correlation) > _LENGTH_EXPLAINS:
        found.append(
            f"score and length correlate at {report.length_correlation:+.2f}: the model may reward length. Balance the lengths of "
            "chosen and rejected answers"
        )
    return found


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
    values = json.loads(path.read_text(encoding="utf-8"))
    for name in ("accuracy", "margin"):
        values[name] = Estimate(**values[name])
    values["by_length"] = {k: Estimate(**v) for k, v in values["by_length"].items()}
    return RewardReport(**values)


def write(folder: Path, report: RewardReport) -> None:
    """Store the report beside the weights."""
    (folder / FILE).write_text(json.dumps(report.as_dict(), indent=1) + "\n", encoding="utf-8")
