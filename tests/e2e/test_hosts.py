"""Two machines without a shared disk: folders and caches of their own. And a pipeline, a late process and one that starts again."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tests.numerics import EXACT
from tests.ranks import Done, Job, run
from tests.stages import Bench, child, column, largest_gap, weights

pytestmark = pytest.mark.slow

OPTIONS = ("train.tokens_per_step=256", "train.max_steps=4", "train.save_every=1", "train.eval_every=1")
CACHED = ("lora.enabled=false", "objective.reference=cached", "train.learning_rate=1e-3")
ROOT = Path(__file__).parents[2]


def assert_same(found: Path, wanted: Path) -> None:
    for name in ("train/loss", "eval/loss"):
        assert column(found, name) == pytest.approx(column(wanted, name), abs=EXACT), name
    assert largest_gap(weights(found), weights(wanted)) < EXACT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hosts")


def _pipeline(bench: Bench, folder: Path) -> Path:
    path = folder / "pipeline.yaml"
    stages = [
        {"name": name, "stage": name, "set": {"data.train": [f"{bench.folder / name}.jsonl"], **_small()}}
        for name in ("sft", "dpo")
    ]
    held_out = {"dialogues": [f"{bench.folder / 'sft'}.jsonl"], "questions": []}
    path.write_text(yaml.safe_dump({"base": str(bench.base), "stages": stages, "compare": held_out}))
    return path


def _small() -> dict[str, object]:
    from tests.stages import SMALL

    return {key: yaml.safe_load(value) for key, value in (word.split("=", 1) for word in SMALL)} | {
        "train.tokens_per_step": 256
    }


@pytest.fixture(scope="module")
def done(_bench: Bench, folder: Path) -> dict[str, Done]:
    hosts = [str(folder / name) for name in "ab"]
    for host in hosts:
        Path(host).mkdir()
    own = {"MEDICALGPT_CACHE": str(folder / "cache")}

    def dpo(out: str, *more: str) -> list[str]:
        return _bench.words("dpo", Path(out), *OPTIONS, *CACHED, *more)

    pipeline, shard = str(_pipeline(_bench, folder)), "distributed.shard=full"
    narrow = "train.save_every=null"
    keep = ("train.keep_best=eval/loss", "train.keep_checkpoints=9")
    return run(
        [
            Job("alone", 1, dpo(str(folder / "alone")), env=own),
            Job("dies", 2, dpo("run"), die_at=2, hosts=hosts),
            Job("goes on", 2, dpo("run"), hosts=hosts),
            Job("both have them", 2, dpo("two", narrow), hosts=hosts, wide=False),
            Job("only a has them", 2, dpo("one", narrow), hosts=hosts, wide=False, probe="forget_on_b"),
            Job("divided dies", 2, dpo("divided", shard, *keep), die_at=3, hosts=hosts),
            Job("divided goes on", 2, dpo("divided", shard, *keep), hosts=hosts),
            Job("late", 2, _bench.words("sft", folder / "late", *OPTIONS), env=own, probe="late"),
            Job("pipeline 1", 1, ["pipeline", pipeline, f"output_dir={folder / 'p1'}"], env=own),
            Job("pipeline 2", 2, ["pipeline", pipeline, f"output_dir={folder / 'p2'}"], env=own),
        ]
    )


def test_a_killed_run_goes_on_without_a_shared_disk(done: dict[str, Done], folder: Path) -> None:
    assert done["dies"].codes == [9, 9], done["dies"].said
    assert done["goes on"].codes == [0, 0], done["goes on"].said
    assert "resuming from" in done["goes on"].said[0]
    assert_same(folder / "a" / "run", folder / "alone")
    assert [p.name for p in (folder / "b" / "run" / "checkpoints").iterdir()] == ["step-1"], "what was sent, no more"


def test_references_that_one_machine_has_are_sent_to_the_other(done: dict[str, Done], folder: Path) -> None:
    """One that found its own and went on would leave the other waiting."""
    assert (done["both have them"].codes, done["only a has them"].codes) == ([0, 0], [0, 0]), done[
        "only a has them"
    ].said
    for name in ("train/loss", "eval/loss"):
        assert column(folder / "a" / "one", name) == column(folder / "a" / "two", name), name
    a, b = (sorted(p.name for p in (folder / host / "cache" / "reference").iterdir()) for host in "ab")
    assert a == b != []


def test_a_divided_run_goes_on_without_a_shared_disk(done: dict[str, Done], folder: Path) -> None:
    assert done["divided dies"].codes == [9, 9], done["divided dies"].said
    assert done["divided goes on"].codes == [0, 0], done["divided goes on"].said
    assert column(folder / "a" / "divided", "train/loss") == pytest.approx(
        column(folder / "alone", "train/loss"), abs=EXACT
    )


def test_the_late_process_is_named(done: dict[str, Done]) -> None:
    assert done["late"].codes == [0, 0], done["late"].said
    assert "warning: process 1 (" in done["late"].said[0]
    assert "s behind, at batch 1 of 2; the others wait for it" in done["late"].said[0]


def test_a_pipeline_on_two_processes_is_that_of_one(done: dict[str, Done], folder: Path) -> None:
    assert (done["pipeline 1"].codes, done["pipeline 2"].codes) == ([0], [0, 0]), done["pipeline 2"].said
    for stage in ("sft", "dpo"):
        assert largest_gap(weights(folder / "p2" / stage), weights(folder / "p1" / stage)) < EXACT
        assert (folder / "p2" / stage / "merged" / "model.safetensors").is_file()
    assert (folder / "p2" / "summary.md").is_file()
    assert "\n" not in done["pipeline 2"].said[1].strip(), "the second process is silent"


def test_torchrun_starts_a_run_again(bench: Bench, folder: Path) -> None:
    """It keeps its store for the new processes; what the dead ones left in it must not be found (torch 2.13)."""
    script = Path(__file__).with_name("dies_at_first.py")
    words = bench.words("sft", folder / "restarted", *OPTIONS)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "--max_restarts=3"]
    path = os.pathsep.join(filter(None, (str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [*launch, str(script), *words], env=child(PYTHONPATH=path), capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("resuming from") == 2, "killed twice"
    assert column(folder / "restarted", "train/tokens")[-1] > 0


def test_torchrun_passes_a_signal_on_with_the_documented_words(bench: Bench, folder: Path) -> None:
    """A batch system's SIGUSR1 to torchrun alone, as Slurm sends it where it tracks processes by cgroup."""
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    (found,) = set(re.findall(r"--signals-to-handle \S+ --shutdown-timeout \d+", page))
    run = folder / "signaled"
    words = ["-m", "medicalgpt", "train", *bench.words("sft", run, *OPTIONS, "train.max_steps=2000")]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *found.split()]
    path = os.pathsep.join(filter(None, (str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [*launch, *words], env=child(PYTHONPATH=path), stdout=subprocess.PIPE, text=True, stderr=subprocess.STDOUT
    )
    log = run / "metrics.jsonl"
    while process.poll() is None and not (log.exists() and "train/loss" in log.read_text(encoding="utf-8")):
        time.sleep(0.1)
    process.send_signal(signal.SIGUSR1)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 1, said
    assert "stopped by SIGUSR1 with a checkpoint" in said
    assert list((run / "checkpoints").glob("step-*"))
