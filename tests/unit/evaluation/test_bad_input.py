"""What cannot be evaluated or compared, by the command line: said with what to do, and nothing written."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import save_tiny
from typer.testing import CliRunner

from medicalgpt.cli import app

FACTS = "title: Ward\nlicense: ours\norigin: the ward\nlanguage: en\ngroup: hospital\nanswer_is: letter\n"
HEAD = "question,A,B,C,answer\n"
ROWS = HEAD + "".join(f"What is sign {n}?,one {n},two,three,{'ABC'[n % 3]}\n" for n in range(6))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny(folder)
    return folder


def write(folder: Path, rows: str, file: str = "{path: ward.csv}", more: str = "", name: str = "ward") -> None:
    (folder / "ward.csv").write_text(rows, encoding="utf-8")
    (folder / f"{name}.test.yaml").write_text(f"name: {name}\n{FACTS}files: [{file}]\n{more}", encoding="utf-8")


def run(model: Path, folder: Path, *extra: str, suite: str = "ward", out: str = "out") -> Any:
    words = ["run", "--model", str(model), "--tests", str(folder), "--suite", suite, "--output", str(folder / out)]
    return CliRunner().invoke(app, ["evaluate", *words, *extra])


def said(result: Any) -> str:
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("rows", "file", "message"),
    [
        (ROWS, f"{{path: ward.csv, sha256: {'a' * 64}}}", "ward.csv: other content ("),
        (ROWS, "{path: gone.csv}", "gone.csv: missing"),
        (HEAD + "What?,a,,,A\n", "{path: ward.csv}", "ward.csv:1 (line 2): fewer than two options"),
        (
            HEAD + "What?,a,,c,A\n",
            "{path: ward.csv}",
            "ward.csv:1 (line 2): an option in the midst of others is blank (B:",
        ),
        (
            HEAD + "What?,a,b,c,D\n",
            "{path: ward.csv}",
            "none of the options (answer_is is letter; allowed: letters of its",
        ),
        (HEAD, "{path: ward.csv}", "its files hold no items"),
        ("", "{path: ward.csv}", "its files hold no items"),
    ],
)
def test_files_that_are_no_test(model: Path, tmp_path: Path, rows: str, file: str, message: str) -> None:
    write(tmp_path, rows, file)
    done = run(model, tmp_path)
    assert done.exit_code == 2
    assert message in said(done)
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.parametrize("suite", ["", " , "])
def test_no_suite_at_all(model: Path, tmp_path: Path, suite: str) -> None:
    write(tmp_path, ROWS)
    done = run(model, tmp_path, suite=suite)
    assert done.exit_code == 2
    assert "no test or suite is named; suites: " in said(done)
    assert not (tmp_path / "out").exists()


def test_no_folder_of_tests(model: Path, tmp_path: Path) -> None:
    done = run(model, tmp_path / "nowhere")
    assert (done.exit_code, "no such folder" in said(done)) == (2, True)


def test_the_right_option_among_the_wrong_ones_is_said(model: Path, tmp_path: Path) -> None:
    write(tmp_path, HEAD + "What?,a,b,a ,A\nWhat else?,a,b,b,A\n")
    done = run(model, tmp_path)
    assert done.exit_code == 0
    assert "stands among the wrong ones, too, and counts as wrong there: " in said(done)
    assert "ward.csv:1 " in said(done)
    assert "ward.csv:2" not in said(done)  # two wrong ones are no matter


@pytest.mark.parametrize(("lengths", "left"), [([100] * 3, 0), ([1] * 3, 6)])
def test_worked_examples_that_leave_no_room_are_counted(
    model: Path, tmp_path: Path, lengths: list[int], left: int
) -> None:
    """A prompt too long for the context is not cut: the item is left out, shown, and JSON stays JSON."""
    examples = "".join(f"{'long ' * n}sign?,a,b,c,A\n" for n in lengths)
    (tmp_path / "examples.csv").write_text(HEAD + examples, encoding="utf-8")
    prompt = 'prompts: {lm-eval: {text: "Q: {question}\\n{options}A:", few_shot: 3}}\n'
    write(tmp_path, ROWS, "{path: ward.csv, examples: examples.csv}", prompt)
    done = run(model, tmp_path, "--profile", "lm-eval")
    assert done.exit_code == 0, done.output
    shown = "nothing scored" in done.output
    assert (shown, "6 too long for the context" in done.output) == (not left, not left)

    def refuse(value: str) -> None:
        raise AssertionError(value)

    found = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"), parse_constant=refuse)
    ward = found["tests"]["ward"]
    assert (ward["used"], ward["too_long"]) == (left, 6 - left)
    assert (found["groups"]["hospital"]["value"] is None) == (not left)
    compared = CliRunner().invoke(app, ["evaluate", "compare", *[str(tmp_path / "out")] * 2])
    assert compared.exit_code == (0 if left else 2)
    assert ("no item was scored in both" in said(compared)) == (not left)


def test_too_few_worked_examples(model: Path, tmp_path: Path) -> None:
    write(
        tmp_path,
        ROWS,
        "{path: ward.csv, examples: ward.csv}",
        "prompts: {lm-eval: {text: '{question}', few_shot: 9}}\n",
    )
    done = run(model, tmp_path, "--profile", "lm-eval")
    assert (done.exit_code, "9 worked examples are asked for (few_shot), and the file has 6" in said(done)) == (2, True)


def test_a_model_without_a_template_says_what_was_taken(tmp_path: Path) -> None:
    write(tmp_path, ROWS)
    save_tiny(tmp_path / "plain")
    for file in (tmp_path / "plain").glob("*.jinja"):
        file.unlink()
    done = run(tmp_path / "plain", tmp_path)
    assert done.exit_code == 0
    assert "has a chat template; taking vicuna" in said(done)
    assert json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))["template"]


def test_evaluations_of_different_things(model: Path, tmp_path: Path) -> None:
    write(tmp_path, ROWS)
    run(model, tmp_path, out="all")
    run(model, tmp_path, "--limit", "3", out="some")
    write(tmp_path, ROWS, more="version: 2\n")
    run(model, tmp_path, out="newer")
    write(tmp_path, ROWS.replace("two", "2"), more="version: 2\n")
    run(model, tmp_path, out="changed")

    def compare(first: str, second: str) -> str:
        done = CliRunner().invoke(app, ["evaluate", "compare", str(tmp_path / first), str(tmp_path / second)])
        assert done.exit_code == 2
        return said(done)

    assert "ward has another number of items; limit is None and 3" in compare("all", "some")
    assert "ward has another version; run both in the same way" in compare("all", "newer")
    assert "ward has another files' content" in compare("newer", "changed")
    assert "holds no finished evaluation" in compare("all", "nowhere")
