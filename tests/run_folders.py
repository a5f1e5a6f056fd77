"""Folders of runs as training leaves them, without a model: configuration, log, samples, checkpoints, manifest last."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medicalgpt.config.loader import dump, load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.runs import Manifest, MetricsLog, RunFolder, RunKey, SampleLog, manifest
from medicalgpt.runs.ownership import record
from medicalgpt.runs.staging import write_complete

SHA = "ab" * 32
EVIL = "<script>alert(1)</script><img src=x onerror=\"alert('2')\">"


def begun(folder: Path, stage: str = "sft", *words: str, base: Path | str = "smollm2-135m") -> Path:
    """A run that was begun, with the log of three steps."""
    run = RunFolder(folder)
    folder.mkdir(parents=True)
    given = [f"model.base={json.dumps(str(base))}", "data.train=[rows/a.jsonl]"]
    given += [f"output_dir={json.dumps(str(folder))}", *words]
    resolved = load(stage_schema(stage), None, given)
    run.config.write_text(dump(resolved), encoding="utf-8")
    key = RunKey(stage, {}, {}, {}, SHA)
    (folder / ".run.json").write_text(json.dumps(record(key)), encoding="utf-8")
    log = MetricsLog(run.metrics)
    log.append(0, {"eval/loss": 2.5})
    for step in (1, 2, 3):
        log.append(step, {"train/loss": 2.5 - step / 4, "train/learning_rate": 1e-4, "train/tokens": 100 * step})
    log.append(3, {"eval/loss": 2.0})
    return folder


def finished(
    folder: Path,
    stage: str = "sft",
    *words: str,
    base: Path | str = "smollm2-135m",
    parent: Path | None = None,
    **changes: Any,
) -> Path:
    """A finished run with one sample answer."""
    begun(folder, stage, *words, base=base)
    run = RunFolder(folder)
    SampleLog(run.samples).append(
        3, [{"role": "user", "content": "Fever?"}], f"{folder.name} says rest", reference="Rest."
    )
    run.model.mkdir()
    (run.model / "adapter_model.safetensors").write_bytes(b"w" * 1000)
    ledger = {"rows": 5, "kept": 4, "dropped": 1, "files": {"rows/a.jsonl": {"rows": 5}}}
    values: dict[str, Any] = {
        "stage": stage, "base": str(base), "config_key": folder.name, "versions": {"torch": "2"}, "seed": 1, "device": "cpu",
        "hashes": {"data": SHA, "tokenizer": SHA, "base": SHA, "code": SHA}, "world_size": 1, "ledger": ledger,
        "seconds": 90.0, "tokens": 300, "before": {"eval/loss": 2.5}, "after": {"eval/loss": 2.0}, "files": {},
        "parents": [manifest.Parent.of(folder, parent)] if parent else [],
    }  # fmt: skip
    manifest.write(folder, Manifest(**(values | changes)))
    return folder


def checkpoint(folder: Path, step: int) -> Path:
    """A complete checkpoint of a step."""
    place = RunFolder(folder).checkpoint_dir(step)
    place.mkdir(parents=True)
    (place / "optimizer.pt").write_bytes(b"o" * 64)
    write_complete(place, step)
    return place


def evaluated(folder: Path, tests: Sequence[tuple[str, float]] = (("triage", 0.5),)) -> Path:
    """A finished evaluation as `medicalgpt evaluate run` leaves it, as far as lists read it."""
    folder.mkdir(parents=True)
    score = {name: {"value": value, "low": value - 0.1, "high": value + 0.1, "rows": 40} for name, value in tests}
    told = {name: {"headline": "letter", "items": 40, "scores": {"letter": score[name]}} for name, _ in tests}
    results = {
        "schema_version": 2,
        "model": {"config": {"base": "runs/x"}},
        "tests": told,
        "groups": {},
        "seconds": 3.0,
    }
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    (folder / "items.jsonl.gz").write_bytes(b"")
    return folder


HOLD = """
import sys, time
from pathlib import Path
from medicalgpt.runs.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]) / ".lock")
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """Another process holds the folder's lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline().strip() == b"held"
        yield
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()
