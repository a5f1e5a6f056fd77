"""`medicalgpt generate` and `medicalgpt chat` as they are called."""

import json
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.tiny import save_tiny
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.cli import chat as command
from medicalgpt.errors import ServeError
from medicalgpt.generate.engine import Completion
from medicalgpt.generate.sampling import Sampling


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny(tmp_path_factory.mktemp("model")))


def run(*words: str, typed: str | None = None):
    return CliRunner().invoke(app, list(words), input=typed)


def prompts(folder: Path, *rows: dict) -> str:
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_generate_writes_answers_and_a_summary(model: str, tmp_path: Path) -> None:
    source, target = (
        prompts(tmp_path, {"id": 1, "prompt": "fever?"}, {"id": 2, "question": "How?"}),
        tmp_path / "out.jsonl",
    )
    words = ["generate", "--model", model, "--input", source, "--output", str(target), "--max-new-tokens", "5"]
    result = run(*words, "--batch-size", "2", "--system", "Be brief.")
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [row["id"] for row in rows] == [1, 2]
    assert all(1 <= row["tokens"] <= 5 and isinstance(row["response"], str) for row in rows)
    assert f"{sum(row['tokens'] for row in rows)} new tokens" in result.stdout
    assert f"stop rate {sum(row['stopped'] for row in rows) / 2:.1%}" in result.stdout
    again = run(*words)
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    assert run(*words, "--resume").exit_code == 0


def test_generate_stops_at_a_bad_row_before_the_model_is_loaded(tmp_path: Path) -> None:
    source = prompts(tmp_path, {"prompt": "fever?"}, {"prompt": ""})
    result = run(
        "generate",
        "--model",
        str(tmp_path / "gone"),
        "--input",
        source,
        "--output",
        str(tmp_path / "o.jsonl"),
        *("--on-bad-row", "error"),
    )
    assert result.exit_code == 2
    assert f"{source}:2: prompt is blank" in result.stderr


def test_generate_answers_the_rest_and_says_how_many_rows_it_could_not(model: str, tmp_path: Path) -> None:
    source = prompts(tmp_path, {"prompt": "fever?"}, {"prompt": ""}, {"prompt": "pulse?"})
    output = tmp_path / "o.jsonl"
    result = run("generate", "--model", model, "--input", source, "--output", str(output), "--max-new-tokens", "4")
    assert result.exit_code == 0, result.output
    assert "1 rows could not be asked" in result.stderr
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert ["response" in row for row in rows] == [True, False, True]
    assert rows[1] == {"prompt": "", "problem": rows[1]["problem"]}


def test_generate_names_a_wrong_setting(model: str, tmp_path: Path) -> None:
    source = prompts(tmp_path, {"prompt": "fever?"})
    result = run("generate", "--model", model, "--input", source, "--output", str(tmp_path / "o.jsonl"), "--top-p", "0")
    assert result.exit_code == 2
    assert "top_p is 0.0; allowed: above 0" in result.stderr


def test_generate_and_inspect_take_a_tool_format(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = {}

    def open_engine(*args: object, **kwargs: object) -> None:
        opened.update(kwargs)
        raise ServeError("enough")

    monkeypatch.setattr("medicalgpt.generate.engine.Engine.open", open_engine)
    words = ["--model", model, "--input", prompts(tmp_path, {"prompt": "?"}), "--output", str(tmp_path / "o.jsonl")]
    assert run("generate", *words, "--tool-format", "glm4").exit_code == 2
    assert opened["tool_format"] == "glm4"
    assert opened["inference_only"]

    tool = {"name": "dose", "description": "D", "parameters": {}}
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": None, "tool_calls": [{"name": "dose"}]}]
    turns += [{"role": "tool", "content": "1"}, {"role": "assistant", "content": "2"}]
    source = prompts(tmp_path, {"messages": turns, "tools": [tool]})
    shown = run("data", "inspect", source, "--model", model, "--tool-format", "react")
    assert shown.exit_code == 0, shown.output
    assert "Action: dose" in shown.stdout
    wrong = run("data", "inspect", source, "--model", model, "--tool-format", "hermes")
    assert wrong.exit_code == 2
    assert "tool_format" in wrong.stderr


def test_chat_shows_or_hides_thoughts(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(*args: object, **kwargs: object) -> Generator[str, None, Completion]:
        yield "<think>\nmy thoughts</think>"
        yield "\n\nmy answer"
        return Completion("", [1], True, 1)

    monkeypatch.setattr("medicalgpt.generate.engine.Engine.stream", stream)
    words = ["chat", "--model", model, "--max-new-tokens", "9", "--thinking"]
    shown, hidden = (run(*words, how, typed="?\n").stdout for how in ("show", "hide"))
    assert "my thoughts\n\nmy answer" in shown
    assert "my answer" in hidden
    assert "my thoughts" not in hidden
    assert "think>" not in shown + hidden


def test_chat_answers_piped_lines(model: str) -> None:
    result = run("chat", "--model", model, "--max-new-tokens", "8", "--seed", "1", typed="What is a fever?\n高血壓?\n")
    assert result.exit_code == 0, result.output
    assert "not a doctor" in result.stdout
    again = run("chat", "--model", model, "--max-new-tokens", "8", "--seed", "1", typed="What is a fever?\n高血壓?\n")
    assert again.stdout == result.stdout
    other = run("chat", "--model", model, "--max-new-tokens", "8", "--seed", "2", typed="What is a fever?\n高血壓?\n")
    assert other.stdout != result.stdout


@pytest.mark.parametrize("failing", [False, True])
def test_chat_makes_ready_while_the_question_is_typed(failing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()

    class Started:
        def make_ready(self) -> None:
            done.set()
            if failing:
                raise MemoryError

    def typed() -> str:
        assert done.wait(10)
        raise EOFError

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(command, "_typed", typed)
    said: list[object] = []
    monkeypatch.setattr(threading, "excepthook", said.append)
    before = set(threading.enumerate())
    command.talk(Started(), Sampling(), None, history=True)  # type: ignore[arg-type]
    for thread in set(threading.enumerate()) - before:
        thread.join()
    assert not said  # it comes again with the answer


def test_chat_takes_commands_until_exit(model: str) -> None:
    result = run(
        "chat",
        "--model",
        model,
        "--max-new-tokens",
        "4",
        "--temperature",
        "0",
        "--system",
        "S",
        typed="/system\n/exit\nnever\n",
    )
    assert result.exit_code == 0
    assert "system message: S" in result.stdout


def test_chat_refuses_input_that_is_not_utf8(model: str) -> None:
    result = CliRunner().invoke(app, ["chat", "--model", model], input=b"\xff\xfe\n")
    assert result.exit_code == 2
    assert "not valid UTF-8" in result.stderr


def test_chat_with_a_model_that_is_not_there(tmp_path: Path) -> None:
    result = run("chat", "--model", str(tmp_path / "gone"))
    assert result.exit_code == 2
    assert "no model" in result.stderr


def test_help_loads_no_model_code() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from medicalgpt.cli import app\n"
        "for c in ('chat', 'generate'): assert CliRunner().invoke(app, [c, '--help']).exit_code == 0\n"
        "print(sorted({'torch', 'transformers', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_generate_holds_answers_to_a_schema(model: str, tmp_path: Path) -> None:
    source, target, schema = prompts(tmp_path, {"id": 1, "prompt": "fever?"}), tmp_path / "o.jsonl", tmp_path / "s.json"
    levels = ["紅", "黃", "綠"]
    schema.write_text(json.dumps({"enum": levels}), encoding="utf-8-sig")
    words = ["generate", "--model", model, "--input", source, "--output", str(target), "--json-schema", str(schema)]
    result = run(*words, "--temperature", "1", "--max-new-tokens", "60")
    assert result.exit_code == 0, result.output
    (row,) = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert json.loads(row["response"]) in levels
    assert row["stopped"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{\n'a'", "s.json:2: no JSON"),
        ("[1]", "a JSON schema is an object"),
        ('{"type": "objekt"}', "s.json: it is no JSON schema"),
        ("[" * 100_000, "not JSON"),
        ('{"a": "' + "x" * 2**20 + '"}', "more than 1048576 bytes"),
        (None, "cannot be read"),
    ],
)
def test_generate_refuses_what_is_no_schema(tmp_path: Path, content: str | None, words: str) -> None:
    """Before the model is loaded."""
    schema = tmp_path / "s.json"
    if content is not None:
        schema.write_text(content, encoding="utf-8")
    given = ["--model", "gone", "--input", "in.jsonl", "--output", "o.jsonl", "--json-schema", str(schema)]
    result = run("generate", *given)
    assert result.exit_code == 2
    assert words in result.stderr
