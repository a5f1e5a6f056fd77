"""The notebooks as they are shipped: valid, in two languages, with outputs that belong to their code and tell nothing of a machine."""

import base64
import os
import re
import struct
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
import pytest
from tests.notebooks import HIDDEN, cleaned, notebooks, sources

ROOT = Path(__file__).resolve().parents[2]
STAGES = {
    "run_hospital_pipeline": ("corpus", "pt", "sft"),
    "run_training_dpo_pipeline": ("pt", "sft", "dpo"),
    "run_training_ppo_pipeline": ("pt", "sft", "rm", "ppo"),
}
CHARTS = {
    "run_hospital_pipeline": ("pt", "sft", "test"),
    "run_training_dpo_pipeline": ("pt-curve", "sft-curve", "dpo-curve", "table"),
    "run_training_ppo_pipeline": ("pt-curve", "sft-curve", "rm-curve", "rm-length", "ppo-curve", "table"),
}
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
ELSEWHERE = {
    "Colab": "https://colab.research.google.com/github/{repository}/blob/main/notebooks/{name}.ipynb",
    "ModelScope": "https://modelscope.cn/notebook/share/github/{repository}/blob/main/notebooks/{name}.ipynb",
}
every = pytest.mark.parametrize("name", STAGES)


def path(name: str) -> Path:
    return ROOT / "notebooks" / f"{name}.ipynb"


def book(name: str) -> Any:
    return nbformat.read(path(name), as_version=4)


def code(name: str) -> list[Any]:
    return [cell for cell in book(name).cells if cell.cell_type == "code"]


def cell(name: str, wanted: str) -> Any:
    (found,) = [cell for cell in book(name).cells if cell.id == wanted]
    return found


def texts(name: str) -> Iterator[str]:
    """All that stands in a notebook but its pictures."""
    for one in book(name).cells:
        yield one.source
        for output in one.get("outputs", []):
            yield output.get("text", "")
            yield from (text for kind, text in output.get("data", {}).items() if kind != "image/png")


def test_every_notebook_is_known_here() -> None:
    assert notebooks() == sorted(path(name) for name in STAGES)


@every
def test_it_is_valid(name: str) -> None:
    found = book(name)
    nbformat.validate(found)
    assert (found.nbformat, found.nbformat_minor) >= (4, 5)
    assert found.metadata.kernelspec.name == "python3"
    assert len({one.id for one in found.cells}) == len(found.cells)


# -- what is stored -----------------------------------------------------------------------------------------------------
@every
def test_its_outputs_are_of_its_code(name: str) -> None:
    told = book(name).metadata.medicalgpt
    assert told.sources == sources(book(name)), f"{name}: its code was changed; make notebooks, or give back the code"
    assert [one.execution_count for one in code(name)] == list(range(1, len(code(name)) + 1)), "top to bottom, once"
    assert told.minutes > 1, "not the short settings"


def test_a_changed_cell_is_noticed() -> None:
    found = book("run_training_dpo_pipeline")
    other, said = deepcopy(found), deepcopy(found)
    other.cells[-3].source += "\n"
    said.cells[0].source += "!"
    assert [one.cell_type for one in (other.cells[-3], said.cells[0])] == ["code", "markdown"]
    assert sources(other) != sources(found) == sources(said)


@every
def test_charts_are_stored_in_full_width(name: str) -> None:
    for wanted in CHARTS[name]:
        pictures = [o.data["image/png"] for o in cell(name, wanted).outputs if "image/png" in o.get("data", {})]
        assert pictures, wanted
        for picture in pictures:
            head = base64.b64decode(picture)[:24]
            assert head.startswith(b"\x89PNG")
            width, height = struct.unpack(">II", head[16:24])
            assert 900 <= width <= 1000 > 2 * height


@every
def test_no_cell_failed_and_none_stored_a_terminal_s_orders(name: str) -> None:
    for one in code(name):
        for output in one.outputs:
            assert output.output_type in ("stream", "display_data", "execute_result"), one.id
            assert not any(mark in output.get("text", "") for mark in HIDDEN), one.id
            assert "Traceback" not in output.get("text", ""), one.id


def test_all_of_them_are_small() -> None:
    assert sum(found.stat().st_size for found in notebooks()) < 1_000_000


@every
def test_it_names_no_folder_of_one_machine(name: str) -> None:
    folders = r"(?<![\w./])(?:/(?:home|root|Users|tmp|work|content|mnt|usr|opt|var)\b|[A-Z]:\\|~/)"
    assert [found for text in texts(name) for found in re.findall(folders, text)] == []


SECRETS = {
    "token of a hub": r"\b(?:hf|ms|ghp|sk|pypi)[-_][A-Za-z0-9]{16,}",
    "key": r"-----BEGIN|AKIA[A-Z0-9]{12}|(?i:authorization: |bearer )\S{8,}",
    "address": r"[\w.+-]+@(?!example\.(?:com|org)\b)[\w-]+\.\w+",
    "telephone": r"\(\d{3}\) (?!555-01)\d{3}-\d{4}",
    "machine": r"\b(?!127\.0\.0\.1\b)(?:\d{1,3}\.){3}\d{1,3}\b",
}


@every
@pytest.mark.parametrize("kind", SECRETS)
def test_it_tells_no_secret(name: str, kind: str) -> None:
    shown = [re.sub(r"git\+https://\S+", "", text) for text in texts(name)]
    assert [found for text in shown for found in re.findall(SECRETS[kind], text)] == []


# -- what it says -------------------------------------------------------------------------------------------------------
@every
def test_every_text_is_there_in_both_languages(name: str) -> None:
    for one in book(name).cells:
        if one.cell_type == "markdown":
            english = [p for p in one.source.split("\n\n") if not re.search(r"[\u4e00-\u9fff]", p)]
            chinese = [p for p in one.source.split("\n\n") if re.search(r"[\u4e00-\u9fff]", p)]
            assert len(english) == len(chinese), f"{one.id}: a paragraph lacks its translation"
            assert len(re.findall(r"[A-Za-z]{2,}", " ".join(english))) >= 10, one.id
            assert len(re.findall(r"[\u4e00-\u9fff]", " ".join(chinese))) >= 20, one.id


@every
def test_it_opens_on_colab_and_modelscope(name: str) -> None:
    repository = REPOSITORY.removeprefix("https://github.com/")
    places = [f"[{where}]({url.format(repository=repository, name=name)})" for where, url in ELSEWHERE.items()]
    title = book(name).cells[0].source
    assert [title.count(place) for place in places] == [2, 2], "once in each language"
    for page in ("README.md", "README.zh-CN.md", "README.zh-TW.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert [place for place in (f"(notebooks/{name}.ipynb)", *places) if place not in text] == [], page


@every
def test_the_pages_and_files_that_it_names_are_there(name: str) -> None:
    named = {
        found
        for text in (one.source for one in book(name).cells)
        for found in re.findall(r"(?:docs|configs|examples|notebooks)/[\w./-]*\w|DISCLAIMER\.md", text)
    }
    assert named
    assert [found for found in sorted(named) if not (ROOT / found).exists()] == []
    links = [url for text in texts(name) for url in re.findall(r"https?://[^\s)\"'<]+", text)]
    known = ("https://github.com/", "https://colab.research.google.com/", "https://modelscope.cn/", "http://127.0.0.1")
    assert [url for url in links if not url.startswith(known)] == []


@every
def test_one_cell_trains_one_stage(name: str) -> None:
    trained = [re.findall(r'pipeline\.train\("(\w+)"\)', one.source) for one in code(name)]
    assert [found for found in trained if found] == [[stage] for stage in STAGES[name]]


@every
def test_weak_reward_models_are_accepted_in_the_short_settings_only(name: str) -> None:
    full, _, rest = "\n".join(one.source for one in code(name)).partition("if SHORT:\n")
    short = re.match(r"(?: {4}.*\n)+", rest)
    assert short is not None
    assert "allow_weak_model" not in full + rest[short.end() :]
    assert ("allow_weak_model" in short[0]) == ("ppo" in name)


# -- the set-up ---------------------------------------------------------------------------------------------------------
def setup() -> str:
    (found,) = {cell(name, "setup").source for name in STAGES}
    return str(found)


def test_the_set_up_is_short_and_the_same_everywhere() -> None:
    assert len(setup().splitlines()) <= 28
    assert f"@ git+{REPOSITORY}" in setup()


def test_where_there_are_no_samples_they_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    exec(setup(), {})
    assert Path.cwd() == tmp_path / "medicalgpt-examples"
    assert Path("examples/hospital/files/switchboard.csv").is_file()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("copied twice"))
    exec(setup(), {})
    assert Path.cwd() == tmp_path / "medicalgpt-examples"


def test_in_a_working_copy_nothing_is_copied_or_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "notebooks")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("nothing to do"))
    exec(setup(), {})
    assert Path.cwd() == ROOT


@pytest.mark.parametrize("stale", [False, True])
def test_a_missing_package_is_installed_and_a_stale_session_told(
    stale: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def run(words: list[str], check: bool) -> None:
        asked.append(words[1:])
        (tmp_path / "medicalgpt-examples").mkdir(exist_ok=True)

    import numpy

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    if stale:
        monkeypatch.setattr(numpy, "__version__", "1.0")
        with pytest.raises(RuntimeError, match="another numpy: restart it"):
            exec(setup(), {})
    else:
        exec(setup(), {})
    install = ["-m", "pip", "install", "-q", f"medicalgpt[curate,llamacpp] @ git+{REPOSITORY}"]
    assert asked[:1] == [install]
    assert [words[1:4] for words in asked[1:]] == ([] if stale else [["medicalgpt", "examples", "copy"]])
    assert (Path(os.getcwd()) == tmp_path / "medicalgpt-examples") != stale
    assert sys.modules["numpy"] is numpy


# -- how outputs are stored ---------------------------------------------------------------------------------------------
def stream(text: str, name: str = "stdout") -> Any:
    return nbformat.v4.new_output("stream", name=name, text=text)


def test_stored_streams_are_what_a_terminal_shows_in_the_end(tmp_path: Path) -> None:
    raw = [
        stream("1 %\r50 %"),
        stream("\r100 %\n\x1b[32mok\x1b[0m " + str(tmp_path) + "/runs\n"),
        stream("oh", "stderr"),
    ]
    found = cleaned(raw, tmp_path)
    assert [(one.name, one.text) for one in found] == [("stdout", "100 %\nok ./runs\n"), ("stderr", "oh")]


def test_pictures_stay_as_they_are_and_lines_of_rich_become_text(tmp_path: Path) -> None:
    def rich(text: str, color: str) -> dict[str, str]:
        return {
            "text/html": f"<pre style='font-family:Menlo'><i style='color: {color}'>{text}</i></pre>",
            "text/plain": text,
        }

    chart = {"image/png": "aGk=", "text/plain": "<Figure>"}
    shown = [rich("loss\n", "#000080"), rich("3\x1b[1m.2\n", "#000080"), rich("trained", "#008000"), chart]
    lines, trained, picture = cleaned([nbformat.v4.new_output("display_data", data=data) for data in shown], tmp_path)
    assert (lines.output_type, lines.text) == ("stream", "loss\n3.2\n")
    assert list(trained.data) == ["text/html"], "its colors say which tokens are trained"
    assert dict(picture.data) == {"image/png": "aGk="}
