"""Answers written to the items of a test: their numbers, their place on the disk, and any interruption."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import save_tiny
from tests.wards import WARD
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.errors import ConfigError, ContextError, RunError
from medicalgpt.evaluation.answering import Answering
from medicalgpt.evaluation.catalog import ItemFolder, known_tests, locate, own_tests, require
from medicalgpt.evaluation.evaluation import ITEMS, RESULTS, evaluate
from medicalgpt.evaluation.progress import read_items_file
from medicalgpt.evaluation.settings import Settings
from medicalgpt.generate.engine import Completion, Engine
from medicalgpt.generate.model_options import ModelOptions
from medicalgpt.generate.open_model import ModelRequest

YAML = (
    WARD
    + """files: [{path: ward.jsonl}]
columns: {subject: ward}
answer_is: auto
"""
)
ROWS = [
    {"question": f"Which of these lowers blood pressure, case {n}?", "options": ["Salt", "Less salt", "Coffee"]}
    | {"answer": "A, C" if n % 4 == 3 else "B", "ward": "ab"[n % 2]}
    for n in range(12)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tests, a quarter of whose items has two right options, and models beside it."""
    found = tmp_path_factory.mktemp("tests")
    (found / "ward.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    (found / "ward.test.yaml").write_text(YAML, encoding="utf-8")
    save_tiny(found / "models" / "first")
    save_tiny(found / "models" / "second", seed=1)
    return found


def run(folder: Path, out: Path, saved: Path | None = None, model: str = "first", **how: Any) -> dict[str, Any]:
    place = ItemFolder(folder)
    tests = [require(locate(*known_tests(own_tests(folder))["ward"], place), place)]
    asked = ModelRequest.of(str(folder / "models" / model), ModelOptions(), lambda text: None)
    settings = Settings(answers=Answering(**({"max_new_tokens": 24, "batch_size": 2} | how)))
    return evaluate(asked, tests, settings, out, lambda text: None, saved)


def scripted(monkeypatch: pytest.MonkeyPatch, texts: Sequence[str]) -> list[int]:
    """Have the engine answer with these texts in turn; an empty one runs into the limit. Gives the sizes of its calls."""
    rest, calls = iter(texts), list[int]()

    def generate(self: Engine, prompts: Sequence[Any], sampling: Any, *, batch_size: int) -> list[Completion]:
        calls.append(len(prompts))
        found = [next(rest) for _ in prompts]
        return [Completion(t, self.tokenizer.encode(t) or [7] * 9, bool(t), 5) for t in found]

    monkeypatch.setattr(Engine, "generate", generate)
    return calls


def test_the_numbers(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = scripted(monkeypatch, ["B", "The answer is B.", "C", "AC", "", "Less salt.", "B. Less salt", "A"] * 2)
    answers = run(folder, tmp_path / "out")["tests"]["ward"]["answers"]
    assert calls == [8, 4]
    value = {name: round(12 * score["value"]) for name, score in answers["scores"].items()}
    # Right: B, a statement, AC, a text, B with its text; then B, a statement and AC again.
    assert value == {"answer": 8, "answer_strict": 4, "answer_first": 7, "answer_last": 7, "answer_text": 2}
    unparsed = {name: round(12 * share["value"]) for name, share in answers["unparsed"].items()}
    assert unparsed == {"answer": 1, "answer_strict": 5, "answer_first": 2, "answer_last": 2, "answer_text": 10}
    assert (answers["used"], answers["too_long"]) == (12, 0)
    assert answers["stop"]["value"] == 11 / 12
    assert answers["repeats"]["value"] == 1 / 12  # the one that ran into the limit
    assert answers["masks"]["value"] == 0
    assert answers["stop"]["low"] < 11 / 12 < answers["stop"]["high"]
    # AC, A, AC for three items whose right options are A and C.
    assert (answers["several"]["exact"]["value"], answers["several"]["exact"]["rows"]) == (2 / 3, 3)
    assert answers["several"]["partial"]["value"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert set(answers["by_subject"]) == {"a", "b"}


def test_answers_that_hold_a_mask_are_counted(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, ["Dear [NAME1], B.", "亲爱的[姓名2]，B", "B [1]", "B"] * 6)
    answers = run(folder, tmp_path / "out")["tests"]["ward"]["answers"]
    assert (answers["masks"]["value"], answers["masks"]["rows"]) == (1 / 2, 12)
    outcomes = read_items_file(tmp_path / "out" / ITEMS)["ward"]
    assert [o.answer is not None and o.answer.masks for o in outcomes].count(True) == 6


def test_no_word_of_question_or_answer_is_kept(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, ["A secret diagnosis, so B."] * 24)
    results = run(folder, tmp_path / "out")
    kept = (tmp_path / "out" / RESULTS).read_text() + gzip.decompress((tmp_path / "out" / ITEMS).read_bytes()).decode()
    assert "secret" not in kept
    assert "blood pressure" not in kept
    assert "saved_answers" not in results
    given = read_items_file(tmp_path / "out" / ITEMS)["ward"][0].answer
    assert given is not None
    assert (given.characters, given.stopped, given.text) == (25, True, None)


def test_answers_are_saved_for_their_owner_alone(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, ["A private answer."] * 12)
    first = run(folder, tmp_path / "out", tmp_path / "answers.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    outcomes = read_items_file(tmp_path / "out" / ITEMS)["ward"]
    assert lines == [{"test": "ward", "id": o.id, "answer": "A private answer."} for o in outcomes]
    assert (tmp_path / "answers.jsonl").stat().st_mode & 0o777 == 0o600
    assert "private answer" not in gzip.decompress((tmp_path / "out" / ITEMS).read_bytes()).decode()
    assert run(folder, tmp_path / "out", tmp_path / "answers.jsonl") == first  # all is there
    (tmp_path / "answers.jsonl").write_text("somebody's notes", encoding="utf-8")
    with pytest.raises(RunError, match="is not from this evaluation"):
        run(folder, tmp_path / "out", tmp_path / "answers.jsonl")
    with pytest.raises(RunError, match="there is no folder"):
        run(folder, tmp_path / "out", tmp_path / "nowhere" / "answers.jsonl")


@pytest.mark.parametrize("stop_at", [0, 1])
def test_broken_off_it_goes_on_to_the_same_bytes(folder: Path, tmp_path: Path, monkeypatch: Any, stop_at: int) -> None:
    run(folder, tmp_path / "whole", tmp_path / "whole.jsonl")
    plain, calls = Engine.generate, list[int]()

    def broken(self: Engine, prompts: Any, sampling: Any, *, batch_size: int) -> Any:
        calls.append(len(prompts))
        if len(calls) == stop_at + 1:
            raise KeyboardInterrupt
        return plain(self, prompts, sampling, batch_size=batch_size)

    monkeypatch.setattr(Engine, "generate", broken)
    with pytest.raises(KeyboardInterrupt):
        run(folder, tmp_path / "out", tmp_path / "out.jsonl")
    assert (tmp_path / "out" / ".progress.jsonl").stat().st_mode & 0o077 == 0
    run(folder, tmp_path / "out", tmp_path / "out.jsonl")
    assert (tmp_path / "out" / ITEMS).read_bytes() == (tmp_path / "whole" / ITEMS).read_bytes()
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not (tmp_path / "out" / ".progress.jsonl").exists()
    assert sum(calls[:stop_at]) + sum(calls[stop_at + 1 :]) == 12  # no answer twice


def test_answers_do_not_depend_on_their_batch(folder: Path, tmp_path: Path) -> None:
    found = []
    for size in (1, 3, 12):
        run(folder, tmp_path / str(size), batch_size=size)
        found.append([o.answer for o in read_items_file(tmp_path / str(size) / ITEMS)["ward"]])
    assert found[0] == found[1] == found[2]
    assert all(answer is not None and answer.tokens for answer in found[0])


def test_what_has_no_room_is_counted(folder: Path, tmp_path: Path) -> None:
    answers = run(folder, tmp_path / "out", max_new_tokens=445)["tests"]["ward"]["answers"]
    assert answers["used"] + answers["too_long"] == 12
    assert answers["too_long"] > 0
    with pytest.raises(ContextError, match="max_new_tokens is 512"):
        run(folder, tmp_path / "more", max_new_tokens=512)


def test_answers_are_compared(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = CliRunner()
    words = ["evaluate", "run", "--suite", "ward", "--tests", str(folder), "--model", str(folder / "models" / "first")]
    folders = [str(tmp_path / name) for name in ("before", "after", "short", "none")]
    told = [["--max-new-tokens", "20"]] * 2 + [["--max-new-tokens", "10"], []]
    texts = [["B"] * 12, [""] * 12, ["B"] * 12, []]
    for out, extra, answers in zip(folders, told, texts, strict=True):
        with monkeypatch.context() as patch:
            if answers:
                scripted(patch, answers)
            done = command.invoke(app, [*words, "--output", out, *(["--generate", *extra] if extra else [])])
        assert done.exit_code == 0, done.output
    assert "stopped by themselves" not in done.output
    compared = command.invoke(app, ["evaluate", "compare", folders[0], folders[1]])
    # Likelihoods are the same, and no answer stops any more.
    assert compared.exit_code == 3
    assert "BLOCK        hospital stop: -100.0 points" in compared.output
    assert "may lose 5; 12 items" in compared.output
    gates = tmp_path / "gates.yaml"
    gates.write_text("gates: [{group: ward, scoring: answer, margin: 10}]\n", encoding="utf-8")
    compared = command.invoke(app, ["evaluate", "compare", folders[0], folders[1], "--gates", str(gates)])
    assert (compared.exit_code, compared.output.split(":")[0]) == (3, "BLOCK        ward answer")
    assert "-75.0 points" in compared.output  # nine of twelve had been right
    for other, message in ((2, "answers may have 20 and 10 tokens"), (3, "run both evaluations with --generate")):
        compared = command.invoke(app, ["evaluate", "compare", folders[0], folders[other], "--gates", str(gates)])
        assert compared.exit_code == 2
        assert message in " ".join(compared.output.split())


def test_what_makes_no_sense_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="answers are written in the profile chat, and the profile is cloze"):
        Settings("cloze", answers=Answering())
    words = ["evaluate", "run", "--suite", "ward", "--tests", str(folder), "--model", str(folder / "models" / "first")]
    for extra in (["--max-new-tokens", "5"], ["--save-answers", str(tmp_path / "x")], ["--batch-size", "2"]):
        refused = CliRunner().invoke(app, [*words, *extra])
        assert refused.exit_code == 2
        assert "add --generate" in refused.output
