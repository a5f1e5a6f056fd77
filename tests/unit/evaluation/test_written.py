"""Tests of written answers: short references, and rubrics that a judge grades, with HealthBench's arithmetic."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.judges import judge, material
from tests.tiny import save_tiny
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.config.evaluation import EvaluateConfig, GraderConfig
from medicalgpt.errors import ConfigError, DataError, RunError
from medicalgpt.evaluation.answering import Answering
from medicalgpt.evaluation.catalog import ItemFolder, known_tests, locate, own_tests, require
from medicalgpt.evaluation.evaluation import ITEMS, RESULTS, evaluate
from medicalgpt.evaluation.finished import Evaluation
from medicalgpt.evaluation.outcomes import Outcome
from medicalgpt.evaluation.progress import line_of, outcome_of, read_items_file
from medicalgpt.evaluation.readings import Given
from medicalgpt.evaluation.settings import Settings
from medicalgpt.evaluation.written.grading import grade
from medicalgpt.evaluation.written.items import Labels, Written, read_written
from medicalgpt.evaluation.written.nearness import nearness, rouge_l
from medicalgpt.evaluation.written.summary import clipped, summarize_written
from medicalgpt.generate.engine import Completion, Engine
from medicalgpt.generate.model_options import ModelOptions
from medicalgpt.generate.open_model import ModelRequest
from medicalgpt.pipeline.gates import settings_of
from medicalgpt.rewards import judge as judging
from medicalgpt.rewards.rubric import Criterion, criteria_of

HEAD = "title: ours\nlicense: ours\norigin: ours\nlanguage: en\ngroup: written\n"
OPEN = [{"question": f"Dose {n}?", "reference": ["5 mg daily", "five"], "ward": "ab"[n % 2]} for n in range(6)]
RUBRIC = [
    {"criterion": "Says to call 112", "points": 5, "tags": ["axis:accuracy"]},
    {"criterion": "Names a dose", "points": -8, "tags": ["axis:accuracy", "level:example"]},
    {"criterion": "Is kind", "points": 3, "tags": ["axis:tone"]},
]


TOOL = {"type": "function", "function": {"name": "dose", "parameters": {"type": "object", "properties": {}}}}

CRITERIA = [str(one["criterion"]) for one in RUBRIC]


def health(n: int, **more: Any) -> dict[str, Any]:
    """A row as HealthBench has it."""
    turns = [("user", f"Chest pain {n}?"), ("assistant", "Since when?"), ("user", "An hour.")]
    row = {"prompt_id": str(n), "prompt": [{"role": role, "content": text} for role, text in turns]}
    row |= {"example_tags": ["theme:emergency_referrals"] if n % 2 else ["theme:hedging"], "rubrics": RUBRIC}
    row["ideal_completions_data"] = {
        "ideal_completion": f"Call 112 now, case {n}.",
        "ideal_completions_group": "Group 1",
    }
    return row | more


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("written")
    for name, kind, more in (("doses", "open", "columns: {subject: ward}\n"), ("health", "rubric", "")):
        text = f"kind: {kind}\nname: {name}\n{HEAD}files: [{{path: {name}.jsonl}}]\n{more}"
        (found / f"{name}.test.yaml").write_text(text, encoding="utf-8")
    for name, rows in (("doses", OPEN), ("health", [health(n) for n in range(6)])):
        (found / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    save_tiny(found / "model")
    return found


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache and a working folder of its own, and no pauses between tries."""
    monkeypatch.setenv("MEDICALGPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(judging, "_PAUSE", 0.0)
    monkeypatch.chdir(tmp_path)


def scripted(monkeypatch: pytest.MonkeyPatch, texts: Sequence[str]) -> list[str]:
    rest, asked = iter(texts), list[str]()

    def generate(self: Engine, prompts: Sequence[Any], sampling: Any, *, batch_size: int) -> list[Completion]:
        asked.extend(self.tokenizer.decode(list(p.ids)) for p in prompts)
        return [Completion(t, self.tokenizer.encode(t) or [7], bool(t), 5) for _, t in zip(prompts, rest)]

    monkeypatch.setattr(Engine, "generate", generate)
    return asked


def read(folder: Path, name: str) -> list[Written]:
    found = locate(*known_tests(own_tests(folder))[name], ItemFolder(folder))
    return read_written(found.config, found.files)


def run(folder: Path, out: Path, name: str, url: str | None = None, **more: Any) -> dict[str, Any]:
    place = ItemFolder(folder)
    tests = [require(locate(*known_tests(own_tests(folder))[name], place), place)]
    asked = ModelRequest.of(str(folder / "model"), ModelOptions(), lambda text: None)
    grader = GraderConfig(url=url, model="grader", **more) if url is not None else None
    settings = Settings(answers=Answering(max_new_tokens=24, batch_size=1), judge=grader)
    return evaluate(asked, tests, settings, out, lambda text: None)


def says(asked: dict[str, Any], before: int) -> str:
    """A judge that reads: 112 is there, mg is there, "kindly" is there."""
    met = [word in asked["answer"] for word in ("112", "mg", "kindly")]
    return json.dumps({str(n + 1): one for n, one in enumerate(met)})


# -- arithmetic ---------------------------------------------------------------------------------------------------------
def test_healthbench_by_hand() -> None:
    """Three conversations, worked out by hand as HealthBench's own script counts them."""
    criteria = criteria_of(RUBRIC)
    first = grade(criteria, (True, False, True), ["theme:a"])
    assert (first.score, first.met) == (1.0, (True, False, True))
    # axis:accuracy: 5 of 5; level:example has no points above 0, so no score; tone: 3 of 3
    assert first.tags == {"theme:a": 1.0, "axis:accuracy": 1.0, "axis:tone": 1.0}
    second = grade(criteria, (True, True, False), ["theme:a"])
    assert second.score == (5 - 8) / 8
    assert second.tags == {"theme:a": -3 / 8, "axis:accuracy": -3 / 5, "axis:tone": 0.0}
    third = grade(criteria, (False, False, True), ["theme:b"])
    assert third.tags == {"theme:b": 3 / 8, "axis:accuracy": 0.0, "axis:tone": 1.0}
    given = [
        Given(True, 0.0, 3, 9, "h", marks={"rubric": one.score}, tags=one.tags, met=one.met)
        for one in (first, second, third)
    ]
    outcomes = [Outcome(str(n), (), "", given=(one,)) for n, one in enumerate(given)]
    outcomes.append(Outcome("silent", (), "", given=(Given(True, 0.0, 3, 9, "h"),)))
    outcomes.append(Outcome("long", (), ""))
    found = summarize_written(outcomes, "rubric")
    assert (found.used, found.ungraded, found.too_long) == (3, 1, 1)
    assert found.scores["rubric"].value == pytest.approx((1 - 3 / 8 + 3 / 8) / 3)
    assert {tag: one.value for tag, one in found.tags.items()} == {
        "axis:accuracy": pytest.approx((1 - 3 / 5 + 0) / 3),
        "axis:tone": pytest.approx(2 / 3),
        "theme:a": pytest.approx((1 - 3 / 8) / 2),
        "theme:b": pytest.approx(3 / 8),
    }
    assert [outcome_of(json.loads(json.dumps(line_of(o)))) for o in outcomes] == outcomes


def test_means_are_clipped_after_they_are_taken_not_before() -> None:
    """Of −1 and 0.5 the mean is −0.25, told as 0; clipped one by one it would be 0.25."""
    assert clipped(np.asarray([-1.0, 0.5]))[0].value == 0.0
    assert clipped(np.asarray([1.0, 1.0]))[0].value == 1.0


def test_the_standard_error_is_that_of_clipped_means() -> None:
    """Of two conversations the resampled mean is 0, 0.5 or 1 with 1/4, 1/2, 1/4: standard deviation √(1/8)."""
    estimate, error = clipped(np.asarray([0.0, 1.0]))
    assert error == pytest.approx(np.sqrt(1 / 8), rel=0.05)
    assert (estimate.low, estimate.high, estimate.rows) == (0.0, 1.0, 2)
    # −1 and 1: clipped means 0, 0, 1, so 0 with 3/4 and 1 with 1/4: √(3/16)
    assert clipped(np.asarray([-1.0, 1.0]))[1] == pytest.approx(np.sqrt(3 / 16), rel=0.05)


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("the cat sat", "the cat sat", 1.0),
        ("police kill the gunman", "police killed the gunman", 3 / 4),  # Lin 2004, section 3
        ("the gunman kill police", "police killed the gunman", 2 / 4),  # the same words, one pair in order
        ("血鉀下降", "血鉀上升", 2 / 4),
        ("", "a", 0.0),
        ("five", "5", 0.0),
    ],
)
def test_rouge_l(answer: str, reference: str, score: float) -> None:
    assert rouge_l(answer, reference) == pytest.approx(score)


def test_the_nearest_of_several_references_counts() -> None:
    assert nearness("5 mg", ["10 ml", "5mg"]) == {"exact": 1.0, "f1": 1.0, "rouge_l": 1.0}
    # words said: take, 5, mg; wanted: 5, mg, daily
    assert nearness("Take 5 mg", ["5 mg daily"]) == pytest.approx({"exact": 0, "f1": 2 / 3, "rouge_l": 2 / 3})
    assert rouge_l("a " * 100_000, "a " * 2000) == 1.0  # bounded in time


# -- rows ---------------------------------------------------------------------------------------------------------------
def test_rows_of_healthbench_are_read(folder: Path) -> None:
    items = read(folder, "health")
    assert len(items) == 6
    assert [turn.role for turn in items[0].turns] == ["user", "assistant", "user"]
    assert items[0].criteria[1] == Criterion("Names a dose", -8.0, ("axis:accuracy", "level:example"))
    assert (items[1].tags, items[1].references) == (("theme:emergency_referrals",), ("Call 112 now, case 1.",))
    assert len({item.id for item in items}) == 6


def write(folder: Path, kind: str, row: dict[str, Any], more: str = "") -> Path:
    (folder / "x.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (folder / "x.test.yaml").write_text(
        f"kind: {kind}\nname: x\n{HEAD}files: [{{path: x.jsonl}}]\n{more}", encoding="utf-8"
    )
    return folder


def test_labelled_rows_are_read(tmp_path: Path) -> None:
    """One criterion with the labels of several physicians, as in HealthBench's meta-evaluation; several with one each."""
    row = {"prompt": [{"role": "user", "content": "Pain?"}], "completion": "Call.", "rubric": "Says to call"}
    (item,) = read(write(tmp_path, "rubric", row | {"binary_labels": [True, True, False]}), "x")
    assert item.labels == Labels("Call.", ((True, True, False),))
    assert (item.criteria, item.references) == ((Criterion("Says to call"),), ())
    row |= {"rubric": ["Says to call", "Is kind"], "labels": [True, False]}
    (item,) = read(write(tmp_path, "rubric", row), "x")
    assert item.labels == Labels("Call.", ((True,), (False,)))


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        ("open", {"question": "Secret?"}, "reference is missing, blank"),
        ("open", {"question": "Secret?", "reference": " "}, "reference is missing, blank"),
        ("open", {"reference": "secret"}, "there is no prompt"),
        ("open", {"question": "Secret?", "reference": "x", "tools": [TOOL]}, "it has tools"),
        ("rubric", {"question": "Secret?"}, "no rubric whose value is no text and no list"),
        ("rubric", {"question": "Secret?", "rubric": [{"criterion": "secret", "points": -1}]}, "points above 0"),
        ("rubric", {"question": "Secret?", "rubric": "x", "tags": "secret"}, "tags is text that is not JSON"),
        ("rubric", {"question": "Secret?", "rubric": "x", "tags": [1]}, "tags are no list of texts"),
        ("rubric", {"question": "Secret?", "rubric": "x", "labels": [1]}, "labels are no list of true and false"),
        ("rubric", {"question": "Secret?", "rubric": "x", "labels": [True]}, "labels and no answer"),
        ("rubric", {"question": "S?", "rubric": ["x", "y", "z"], "labels": [True, True]}, "2 labels for 3 criteria"),
    ],
)
def test_bad_rows_are_told_without_their_text(tmp_path: Path, kind: str, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=r"x\.jsonl:1") as caught:
        read(write(tmp_path, kind, row), "x")
    assert message in str(caught.value)
    assert "secret" not in str(caught.value).lower().replace(str(tmp_path).lower(), "")


# -- runs ---------------------------------------------------------------------------------------------------------------
def test_short_references(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, ["5 mg daily", "Five.", "<think>10 mg</think>5mg", "", "daily", "10 ml"])
    found = run(folder, tmp_path / "out", "doses")
    doses = found["tests"]["doses"]
    # F1: 1, 1, 2·2/(2+3), 0, 2·1/(1+3), 0
    assert (doses["kind"], doses["headline"], doses["used"], doses["too_long"]) == ("open", "f1", 6, 0)
    assert doses["scores"]["exact"]["value"] == pytest.approx(2 / 6)
    assert doses["scores"]["f1"]["value"] == pytest.approx((1 + 1 + 0.8 + 0 + 0.5 + 0) / 6)
    assert doses["answers"]["stop"]["value"] == 5 / 6
    assert doses["by_subject"]["a"]["f1"]["value"] == pytest.approx((1 + 0.8 + 0.5) / 3)
    assert found["groups"]["written"]["value"] == pytest.approx(doses["scores"]["f1"]["value"])
    assert "expected" not in doses
    kept = gzip.decompress((tmp_path / "out" / ITEMS).read_bytes()).decode()
    assert "daily" not in kept


def test_an_instruction_stands_behind_an_open_question(tmp_path: Path) -> None:
    write(tmp_path, "open", {"question": "Dose?", "reference": 5}, "instruction: In one word.\n")
    (item,) = read(tmp_path, "x")
    assert item.turns[-1].content == "Dose?\n\nIn one word."
    assert item.references == ("5",)


def test_rubrics_are_graded(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = scripted(monkeypatch, ["112, kindly", "112 and 5 mg", "<think>112</think>kindly", "", "112", "5 mg"])
    with judge(says) as graded:
        found = run(folder, tmp_path / "out", "health", graded.url)
    health_ = found["tests"]["health"]
    scores = [1.0, -3 / 8, 3 / 8, 0.0, 5 / 8, -1.0]
    assert [o.number("rubric") for o in read_items_file(tmp_path / "out" / ITEMS)["health"]] == scores
    assert health_["scores"]["rubric"]["value"] == pytest.approx(sum(scores) / 6)
    assert health_["standard_error"] > 0
    assert health_["tags"]["theme:hedging"]["value"] == pytest.approx((1 + 3 / 8 + 5 / 8) / 3)
    assert health_["tags"]["theme:emergency_referrals"]["value"] == 0.0  # −3/8, 0, −1
    assert found["judge"]["check"] is None
    assert found["settings"]["judge"] == "grader"
    assert "Since when?" in asked[0]  # the whole conversation
    assert sorted(graded.answers) == [
        "112",
        "112 and 5 mg",
        "112, kindly",
        "5 mg",
        "kindly",
    ]  # nobody asks about nothing
    kept = (tmp_path / "out" / RESULTS).read_text() + gzip.decompress((tmp_path / "out" / ITEMS).read_bytes()).decode()
    assert "kindly" not in kept
    assert "Chest pain" not in kept


def says_alone(asked: dict[str, Any], before: int) -> str:
    """The same judge, asked about one criterion: it knows each of the three by its words."""
    (text,) = asked["criteria"].values()
    word = next(word for criterion, word in zip(CRITERIA, ("112", "mg", "kindly")) if criterion == text)
    return json.dumps({"1": word in asked["answer"]})


def test_one_criterion_a_question_comes_to_the_same_numbers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["112, kindly", "112 and 5 mg", "<think>112</think>kindly", "", "112", "5 mg"]
    scripted(monkeypatch, texts)
    with judge(says) as graded:
        whole = run(folder, tmp_path / "whole", "health", graded.url)
    scripted(monkeypatch, texts)
    with judge(says_alone) as graded:
        found = run(folder, tmp_path / "each", "health", graded.url, one_by_one=True)
    assert found["tests"]["health"]["scores"] == whole["tests"]["health"]["scores"]
    assert found["tests"]["health"]["tags"] == whole["tests"]["health"]["tags"]
    assert (tmp_path / "each" / ITEMS).read_bytes() == (tmp_path / "whole" / ITEMS).read_bytes()
    assert sorted(graded.answers) == sorted(3 * ["112, kindly", "112 and 5 mg", "kindly", "112", "5 mg"])
    assert all(len(material(request)["criteria"]) == 1 for request in graded)
    # Graded otherwise is another judge: its numbers are not compared with those, nor is its check taken for it.
    assert found["settings"]["judge"] == "grader, one criterion a question"
    assert found["judge"]["form"] == whole["judge"]["form"] + "-one-by-one"
    with pytest.raises(DataError, match="graded by grader and by grader, one criterion a question"):
        Evaluation.open(tmp_path / "each").judged_against(Evaluation.open(tmp_path / "whole"))


def test_an_answer_with_one_criterion_unsaid_is_ungraded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, ["112, kindly"] + ["112"] * 5)

    def silent(asked: dict[str, Any], before: int) -> str:
        unsaid = "kindly" in asked["answer"] and CRITERIA[1] in asked["criteria"].values()
        return "well …" if unsaid else says_alone(asked, before)

    with judge(silent) as graded:
        found = run(folder, tmp_path / "out", "health", graded.url, one_by_one=True)["tests"]["health"]
    assert (found["used"], found["ungraded"], found["scores"]["rubric"]["value"]) == (5, 1, 5 / 8)
    assert graded.answers.count("112, kindly") == 2 + judging.TRIES


def test_what_is_not_graded_is_counted_and_never_0(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, ["112, kindly"] + ["112"] * 5)
    with judge(lambda asked, before: "well …" if "kindly" in asked["answer"] else says(asked, before)) as graded:
        found = run(folder, tmp_path / "out", "health", graded.url)["tests"]["health"]
    assert (found["used"], found["ungraded"], found["scores"]["rubric"]["value"]) == (5, 1, 5 / 8)
    assert graded.answers.count("112, kindly") == judging.TRIES


def test_a_judge_that_is_not_there_stops_it_and_it_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"112, case {n}" for n in range(6)]
    scripted(monkeypatch, texts)
    with judge(says) as graded:
        run(folder, tmp_path / "whole", "health", graded.url)
    monkeypatch.setenv("MEDICALGPT_CACHE", str(tmp_path / "other"))
    scripted(monkeypatch, texts)
    # Batches of one are kept four at a time: the first four are graded, then the judge is gone; two are too few to tell.
    with (
        judge(lambda asked, before: 500) as graded,
        pytest.raises(RunError, match=r"on none of 4 answers: HTTP 500 \(12\)"),
    ):
        run(folder, tmp_path / "out", "health", graded.url)
    scripted(monkeypatch, texts)
    with judge(says) as graded:
        run(folder, tmp_path / "out", "health", graded.url)
    assert (tmp_path / "out" / ITEMS).read_bytes() == (tmp_path / "whole" / ITEMS).read_bytes()


def test_what_does_not_fit_together_is_refused_before_a_model_is_loaded(folder: Path, tmp_path: Path) -> None:
    url = "http://localhost:9/v1"
    with pytest.raises(ConfigError, match="health: a judge grades these answers"):
        run(folder, tmp_path / "out", "health")
    with pytest.raises(ConfigError, match="none of these tests has rubrics"):
        run(folder, tmp_path / "out", "doses", url)
    with pytest.raises(ConfigError, match="add --generate"):
        Settings(judge=GraderConfig(url=url, model="m"))
    command = CliRunner()
    words = ["evaluate", "run", "--suite", "doses", "--tests", str(folder), "--model", str(folder / "model")]
    for extra, message in (
        ([], "answers are written here; add --generate"),
        (["--generate", "--judge", url], "its model"),
    ):
        refused = command.invoke(app, [*words, *extra])
        assert refused.exit_code == 2
        assert message in " ".join(refused.output.split())
    with pytest.raises(ConfigError, match="no result of `medicalgpt evaluate judge-check`"):
        run(folder, tmp_path / "out", "health", url, check="none.json")
    with pytest.raises(ConfigError, match=r"judge.example.org/v1 is on another machine.*--allow-remote"):
        run(folder, tmp_path / "out", "health", "http://judge.example.org/v1")
    with pytest.raises(ConfigError, match="holds a name or password"):
        run(folder, tmp_path / "out", "health", "http://me:secret@localhost/v1")


def test_a_pipeline_names_a_judge_in_its_file() -> None:
    asked = EvaluateConfig.model_validate(
        {"suite": ["health"], "generate": True, "judge": {"url": "http://localhost:9/v1", "model": "m"}}
    )
    settings = settings_of(asked)
    assert settings.judge is not None
    assert settings.facts()["judge"] == "m"
    with pytest.raises(ConfigError, match="add --generate"):
        settings_of(asked.model_copy(update={"generate": False}))


def test_a_conversation_is_asked_whole_or_not_at_all(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its oldest turns would have to go for an answer of this length."""
    turns = [{"role": role, "content": "pain " * 60} for _ in range(3) for role in ("user", "assistant")][:-1]
    (tmp_path / "x.test.yaml").write_text(
        f"kind: rubric\nname: x\n{HEAD}files: [{{path: x.jsonl}}]\n", encoding="utf-8"
    )
    rows = [health(0, prompt=turns), health(1)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "model").symlink_to(folder / "model")
    asked = scripted(monkeypatch, ["112"] * 2)
    with judge(says) as graded:
        found = run(tmp_path, tmp_path / "out", "x", graded.url)["tests"]["x"]
    assert (found["used"], found["too_long"], len(asked)) == (1, 1, 1)


def test_the_commands_and_gates(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = CliRunner()
    words = [
        "evaluate",
        "run",
        "--suite",
        "health",
        "--tests",
        str(folder),
        "--model",
        str(folder / "model"),
        "--generate",
    ]
    outs = [str(tmp_path / name) for name in ("before", "after", "other")]
    with judge(says) as graded:
        for out, text, who in zip(outs, ("112, kindly", "5 mg", "112"), ("grader", "grader", "another")):
            scripted(monkeypatch, [text] * 6)
            done = command.invoke(app, [*words, "--output", out, "--judge", graded.url, "--judge-model", who])
            assert done.exit_code == 0, done.output
    assert "62.5% [62.5%, 62.5%]  rubric, 6 items" in done.output
    assert "graded by another; judge not checked" in done.output
    compared = command.invoke(app, ["evaluate", "compare", *outs[:2]])
    # 1 to −1 in every conversation: gates compare scores before they are clipped.
    assert compared.exit_code == 3
    assert "BLOCK        written: -200.0 points" in compared.output
    assert "judge not checked" in compared.output
    compared = command.invoke(app, ["evaluate", "compare", outs[0], outs[2]])
    assert compared.exit_code == 2
    assert "graded by grader and by another" in " ".join(compared.output.split())
