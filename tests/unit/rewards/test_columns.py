"""What stands in a row reaches those who judge: functions by the names of their parameters, services in their JSON."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from medicalgpt.config.rewards import RewardConfig, RewardFunction
from medicalgpt.data.records import Dialogue, Message, Source
from medicalgpt.errors import ConfigError, DataError, RunError
from medicalgpt.rewards.answers import Answer, Group, PromptRow
from medicalgpt.rewards.sources import Functions, Rewards


def group(number: int, reference: str | None, *texts: str, **columns: object) -> Group:
    row = PromptRow(
        Dialogue((Message("user", f"Question {number}?"),), Source("q.jsonl", number)), (5,), reference, columns
    )
    return Group(row, [Answer((7, 2), text, True) for text in texts])


GROUPS = [group(1, "A", "A", "B", dose=5), group(2, "B", "B", dose=7)]


def scored(tmp_path: Path, code: str, groups: list[Group] = GROUPS, name: str = "f") -> list[float]:
    file = tmp_path / "mine.py"
    file.write_text(code, encoding="utf-8")
    config = RewardConfig(functions=[RewardFunction(path=f"{file}:{name}")], missing_stop_penalty=0)
    functions, _ = Functions.open(config, [g.row for g in groups])
    return [float(s) for s in Rewards(config, 8, None, 2, functions=functions)(groups).score]


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("def f(prompts, completions): return [len(c) for c in completions]", [1, 1, 1]),
        ("def f(prompts, completions, reference): return [c == r for c, r in zip(completions, reference)]", [1, 0, 1]),
        ("def f(completions, reference): return [c == r for c, r in zip(completions, reference)]", [1, 0, 1]),
        ("def f(prompts, completions, *, dose): return dose", [5, 5, 7]),
        ("def f(prompts, completions, Dose): return Dose", [5, 5, 7]),
        ("def f(prompts, completions, doses): return doses", [5, 5, 7]),
        ("def f(completions, references): return [c == r for c, r in zip(completions, references)]", [1, 0, 1]),
        ("def f(completions, **columns): return columns['dose']", [5, 5, 7]),
        ("def f(prompts, completions, weight=None): return [0 if weight is None else 1] * 3", [0, 0, 0]),
        ("class F:\n    def __call__(self, prompts, completions, dose): return dose\nf = F()", [5, 5, 7]),
    ],
)
def test_a_function_gets_what_it_names(code: str, wanted: list[float], tmp_path: Path) -> None:
    assert scored(tmp_path, code) == wanted


def test_a_column_that_a_row_lacks_stops_before_anything_begins(tmp_path: Path) -> None:
    code = "def f(prompts, completions, options): return [0] * 3"
    with pytest.raises(
        DataError, match=r"q\.jsonl:1: reward .*mine\.py:f asks for the column 'options'.*\(2 of 2 rows\)"
    ):
        scored(tmp_path, code)


def test_what_a_function_does_to_a_column_does_not_change_the_row(tmp_path: Path) -> None:
    one = [group(1, None, "A", parts=["x"])]
    code = "def f(prompts, completions, parts):\n    parts[0].append('y')\n    return [len(parts[0])]"
    assert scored(tmp_path, code, one) == [2]
    assert scored(tmp_path, code, one) == [2]


def test_an_exception_is_shown_with_its_line_and_without_words_of_the_row(tmp_path: Path) -> None:
    one = [group(1, "A", "Mrs Featherstone has a fever")]
    code = "def f(prompts, completions):\n    raise ValueError('cannot read ' + completions[0])"
    with pytest.raises(RunError) as caught:
        scored(tmp_path, code, one)
    assert "raised ValueError: cannot read" in str(caught.value)
    assert "line 2 of mine.py, in f" in str(caught.value)
    assert "Featherstone" not in str(caught.value)


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        ("[10**400] * 3", "number 1 is too large for a float"),
        ("[1e300] * 3", "3 of 3 scores are beyond"),
        ("[float('nan'), 0, 0]", "1 of 3 scores are not finite"),
        ("[1, 2]", "gave 2 scores for 3 answers"),
        ("['a'] * 3", "number 1 is a value of type str"),
        ("None", "did not give a list of numbers but None"),
        ("{1: 2}", "did not give a list of numbers"),
        ("__import__('itertools').repeat(1)", "gave 4 scores for 3 answers"),
    ],
)
def test_what_is_no_score_is_named(gives: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=said):
        scored(tmp_path, f"def f(prompts, completions): return {gives}")


@pytest.mark.parametrize(
    "code", ["async def f(prompts, completions): return [0]", "def f(x): return [0]", "def f(p, c, x, /): return [0]"]
)
def test_a_function_that_cannot_be_called_like_this(code: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        scored(tmp_path, code)


@pytest.fixture
def service() -> Iterator[tuple[str, list[dict[str, object]]]]:
    seen: list[dict[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(asked)
            body = json.dumps({"scores": [1.0] * len(asked["completions"])}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/score", seen
        server.shutdown()


@pytest.mark.parametrize(
    ("columns", "handed"), [(None, {"dose": [5, 5, 7]}), (["dose"], {"dose": [5, 5, 7]}), ([], None)]
)
def test_a_service_gets_the_reference_and_columns(
    columns: list[str] | None, handed: object, service: tuple[str, list[dict[str, object]]]
) -> None:
    url, seen = service
    config = RewardConfig(functions=[RewardFunction(path=url, columns=columns)])
    functions, _ = Functions.open(config, [g.row for g in GROUPS])
    Rewards(config, 8, None, 2, functions=functions)(GROUPS)
    assert seen[0]["completions"] == ["A", "B", "B"]
    assert seen[0].get("columns") == handed
    assert seen[0].get("reference") == (["A", "A", "B"] if columns is None else None)
