"""GRPO without the answers that the limit cut: a whole run, also where it cuts all of them."""

from pathlib import Path

import pytest
from tests.rl import words
from tests.stages import Bench, column
from typer.testing import CliRunner

from medicalgpt.cli import app


@pytest.mark.parametrize("kind", ["bnpo", "dapo"])
def test_where_every_answer_is_cut_nothing_is_learned_and_it_is_said(bench: Bench, tmp_path: Path, kind: str) -> None:
    """Both means divide by tokens that count, of which there are none."""
    keys = ("objective.overlong_filter=true", f"objective.loss_type={kind}", "rollout.min_new_tokens=2")
    run = tmp_path / "run"
    done = CliRunner().invoke(app, ["train", *words(bench, "grpo", run, *keys, "rollout.max_new_tokens=3")])
    assert done.exit_code == 0, done.output
    stopped = column(run, "train/stop_rate")
    norms = column(run, "train/grad_norm")
    assert len(norms) == 2
    assert [norm > 0 for norm in norms] == [rate > 0 for rate in stopped]
    assert ("this run learned nothing" in " ".join(done.output.split())) == (not any(stopped))
    assert not all(stopped), "the case that this test is for"
