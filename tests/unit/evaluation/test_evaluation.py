"""Evaluations as a whole: from a test of one's own to numbers, through any packing and any interruption."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import save_tiny
from tests.wards import WARD
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.config.evaluation import Gate
from medicalgpt.errors import DataError, RunError
from medicalgpt.evaluation.catalog import (
    FoundTest,
    ItemFolder,
    find_tests,
    known_tests,
    locate,
    own_tests,
    require,
)
from medicalgpt.evaluation.choices import ChoiceScorer, Scored
from medicalgpt.evaluation.evaluation import ITEMS, RESULTS, evaluate
from medicalgpt.evaluation.gates import differences
from medicalgpt.evaluation.outcomes import Outcome
from medicalgpt.evaluation.progress import read_items_file
from medicalgpt.evaluation.results import _group
from medicalgpt.evaluation.settings import Settings
from medicalgpt.generate.model_options import ModelOptions
from medicalgpt.generate.open_model import ModelRequest

YAML = (
    WARD
    + """files: [{path: ward.csv}]
columns: {subject: ward}
answer_is: letter
"""
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tests with one of our own, and two models beside it."""
    found = tmp_path_factory.mktemp("tests")
    lines = ["question,A,B,C,answer,ward"]
    lines += [
        f"Which of these is number {n}?,one {n},two,three times {n},{'ABC'[n % 3]},{'ab'[n % 2]}" for n in range(24)
    ]
    (found / "ward.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (found / "ward.test.yaml").write_text(YAML, encoding="utf-8")
    save_tiny(found / "models" / "first")
    save_tiny(found / "models" / "second", seed=1)
    return found


def found_tests(folder: Path) -> list[FoundTest]:
    place = ItemFolder(folder)
    return [require(locate(*known_tests(own_tests(folder))["ward"], place), place)]


def run(folder: Path, out: Path, model: str = "first", **settings: Any) -> dict[str, Any]:
    asked = ModelRequest.of(str(folder / "models" / model), ModelOptions(), lambda text: None)
    return evaluate(asked, found_tests(folder), Settings(**settings), out, lambda text: None)


def test_no_number_depends_on_packing(folder: Path, tmp_path: Path) -> None:
    found = []
    for capacity in (1, 200, 100_000):
        results = run(folder, tmp_path / str(capacity), orders=3, texts=True, capacity=capacity)
        outcomes = read_items_file(tmp_path / str(capacity) / ITEMS)["ward"]
        found.append(
            [(o.id, o.pick(s, i)) for o in outcomes for s in results["tests"]["ward"]["scores"] for i in range(3)]
        )
    assert found[0] == found[1] == found[2]


def test_what_is_written(folder: Path, tmp_path: Path) -> None:
    results = run(folder, tmp_path / "out", orders=3, texts=True)
    ward = results["tests"]["ward"]
    assert set(ward["scores"]) == {"letter", "letter_spaced", "text", "text_per_token", "text_per_byte"}
    assert (ward["headline"], ward["used"], ward["version"]) == ("letter", 24, 1)
    assert set(ward["by_subject"]) == {"a", "b"}
    assert sum(ward["letters"].values()) == pytest.approx(1)
    assert ward["consistent"]["rows"] == 24
    assert results["groups"]["hospital"]["value"] == ward["scores"]["letter"]["value"]
    outcomes = read_items_file(tmp_path / "out" / ITEMS)["ward"]
    right = sum(o.pick("letter") in o.gold for o in outcomes)
    assert ward["scores"]["letter"]["value"] == right / 24
    everything = (tmp_path / "out" / RESULTS).read_text() + json.dumps([str(o) for o in outcomes])
    assert "Which of these" not in everything
    assert (tmp_path / "out" / RESULTS).stat().st_mode & 0o077 == 0


def test_finished_is_not_done_again_and_another_setting_is(folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    first = run(folder, tmp_path / "out")
    monkeypatch.setattr(ChoiceScorer, "score", None)
    assert run(folder, tmp_path / "out") == first
    with pytest.raises(TypeError):
        run(folder, tmp_path / "out", orders=2)


@pytest.mark.parametrize("stop_at", [1, 2, 5])
def test_broken_off_it_goes_on_to_the_same_bytes(folder: Path, tmp_path: Path, monkeypatch: Any, stop_at: int) -> None:
    run(folder, tmp_path / "whole", capacity=60)
    plain, calls = ChoiceScorer.score, []

    def broken(self: ChoiceScorer, items: Any) -> Any:
        calls.append(len(items))
        if len(calls) == stop_at + 1:
            raise KeyboardInterrupt
        return plain(self, items)

    monkeypatch.setattr(ChoiceScorer, "score", broken)
    with pytest.raises(KeyboardInterrupt):
        run(folder, tmp_path / "out", capacity=60)
    with (tmp_path / "out" / ".progress.jsonl").open("ab") as file:
        file.write(b'{"test": "ward", "items": [{"id')  # killed in the midst of a line
    run(folder, tmp_path / "out", capacity=60)
    assert (tmp_path / "out" / ITEMS).read_bytes() == (tmp_path / "whole" / ITEMS).read_bytes()
    assert not (tmp_path / "out" / ".progress.jsonl").exists()
    done_before, done_after = sum(calls[:stop_at]), sum(calls[stop_at + 1 :])
    assert done_before + done_after == 24  # no item twice
    assert done_after > 0


def test_an_item_too_long_for_the_context_is_counted(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "ward.csv").write_text(
        "question,A,B,answer\nShort?,yes,no,A\n" + "long " * 600 + "?,yes,no,B\n", encoding="utf-8"
    )
    (tmp_path / "ward.test.yaml").write_text(YAML.replace("columns: {subject: ward}\n", ""), encoding="utf-8")
    asked = ModelRequest.of(str(folder / "models" / "first"), ModelOptions(), lambda text: None)
    results = evaluate(asked, found_tests(tmp_path), Settings(), tmp_path / "out", lambda text: None)
    assert (results["tests"]["ward"]["used"], results["tests"]["ward"]["too_long"]) == (1, 1)


def picked(right: int, items: int) -> list[Outcome]:
    """Outcomes of which so many are right."""
    return [
        Outcome(str(n), (0,), "", [Scored((0, 1), {"letter": [0.0, -1.0 if n < right else 1.0]})]) for n in range(items)
    ]


def test_each_item_of_a_suite_counts_once_in_its_number_and_in_its_gate() -> None:
    """Of 30 and 10 items 6 and 9 are right: 15 of 40, not the mean of 20 % and 90 %; the gate's difference is of the same."""
    told = {name: {"headline": "letter"} for name in ("large", "small")}
    before = {"large": picked(6, 30), "small": picked(9, 10)}
    found = _group(["large", "small"], told, before)
    assert (found["value"], found["rows"]) == (15 / 40, 40)
    after = {"large": picked(12, 30), "small": picked(8, 10)}
    same = {"version": 1, "files": {}, "headline": "letter"}
    results = {
        "tests": {name: same | {"items": len(items)} for name, items in before.items()},
        "groups": {"ward": {"tests": ["large", "small"]}},
        "settings": {"profile": "chat", "orders": 1, "limit": None},
    }
    (difference,) = differences([Gate(group="ward")], results, results, before, after)
    after_value = _group(["large", "small"], told, after)["value"]
    assert difference.value == pytest.approx(after_value - found["value"]) == pytest.approx(5 / 40)


def test_where_the_same_questions_are_on_the_hub_is_told(tmp_path: Path) -> None:
    found = {name: test.on_hub for name, (test, _) in known_tests().items() if test.on_hub}
    assert sorted(found) == [
        "cmmlu-general",
        "cmmlu-medical",
        "medmcqa",
        "medqa-usmle",
        "mmlu-general",
        "mmlu-medical",
        "pubmedqa",
    ]
    listed = CliRunner().invoke(app, ["evaluate", "tests", "--tests", str(tmp_path)]).output
    assert listed.count("on the Hub the same questions are in") == 7
    with pytest.raises(
        DataError, match=r"in cais/mmlu, a configuration for each subject, split test .*, in other files"
    ):
        find_tests(["mmlu-medical"], tmp_path)


def test_the_commands(folder: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    listed = runner.invoke(app, ["evaluate", "tests", "--tests", str(folder)])
    assert "ward" in listed.output
    assert "missing" in listed.output  # the named ones
    for model in ("first", "second"):
        words = ["evaluate", "run", "--model", str(folder / "models" / model), "--suite", "hospital"]
        done = runner.invoke(app, [*words, "--tests", str(folder), "--output", str(tmp_path / model)])
        assert done.exit_code == 0, done.output
        assert "24 items" in done.output
    same = runner.invoke(app, ["evaluate", "compare", str(tmp_path / "first"), str(tmp_path / "first")])
    # Nothing changed, and 24 items are too few to say so.
    assert (same.exit_code, same.output.startswith("INCONCLUSIVE hospital: +0.0 points")) == (0, True)
    assert runner.invoke(app, ["evaluate", "compare", *[str(tmp_path / "first")] * 2, "--strict"]).exit_code == 4
    compared = runner.invoke(
        app, ["evaluate", "compare", str(tmp_path / "first"), str(tmp_path / "second"), "--strict"]
    )
    assert compared.exit_code in (3, 4)
    gates = tmp_path / "gates.yaml"
    gates.write_text("gates: [{group: hospital, margin: 90}]\n", encoding="utf-8")
    words = ["evaluate", "compare", str(tmp_path / "first"), str(tmp_path / "second"), "--gates", str(gates)]
    assert runner.invoke(app, words).exit_code == 0


def test_what_cannot_be_compared_is_said(folder: Path, tmp_path: Path) -> None:
    from medicalgpt.evaluation.gates import check_comparable

    one = run(folder, tmp_path / "one")
    cloze = run(folder, tmp_path / "cloze", profile="cloze")
    with pytest.raises(DataError, match="profile is chat and cloze"):
        check_comparable(one, cloze)
    changed = json.loads(json.dumps(one))
    changed["tests"]["ward"]["version"] = 2
    with pytest.raises(DataError, match="ward has another version"):
        check_comparable(one, changed)
    (tmp_path / "one" / ITEMS).write_bytes(b"damaged")
    from medicalgpt.evaluation.evaluation import require_finished

    with pytest.raises(RunError, match="is not the one"):
        require_finished(tmp_path / "one")
