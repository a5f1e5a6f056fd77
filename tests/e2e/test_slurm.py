"""The scripts of the documentation on a Slurm: docs/scaling.md's job and docs/curation.md's executors, as they are printed."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.curating import contents, made, qa, write
from tests.http_server import free_port
from tests.slurm_cluster import Cluster, cluster, missing, until
from tests.stages import Bench, child, column, largest_gap, weights

from medicalgpt.curation.cluster import DatatroveExecutor, Launch
from medicalgpt.errors import DataError

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=str(missing()))]

ROOT = Path(__file__).parents[2]
STEPS = 150
OPTIONS = (f"train.max_steps={STEPS}", "train.tokens_per_step=256", "train.learning_rate=1e-4", "lora.enabled=false")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("slurm")) as found:
        yield found


@pytest.fixture
def env() -> dict[str, str]:
    """What the jobs see."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return child(PYTHONPATH=path, PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def block(page: str, language: str, holds: str) -> str:
    """The one block of code of a page that holds a word."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    (found,) = (code for code in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) if holds in code)
    return str(found)


def replaced(text: str, **pairs: str) -> str:
    """Every value that a reader adapts, each of which stands there."""
    for old, new in pairs.values():
        assert old in text, old
        text = text.replace(old, new)
    return text


def test_a_job_queues_itself_again_and_goes_on(
    slurm: Cluster, bench: Bench, tmp_path: Path, env: dict[str, str]
) -> None:
    run, said = tmp_path / "run", tmp_path / "job.out"
    words = " ".join([sys.executable, "-m medicalgpt train", *bench.words("sft", run, *OPTIONS)])
    script = replaced(
        block("scaling.md", "bash", "scontrol requeue"),
        size=("--ntasks-per-node=8 --gpus-per-node=8", "--ntasks-per-node=1 --mem=2000"),
        head=('$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)', "127.0.0.1"),  # both are this machine
        port=("29500", str(free_port())),
        command=("medicalgpt train sft --config configs/sft.yaml", words),
    )
    number = slurm.submit(script, said, env)
    log = run / "metrics.jsonl"
    until(lambda: log.exists() and log.read_text(encoding="utf-8").count("train/loss") > 2, "no step", [said], 120.0)
    slurm.ask("scancel", "--signal=USR1", number)
    until(lambda: slurm.job(number).restarts == 1, "not queued again", [said], 120.0)
    assert "stopped by SIGUSR1 with a checkpoint" in said.read_text(encoding="utf-8")
    assert [place.name for place in (run / "checkpoints").iterdir()] != [f"step-{STEPS}"]
    until(lambda: slurm.job(number).state == "COMPLETED", "not finished", [said], 120.0)
    assert "resuming from" in said.read_text(encoding="utf-8")
    bench.train("sft", tmp_path / "alone", *OPTIONS)
    assert column(run, "train/loss") == pytest.approx(column(tmp_path / "alone", "train/loss"), abs=1e-4)
    assert largest_gap(weights(run), weights(tmp_path / "alone")) < 1e-5


def test_a_curation_on_slurm_has_the_bytes_of_one_machine(
    slurm: Cluster, tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datatrove")
    for name, value in (env | slurm.env | {"PATH": env["PATH"]}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("medicalgpt.curation.plan._SMALL", 10)
    activate = tmp_path / "activate"
    activate.write_text("", encoding="utf-8")
    code = replaced(
        block("curation.md", "python", "SlurmPipelineExecutor"),
        venv=("/shared/medicalgpt/.venv/bin/activate", str(activate)),
        memory=("mem_per_cpu_gb=4", "mem_per_cpu_gb=1"),
        call=("\ncurate(", "\n("),
    )
    namespace: dict[str, Any] = {}
    exec(code.partition("\n(config=")[0], namespace)
    rows = [qa(n, f"电话1381234{n:04d}") for n in range(60)] + [qa(n) for n in range(4)]
    words = ("held_out.fraction=0.1", "scale.shard_rows=40", "scale.partitions=1")

    def curated(raw: Path, name: str, launch: Launch | None) -> Path:
        executor = DatatroveExecutor(launch=launch, patience=120.0) if launch else None
        return made({"rows": {"paths": [str(raw)]}}, tmp_path / name, *words, executor=executor)

    raw = write(tmp_path / "raw.jsonl", rows)
    whole = curated(raw, "whole", None)
    assert contents(curated(raw, "out", namespace["launch"])) == contents(whole)
    assert not (tmp_path / "out" / ".work").exists()
    bad = write(tmp_path / "bad.jsonl", [*rows, {"question": "?"}])
    with pytest.raises(DataError, match=r"bad\.jsonl:65: "):
        curated(bad, "bad", namespace["launch"])
    until(lambda: not slurm.ask("squeue", "--noheader").strip(), "the queue is not empty", [bad], 120.0)
