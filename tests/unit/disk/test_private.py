"""What holds patients' text is readable by its owner alone, whatever the umask; teams may share with their group."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tiny import tiny_tokenizer

from medicalgpt.config.sections import DataConfig
from medicalgpt.disk.private import ENV, private_files
from medicalgpt.errors import ConfigError
from medicalgpt.generate.output import Output
from medicalgpt.rendering.build import prepare
from medicalgpt.rendering.template import ChatTemplate

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes mean nothing there")


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct, autouse=True)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    assert os.umask(before) == request.param, "it should be the user's again"


def modes(folder: Path) -> set[str]:
    return {f"{'d' if p.is_dir() else 'f'}{p.stat().st_mode & 0o777:o}" for p in (folder, *folder.rglob("*"))}


@pytest.mark.parametrize(("share", "expected"), [(None, {"d700", "f600"}), ("group", {"d770", "f660"})])
def test_new_files_and_folders(
    share: str | None, expected: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ENV, raising=False)
    if share:
        monkeypatch.setenv(ENV, share)

    @private_files()
    def write_and_fail() -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "b" / "samples.jsonl").write_text("{}")
        raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()
    assert modes(tmp_path / "a") == expected


def test_another_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV, "everyone")
    with pytest.raises(ConfigError, match="MEDICALGPT_SHARE='everyone' is unknown; allowed: private, group"):
        private_files().__enter__()


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.json", "answers.csv", "answers.tsv", "answers.xlsx"])
@pytest.mark.parametrize("names", [None, {"answer": "Output"}])
def test_an_output_of_generate(name: str, names: dict[str, str] | None, tmp_path: Path) -> None:
    with Output(tmp_path / name, names=names) as output:
        output.start({})
        output.write([{"answer": "Drink enough.", "stopped": True, "problem": "none"}])
        assert {p.stat().st_mode & 0o777 for p in tmp_path.iterdir()} == {0o600}
        output.finish()
    assert [(p.name, p.stat().st_mode & 0o777) for p in tmp_path.iterdir()] == [(name, 0o600)]


def test_the_token_cache(tmp_path: Path) -> None:
    data = tmp_path / "a.jsonl"
    data.write_text("".join(f'{{"question": "Question {i}?", "answer": "Answer {i}."}}\n' for i in range(10)))
    template = ChatTemplate.load(tiny_tokenizer(), None)
    prepare(DataConfig(train=[str(data)], max_tokens=64), "dialogue", template, tmp_path / "cache", 1)
    assert modes(tmp_path / "cache") == {"d700", "f600"}
