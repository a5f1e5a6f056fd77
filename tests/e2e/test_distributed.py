"""Two processes under torchrun (gloo, CPU) train exactly what one process trains."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.numerics import EXACT, Walk, assert_exact, assert_rounding, float64, nudged_walks, walking
from tests.stages import Bench, child, column, largest_gap, manifest, metrics, weights
from tests.tiny import tiny_tokenizer

from medicalgpt.training.supervised import run as supervised

# Four rows a step, two on each process; the rows of an epoch are no multiple of four.
OPTIONS = ("train.tokens_per_step=256", "train.max_steps=null", "train.epochs=1", "train.log_every=2")
FAST = ("train.learning_rate=1e-2",)  # so that the policy leaves its reference and KTO's baseline is not 0
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
ROOT = Path(__file__).parents[2]


def torchrun(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*TORCHRUN, *words], env=child(), capture_output=True, text=True, timeout=600)


def two_ranks(jobs: list[dict[str, Any]]) -> "subprocess.CompletedProcess[str]":
    """Several stages in one pair of processes; `jobs` as two_ranks.py takes them."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    words = [*TORCHRUN, str(Path(__file__).with_name("two_ranks.py")), json.dumps(jobs)]
    done = subprocess.run(words, env=child(PYTHONPATH=path), capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done


@dataclass
class Alone:
    """A stage in one process: in float64, and nudged as `assert_rounding` wants it."""

    run: Path
    walk: Walk
    nudged: list[Walk]


@pytest.fixture(scope="module")
def alone(_bench: Bench, _cache: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Alone]]:
    """Trains a stage when it is first asked for."""
    make_plan = supervised.make_plan

    def planned(*args: Any) -> supervised.Plan:
        plan = make_plan(*args)
        assert not all(plan.run.rows[-plan.run.rows_per_step :]), "the last step should have empty rows"
        assert plan.run.steps >= 3
        return plan

    @cache
    def train(stage: str) -> Alone:
        folder = tmp_path_factory.mktemp(stage)
        options = (*OPTIONS, *(FAST if stage == "kto" else ()))
        with float64(), walking() as walk, pytest.MonkeyPatch.context() as patch:
            patch.setattr(supervised, "make_plan", planned)
            _bench.train(stage, folder / "run", *options)
        runs = (folder / f"nudged {i}" for i in range(9))
        return Alone(folder / "run", walk, nudged_walks(lambda: _bench.train(stage, next(runs), *options), walk))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDICALGPT_CACHE", _cache)
        yield train


def assert_same_run(pair: Path, single: Path) -> None:
    """All that does not depend on how a machine rounds."""
    assert column(pair, "train/tokens") == column(single, "train/tokens")
    assert manifest(pair)["world_size"] == 2
    assert manifest(pair)["ledger"] == manifest(single)["ledger"]
    assert len(metrics(pair)) == len(metrics(single))


def assert_same(pair: Path, single: Path, gap: float, *more: str) -> None:
    for name in ("train/loss", "train/grad_norm", "eval/loss", *more):
        assert column(pair, name) == pytest.approx(column(single, name), rel=EXACT, abs=gap), name
    assert_same_run(pair, single)


def test_the_command_gives_the_run_of_one_process(bench: Bench, tmp_path: Path) -> None:
    """Numbers of the first step: what AdamW makes of rounding after that is no measure (tests/numerics.py)."""
    options = (*OPTIONS[:-1], "train.log_every=1")
    done = torchrun("-m", "medicalgpt", "train", *bench.words("sft", tmp_path / "run", *options))
    assert done.returncode == 0, done.stderr
    bench.train("sft", tmp_path / "alone", *options)
    assert_same_run(tmp_path / "run", tmp_path / "alone")
    for name in ("train/loss", "train/grad_norm", "eval/loss"):
        pair, single = (column(tmp_path / run, name) for run in ("run", "alone"))
        assert pair[0] == pytest.approx(single[0], abs=1e-5), name
    assert done.stderr.count("preflight") == 1, "one process speaks for both"


@pytest.mark.slow
def test_dpo_cached_references_and_a_resume(
    bench: Bench, alone: Callable[[str], Alone], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A cache of its own, so that both processes meet unrendered rows and no reference values.
    monkeypatch.setenv("MEDICALGPT_CACHE", str(tmp_path / "cache"))
    ways = {"sft": ("sft",), "dpo": ("dpo",), "cached": ("dpo", "objective.reference=cached"), "kto": ("kto", *FAST)}

    def job(name: str, way: str, **more: Any) -> dict[str, Any]:
        stage, *words = ways[way]
        return {"stage": stage, "words": bench.words(stage, tmp_path / name, *OPTIONS, *words)[1:], **more}

    jobs = [
        job("resumed", "sft", wide=True, interrupt=1),  # only the second process hears the signal
        job("resumed", "sft", wide=True),
    ]
    for name, (stage, *_) in ways.items():
        alone(stage).walk.save(tmp_path / f"{stage}.walk")
        jobs.append(job(name, name, wide=True, keep=str(tmp_path / f"{name}.exact")))
        jobs.append(job(f"{name}32", name, along=str(tmp_path / f"{stage}.walk"), keep=str(tmp_path / f"{name}.found")))
    done = two_ranks(jobs)
    said = [line for line in done.stdout.splitlines() if line.startswith("rank ")]
    assert sorted(said) == sorted(
        f"rank {rank}: {status}" for rank in (0, 1) for status in (*["finished 0"] * 9, "interrupted 15")
    )
    assert_same(tmp_path / "resumed", alone("sft").run, EXACT)
    assert largest_gap(weights(tmp_path / "resumed"), weights(alone("sft").run)) < EXACT
    for name, (stage, *_) in ways.items():
        one, more = alone(stage), ["train/kl_baseline"] * (stage == "kto")
        assert_same(tmp_path / name, one.run, EXACT, *more)
        assert_same(tmp_path / f"{name}32", one.run, 1e-5, *more)
        assert largest_gap(weights(tmp_path / name), weights(one.run)) < EXACT
        exact, found = (Walk.load(tmp_path / f"{name}.{kind}") for kind in ("exact", "found"))
        assert_exact(exact, one.walk)
        assert_rounding(found, one.walk, one.nudged, max(64 * 4, len(tiny_tokenizer())))  # tokens of four rows
    assert max(column(alone("kto").run, "train/kl_baseline")) > 1e-3


@pytest.mark.slow
def test_bad_input_ends_both_processes_cleanly(bench: Bench, tmp_path: Path) -> None:
    words = bench.words("sft", tmp_path / "run", "data.train=[nowhere.jsonl]")
    done = torchrun("-m", "medicalgpt", "train", *words)
    assert done.returncode != 0
    assert "error: data.train: nowhere.jsonl: no such file" in done.stderr
    assert "[rank" not in done.stderr, "a process died with a traceback"
    assert not (tmp_path / "run").exists()
