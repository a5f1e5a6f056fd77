"""Files of prompts: which rows are accepted, what is written, and what an interruption leaves behind."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import tiny_model, tiny_tokenizer

from medicalgpt.data.records import Message
from medicalgpt.errors import DataError, GrammarError, ServeError
from medicalgpt.generate import batch
from medicalgpt.generate.engine import Completion, Engine
from medicalgpt.generate.output import Output
from medicalgpt.generate.questions import describe
from medicalgpt.generate.rows import count_prompts, read_prompts
from medicalgpt.generate.sampling import Sampling
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.structured.constraint import Constraint


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# -- rows -----------------------------------------------------------------------------------------------------------

USER, BOT = Message("user", "Q"), Message("assistant", "A")


@pytest.mark.parametrize(
    ("row", "messages", "reference"),
    [
        ({"messages": [{"role": "user", "content": "Q"}]}, (USER,), None),
        ({"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}, (USER,), "A"),
        (
            {
                "conversations": [
                    {"from": "human", "value": "Q"},
                    {"from": "gpt", "value": "A"},
                    {"from": "human", "value": "Q2"},
                ]
            },
            (USER, BOT, Message("user", "Q2")),
            None,
        ),
        ({"system": "S", "messages": [{"role": "user", "content": "Q"}]}, (Message("system", "S"), USER), None),
        ({"prompt": "Q"}, (USER,), None),
        ({"prompt": [{"role": "user", "content": "Q"}], "chosen": "A", "rejected": "B"}, (USER,), None),
        ({"question": "Q", "answer": "A"}, (USER,), "A"),
        ({"问题": "Q", "回答": "A"}, (USER,), "A"),
        ({"instruction": "Q", "input": "x", "output": "A"}, (Message("user", "Q\nx"),), "A"),
        ({"instruction": "Q", "output": ""}, (USER,), None),
        ({"prompt": "Q2", "history": [["Q", "A"]]}, (USER, BOT, Message("user", "Q2")), None),
    ],
)
def test_shapes_of_rows(tmp_path: Path, row: dict, messages: tuple, reference: str | None) -> None:
    (asked,) = read_prompts(write(tmp_path / "f.jsonl", row))
    assert (asked.prompt.messages, asked.reference, asked.fields) == (messages, reference, row)


def test_tools_and_system_reach_the_prompt(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "dose"}}
    path = write(
        tmp_path / "f.jsonl",
        {"messages": [{"role": "user", "content": "Q"}], "tools": [tool]},
        {"prompt": "Q", "system": "own"},
    )
    first, second = read_prompts(path, system="S")
    assert (first.prompt.messages, first.prompt.tools) == ((Message("system", "S"), USER), (tool,))
    assert second.prompt.messages[0] == Message("system", "own")


def test_a_table_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("id,question\n7,Q\n")
    (asked,) = read_prompts(tmp_path / "f.csv")
    assert (asked.prompt.messages, asked.fields) == ((USER,), {"id": "7", "question": "Q"})


@pytest.mark.parametrize("name", ["f.txt", "questions"])
def test_plain_text_has_a_question_a_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("Q\n\n  高血壓? \r\n{not JSON\n", encoding="utf-8")
    first, second, third = read_prompts(path)
    assert (first.prompt.messages, first.fields) == ((USER,), {"question": "Q"})
    assert (second.prompt.messages[0].content, second.prompt.source.row) == ("高血壓?", 3)
    assert third.prompt.messages[0].content == "{not JSON"
    assert describe(path, 3) == f"{path}: 3 questions, one a line"


def test_json_lines_are_known_by_their_content(tmp_path: Path) -> None:
    for name in ("f.txt", "rows"):
        (asked,) = read_prompts(write(tmp_path / name, {"question": "Q", "answer": "A"}))
        assert (asked.prompt.messages, asked.reference) == ((USER,), "A")
        assert describe(tmp_path / name, 1) == f"{tmp_path / name}: 1 rows"


def test_a_question_alone_has_no_history(tmp_path: Path) -> None:
    row = {"system": "S", "prompt": "Q2", "history": [["Q", "A"]]}
    path = write(tmp_path / "f.jsonl", row)
    (asked,) = read_prompts(path, history=False)
    assert asked.prompt.messages == (Message("system", "S"), Message("user", "Q2"))
    assert asked.fields == row
    (asked,) = read_prompts(path)
    assert len(asked.prompt.messages) == 4


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "secret words"}, "there is no prompt"),
        ({"prompt": None}, "there is no prompt"),
        ({"prompt": "  "}, "prompt is blank"),
        ({"prompt": 5}, "prompt is a number, not text"),
        ({"messages": []}, "messages has no turns"),
        ({"messages": "secret words"}, "messages is text that is not JSON"),
        ({"messages": [{"role": "doctor", "content": "secret words"}]}, "unknown role 'doctor'.*turn 1"),
        ({"messages": [{"role": "assistant", "content": "secret words"}]}, "no user turn"),
        ({"messages": [{"role": "system", "content": "secret words"}]}, "no user turn"),
        ({"prompt": "Q", "tokens": 3}, "the column 'tokens' is one that the output adds"),
        ({"prompt": "Q", "answer": "A", "response": "B"}, "the column 'response'"),
        ("secret words", "not an object"),
    ],
)
def test_a_bad_row_is_placed_and_not_quoted(tmp_path: Path, row: Any, message: str) -> None:
    path = write(tmp_path / "f.jsonl", {"prompt": "fine"}, row)
    with pytest.raises(DataError, match=message) as caught:
        count_prompts(path)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert "secret" not in str(caught.value)


def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        count_prompts(tmp_path / "gone.jsonl")
    (tmp_path / "f.md").write_text("text")
    with pytest.raises(DataError, match="holds no prompts"):
        count_prompts(tmp_path / "f.md")
    with pytest.raises(DataError, match="is empty"):
        count_prompts(write(tmp_path / "empty.jsonl"))


# -- runs -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine() -> Engine:
    tokenizer = tiny_tokenizer()
    return Engine(
        tiny_model(max_position_embeddings=128), tokenizer, ChatTemplate.load(tokenizer), {"places": ["tiny"]}
    )


ROWS = [{"id": i, "prompt": "fever? " * (1 + i % 3)} for i in range(11)]
SAMPLING = Sampling(6, temperature=1.0, seed=4)


def run(
    engine: Engine, source: Path, target: Path, resume: bool = False, sampling: Sampling = SAMPLING
) -> batch.Summary:
    output = Output(target)
    assert not output.check(resume)
    return batch.run_batch(engine, source, output, sampling, batch_size=1)  # windows of four rows


def test_rows_are_kept_and_answered_in_order(engine: Engine, tmp_path: Path) -> None:
    rows = [
        {"id": "ü", "question": "What is a fever?", "response": "38 °C"},
        {"id": 2, "prompt": "How?" * 9},
        {"prompt": "x"},
    ]
    summary = run(engine, write(tmp_path / "in.jsonl", *rows), tmp_path / "out.jsonl", sampling=Sampling(5))
    found = read(tmp_path / "out.jsonl")
    expected = engine.generate([[Message("user", r.get("question") or r["prompt"])] for r in rows], Sampling(5))
    assert found[0] == {
        "id": "ü",
        "question": "What is a fever?",
        "reference": "38 °C",
        "response": expected[0].text,
        "stopped": expected[0].stopped,
        "tokens": len(expected[0].token_ids),
    }
    assert [row["response"] for row in found] == [e.text for e in expected]
    assert list(found[2]) == ["prompt", "response", "stopped", "tokens"]
    assert (summary.rows, summary.resumed, summary.tokens) == (3, 0, sum(len(e.token_ids) for e in expected))
    assert summary.stopped == sum(e.stopped for e in expected)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_thoughts_and_calls_have_columns_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(tiny_model(max_position_embeddings=1024), tiny_tokenizer(), ChatTemplate.load(tiny_tokenizer()), {})
    tool = {"type": "function", "function": {"name": "dose", "parameters": {"required": ["kg"]}}}
    call = '<tool_call>\n{"name": "dose", "arguments": ARGUMENTS}\n</tool_call>'
    good, bad = call.replace("ARGUMENTS", '{"kg": 9}'), call.replace("ARGUMENTS", "{}")
    texts = [f"<think>\nweight\n</think>\n\nI look.\n{good}", bad, good]
    answers = [Completion(text, [1, 2], True, 3) for text in texts]
    monkeypatch.setattr(Engine, "generate", lambda *args, **kwargs: answers)
    question = [{"role": "user", "content": "How much?"}]
    rows = [{"messages": question, "tools": [tool]}, {"messages": question, "tools": [tool]}, {"messages": question}]
    run(engine, write(tmp_path / "in.jsonl", *rows), tmp_path / "out.jsonl")
    first, second, third = read(tmp_path / "out.jsonl")
    assert (first["reasoning"], first["response"]) == ("weight", "I look.")
    assert first["tool_calls"] == [{"name": "dose", "arguments": {"kg": 9}}]
    assert (second["response"], second["tool_problems"]) == (bad, ["dose: the argument 'kg' is missing"])
    assert list(third) == ["messages", "response", "stopped", "tokens"]  # without tools there is nothing to call
    assert third["response"] == good


def test_a_tool_whose_schema_is_none_is_placed(tmp_path: Path) -> None:
    tool = {"name": "dose", "parameters": {"type": "dict"}}
    path = write(tmp_path / "f.jsonl", {"messages": [{"role": "user", "content": "Q"}], "tools": [tool]})
    with pytest.raises(DataError, match=r"f\.jsonl:1: tool 'dose': parameters is no JSON schema"):
        count_prompts(path)


def test_turns_that_do_not_fit_are_counted(engine: Engine, tmp_path: Path) -> None:
    turns = [{"role": role, "content": "word " * 12} for role in ("user", "assistant", "user", "assistant", "user")]
    summary = run(
        engine, write(tmp_path / "in.jsonl", {"messages": turns}), tmp_path / "out.jsonl", sampling=Sampling(40)
    )
    (row,) = read(tmp_path / "out.jsonl")
    assert row["dropped_turns"] in (2, 4)
    assert summary.shortened == 1


def test_rows_that_cannot_be_asked_keep_their_place_and_the_rest_is_answered(engine: Engine, tmp_path: Path) -> None:
    fine = [{"prompt": f"fever? {i}"} for i in range(6)]
    lines = [json.dumps(row) for row in fine]
    lines[1] = '{"prompt": "secret'
    lines[2] = json.dumps({"id": 7, "prompt": "secret " * 200})
    lines[4] = json.dumps({"prompt": "Q", "tokens": 3})
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert count_prompts(source, strict=False) == 6
    output = Output(tmp_path / "out.jsonl")
    summary = batch.run_batch(engine, source, output, SAMPLING, batch_size=1, strict=False)
    found = read(tmp_path / "out.jsonl")
    assert (summary.rows, summary.unanswered) == (6, 3)
    for number in (0, 3, 5):
        (expected,) = engine.generate([[Message("user", fine[number]["prompt"])]], SAMPLING, numbers=[number])
        assert found[number]["response"] == expected.text
    assert list(found[1]) == ["problem"]
    assert found[1]["problem"].startswith(f"{source}:2")
    assert found[2] == {"id": 7, "prompt": "secret " * 200, "problem": found[2]["problem"]}
    assert found[2]["problem"].startswith(f"{source}:3: the question")
    assert "the column 'tokens'" in found[4]["problem"]
    assert "secret" not in "".join(row.get("problem", "") for row in found)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("plain", [False, True])
def test_a_line_that_does_not_decode_keeps_its_place(
    engine: Engine, tmp_path: Path, encoding: str, plain: bool
) -> None:
    questions = ["发烧三天了，应该怎么办？需要去医院吗？", "secret", "血压高的人可以吃什么药？"]
    lines = [(q if plain else json.dumps({"prompt": q}, ensure_ascii=False)).encode(encoding) for q in questions]
    lines[1] = lines[1].replace(b"secret", b"secret \xff\xff")
    source = tmp_path / ("in.txt" if plain else "in.jsonl")
    source.write_bytes(b"\n".join(lines) + b"\n")
    summary = batch.run_batch(engine, source, Output(tmp_path / "out.jsonl"), SAMPLING, strict=False)
    found = read(tmp_path / "out.jsonl")
    assert (summary.rows, summary.unanswered) == (3, 1)
    assert [row.get("question", row.get("prompt")) for row in found] == [questions[0], None, questions[2]]
    assert found[1]["problem"].startswith(f"{source}:2: bytes that are no text")
    assert "secret" not in found[1]["problem"]
    with pytest.raises(DataError, match=r":2: bytes that are no text"):
        count_prompts(source)


def test_a_file_without_any_prompt_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", {"prompt": " "}, {"prompt": None})
    with pytest.raises(DataError, match=r"no row of .* can be asked; the first: .*f\.jsonl:1: prompt is blank"):
        count_prompts(path, strict=False)


def test_a_prompt_too_long_stops_before_anything_is_written(engine: Engine, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", {"prompt": "fine"}, {"prompt": "secret " * 200})
    with pytest.raises(DataError, match=r"in.jsonl:2: the question .* has \d+ tokens") as caught:
        run(engine, source, tmp_path / "out.jsonl")
    assert "secret" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


def interrupted(engine: Engine, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop with Ctrl-C in the second window: four rows are written."""
    whole, calls = Engine.generate, []

    def generate(self: Engine, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "generate", generate)
        with pytest.raises(KeyboardInterrupt):
            run(engine, source, target)
    assert not target.exists()
    assert len(read(Output(target).partial)) == 4


def test_an_interrupted_run_goes_on_to_the_same_file(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "in.jsonl", *ROWS)
    run(engine, source, tmp_path / "whole.jsonl")
    target = tmp_path / "out.jsonl"
    interrupted(engine, source, target, monkeypatch)
    with Output(target).partial.open("a") as file:
        file.write('{"id": 4, "prompt": "fev')  # as a killed process leaves it
    summary = run(engine, source, target, resume=True)
    assert target.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert (summary.rows, summary.resumed) == (11, 4)
    assert summary.tokens == sum(row["tokens"] for row in read(target)[4:])
    assert summary.stopped == sum(row["stopped"] for row in read(target))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl", "whole.jsonl"]


def test_another_run_is_not_mixed_in(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = write(tmp_path / "in.jsonl", *ROWS), tmp_path / "out.jsonl"
    interrupted(engine, source, target, monkeypatch)
    written = Output(target).partial.read_bytes()
    with pytest.raises(ServeError, match="is there from an earlier call; go on with --resume"):
        run(engine, source, target)
    with pytest.raises(ServeError, match=r"made with other settings \(sampling\)"):
        run(engine, source, target, resume=True, sampling=Sampling(7))
    write(source, *ROWS[:-1])
    with pytest.raises(ServeError, match=r"made with other settings \(input\)"):
        run(engine, source, target, resume=True)
    assert Output(target).partial.read_bytes() == written
    Output(target).settings.unlink()
    with pytest.raises(ServeError, match="cannot be continued"):
        run(engine, source, target, resume=True)


def test_a_damaged_partial_output_is_refused(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = write(tmp_path / "in.jsonl", *ROWS), tmp_path / "out.jsonl"
    interrupted(engine, source, target, monkeypatch)
    with Output(target).partial.open("a") as file:
        file.write("[]\n")
    with pytest.raises(ServeError, match=r"out.jsonl.partial:5: not a row"):
        run(engine, source, target, resume=True)


def test_a_finished_output_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("old")
    with pytest.raises(ServeError, match="is there already"):
        Output(tmp_path / "out.jsonl").check(resume=False)
    assert Output(tmp_path / "out.jsonl").check(resume=True)
    with pytest.raises(ServeError, match="there is no folder"):
        Output(tmp_path / "no" / "out.jsonl").check(resume=False)


def test_half_a_surrogate_pair_in_another_column_survives(engine: Engine, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"prompt": "Q", "note": "\\ud83d"}\n')
    run(engine, source, tmp_path / "out.jsonl")
    assert read(tmp_path / "out.jsonl")[0]["note"] == "\ud83d"


# -- schemas --------------------------------------------------------------------------------------------------------


def test_a_schema_is_part_of_the_settings_and_refused_before_the_first_row(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = write(tmp_path / "in.jsonl", *ROWS), tmp_path / "out.jsonl"
    with pytest.raises(ServeError, match="Unimplemented"):
        run(engine, source, target, sampling=Sampling(5, constraint=Constraint.json_schema({"not": {}})))
    assert not Output(target).partial.exists()
    interrupted(engine, source, target, monkeypatch)
    assert "constraint" not in json.loads(Output(target).settings.read_text())["sampling"], "older ones have none"
    held = replace(SAMPLING, constraint=Constraint.json_schema({"const": 1}))
    with pytest.raises(ServeError, match=r"made with other settings \(sampling\)"):
        run(engine, source, target, resume=True, sampling=held)


def test_a_row_whose_grammar_breaks_down_is_reported_in_its_place(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, whole = write(tmp_path / "in.jsonl", *ROWS[:3]), Engine.generate

    def generate(self: Engine, prompts: Any, sampling: Sampling, **how: Any) -> Any:
        if 1 in how["numbers"]:
            raise GrammarError("the JSON schema proved too complex")
        return whole(self, prompts, sampling, **how)

    monkeypatch.setattr(Engine, "generate", generate)
    summary = run(engine, source, tmp_path / "out.jsonl")
    found = read(tmp_path / "out.jsonl")
    assert [row.get("problem") for row in found] == [None, "the JSON schema proved too complex", None]
    assert summary.unanswered == 1
