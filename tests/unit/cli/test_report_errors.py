"""Processes of one torchrun that fail for the same reason say it once; different reasons are all said."""

from pathlib import Path

import pytest

from medicalgpt.cli.report_errors import print_error


def rank(number: int, attempt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (attempt / str(number)).mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(attempt / str(number) / "error.json"))


def test_the_same_error_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, message in [(1, "no such file"), (0, "no such file"), (1, "out of memory")]:
        rank(number, tmp_path / "attempt_0", monkeypatch)
        print_error(message)
    assert capsys.readouterr().err == "error: no such file\nerror: out of memory\n"
    rank(0, tmp_path / "attempt_1", monkeypatch)
    print_error("no such file")
    assert "no such file" in capsys.readouterr().err, "another start says it again"


@pytest.mark.parametrize("place", ["", "/nowhere/attempt_0/0/error.json"])
def test_without_torchruns_folder_every_process_speaks(
    place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", place)
    print_error("wrong")
    print_error("wrong")
    assert capsys.readouterr().err.count("wrong") == 2
