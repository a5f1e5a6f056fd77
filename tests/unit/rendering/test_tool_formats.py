"""Tool formats: what is written is read back, whole or in pieces, and what is malformed is reported and kept."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from medicalgpt.errors import DataError, RenderError
from medicalgpt.rendering.tool_formats import FORMATS, CallDelta, ContentDelta, check_tools, tool_format
from medicalgpt.rendering.tool_formats.json_text import value_end

DOSE = {
    "type": "function",
    "function": {
        "name": "dose",
        "description": "Dose by weight",
        "parameters": {
            "type": "object",
            "properties": {
                "kg": {"type": "number", "minimum": 0.5},
                "drug": {"type": "string", "enum": ["paracetamol", "ibuprofen"]},
                "times": {"type": "array", "items": {"type": "integer"}},
            },
            "required": ["kg"],
        },
    },
}

# Markers, quotes and braces are what a parser trips over; blank ends are kept inside strings only.
_PIECES = [
    "</tool_call>",
    "<tool_call>",
    "[TOOL_CALLS]",
    "\nAction: dose\n",
    "{",
    "}]",
    '\\"',
    "\\",
    "\n",
    "劑量",
    "🤒",
    " ",
]
_TEXT = st.one_of(st.text(max_size=12), st.lists(st.sampled_from(_PIECES), max_size=5).map("".join)).filter(
    lambda text: not any("\ud800" <= char <= "\udfff" for char in text)
)
_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.from_regex(r"[a-z_][A-Za-z0-9_-]{0,20}", fullmatch=True),
            "arguments": st.dictionaries(_TEXT, _VALUE),
        }
    ),
    min_size=1,
    max_size=3,
)
_CONTENT = st.sampled_from(["", "Let me look that up.", "我查一下。\n\n- one\n- two", "a < b [1] {x}"])


def streamed(name: str, text: str, size: int, tools: Any = ()) -> tuple[str, list[dict], Any, list]:
    """Content, calls, problems and deltas of a text that comes in pieces of one size."""
    stream = FORMATS[name].stream(tools)
    deltas: list = []
    for at in range(0, len(text), size):
        deltas += stream.push(text[at : at + size])
    deltas += stream.finish()
    calls = [d for d in deltas if isinstance(d, CallDelta)]
    assert [c.index for c in calls] == list(range(len(calls)))
    assert len({c.id for c in calls}) == len(calls)
    content = "".join(d.text for d in deltas if isinstance(d, ContentDelta))
    return content, [{"name": c.name, "arguments": json.loads(c.arguments)} for c in calls], stream.problems, deltas


@pytest.mark.parametrize("name", FORMATS)
@given(content=_CONTENT, calls=_CALLS)
@example(content="", calls=[{"name": "x", "arguments": {"a": '"}\n</tool_call>\n{"name": "y", "parameters": {}}'}}])
@settings(max_examples=30, deadline=None)
def test_what_is_written_is_read_back_whole_and_in_pieces(name: str, content: str, calls: list[dict]) -> None:
    text = "\n".join(part for part in (content, FORMATS[name].render_calls(calls)) if part)
    parsed = FORMATS[name].parse(text)
    assert parsed == (content, tuple(calls), ())
    for size in (1, 2, 5, 13, 40):
        found, own, problems, _ = streamed(name, text, size)
        assert (found, own, problems) == (content, calls, [])


@pytest.mark.parametrize("name", FORMATS)
def test_pieces_of_every_size(name: str) -> None:
    calls = [
        {"name": "dose", "arguments": {"kg": 12.5, "note": '發燒 "38.5 °C" {</tool_call>}'}},
        {"name": "bmi", "arguments": {}},
    ]
    text = "先算劑量。\n" + FORMATS[name].render_calls(calls)
    for size in range(1, len(text) + 1):
        content, own, problems, _ = streamed(name, text, size)
        assert (content, own, problems) == ("先算劑量。", calls, [])


_MARKS = ["<tool_call>", "</tool_call>", "[TOOL_CALLS]", "<|python_tag|>", "Action:", "Action Input:", "dose", "Hi."]
_JSON = ['{"name": "dose", ', '"arguments": {"kg": 5}}', '"parameters": {"kg": 5}}', *'{}[]":,\\', " ", "\n", "\n"]
_SOUP = st.lists(st.sampled_from(_MARKS + _JSON), max_size=14).map("".join)


@pytest.mark.parametrize("name", FORMATS)
@given(text=_SOUP, size=st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_pieces_never_change_what_is_found(name: str, text: str, size: int) -> None:
    whole = FORMATS[name].parse(text, (DOSE,))
    assert streamed(name, text, size, (DOSE,))[:3] == (whole.content, list(whole.calls), list(whole.problems))
    if not whole.calls:
        assert whole.content == text


# Text that is no call, however much of it looks like one.
PLAIN = [
    "Take 500 mg [1] twice a day <b>with food</b>.",
    "Action: call your doctor when the fever lasts.\nThen rest.",
    "Action: rest\n\nDrink enough.",
    '{"temperature": 38.5}\n[1, 2]\n{not json}\n[{"a": 1}]\nDone.',
    "Fever\n\n- 38 °C or more\nCough\n",
    "  \n indented\n",
    "<tool",
    "[TOOL_",
    "A < B\n<",
]


@pytest.mark.parametrize("text", PLAIN)
@pytest.mark.parametrize("name", FORMATS)
def test_text_without_a_call_stays_as_it_is(name: str, text: str) -> None:
    assert FORMATS[name].parse(text, (DOSE,)) == (text, (), ())
    for size in (1, 2, 7):
        assert streamed(name, text, size, (DOSE,))[:3] == (text, [], [])


def written(name: str, arguments: str, tool: str = "dose") -> str:
    """A call with these arguments, JSON or not."""
    texts = {
        "react": f"Action: {tool}\nAction Input: {arguments}",
        "qwen": f'<tool_call>\n{{"name": "{tool}", "arguments": {arguments}}}\n</tool_call>',
        "glm4": f"{tool}\n{arguments}",
        "llama3": f'{{"name": "{tool}", "parameters": {arguments}}}',
        "mistral": f'[TOOL_CALLS] [{{"name": "{tool}", "arguments": {arguments}}}]',
    }
    return texts[name]


MALFORMED = {
    "single quotes": ("{'kg': 12}", "dose", "invalid_json"),
    "NaN": ('{"kg": NaN}', "dose", "invalid_json"),
    "infinite": ('{"kg": 1e999}', "dose", "invalid_json"),
    "half a character": ('{"kg": 3, "drug": "\\ud83d"}', "dose", "invalid_json"),
    "too deep": ('{"kg": ' + "[" * 100_000 + "]" * 100_000 + "}", "dose", "invalid_json"),
    "brackets": ('{"kg": [3}', "dose", "invalid_json"),
    "line break in a string": ('{"drug": "para\ncetamol", "kg": 3}', "dose", "invalid_json"),
    "unknown tool": ('{"kg": 12}', "dosage", "unknown_tool"),
    "missing": ('{"drug": "ibuprofen"}', "dose", "missing_argument"),
    "type": ('{"kg": "12 kg of patient"}', "dose", "wrong_type"),
    "inner type": ('{"kg": 12, "times": [8, "noon"]}', "dose", "wrong_type"),
    "enum": ('{"kg": 12, "drug": "morphine"}', "dose", "bad_value"),
    "minimum": ('{"kg": 0}', "dose", "bad_value"),
}


@pytest.mark.parametrize("case", MALFORMED)
@pytest.mark.parametrize("name", FORMATS)
def test_a_malformed_call_is_reported_and_its_text_kept(name: str, case: str) -> None:
    arguments, tool, kind = MALFORMED[case]
    text = "So:\n" + written(name, arguments, tool) + "\nGood bye."
    content, calls, (problem, *more) = FORMATS[name].parse(text, (DOSE,))
    assert (content, calls, more) == (text, (), [])
    assert problem.kind == kind
    assert "patient" not in problem.reason  # a value may be about one
    for size in (1, 7, 1000) if len(text) < 1000 else (50_000,):
        assert streamed(name, text, size, (DOSE,))[:3] == (content, [], [problem])


def test_problems_say_what_is_wrong_and_where() -> None:
    def reason(arguments: str, tool: str = "dose") -> tuple[str, str | None, str | None]:
        (problem,) = FORMATS["react"].parse(written("react", arguments, tool), (DOSE,)).problems
        return problem.reason, problem.tool, problem.argument

    assert reason("{}") == ("dose: the argument 'kg' is missing", "dose", "kg")
    assert reason('{"kg": "12"}') == ("dose: the argument 'kg': text came, a number is allowed", "dose", "kg")
    assert (
        reason('{"kg": 9, "times": [1.5]}')[0]
        == "dose: the argument 'times.0': a number came, a whole number is allowed"
    )
    assert reason('{"kg": 0}')[0] == "dose: the argument 'kg': the schema's 'minimum' 0.5 is not kept"
    assert reason("{}", "dosis") == ("'dosis' is none of the tools: dose", "dosis", None)
    assert reason("{}", "王小明先生的劑量") == ("the name is none of the tools: dose", None, None)


@pytest.mark.parametrize("name", FORMATS)
def test_a_call_that_was_cut_off_is_unfinished(name: str) -> None:
    whole = written(name, '{"kg": 12, "drug": "ibuprofen"}')
    text = whole[: whole.index("ibu")]
    content, calls, (problem,) = FORMATS[name].parse(text, (DOSE,))
    assert (content, calls, problem.kind) == (text, (), "unfinished")
    assert streamed(name, text, 3, (DOSE,))[:3] == (text, [], [problem])


@pytest.mark.parametrize("name", ["qwen", "llama3", "mistral"])
@pytest.mark.parametrize(
    "value", ['{"arguments": {}}', '{"name": 5, "arguments": {}}', '{"name": "dose", "arguments": [1]}']
)
def test_json_that_is_no_call_is_reported(name: str, value: str) -> None:
    text = {
        "qwen": f"<tool_call>{value}</tool_call>",
        "llama3": f"<|python_tag|>{value}",
        "mistral": f"[TOOL_CALLS] {value}",
    }
    content, calls, (problem,) = FORMATS[name].parse(text[name], (DOSE,))
    assert (content, calls, problem.kind) == (text[name], (), "not_a_call")


def test_one_bad_call_spoils_its_list_and_no_other_block() -> None:
    good, bad = '{"name": "dose", "arguments": {"kg": 9}}', '{"name": "dose", "arguments": {}}'
    content, calls, problems = FORMATS["mistral"].parse(f"[TOOL_CALLS] [{good}, {bad}]", (DOSE,))
    assert (content, calls, len(problems)) == (f"[TOOL_CALLS] [{good}, {bad}]", (), 1)
    blocks = [f"<tool_call>{value}</tool_call>" for value in (good, bad)]
    content, calls, problems = FORMATS["qwen"].parse("\n".join(blocks), (DOSE,))
    assert (content, calls, len(problems)) == (blocks[1], (json.loads(good),), 1)


def test_text_around_calls_keeps_no_blank_lines_of_the_calls() -> None:
    call = FORMATS["qwen"].render_calls([{"name": "dose", "arguments": {"kg": 9}}])
    assert FORMATS["qwen"].parse(f"Before.\n\n{call}\nAfter. \n").content == "Before.\n\n\nAfter. \n"
    assert FORMATS["qwen"].parse(f"\n{call}\nAfter.").content == "After."
    assert FORMATS["qwen"].parse(f"Before.\n{call}\n").content == "Before."


def test_spellings_that_models_use_too() -> None:
    call = {"name": "dose", "arguments": {"kg": 9}}
    assert FORMATS["llama3"].parse('<|python_tag|>{"name": "dose", "parameters": {"kg": 9}}').calls == (call,)
    assert FORMATS["llama3"].parse('\n{"name": "dose", "arguments": {"kg": 9}}').calls == (call,)
    assert FORMATS["qwen"].parse('<tool_call>{"name": "dose", "arguments": "{\\"kg\\": 9}"}').calls == (call,)
    assert FORMATS["mistral"].parse(
        '[TOOL_CALLS][{"name": "dose", "arguments": {"kg": 9}, "id": "a1b2c3d4e"}]'
    ).calls == (call,)
    assert FORMATS["react"].parse(' Action: dose\nAction Input:\n{\n "kg": 9\n}').calls == (
        call,
    )  # vicuna answers begin so
    assert FORMATS["glm4"].parse("\nThinking.\ndose\n{\n}").calls == ({"name": "dose", "arguments": {}},)


def test_without_tools_nothing_is_checked() -> None:
    assert FORMATS["qwen"].parse(written("qwen", '{"any": 1}', "other")).problems == ()


def test_tools_are_described() -> None:
    for tool_format_ in FORMATS.values():
        text = tool_format_.system((DOSE,))
        assert all(word in text for word in ("dose", "Dose by weight", "kg", "paracetamol"))
    assert "- kg (number, required)\n- drug (string, optional, one of" in FORMATS["react"].system((DOSE,))


def test_a_schema_never_fetches_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *args, **kwargs: pytest.fail("a schema was fetched"))
    tool = {"type": "function", "function": {"name": "dose", "parameters": {"$ref": "https://example.org/schema.json"}}}
    (problem,) = FORMATS["react"].parse(written("react", "{}"), (tool,)).problems
    assert problem.kind == "bad_value"
    assert "its schema cannot be applied" in problem.reason


def test_tools_with_a_broken_schema_are_refused() -> None:
    check_tools((DOSE, {"type": "function", "function": {"name": "none"}}))
    bad = {"type": "function", "function": {"name": "dose", "parameters": {"properties": {"kg": {"type": "float"}}}}}
    with pytest.raises(DataError, match="tool 'dose': parameters is no JSON schema"):
        check_tools((bad,))


def test_an_unknown_format_lists_the_known_ones() -> None:
    with pytest.raises(
        RenderError, match=r"'qwen2' is not known; did you mean 'qwen'\?; allowed: react, qwen, glm4, llama3"
    ):
        tool_format("qwen2")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": "}"} x', ("complete", 10)),
        ('{"a": [1, {}]}', ("complete", 14)),
        ('{"a": "\\"}', ("open", 10)),
        ('{"a": "x\\', ("open", 9)),
        ('{"a": "x\ny"}', ("broken", 8)),
        ("[1}", ("broken", 2)),
        ("[[1]", ("open", 4)),
    ],
)
def test_where_a_value_ends(text: str, found: tuple[str, int]) -> None:
    assert value_end(text, 0) == found


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_call_begins_as_it_is_written(name: str) -> None:
    """What the model adds to the beginning makes the call that training writes."""
    used = FORMATS[name]
    whole = used.render_calls([{"name": "dose", "arguments": {"kg": 14}}])
    named, any_tool = used.opening("dose"), used.opening()
    assert whole.startswith(named)
    assert whole.startswith(any_tool)
    assert whole[len(named) :].lstrip(" ").startswith('{"kg"')
    assert whole[len(any_tool) :].lstrip(" ").startswith("dose")
    assert (any_tool == "") == (name == "glm4")
    stream = used.stream([DOSE])
    assert stream.push(named) == [], "half a call is nothing to show"


@pytest.mark.parametrize(
    "parameters",
    [True, {"properties": 4}, {"properties": ["kg"]}, {"properties": {"kg": 3}, "required": 5}, {"required": [{}]}],
)
def test_tools_of_training_rows_whose_schema_is_none_are_described_all_the_same(parameters: Any) -> None:
    tool = {"type": "function", "function": {"name": "dose", "description": None, "parameters": parameters}}
    for tool_format_ in FORMATS.values():
        assert "dose" in tool_format_.system((tool,))
