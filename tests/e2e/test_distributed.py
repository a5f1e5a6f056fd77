"""Two processes under torchrun (gloo, CPU) train exactly what one process trains."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.stages import Bench, child, column, largest_gap, manifest, metrics, weights

from medicalgpt.train.supervised import run

# Four rows a step, two on each process; the rows of an epoch are no multiple of four.
OPTIONS = ("train.tokens_per_step=256", "train.max_steps=null", "train.epochs=1", "train.log_every=2")
FAST = ("train.learning_rate=1e-2",)  # so that the policy leaves its reference and KTO's baseline is not 0
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


def torchrun(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*TORCHRUN, *words], env=child(), capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def alone(_bench: Bench, _cache: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """The same stages in one process."""
    folder, plans = tmp_path_factory.mktemp("alone"), []
    make_plan = run.make_plan

    def spy(*args: Any) -> run.Plan:
        plans.append(make_plan(*args))
        return plans[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDICALGPT_CACHE", _cache)
        patch.setattr(run, "make_plan", spy)
        for stage in ("sft", "dpo", "kto"):
            _bench.train(stage, folder / stage, *OPTIONS, *(FAST if stage == "kto" else ()))
    for plan in plans:
        assert not all(plan.run.rows[-plan.run.rows_per_step :]), "the last step should have empty rows"
        assert plan.run.steps >= 3
    return {stage: folder / stage for stage in ("sft", "dpo", "kto")}


def assert_same(pair: Path, single: Path) -> None:
    names = ("train/loss", "train/grad_norm", "eval/loss", "train/tokens")
    for name in names:
        assert column(pair, name) == pytest.approx(column(single, name), abs=1e-5), name
    assert largest_gap(weights(pair), weights(single)) < 1e-6
    assert manifest(pair)["world_size"] == 2
    assert manifest(pair)["ledger"] == manifest(single)["ledger"]
    assert len(metrics(pair)) == len(metrics(single))


def test_the_command_gives_the_run_of_one_process(bench: Bench, alone: dict[str, Path], tmp_path: Path) -> None:
    done = torchrun("-m", "medicalgpt", "train", *bench.words("sft", tmp_path / "run", *OPTIONS))
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "run", alone["sft"])
    assert done.stderr.count("preflight") == 1, "one process speaks for both"


@pytest.mark.slow
def test_dpo_cached_references_and_a_resume(
    bench: Bench, alone: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A cache of its own, so that both processes meet unrendered rows and no reference values.
    monkeypatch.setenv("MEDICALGPT_CACHE", str(tmp_path / "cache"))
    cached = ("objective.reference=cached",)
    jobs = [
        ("dpo", "dpo", (), None),
        ("cached", "dpo", cached, None),
        ("kto", "kto", FAST, None),
        ("resumed", "sft", (), 1),  # only the second process hears the signal
        ("resumed", "sft", (), None),
    ]
    words = [
        (stage, bench.words(stage, tmp_path / name, *OPTIONS, *more)[1:], rank) for name, stage, more, rank in jobs
    ]
    done = torchrun(str(Path(__file__).with_name("two_ranks.py")), json.dumps(words))
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("rank ")]
    assert sorted(said) == sorted(
        f"rank {rank}: {status}" for rank in (0, 1) for status in (*["finished 0"] * 4, "interrupted 15")
    )
    assert_same(tmp_path / "dpo", alone["dpo"])
    assert_same(tmp_path / "cached", alone["dpo"])
    assert_same(tmp_path / "kto", alone["kto"])
    assert max(column(alone["kto"], "train/kl_baseline")) > 1e-3
    assert column(tmp_path / "kto", "train/kl_baseline") == pytest.approx(
        column(alone["kto"], "train/kl_baseline"), abs=1e-5
    )
    assert_same(tmp_path / "resumed", alone["sft"])


@pytest.mark.slow
def test_bad_input_ends_both_processes_cleanly(bench: Bench, tmp_path: Path) -> None:
    words = bench.words("sft", tmp_path / "run", "data.train=[nowhere.jsonl]")
    done = torchrun("-m", "medicalgpt", "train", *words)
    assert done.returncode != 0
    assert "error: nowhere.jsonl: no such file" in done.stderr
    assert "[rank" not in done.stderr, "a process died with a traceback"
    assert not (tmp_path / "run").exists()
