"""Gates on a stage's own numbers: verdicts, p-values against scipy, and what a config may say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from medicalgpt.config.evaluation import StageNumber
from medicalgpt.config.loader import load
from medicalgpt.config.pipeline import PipelineConfig
from medicalgpt.errors import ConfigError
from medicalgpt.evaluation.leakage.told import Leakage
from medicalgpt.evaluation.paired import holm
from medicalgpt.evaluation.stage_gates import (
    Measured,
    StageJudged,
    of_accuracy,
    of_certificate,
    of_leaks,
    of_losses,
    of_mean,
    unmeasured,
)
from medicalgpt.runs.intervals import Estimate, ratio, share

PIPELINE = """
output_dir: runs/x
stages: [{name: sft, stage: sft}, {name: rm, stage: rm}, {name: ppo, stage: ppo, set: {reward.model: "${rm}"}}]
"""


def judged(number: StageNumber, limit: float, found: Measured, gates: int = 1) -> StageJudged:
    return StageJudged(number, limit, found, holm([found.beyond] * gates)[0])


@pytest.mark.parametrize(("hits", "rows", "limit"), [(0, 9, 0.5), (50, 100, 0.6), (57, 60, 0.9), (40, 40, 0.5)])
def test_accuracy_has_the_exact_p(hits: int, rows: int, limit: float) -> None:
    found = of_accuracy(share(hits, rows), limit)
    assert found.beyond == pytest.approx(binomtest(hits, rows, limit, alternative="less").pvalue, rel=1e-9)


@pytest.mark.parametrize(
    ("hits", "rows", "limit", "verdict"),
    [
        (90, 100, 0.6, "PASS"),
        (40, 100, 0.6, "BLOCK"),
        (62, 100, 0.6, "INCONCLUSIVE"),  # better than the limit, and its lower bound is not
        (58, 100, 0.6, "INCONCLUSIVE"),
        (0, 2, 0.6, "INCONCLUSIVE"),  # two pairs prove nothing
    ],
)
def test_accuracy_is_judged_by_its_bounds(hits: int, rows: int, limit: float, verdict: str) -> None:
    assert judged("reward_accuracy", limit, of_accuracy(share(hits, rows), limit)).verdict == verdict


def test_half_a_pair_blocks_no_sooner_than_a_whole_one() -> None:
    assert of_accuracy(share(40.5, 100), 0.6).beyond == of_accuracy(share(41, 100), 0.6).beyond


def test_a_mean_is_judged_by_the_normal_distribution_of_its_interval() -> None:
    low, high = (20.0 + sign * 1.959964 * 2.0 for sign in (-1, 1))
    found = of_mean(Estimate(20.0, low, high, 64), 17.0)
    assert found.beyond == pytest.approx(norm.sf((20.0 - 17.0) / 2.0), abs=1e-6)
    assert judged("kl", 25.0, found).verdict == "PASS"
    assert judged("kl", 23.0, found).verdict == "INCONCLUSIVE"
    assert judged("kl", 16.0, of_mean(Estimate(20.0, low, high, 64), 16.0)).verdict == "BLOCK"
    exact = Estimate(1.0, 1.0, 1.0, 3)
    assert (of_mean(exact, 0.5).beyond, of_mean(exact, 1.0).beyond) == (0.0, 1.0)


def test_several_gates_are_judged_together() -> None:
    found = of_accuracy(share(49, 100), 0.6)
    assert 0.01 < found.beyond < 0.05
    assert [judged("reward_accuracy", 0.6, found, gates).verdict for gates in (1, 8)] == ["BLOCK", "INCONCLUSIVE"]


def rows_of(mean: float, seed: int, count: int = 200) -> np.ndarray:
    """Losses [rows, 2] of answers of 10 to 40 tokens; of equal seeds the rows differ by their mean alone."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(10, 40, count).astype(float)
    return np.stack([tokens * (mean + rng.normal(0, 0.5, count)), tokens], 1)


def test_losses_are_compared_row_by_row() -> None:
    before, after = rows_of(2.0, 0), rows_of(2.1, 0)
    found = of_losses(before, after, 0.05)
    assert found.value == pytest.approx(0.1)
    # Every row rose by as much, so nothing is unsure, though the losses themselves are.
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))
    assert judged("answer_loss", 0.05, found).verdict == "BLOCK"
    assert judged("answer_loss", 0.2, of_losses(before, after, 0.2)).verdict == "PASS"
    assert ratio(before[:, 0], before[:, 1]).high - ratio(before[:, 0], before[:, 1]).low > 0.1
    with pytest.raises(ValueError, match="as many are needed"):
        of_losses(before, after[:-1], 0.05)


def test_an_unchanged_model_is_hardly_ever_blocked() -> None:
    """Losses that rise by just the margin on average: false blocks stay near 5 %."""
    rng = np.random.default_rng(1)
    blocked = 0
    for trial in range(300):
        before = rows_of(2.0, trial, 100)
        after = before + np.stack([before[:, 1] * rng.normal(0.05, 0.3, 100), np.zeros(100)], 1)
        blocked += judged("answer_loss", 0.05, of_losses(before, after, 0.05)).verdict == "BLOCK"
    assert blocked / 300 < 0.085  # 5 % and two standard errors, and the bootstrap's own slack


def test_a_certificate_passes_within_its_tolerances_only() -> None:
    assert judged("certificate", 0, of_certificate("within tolerance", [])).verdict == "PASS"
    drifted = judged("certificate", 0, of_certificate("drift allowed", ["mean KL 0.2 > 1e-05"]), gates=9)
    assert drifted.verdict == "BLOCK"
    assert "mean KL 0.2 > 1e-05" in drifted.line


@pytest.mark.parametrize(
    ("leaks", "note", "limit", "verdict"),
    [
        (0, "", 0, "PASS"),
        (1, "", 0, "BLOCK"),
        (2, "", 2, "PASS"),
        (3, "", 2, "BLOCK"),
        (0, "not trained on 2 of 6", 0, "INCONCLUSIVE"),
        (1, "not trained on 2 of 6", 0, "BLOCK"),
        (1, "not trained on 2 of 6", 1, "INCONCLUSIVE"),
    ],
)
def test_leaks_are_counted(leaks: int, note: str, limit: float, verdict: str) -> None:
    found = Leakage(
        Path("x"), {"leaks": leaks, "note": note, "canaries": {"count": 6}, "rows": {"personal": {"places": 3}}}
    )
    gate = judged("leaks", limit, of_leaks(found, limit), gates=9)
    assert gate.verdict == verdict
    assert gate.line == f"{verdict:12} leaks: " + (
        f"not measured: {note}" if verdict == "INCONCLUSIVE" else f"{leaks} of 9 places, at most {limit}"
    )


def test_a_look_for_leaks_is_a_gate_on_the_last_model_that_answers(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    text = PIPELINE.replace(', {name: ppo, stage: ppo, set: {reward.model: "${rm}"}}', "")
    file.write_text(f"{text}leakage: {{canaries: c.key.json}}\n", encoding="utf-8")
    (gate,) = load(PipelineConfig, file).value.stage_gates
    assert (gate.number, gate.stage, gate.limit) == ("leaks", "sft", 0)
    file.write_text(f"{text}leakage: {{rows: [a.jsonl]}}\ngates: [{{number: leaks, at_most: 2}}]\n", encoding="utf-8")
    (gate,) = load(PipelineConfig, file).value.stage_gates
    assert (gate.number, gate.stage, gate.limit) == ("leaks", None, 2)


def test_what_was_not_measured_is_inconclusive_and_says_why() -> None:
    gate = judged("reward_accuracy", 0.6, unmeasured("it has no held-out pairs"))
    assert (gate.verdict, gate.as_dict()["value"]) == ("INCONCLUSIVE", None)
    assert gate.line == "INCONCLUSIVE reward_accuracy: not measured: it has no held-out pairs"


def test_lines_say_number_interval_and_limit() -> None:
    line = judged("reward_accuracy", 0.6, of_accuracy(share(90, 100), 0.6)).line
    assert line == "PASS         reward_accuracy: 90.0% [82.6%, 94.5%], at least 60.0%; 100 rows"
    line = judged("answer_loss", 0.2, of_losses(rows_of(2.0, 0), rows_of(2.1, 0), 0.2)).line
    assert line == "PASS         answer_loss: +0.100 nats a token [+0.100, +0.100], may rise +0.200; 200 rows"


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ("{number: kl}", "kl needs at_most"),
        ("{number: kl, at_most: 5, stage: sft}", "no stage of sft has the number kl"),
        ("{number: reward_accuracy, margin: 2}", "margin is no limit of reward_accuracy; it takes at_least"),
        ("{number: reward_accuracy, at_least: 0.6}", "at_least is 0.6; allowed: number or null ≥ 50 and < 100"),
        ("{number: certificate, at_most: 1}", "it takes none"),
        ("{number: kl, at_most: 5, against: previous}", "compared with no other model"),
        ("{number: answer_loss}", "needs compare.dialogues"),
        ("{number: certificate, stage: nowhere}", "names the stage 'nowhere', which is none of sft, rm, ppo"),
        ("{number: kl, at_most: 0}", "kl needs at_most above 0"),
        ("{number: leaks}", "needs `leakage`: canaries or rows"),
        ("{number: leaks, margin: 1}", "it takes at_most"),
        ("{number: klx}", "reward_accuracy | kl"),
        ("{group: medical-zh}", "gates need `evaluate`"),
    ],
)
def test_a_gate_that_cannot_be_judged_is_refused(gate: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(f"{PIPELINE}gates: [{gate}]\n", encoding="utf-8")
    with pytest.raises(ConfigError) as found:
        load(PipelineConfig, file)
    assert message in str(found.value)
    assert "(stage gate)" not in str(found.value)


def test_gates_of_both_kinds_stand_in_one_list(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    gates: list[dict[str, Any]] = [
        {"group": "medical-zh"},
        {"number": "kl", "at_most": 5},
        {"number": "reward_accuracy"},
    ]
    file.write_text(f"{PIPELINE}evaluate: {{suite: [medical-zh]}}\ngates: {gates}\n", encoding="utf-8")
    config = load(PipelineConfig, file).value
    assert [gate.group for gate in config.test_gates] == ["medical-zh"]
    assert [(gate.number, gate.limit) for gate in config.stage_gates] == [("kl", 5), ("reward_accuracy", 0.5)]
