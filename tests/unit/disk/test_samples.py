"""The sample data and configurations: found in a clone and in an installation, copied whole or not at all."""

from importlib.metadata import PackagePath
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.disk import samples
from medicalgpt.errors import MedicalGPTError

ROOT = Path(__file__).resolve().parents[3]


def test_a_copy_has_what_the_commands_of_the_documentation_name(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["examples", "copy", str(tmp_path / "my work")])
    assert done.exit_code == 0, done.output
    assert f"cd '{tmp_path / 'my work'}' && medicalgpt pipeline run configs/pipelines/dpo.yaml" in done.output
    for name in ("configs/pipelines/dpo.yaml", "configs/zh/sft.yaml", "examples/data/dialogues/en.jsonl"):
        assert (tmp_path / "my work" / name).read_bytes() == (ROOT / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "my work").iterdir()) == ["configs", "examples"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "mine.yaml").write_text("a: 1\n")
    done = CliRunner().invoke(app, ["examples", "copy", str(tmp_path)])
    assert done.exit_code == 2
    assert "configs already there: name another folder" in done.output
    assert [path.name for path in tmp_path.rglob("*.yaml")] == ["mine.yaml"]
    assert not (tmp_path / "examples").exists()


def test_an_installation_finds_them_among_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "env" / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    listed = []
    for name in ("medicalgpt/cli/examples.py", "../../../share/medicalgpt/configs/sft.yaml"):
        listed.append(_file(site, name))
    listed.append(_file(site, "../../../share/medicalgpt/examples/data/documents/en/01-configs.md"))
    monkeypatch.setattr(samples, "_CLONE", tmp_path)
    monkeypatch.setattr(samples, "files", lambda name: listed)
    share = tmp_path / "env" / "share" / "medicalgpt"
    assert samples.sample_folders() == {"configs": share / "configs", "examples": share / "examples"}
    del listed[-1]
    with pytest.raises(MedicalGPTError, match="this installation has no examples"):
        samples.sample_folders()


def _file(site: Path, name: str) -> PackagePath:
    (site / name).parent.mkdir(parents=True, exist_ok=True)
    (site / name).write_text("x")
    found = PackagePath(name)
    found.dist = type("Distribution", (), {"locate_file": lambda self, path: site / path})()
    return found
