"""GRPO whose answers a judge grades: what it leaves ungraded is counted, and a run that goes on asks nothing twice."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_rl_resume import lines
from tests.judges import judge
from tests.rl import dies_in_the_third_update, train
from tests.stages import Bench, largest_gap, weights

from medicalgpt.rewards import judge as judging


def says(asked: dict[str, Any], before: int) -> str:
    """A verdict that depends on the answer alone; none on one answer of four."""
    digest = hashlib.sha256(asked["answer"].encode()).digest()
    return "I cannot say" if digest[0] % 4 == 0 else json.dumps({"1": digest[1] % 2 == 0, "2": digest[2] % 2 == 0})


def test_a_run_that_a_judge_grades(
    bench: Bench, tmp_path: Path, no_figures: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(judging, "_PAUSE", 0.0)
    criteria = "[{criterion: Says when to call, points: 3}, {criterion: Names a dose, points: -1}]"
    with judge(says) as asked:
        entry = f"{{name: rubric, judge: {{url: '{asked.url}', model: grader}}, criteria: {criteria}}}"
        options = (f"reward.functions=[{entry}]", "train.max_steps=3", "train.save_every=2", "data.eval_fraction=0.2")
        monkeypatch.setenv("MEDICALGPT_CACHE", str(tmp_path / "first"))
        train(bench, "grpo", tmp_path / "straight", *options)
        found = lines(tmp_path / "straight")
        silent = [line["train/ungraded"] for line in found if line["step"]]
        assert 0 < sum(silent) < len(silent)
        assert "of the answers ungraded" in capfd.readouterr().err

        monkeypatch.setenv("MEDICALGPT_CACHE", str(tmp_path / "second"))
        with dies_in_the_third_update(monkeypatch):
            train(bench, "grpo", tmp_path / "run", *options)
        train(bench, "grpo", tmp_path / "run", *options)
        assert largest_gap(weights(tmp_path / "run"), weights(tmp_path / "straight")) == 0.0
        assert lines(tmp_path / "run") == found
        # Everything that has a verdict is in the cache now, so the same run in another folder asks for the rest alone.
        asked.clear()
        train(bench, "grpo", tmp_path / "again", *options)
        assert asked, "what stayed without a verdict should have been asked again"
        assert all(says({"answer": text}, 0) == "I cannot say" for text in asked.answers)
