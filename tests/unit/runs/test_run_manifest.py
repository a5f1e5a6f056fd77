"""The manifest: complete or an error that says why, without a trace of whose machine it was."""

import hashlib
import json
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from medicalgpt.errors import RunError
from medicalgpt.runs import Manifest, Parent, code_hash, hash_file, hash_json, hash_text, hash_tree, manifest, versions
from medicalgpt.runs.hashes import NUMBERS

SHA = "ab" * 32
VALUES: dict[str, Any] = {
    "stage": "sft", "base": "smollm2-135m", "config_key": "k", "versions": {"python": "3.11"}, "seed": 42,
    "hashes": {"data": SHA, "tokenizer": SHA, "base": SHA, "code": SHA}, "device": "cpu", "world_size": 2,
    "ledger": {"rows": 3}, "seconds": 1.5, "tokens": 99, "before": {"eval/loss": 2.0}, "after": {"eval/loss": 1.0},
    "files": {"config.json": SHA},
}  # fmt: skip


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    record = Manifest(**VALUES)
    manifest.write(tmp_path, record)
    assert manifest.read(tmp_path) == record
    assert manifest.read(tmp_path / "manifest.json") == record
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.json"]
    values = json.loads((tmp_path / "manifest.json").read_text())
    assert values["status"] == "finished"
    assert values["schema_version"] == 1


def test_created_is_utc_to_the_second() -> None:
    east = datetime(2026, 1, 2, 7, 30, 5, 999, tzinfo=timezone(timedelta(hours=8)))
    assert json.loads(Manifest(**VALUES, created=east).model_dump_json())["created"] == "2026-01-01T23:30:05Z"
    now = Manifest(**VALUES).created
    assert now.utcoffset() == timedelta(0)
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)
    with pytest.raises(ValidationError, match="timezone"):
        Manifest(**VALUES, created=datetime(2026, 1, 1))


def test_a_metric_that_is_not_finite_becomes_null(tmp_path: Path) -> None:
    values = VALUES | {"after": {"eval/loss": float("nan")}, "ledger": {"share": float("inf")}}
    manifest.write(tmp_path, Manifest(**values))
    assert manifest.read(tmp_path).after == {"eval/loss": None}
    assert "NaN" not in (tmp_path / "manifest.json").read_text()
    assert "Infinity" not in (tmp_path / "manifest.json").read_text()


@pytest.mark.parametrize(
    "wrong",
    [{"files": {"a": "not a hash"}}, {"world_size": 0}, {"seconds": float("nan")}, {"status": "half"}, {"extra": 1}],
)
def test_wrong_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Manifest(**(VALUES | wrong))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is missing: this is not a finished run"),
        ('{"stage": "sf', "is damaged: it is not JSON"),
        ("\xff", "is damaged: it is not JSON"),
        ("[]", "is damaged"),
        ('{"schema_version": 1, "stage": "sft"}', r"is damaged \(base: Field required; config_key: Field required"),
        ('{"schema_version": 2, "new": 1}', "has schema 2, .* reads up to 1; update medicalgpt"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_why(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=message) as caught:
        manifest.read(tmp_path)
    assert "manifest.json" in str(caught.value)


def test_the_home_folder_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home" / "alice"
    monkeypatch.setenv("HOME", str(home))
    rows = {f"{home}/data/a.jsonl": {"rows": 1}, f"{home}2/b.jsonl": 2, f"x{home}": 3}
    ledger = {"files": rows, "reasons": {f"dropped: {home}/data/a.jsonl:3 is empty": 1}}
    manifest.write(tmp_path, Manifest(**(VALUES | {"base": str(home), "ledger": ledger})))
    record = manifest.read(tmp_path)
    assert record.base == "~"
    assert list(record.ledger["files"]) == ["~/data/a.jsonl", f"{home}2/b.jsonl", f"x{home}"]
    assert list(record.ledger["reasons"]) == ["dropped: ~/data/a.jsonl:3 is empty"]


def test_paths_are_relative_unless_that_would_spell_out_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "alice"
    monkeypatch.setenv("HOME", str(home))
    assert manifest.portable(home / "runs" / "pt", home / "runs" / "sft") == "../pt"
    assert manifest.portable(home / "models" / "m", tmp_path / "runs" / "sft") == "~/models/m"
    assert manifest.portable(tmp_path / "models" / "m", home / "runs") == "../../models/m"
    monkeypatch.chdir(tmp_path)
    assert manifest.portable("runs/pt", "runs/sft") == "../pt"


def test_a_parent_is_named_by_its_manifest(tmp_path: Path) -> None:
    (tmp_path / "pt").mkdir()
    with pytest.raises(RunError, match="not a finished run"):
        Parent.of(tmp_path / "sft", tmp_path / "pt")
    manifest.write(tmp_path / "pt", Manifest(**VALUES))
    expected = hashlib.sha256((tmp_path / "pt" / "manifest.json").read_bytes()).hexdigest()
    assert Parent.of(tmp_path / "sft", tmp_path / "pt") == Parent(path="../pt", sha256=expected)


def test_versions_come_without_importing_the_packages() -> None:
    loaded = set(sys.modules)
    found = versions()
    assert list(found) == ["medicalgpt", "python", "torch", "transformers", "peft", "accelerate"]
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["torch"][0].isdigit()
    assert not {"torch", "transformers"} & (set(sys.modules) - loaded)


def test_a_package_that_is_not_there_is_said_to_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_PACKAGES", ("torch", "surely-not-installed"))
    assert versions()["surely-not-installed"] == "not installed"


def test_hash_file_is_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert hash_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_text("abc") == hash_file(tmp_path / "a")
    with pytest.raises(RunError, match="b cannot be read: No such file"):
        hash_file(tmp_path / "b")


def test_hash_json_ignores_the_order_of_keys_only() -> None:
    assert hash_json({"a": 1, "b": [1, 2]}) == hash_json({"b": [1, 2], "a": 1})
    assert hash_json({"a": 1, "b": [1, 2]}) != hash_json({"a": 1, "b": [2, 1]})
    assert hash_json({"a": 1}) != hash_json({"a": "1"})
    with pytest.raises(ValueError):
        hash_json(float("nan"))


def test_hash_tree_names_each_matching_file(tmp_path: Path) -> None:
    for name in ("b.txt", "sub/a.txt", "c.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert hash_tree(tmp_path) == {name: hash_text(name) for name in ("b.txt", "c.bin", "sub/a.txt")}
    assert list(hash_tree(tmp_path, ["**/*.txt", "*.txt"])) == ["b.txt", "sub/a.txt"]
    with pytest.raises(RunError, match=r"holds no file like \*\.safetensors"):
        hash_tree(tmp_path, ["*.safetensors"])
    with pytest.raises(RunError, match="is not a folder"):
        hash_tree(tmp_path / "nowhere")


@pytest.mark.parametrize("room", NUMBERS)
def test_code_hash_covers_every_module_that_makes_numbers_and_only_those(
    room: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import medicalgpt

    (tmp_path / "__init__.py").touch()
    for name in (room, "serve/web"):
        (tmp_path / name / "below").mkdir(parents=True)
        (tmp_path / name / "below" / "a.py").write_text("x = 1\n")
    monkeypatch.setattr(medicalgpt, "__file__", str(tmp_path / "__init__.py"))
    first = code_hash()
    (tmp_path / room / "a.pyc").touch()
    (tmp_path / "serve" / "web" / "below" / "a.py").write_text("x = 2\n")
    (tmp_path / "__init__.py").write_text('__version__ = "0.1.1"\n')
    assert code_hash() == first
    (tmp_path / room / "below" / "a.py").write_text("x = 2\n")
    second = code_hash()
    assert second != first
    (tmp_path / room / "b.py").touch()
    assert code_hash() != second


def test_the_rooms_that_make_numbers_exist() -> None:
    import medicalgpt

    for room in NUMBERS:
        assert (Path(medicalgpt.__file__).parent / room / "__init__.py").is_file(), room
