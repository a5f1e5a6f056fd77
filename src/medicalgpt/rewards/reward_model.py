"""How good a reward model is on held-out pairs, and whether it merely likes long answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.records import Kind
from medicalgpt.disk.cache import cache_root
from medicalgpt.errors import ModelError
from medicalgpt.models.batches import batches
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.context import fitting
from medicalgpt.models.load import Loaded, names_classifier
from medicalgpt.models.reward import RewardPolicy, probe_scores
from medicalgpt.models.shard import runs_on
from medicalgpt.rendering.build import prepare
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.tree import TokenTree
from medicalgpt.runs.intervals import Estimate, mean, share
from medicalgpt.runs.reward_report import RewardReport

BINS = 5
# A correlation of score and length above this is called out: a quarter of the scores' variance.
_LENGTH_EXPLAINS = 0.5


@torch.no_grad()
def score_trees(policy: RewardPolicy, trees: Sequence[TokenTree], capacity: int = 2048) -> list[np.ndarray]:
    """Scores of every tree's leaves, in the order of `trees`."""
    training, device = policy.training, runs_on(policy)
    policy.eval()
    out = [np.empty(0)] * len(trees)
    found = batches(trees, policy.batching, capacity, device=device)
    for batch in policy.passes.even(found, policy.batching, device):
        scores, at = policy.passes.run(partial(policy.scores, batch)).cpu().numpy().astype(np.float64), 0
        for i in batch.items:
            leaves = len(trees[i].leaves)
            out[i], at = scores[at : at + leaves], at + leaves
    policy.passes.free()
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
    most = fitting(max_tokens, unwrap(loaded.model).config, "max_tokens")
    data = DataConfig(train=[str(source)], eval_fraction=0, max_tokens=most)
    trees = prepare(data, kind, chat, cache_root(), seed=0).train
    rows = [trees[i] for i in range(len(trees))]
    policy = RewardPolicy(loaded.model, probe_scores(loaded.model).batching)
    return ScoredRows([str(t.source) for t in rows], np.stack(score_trees(policy, rows)), answer_lengths(rows))


def require_scorer(loaded: Loaded) -> None:
    """Raises ModelError for a model whose score layer was made up while it was loaded."""
    if loaded.adapter is None and not names_classifier(getattr(unwrap(loaded.model).config, "architectures", None)):
        raise ModelError(
            f"{loaded.base.name} is no reward model: it would score with random weights. Train one with `medicalgpt train rm`"
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
        margin=mean(gap),
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
