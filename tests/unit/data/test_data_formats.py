"""Every source shape becomes the record it means, and every broken row has its reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from medicalgpt.data.formats import BadRow, check_columns, shaped
from medicalgpt.data.formats.turns import check_turns
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.prompts import parse_prompt
from medicalgpt.data.read_row import row_record
from medicalgpt.data.reader import read
from medicalgpt.data.records import Dialogue, Document, Message, Preference, Source
from medicalgpt.data.rows import Row
from medicalgpt.errors import DataError

SOURCE = Source("f", 1)


def _m(*turns: tuple[str, str]) -> tuple[Message, ...]:
    roles = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    return tuple(Message(roles[r], text) for r, text in turns)  # type: ignore[arg-type]


def _convert(row: dict[str, Any], columns: dict[str, str] | None = None) -> Any:
    shape, named = shaped(row, columns or {})
    assert shape.matches({k: v for k, v in named.items() if v is not None}) or shape.matches(named)
    return shape.convert(named, SOURCE)


def _name(row: dict[str, Any], columns: dict[str, str] | None = None) -> str:
    return shaped(row, columns or {})[0].name


def _reason(row: dict[str, Any], columns: dict[str, str] | None = None) -> str:
    with pytest.raises(BadRow) as bad:
        _convert(row, columns)
    return f"{bad.value.reason} ({bad.value.where})" if bad.value.where else bad.value.reason


def _chat(*turns: tuple[str, str], keys: tuple[str, str] = ("role", "content")) -> list[dict[str, str]]:
    return [dict(zip(keys, turn)) for turn in turns]


SHAREGPT = ("from", "value")
QA = _m(("u", "q"), ("a", "r"))


@pytest.mark.parametrize(
    ("row", "shape", "turns"),
    [
        ({"conversations": _chat(("human", "q"), ("gpt", "r"), keys=SHAREGPT)}, "sharegpt", QA),
        ({"Conversation": _chat(("user", "q"), ("assistant", "r"))}, "sharegpt", QA),
        ({"conversations": json.dumps(_chat(("human", "q"), ("gpt", "r"), keys=SHAREGPT))}, "sharegpt", QA),
        ({"conversations": _chat(("human", "q"), ("gpt", "r"), keys=SHAREGPT), "system": "s"}, "sharegpt", "s"),
        ({"conversations": _chat(("system", "s"), ("human", "q"), ("gpt", "r"), keys=SHAREGPT)}, "sharegpt", "s"),
        ({"messages": _chat(("system", "s"), ("user", "q"), ("assistant", "r")), "system": "s"}, "messages", "s"),
        ({"messages": _chat(("system", " "), ("user", "q"), ("assistant", "r"))}, "messages", QA),
        ({"messages": _chat(("developer", "s"), ("user", "q"), ("assistant", "r")), "prompt": "q"}, "messages", "s"),
        ({"instruction": "q", "input": "", "output": "r", "history": [], "system": None}, "alpaca", QA),
        ({"instruction": "q", "input": "x", "output": "r"}, "alpaca", _m(("u", "q\nx"), ("a", "r"))),
        ({"instruction": "q", "output": "r", "messages": None, "question": None, "text": None}, "alpaca", QA),
        (
            {"instruction": "q", "output": "r", "history": [["q0", "r0"]], "system": "s"},
            "alpaca",
            _m(("s", "s"), ("u", "q0"), ("a", "r0"), ("u", "q"), ("a", "r")),
        ),
        (
            {"instruction": "q", "output": "r", "history": '[["q0", "r0"]]'},
            "alpaca",
            _m(("u", "q0"), ("a", "r0"), ("u", "q"), ("a", "r")),
        ),
        ({"question": "q", "answer": "r", "title": "x"}, "qa", QA),
        ({"question": "q", "ask": "other", "answer": "r"}, "qa", QA),
        ({"question": "q", "prompt": None, "answer": "r", "system": "s"}, "qa", "s"),
        *(
            ({asked: "q", answered: "r"}, "qa", QA)
            for asked, answered in [
                *(("prompt", "response"), ("prompt", "completion"), ("query", "response"), ("ask", "answer")),
                *((" Question ", "ANSWER"), ("问", "答"), ("問", "答"), ("问题", "回答"), ("問題", "回答")),
                *(("提问", "回答"), ("提問", "答案"), ("问题", "答复")),
            ]
        ),
    ],
)
def test_dialogue_shapes(row: dict[str, Any], shape: str, turns: Any) -> None:
    assert _name(row) == shape
    expected = (*_m(("s", "s")), *QA) if turns == "s" else turns
    assert _convert(row) == Dialogue(expected, SOURCE)


@pytest.mark.parametrize(
    ("row", "turns"),
    [
        ({"prompt": _chat(("user", "q")), "completion": _chat(("assistant", "r"))}, QA),
        ({"prompt": _chat(("user", "q")), "completion": "r"}, QA),
        ({"prompt": "q", "completion": _chat(("assistant", "r"))}, QA),
        ({"prompt": _chat(("user", "q"))[0], "response": _chat(("assistant", "r"))[0]}, QA),
        ({"question": _chat(("human", "q"), keys=SHAREGPT), "answer": _chat(("gpt", "r"), keys=SHAREGPT)}, QA),
        ({"prompt": _chat(("user", "q")), "completion": _chat(("user", "q"), ("assistant", "r"))}, QA),
        (
            {"prompt": _chat(("user", "q")), "completion": _chat(("assistant", "r")), "system": "s"},
            _m(("s", "s"), ("u", "q"), ("a", "r")),
        ),
        (
            {
                "prompt": _chat(("system", "s"), ("user", "q"), ("assistant", "r"), ("user", "q2")),
                "completion": _chat(("assistant", "r2"), ("user", "q3"), ("assistant", "r3")),
            },
            _m(("s", "s"), ("u", "q"), ("a", "r"), ("u", "q2"), ("a", "r2"), ("u", "q3"), ("a", "r3")),
        ),
    ],
)
def test_prompt_and_completion_as_turns(row: dict[str, Any], turns: tuple[Message, ...]) -> None:
    """TRL learns the completion alone: answers in the prompt have no weight, those of the completion what they say."""
    assert _name(row) == "prompt-completion"
    found = _convert(row).messages
    assert found == turns
    weights = [turn.weight for turn in found if turn.role == "assistant"]
    assert weights == ([0.0, None, None] if len(turns) > 4 else [None])


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "q", "completion": "r"},
        {"question": "Which?", "options": ["x", "y"], "answer": ["A", "B"]},
        {"prompt": _chat(("user", "q")), "completion": _chat(("assistant", "r")), "label": True},
        {"messages": _chat(("user", "q"), ("assistant", "r")), "completion": _chat(("assistant", "r"))},
    ],
)
def test_other_rows_keep_their_shape(row: dict[str, Any]) -> None:
    assert _name(row) != "prompt-completion"


@pytest.mark.parametrize(
    ("beside", "column", "reference"),
    [
        ({"completion": _chat(("assistant", "r"))}, None, "r"),
        ({"completion": _chat(("assistant", "r"), ("user", "q2"), ("assistant", "r2"))}, None, "r2"),
        ({"answer": _chat(("assistant", "r"))[0]}, None, "r"),
        ({"answer": "B"}, "answer", "B"),
        ({"response": 5}, "response", "5"),
        ({"answer": ["A", "C"]}, None, None),
        ({"completion": _chat(("user", "q2"))}, None, None),
        ({}, None, None),
    ],
)
def test_what_stands_beside_a_prompt_of_turns_is_the_reference(
    beside: dict[str, Any], column: str | None, reference: str | None
) -> None:
    found = parse_prompt(Row(1, {"prompt": _chat(("user", "q")), **beside}), Path("f"))
    assert found.prompt.messages == _m(("u", "q"))
    assert (found.answer_column, found.reference) == (column, reference)


def test_an_answer_that_ends_the_prompt_is_the_reference() -> None:
    found = parse_prompt(Row(1, {"prompt": _chat(("user", "q"), ("assistant", "r")), "answer": "x"}), Path("f"))
    assert (found.answer_column, found.reference) == (None, "r")


def test_a_completion_must_end_with_an_answer() -> None:
    row = {"prompt": _chat(("user", "q")), "completion": _chat(("assistant", "r"), ("user", "q2"))}
    assert "assistant" in _reason(row)


def test_text_is_kept_to_the_letter() -> None:
    assert _convert({"question": " q\n", "answer": "\nr "}).messages == _m(("u", " q\n"), ("a", "\nr "))


@pytest.mark.parametrize("name", ["text", "content", "Document", "abstract", "文本", "内容", "內容"])
def test_documents(name: str) -> None:
    assert _convert({name: "words", "title": "t"}) == Document("words", SOURCE)


def test_content_parts_are_joined_and_other_media_refused() -> None:
    parts = [{"type": "text", "text": "What "}, {"type": "text", "text": "now?"}]
    row = {"messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": "Rest."}]}
    assert _convert(row).messages == _m(("u", "What now?"), ("a", "Rest."))
    parts.append({"type": "image_url", "image_url": "x"})
    assert _reason(row) == "a turn has a part that is not text (images and sound are not read) (messages, turn 1)"


CALL = {"name": "dose", "arguments": {"kg": 70}}
TOOL = {"type": "function", "function": {"name": "dose", "parameters": {"type": "object"}}}


@pytest.mark.parametrize("role", ["user", "system", "tool"])
def test_calls_of_others_than_the_assistant_are_refused(role: str) -> None:
    said = f"a turn of role {role} has tool_calls; only the assistant calls tools"
    turn = {"role": role, "content": "x"}
    for extra in ({"tool_calls": [CALL]}, {"tool_calls": "?"}, {"content": [{"type": "tool_call", "value": CALL}]}):
        assert _reason({"messages": [{**turn, **extra}]}).startswith(said)
    asked = {"role": "user", "content": "q", "tool_calls": []}
    assert _convert({"messages": [asked, {"role": "assistant", "content": "r", "tool_calls": None}]}).messages == QA


def test_openai_tools_and_calls() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "dose", "arguments": '{"kg": 70}'}}
    row = {
        "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": None, "tool_calls": [call, call]},
            {"role": "tool", "content": "1 g"},
            {"role": "tool", "content": "2 g"},
            {"role": "assistant", "content": "r"},
        ],
        "tools": [TOOL],
    }
    record = _convert(row)
    assert record.tools == (TOOL,)
    assert [m.role for m in record.messages] == ["user", "assistant", "tool", "tool", "assistant"]
    assert record.messages[1] == Message("assistant", "", (CALL, CALL))
    row["messages"].insert(3, {"role": "tool", "content": "3 g"})  # type: ignore[attr-defined]
    assert _reason(row) == "wrong role order: a tool turn follows a tool turn (turn 5)"


def test_results_stand_in_the_order_of_their_calls() -> None:
    def result(answers: str | None) -> dict[str, Any]:
        return {"role": "tool", "content": f"to {answers}", "tool_call_id": answers}

    def talk(*results: dict[str, Any]) -> dict[str, Any]:
        calls = [{"id": i, "type": "function", "function": {"name": i, "arguments": "{}"}} for i in "abc"]
        asked, said = _chat(("user", "q"), ("assistant", "done"))
        return {"messages": [asked, {"role": "assistant", "tool_calls": calls}, *results, said]}

    found = _convert(talk(result("c"), result("a"), result("b"))).messages
    assert [m.content for m in found[2:5]] == ["to a", "to b", "to c"]
    unnamed = _convert(talk(result(None), result("c"), result("b"))).messages
    assert unnamed[2].content == "to None"
    assert _reason(talk(result("d"))).startswith("a tool turn's tool_call_id is none of the calls before it")


@pytest.mark.parametrize("tools", [[TOOL], json.dumps([TOOL["function"]]), [TOOL["function"]]])
def test_sharegpt_tools_and_calls(tools: Any) -> None:
    turns = [("human", "q"), ("function_call", json.dumps(CALL)), ("observation", "1 g"), ("gpt", "r")]
    record = _convert({"conversations": _chat(*turns, keys=SHAREGPT), "tools": tools})
    expected = (
        Message("user", "q"),
        Message("assistant", "", (CALL,)),
        Message("tool", "1 g"),
        Message("assistant", "r"),
    )
    assert record == Dialogue(expected, SOURCE, (TOOL,))
    assert record.messages[1].as_dict()["tool_calls"] == [{"type": "function", "function": CALL}]


@pytest.mark.parametrize("tools", [None, "", "[]", []])
def test_no_tools(tools: Any) -> None:
    assert _convert({"messages": _chat(("user", "q"), ("assistant", "r")), "tools": tools}).tools == ()


PROMPT = _m(("u", "q"))
GOOD, POOR = _m(("a", "good")), _m(("a", "poor"))
SHARED = _chat(("user", "q"), ("assistant", "r"), ("user", "q2"))


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": "q", "chosen": "good", "rejected": "poor"}, PROMPT),
        ({"question": "q", "chosen": "good", "rejected": "poor", "prompt": None}, PROMPT),
        ({"instruction": "q", "input": "", "chosen": "good", "rejected": "poor"}, PROMPT),
        ({"instruction": "q", "input": "x", "chosen": "good", "rejected": "poor"}, _m(("u", "q\nx"))),
        ({"prompt": "q", "system": "s", "chosen": "good", "rejected": "poor"}, _m(("s", "s"), ("u", "q"))),
        ({"messages": _chat(("user", "q")), "chosen": "good", "rejected": "poor"}, PROMPT),
        ({"prompt": _chat(("user", "q")), "chosen": "good", "rejected": "poor"}, PROMPT),
        ({"prompt": {"role": "user", "content": "q"}, "chosen": "good", "rejected": "poor"}, PROMPT),
        (
            {
                "conversations": _chat(("system", "s"), ("human", "q"), keys=SHAREGPT),
                "chosen": {"from": "gpt", "value": "good"},
                "rejected": {"from": "gpt", "value": "poor"},
            },
            _m(("s", "s"), ("u", "q")),
        ),
        ({"prompt": "q", "chosen": _chat(("assistant", "good")), "rejected": _chat(("assistant", "poor"))}, PROMPT),
        (
            {
                "prompt": "q",
                "messages": _chat(("user", "q"), ("assistant", "good")),
                "chosen": _chat(("user", "q"), ("assistant", "good")),
                "rejected": _chat(("user", "q"), ("assistant", "poor")),
            },
            PROMPT,
        ),
        (
            {
                "chosen": [*SHARED, {"role": "assistant", "content": "good"}],
                "rejected": [*SHARED, {"role": "assistant", "content": "poor"}],
            },
            _m(("u", "q"), ("a", "r"), ("u", "q2")),
        ),
        (
            {
                "system": "s",
                "chosen": _chat(("user", "q"), ("assistant", "good")),
                "rejected": _chat(("user", "q"), ("assistant", "poor")),
            },
            _m(("s", "s"), ("u", "q")),
        ),
    ],
)
def test_preference_shapes(row: dict[str, Any], prompt: tuple[Message, ...]) -> None:
    assert _name(row) == "preference"
    assert _convert(row) == Preference(prompt, GOOD, POOR, SOURCE)


def test_preference_continuations_may_have_several_turns() -> None:
    chosen = _chat(("assistant", "a1"), ("user", "u1"), ("assistant", "a2"))
    record = _convert({"prompt": "q", "chosen": chosen, "rejected": "poor"})
    assert record.chosen == _m(("a", "a1"), ("u", "u1"), ("a", "a2"))
    whole = {"chosen": _chat(("user", "q"), *((t["role"], t["content"]) for t in chosen)), "rejected": [*SHARED[:2]]}
    record = _convert(whole)
    assert (record.prompt, record.chosen[0].content, record.rejected) == (PROMPT, "a1", _m(("a", "r")))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": "q", "answer": None}, "answer is null"),
        ({"question": None, "answer": "r"}, "question is null"),
        ({"question": "q"}, "answer is missing"),
        ({"instruction": "q", "input": "x"}, "output is missing"),
        ({"instruction": " \n", "output": "r"}, "instruction is blank"),
        ({"question": "q", "answer": 5}, "answer is a number, not text"),
        ({"question": ["q"], "answer": "r"}, "question is a list, not text"),
        ({"text": {"a": 1}}, "text is an object, not text"),
        ({"text": True}, "text is true or false, not text"),
        ({"text": " \n"}, "text is blank"),
        ({"text": "half \ud83d"}, "text holds half of a surrogate pair (broken \\ud83d-like escape)"),
        ({"query": "q", "ask": "q", "answer": "r"}, "'query' and 'ask' could each be the question; choose"),
        ({"question": "q", "answer": "r", "system": 1}, "system is a number, not text"),
        ({"question": "q", "answer": "r", "Answer": "r"}, "two columns whose names differ only in upper and lower"),
        ({"instruction": "q", "output": "r", "history": [["q"]]}, "history is not a list of [question, answer] pairs"),
        ({"instruction": "q", "output": "r", "history": "q, r"}, "history is text that is not JSON"),
        ({"instruction": "q", "output": "r", "history": [["q", None]]}, "an answer in history is null"),
        ({"id": 1, "note": "x"}, "no column has a name we know (columns: id, note)"),
        ({"messages": None}, "messages is null or blank"),
        ({"messages": []}, "messages has no turns"),
        ({"messages": {"role": "user"}}, "messages is an object, not a list of turns"),
        ({"messages": "hello"}, "messages is text that is not JSON"),
        ({"messages": ["hi"]}, "a turn is text, not an object (messages, turn 1)"),
        ({"messages": [{"content": "hi"}]}, "a turn has no role; allowed: system, user or human"),
        ({"messages": _chat(("narrator", "x"))}, "a turn has an unknown role 'narrator'; allowed: system"),
        ({"messages": _chat(("My knee hurts", "x"))}, "a turn has an unknown role; allowed: system"),
        (
            {"messages": _chat(("user", "q"), ("assistant", ""))},
            "the text of a turn (role assistant) is blank (messages, t",
        ),
        ({"messages": [{"role": "user", "content": 5}]}, "the text of a turn (role user) is a number, not text"),
        ({"messages": _chat(("user", "q"))}, "no assistant turn"),
        ({"messages": _chat(("system", "s"))}, "no user turn and no assistant turn"),
        ({"messages": _chat(("assistant", "r"))}, "wrong role order: the first turn after any system turn is not from"),
        (
            {"messages": _chat(("user", "q"), ("assistant", "r"), ("user", "q"))},
            "wrong role order: the last turn is not from the assistant",
        ),
        (
            {"messages": _chat(("user", "q"), ("user", "q"), ("assistant", "r"))},
            "wrong role order: a user turn follows a user turn (turn 2)",
        ),
        (
            {"messages": _chat(("user", "q"), ("system", "s"), ("assistant", "r"))},
            "wrong role order: a system turn that is not the first turn (turn 2)",
        ),
        (
            {"messages": _chat(("system", "s"), ("user", "q"), ("assistant", "r")), "system": "other"},
            "two system messages: the column 'system' and a system turn differ",
        ),
        (
            {"conversations": _chat(("human", "q"), ("function_call", "no"), keys=SHAREGPT)},
            "a function_call turn is text",
        ),
        (
            {"conversations": _chat(("human", "q"), ("function_call", "[]"), keys=SHAREGPT)},
            "a function_call turn has no",
        ),
        ({"conversations": _chat(("human", "q"), ("function_call", "{}"), keys=SHAREGPT)}, "a tool call has no name"),
        ({"messages": [{"role": "assistant", "tool_calls": 1}]}, "tool_calls is a number, not a list"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": "x"}]}]},
            "the arguments of a tool call are not JSON",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": [1]}]}]},
            "the arguments of a tool call are not an object",
        ),
        ({"messages": _chat(("user", "q"), ("assistant", "r")), "tools": "x"}, "tools is text that is not JSON"),
        ({"messages": _chat(("user", "q"), ("assistant", "r")), "tools": {"a": 1}}, "tools is an object, not a list"),
        ({"messages": _chat(("user", "q"), ("assistant", "r")), "tools": [{}]}, "tools has an entry without a name"),
        ({"prompt": "q", "chosen": "r"}, "rejected is missing"),
        ({"prompt": "q", "chosen": None, "rejected": "r"}, "chosen is null"),
        ({"prompt": "q", "chosen": 1, "rejected": "r"}, "chosen is a number, not text, a turn or a list of turns"),
        ({"prompt": "q", "chosen": "", "rejected": "r"}, "chosen is blank"),
        ({"prompt": "q", "chosen": "same", "rejected": " same\n"}, "chosen and rejected are the same"),
        ({"chosen": "a", "rejected": "b"}, "the prompt is missing (conversations, prompt, messages"),
        ({"prompt": None, "chosen": "a", "rejected": "b"}, "prompt is null"),
        ({"prompt": " ", "chosen": "a", "rejected": "b"}, "prompt is blank"),
        (
            {"prompt": _chat(("user", "q"), ("assistant", "r")), "chosen": "a", "rejected": "b"},
            "wrong role order: the pr",
        ),
        (
            {"prompt": "q", "chosen": _chat(("user", "x")), "rejected": "b"},
            "chosen: wrong role order: a user turn follows",
        ),
        (
            {"chosen": _chat(("user", "p"), ("assistant", "a")), "rejected": _chat(("user", "q"), ("assistant", "b"))},
            "there is no prompt, and chosen and rejected do not begin with the same turns",
        ),
        (
            {
                "chosen": _chat(("user", "p"), ("assistant", "a")),
                "rejected": [*_chat(("user", "p"), ("assistant", "a"), ("user", "q"), ("assistant", "b"))],
            },
            "chosen and rejected do not part at an assistant turn",
        ),
    ],
)
def test_bad_rows_have_their_reason(row: dict[str, Any], reason: str) -> None:
    assert _reason(row).startswith(reason)


def test_columns_override_detection() -> None:
    row = {"instruction": "i", "output": "o", "title": "q", "reply": "r", "ask": "x"}
    assert _name(row) == "alpaca"
    assert _convert(row, {"text": "output"}) == Document("o", SOURCE)
    assert _convert(row, {"question": "Title", "answer": "output"}) == Dialogue(_m(("u", "q"), ("a", "o")), SOURCE)
    assert _convert({"question": "r", "answer": "q"}, {"question": "answer", "answer": "question"}).messages == QA
    pair = {"messages": "not a chat", "good": "good", "bad": "poor", "q": "q"}
    assert _convert(pair, {"prompt": "q", "chosen": "good", "rejected": "bad"}) == Preference(
        PROMPT, GOOD, POOR, SOURCE
    )
    chat = {"dialog": _chat(("user", "q"), ("assistant", "r")), "sys": "s", "text": "t"}
    assert _convert(chat, {"messages": "dialog", "system": "sys"}).messages == (*_m(("s", "s")), *QA)


def test_columns_of_another_file_leave_detection_alone() -> None:
    assert _convert({"question": "q", "answer": "r"}, {"text": "body"}).messages == QA


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"awnser": "x"}, "unknown name 'awnser'; allowed: answer, .* did you mean 'answer'"),
        ({"question": "A", "answer": "a "}, "'question' and 'answer' both name the column 'a '"),
    ],
)
def test_wrong_columns_are_refused(columns: dict[str, str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        check_columns(columns)


def test_columns_that_no_shape_has_together() -> None:
    row = {"a": "x", "b": "y"}
    assert _reason(row, {"text": "a", "chosen": "b"}) == "data.columns names chosen, text, which no shape has together"


def test_prompts_may_end_with_the_user_only_when_asked_for() -> None:
    check_turns(_m(("s", "s"), ("u", "q"), ("a", "r"), ("u", "q")), end="prompt")
    with pytest.raises(BadRow, match="the prompt ends with an assistant turn"):
        check_turns(QA, end="prompt")


def test_a_note_is_known_and_not_read_and_other_columns_are_still_named() -> None:
    fields = {"prompt": "q", "chosen": "a", "rejected": "b", "flaw": "unsafe_dosage", "ward": "3"}
    row = Row(1, fields)
    assert row_record(row, "f", {}).left == ("flaw", "ward")
    told = row_record(row, "f", {"note": "Flaw"})
    assert told.left == ("ward",)
    assert told.record == row_record(row, "f", {}).record
    assert set(row_record(Row(1, {**fields, "note": "seen"}), "f", {"note": "flaw"}).left) == {"note", "ward"}


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("a.jsonl", '{"prompt": "Fever?", "chosen": "Rest.", "rejected": "Run."}\n', {}),
        ("a.csv", "prompt,chosen,rejected\nFever?,Rest.,Run.\n", {}),
        ("a.csv", "Fever?,Rest.,Run.\n", {"prompt": "0", "chosen": "1", "rejected": "2"}),
    ],
)
def test_data_without_the_note_that_a_config_names_are_read(
    name: str, text: str, columns: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = list(read([str(tmp_path / name)], "preference", columns={**columns, "note": "flaw"}, ledger=Ledger()))
    assert len(found) == 1
