"""An exported run: what is in it, what is left out and said, and what never gets in."""

import hashlib
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from tests.run_folders import begun, checkpoint, evaluated, finished, running

from medicalgpt.browse.pack import Part, pack
from medicalgpt.errors import RunError


def read(path: Path) -> dict[str, bytes]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with (
        pyarrow.CompressedInputStream(path.open("rb"), "zstd") as stream,
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]  # files only


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = finished(tmp_path / "runs/a")
    checkpoint(run, 2)
    evaluated(run / "evaluation/t")
    (run / "report.html").write_text("a patient")
    (run / "notes.txt").write_text("mine")
    (run / "figures").mkdir()
    (run / "figures/loss.png").write_bytes(b"png")
    (run / "model/link").symlink_to("/etc/hostname")
    return run


@pytest.mark.parametrize("ending", [".zip", ".tar.zst"])
def test_numbers_and_origin_without_weights_and_text(run: Path, tmp_path: Path, ending: str) -> None:
    packed = pack(run, tmp_path / f"a{ending}")
    found = read(packed.path)
    assert set(found) == {f"a/{name}" for name in (*packed.files, "contents.json")}
    assert set(packed.files) == {
        ".run.json", "config.resolved.yaml", "evaluation/t/items.jsonl.gz", "evaluation/t/results.json", "figures/loss.png",
        "manifest.json", "metrics.jsonl",
    }  # fmt: skip
    said: dict[str, Any] = json.loads(found["a/contents.json"])
    assert {name: hashlib.sha256(found[f"a/{name}"]).hexdigest() for name in packed.files} == said["files"]
    left = {name for names in said["left_out"].values() for name in names}
    assert left == {
        "checkpoints/step-2/complete.json", "checkpoints/step-2/optimizer.pt", "model/adapter_model.safetensors", "model/link",
        "notes.txt", "report.html", "samples.jsonl",
    }  # fmt: skip
    everything = {p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file() or p.is_symlink()}
    assert everything == left | set(packed.files)  # nothing vanishes
    assert not any(b"patient" in data or b"says rest" in data for data in found.values())
    assert packed.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("parts", "more"),
    [
        (("weights",), {"model/adapter_model.safetensors"}),
        (("text",), {"samples.jsonl", "report.html"}),
        (("weights", "text"), {"model/adapter_model.safetensors", "samples.jsonl", "report.html"}),
    ],
)
def test_weights_and_text_when_asked_for(run: Path, tmp_path: Path, parts: tuple[Part, ...], more: set[str]) -> None:
    plain, packed = (pack(run, tmp_path / f"{n}.zip", p) for n, p in ((0, ()), (1, parts)))
    assert set(packed.files) - set(plain.files) == more
    assert "model/link" in packed.left_out["links are not followed"]


def test_equal_runs_are_equal_archives(run: Path, tmp_path: Path) -> None:
    one, two = (pack(run, tmp_path / f"{n}.zip").path.read_bytes() for n in (1, 2))
    assert one == two


def test_the_home_folder_is_named_by_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "dr-house"))
    run = finished(tmp_path / "dr-house/runs/a", "sft", f"data.eval=[{tmp_path}/dr-house/held.jsonl]")
    found = read(pack(run, tmp_path / "a.zip").path)
    assert b"~/held.jsonl" in found["a/config.resolved.yaml"]
    assert b"dr-house" not in b"".join(found.values())


def test_what_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "there.zip").write_text("x")
    with pytest.raises(RunError, match="is there already"):
        pack(run, tmp_path / "there.zip")
    assert (tmp_path / "there.zip").read_text() == "x"
    with pytest.raises(RunError, match=r"allowed: \.zip, \.tar\.zst"):
        pack(run, tmp_path / "a.rar")
    with pytest.raises(RunError, match="allowed: weights, text"):
        pack(run, tmp_path / "a.zip", ["everything"])  # type: ignore[list-item]  # what is tested
    with pytest.raises(RunError, match="is no run"):
        pack(tmp_path, tmp_path / "a.zip")
    with pytest.raises(RunError, match=r"nowhere.*could not be written"):
        pack(run, tmp_path / "nowhere/a.zip")
    going = begun(tmp_path / "runs/b")
    with running(going), pytest.raises(RunError, match="is running"):
        pack(going, tmp_path / "b.zip")
