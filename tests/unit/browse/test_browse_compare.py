"""Runs side by side, as values and as one page that loads nothing and escapes everything."""

import base64
import json
import re
from pathlib import Path

import pytest
from tests.run_folders import EVIL, begun, evaluated, finished
from tests.unit.runs.test_run_report import Page

from medicalgpt.browse.compare import compare
from medicalgpt.errors import RunError
from medicalgpt.runs import RunFolder, SampleLog


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    one = finished(tmp_path / "x/one", "sft", "train.learning_rate=1e-3", after={"eval/loss": 1.5})
    two = begun(tmp_path / "y/two", "sft", "lora.rank=4")
    evaluated(one / "evaluation/t", [("triage", 0.5)])
    for run, answer in ((one, "rest"), (two, EVIL)):
        log = SampleLog(RunFolder(run).samples)
        log.append(1, "Cough?", "early")
        log.append(3, "Cough?", answer)
    return [one, two]


def test_differences_come_first_and_what_is_the_same_is_no_difference(pair: list[Path]) -> None:
    found = compare(pair)
    assert found.names == ("one", "two")
    differing = {setting.key: setting.values for setting in found.differences}
    assert differing["train.learning_rate"] == ("0.001", "0.0002")
    assert differing["lora.rank"] == ("8", "4")
    assert differing["sha256 of data"] == ("abababababab", "–")  # of a run that is not finished it is not known
    assert "output_dir" not in differing
    assert [setting.same for setting in found.settings] == sorted(setting.same for setting in found.settings)
    same = {setting.key for setting in found.settings if setting.same}
    assert {"model.base", "train.seed", "stage"} <= same


def test_numbers_tests_curves_and_samples(pair: list[Path]) -> None:
    found = compare(pair)
    assert [(row.name, row.cells) for row in found.numbers] == [("eval/loss", ("2.5 → 1.5", "2.5 → 2"))]
    assert [(row.name, row.cells) for row in found.tests] == [("triage", ("50.0 % [40.0 %, 60.0 %]", "–"))]
    assert found.curves["train/loss"] == ([(1, 2.25), (2, 2.0), (3, 1.75)],) * 2
    cough, fever = found.samples
    assert (cough.turns, cough.answers) == ((("text", "Cough?"),), ((3, "rest"), (3, EVIL)))
    assert (fever.reference, fever.answers) == ("Rest.", ((3, "one says rest"), None))
    told = found.as_dict()
    assert json.loads(json.dumps(told))["differences"]["lora.rank"] == {"one": "8", "two": "4"}
    assert "rest" not in json.dumps(told)  # no text of samples


def test_the_page_is_whole_private_and_escaped(pair: list[Path], tmp_path: Path) -> None:
    path = compare(pair).write(tmp_path / "compare.html")
    text = path.read_text(encoding="utf-8")
    shown = Page(text)
    assert path.stat().st_mode & 0o077 == 0
    assert not {tag for tag, _ in shown.tags} & {"script", "iframe", "link"}
    assert EVIL in shown.texts  # as text
    assert [value for _, given in shown.tags for name, value in given.items() if name.startswith("on")] == []
    (source,) = [given["src"] for tag, given in shown.tags if tag == "img"]
    assert source is not None
    assert base64.b64decode(source.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    assert not re.search(r"https?://", text)
    assert "default-src 'none'" in text
    at = shown.texts.index("train.learning_rate")
    assert shown.texts[at + 1 : at + 3] == ["0.001", "0.0002"]


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = [finished(tmp_path / name / "sft") for name in ("a", "b")]
    found = compare(runs)
    assert found.names == ("a/sft", "b/sft")
    assert found.differences == ()


def test_what_cannot_be_compared(tmp_path: Path, pair: list[Path]) -> None:
    with pytest.raises(RunError, match="give 2 to 12 runs"):
        compare(pair[:1])
    with pytest.raises(RunError, match="each once"):
        compare([pair[0], pair[0].parent / "../x/one"])
    with pytest.raises(RunError, match="is no run folder"):
        compare([pair[0], tmp_path])
    with pytest.raises(RunError, match="another kind \\(evaluation\\)"):
        compare([pair[0], pair[0] / "evaluation/t"])
