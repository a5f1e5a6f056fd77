"""Answers that keep a JSON schema, from models whose weights are random: whatever is drawn must fit."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.serving import ask, engine_of
from tests.texts import metaspace
from tests.tiny import tiny_model

from medicalgpt.errors import ServeError
from medicalgpt.generate.backends.transformers import TransformersBackend
from medicalgpt.generate.engine import Completion, Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.tool_formats import FORMATS
from medicalgpt.structured.constraint import Constraint


def record(**properties: Any) -> dict[str, Any]:
    """An object with these properties, all of them required, and no other."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


DOSE = record(drug={"enum": ["阿司匹林", "paracetamol"]}, mg={"type": "integer", "minimum": 1, "maximum": 4000})
SCHEMAS: dict[str, dict[str, Any]] = {
    "enum": {"enum": ["發燒", "咳嗽", "low blood pressure"]},
    "nested": record(
        triage=record(level={"enum": ["紅", "黃", "綠"]}, fasting={"type": "boolean"}), next={"type": "null"}
    ),
    "array": {"type": "array", "items": DOSE, "minItems": 1, "maxItems": 2},
    "numbers": record(
        temperature={"type": "number", "minimum": 35, "maximum": 42},
        pulse={"type": "integer", "minimum": 30, "maximum": 220},
    ),
    "chinese": record(主訴={"type": "string", "pattern": "^[\u4e00-\u9fff]{2,6}$"}),
    "text": record(advice={"type": "string", "minLength": 3, "maxLength": 12}),
    "either": {"anyOf": [record(code={"type": "string", "pattern": "^[A-Z][0-9]{2}$"}), {"const": "unknown"}]},
    "shared": {"$ref": "#/$defs/dose", "$defs": {"dose": DOSE}},
}
TOKENS = 120
QUESTION = ask("高血壓 mg?")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engine_of()


@pytest.fixture(scope="module")
def through_transformers() -> Engine:
    found = engine_of()
    assert found.model is not None
    loaded = TransformersBackend(found.model, found.stop_ids, 3)
    return Engine(found.model, found.tokenizer, found.template, loaded=loaded)


def sampling(name: str, **settings: Any) -> Sampling:
    return Sampling(TOKENS, constraint=Constraint.json_schema(SCHEMAS[name]), **settings)


def check(answer: Completion, schema: dict[str, Any]) -> Any:
    """The answer is whole, and JSON that keeps the schema."""
    assert answer.stopped, answer.text
    value = json.loads(answer.text)
    Draft202012Validator(schema).validate(value)
    return value


def drawn(engine: Engine, how: Sampling, n: int = 3) -> list[str]:
    """Several answers to one prompt, made in one batch, each of which ended by itself."""
    (answers,) = engine.complete([engine.prepare(QUESTION, Sampling()).ids], how, n=n)
    assert all(ids[-1] in engine.stop_ids for ids in answers)
    return [engine.text(ids[:-1]) for ids in answers]


@pytest.mark.parametrize("name", SCHEMAS)
def test_random_models_keep_a_schema(engine: Engine, name: str) -> None:
    for text in drawn(engine, sampling(name, temperature=1.0)):
        Draft202012Validator(SCHEMAS[name]).validate(json.loads(text))


@pytest.mark.parametrize("name", ["nested", "numbers", "either"])
def test_greedy_answers_keep_it_too(engine: Engine, name: str) -> None:
    check(engine.generate([QUESTION], sampling(name))[0], SCHEMAS[name])


@pytest.mark.parametrize(("name", "temperature"), [("either", 1.0), ("shared", 0.0)])
def test_the_transformers_backend_gives_the_same(
    engine: Engine, through_transformers: Engine, name: str, temperature: float
) -> None:
    asked = [QUESTION, ask("What is a fever?")]
    how = sampling(name, temperature=temperature, seed=3)
    found = through_transformers.generate(asked, how)
    for answer in found:
        check(answer, SCHEMAS[name])
    assert [a.text for a in found] == [a.text for a in engine.generate(asked, how)]


@pytest.mark.parametrize("drawing", [{"top_k": 3}, {"top_p": 0.4}, {"repetition_penalty": 1.3}])
def test_every_way_to_draw_stays_within_it(engine: Engine, drawing: dict[str, Any]) -> None:
    for text in drawn(engine, sampling("shared", temperature=1.5, **drawing)):
        Draft202012Validator(SCHEMAS["shared"]).validate(json.loads(text))


def test_a_stream_brings_the_same(engine: Engine) -> None:
    how = sampling("nested", temperature=1.0, seed=5)
    stream, pieces = engine.stream(QUESTION, how), []
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            whole = end.value
            break
    assert "".join(pieces) == whole.text == engine.generate([QUESTION], how)[0].text
    check(whole, SCHEMAS["nested"])


def test_an_answer_that_is_cut_off_says_so(engine: Engine) -> None:
    answer = engine.generate([QUESTION], replace(sampling("array"), max_new_tokens=5))[0]
    assert not answer.stopped
    assert len(answer.token_ids) == 5
    with pytest.raises(ValueError, match=r"delimiter|Expecting|Unterminated"):
        json.loads(answer.text)


def test_any_object_is_an_object(engine: Engine) -> None:
    how = Sampling(30, temperature=1.0, constraint=Constraint.json_object())
    for answer in engine.generate([QUESTION] * 3, how):
        assert answer.text.lstrip().startswith("{")
        assert not answer.stopped or isinstance(json.loads(answer.text), dict)


def test_chat_takes_a_schema(engine: Engine) -> None:
    answer = engine.chat("發燒怎麼辦？", json_schema=SCHEMAS["chinese"], max_new_tokens=TOKENS, temperature=1.0)
    assert list(check(answer, SCHEMAS["chinese"])) == ["主訴"]


@pytest.mark.parametrize("scheme", ["first", "never"])
def test_sentencepiece_tokens(scheme: str) -> None:
    """Blanks are part of tokens, a text that comes first gets one, and rare characters are written in bytes."""
    tokenizer = metaspace(scheme)
    model = tiny_model(scale=8.0, vocab_size=len(tokenizer)).double()
    engine = Engine(model, tokenizer, ChatTemplate.load(tokenizer, "vicuna"))
    schema = record(level={"enum": ["low 低", "high 鑫"]}, pulse={"type": "integer", "minimum": 30, "maximum": 220})
    how = Sampling(TOKENS, temperature=1.0, constraint=Constraint.json_schema(schema))
    for answer in engine.generate([ask("What is a fever?")] * 3, how):
        check(answer, schema)


def test_ids_beyond_the_tokenizer_are_never_drawn() -> None:
    engine = engine_of(vocab_size=700)
    for answer in engine.generate([QUESTION] * 3, sampling("text", temperature=1.0)):
        check(answer, SCHEMAS["text"])
        assert max(answer.token_ids) < len(engine.tokenizer)


REFUSED: dict[str, tuple[Any, str]] = {
    "keyword": ({"not": {"type": "string"}}, 'Unimplemented keys: \\["not"\\]'),
    "impossible": (record(a={"type": "string", "enum": [1]}), "Unsatisfiable"),
    "endless": ({"$ref": "#"}, "llguidance says: "),
    "address": ({"$ref": "https://example.com/s.json"}, "not fetch"),
    "no schema": ({"type": "objekt"}, "json_schema: it is no JSON schema"),
    "list": ([1], "a JSON schema is an object"),
    "deep": (json.loads('{"items":' * 60 + "{}" + "}" * 60), "more than 40 levels deep"),
    "many": ({"enum": list(range(6000))}, "it has more than 5000 values"),
    "costly": ({"properties": {f"p{i}": {"type": "integer", "multipleOf": 99991 - i} for i in range(99)}}, "3 s"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_kept_is_refused(engine: Engine, name: str) -> None:
    schema, reason = REFUSED[name]
    with pytest.raises(ServeError, match=reason):
        engine.require(Constraint.json_schema(schema))


def test_a_schema_cannot_set_options(engine: Engine) -> None:
    """`x-guidance` would let a stranger's schema drop its own keywords, or change the separators."""
    options = {"lenient": True, "item_separator": ";", "whitespace_pattern": "[;]*"}
    schema = record(a={"type": "boolean", "x-guidance": options}, b={"const": 1}) | {"x-guidance": options}
    assert check(engine.chat("?", json_schema=schema, max_new_tokens=TOKENS, temperature=1.0), schema)["b"] == 1
    with pytest.raises(ServeError, match="Unimplemented"):
        engine.require(Constraint.json_schema(schema | {"not": {}}))


def test_without_llguidance_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for module in ("llguidance", "medicalgpt.structured.compiler", "medicalgpt.structured.trial"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ServeError, match=r"pip install 'medicalgpt\[structured\]'"):
        engine_of().generate([QUESTION], sampling("enum"))


def test_a_backend_that_cannot_mask_says_so(engine: Engine) -> None:
    class Other:
        stop_ids: Sequence[int] = (1,)
        context = None

    other = Engine(None, engine.tokenizer, engine.template, loaded=Other())  # type: ignore[arg-type]
    with pytest.raises(ServeError, match="cannot hold answers to a JSON schema"):
        other.generate([QUESTION], sampling("enum"))


def test_a_least_length_and_a_constraint_exclude_each_other() -> None:
    with pytest.raises(ServeError, match="exclude each other"):
        sampling("enum", min_new_tokens=3)


def test_a_grammar_that_breaks_down_is_an_error_and_made_anew(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exponentially many states of a pattern: the asker is told, and the next asker gets a fresh grammar."""
    from medicalgpt.structured import trial

    monkeypatch.setattr(trial, "_STATES", 400)
    how = replace(
        sampling("enum", temperature=1.0),
        constraint=Constraint.json_schema(record(a={"type": "string", "pattern": "^.*a.{30}$"})),
    )
    with pytest.raises(ServeError, match="too complex in the midst of an answer"):
        engine.generate([QUESTION], how)
    monkeypatch.undo()
    assert how.constraint is not None
    row = engine.grammars.row(how.constraint, [5])
    assert row.allowed(len(engine.tokenizer)).any()
    assert row.problem is None


def test_thoughts_come_first_where_the_prompt_opens_them(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the block is closed everything may come, except the end; then the JSON."""
    opened = engine.tokenizer("assistant\n<think>\n", add_special_tokens=False)["input_ids"]
    constraint = Constraint.json_schema(SCHEMAS["enum"])
    row = engine.grammars.row(constraint, opened)
    size = len(engine.tokenizer)
    free = row.allowed(size)
    assert free.sum() == size - len(engine.stop_ids)
    for token in engine.tokenizer("hm {\n</think>\n\n", add_special_tokens=False)["input_ids"]:
        assert row.allowed(size)[token]
        row.take(token)
    assert row.problem is None
    (quote,) = engine.tokenizer('"', add_special_tokens=False)["input_ids"]
    now = row.allowed(size)
    assert now[quote]
    assert now.sum() < 20
    unopened = engine.grammars.row(constraint, opened[:1])
    assert unopened.allowed(size).sum() < 20


def test_stop_tokens_come_at_the_end_only(engine: Engine) -> None:
    row = engine.grammars.row(Constraint.json_schema({"const": True}), [5])
    size = len(engine.tokenizer)
    for token in engine.tokenizer("true", add_special_tokens=False)["input_ids"]:
        assert not row.allowed(size)[engine.stop_ids].any()
        row.take(token)
    assert row.allowed(size).nonzero()[0].tolist() == sorted(engine.stop_ids)


def test_rows_without_a_constraint_are_as_they_were(engine: Engine) -> None:
    """In one batch with rows that have one, through the pool."""
    from medicalgpt.generate.live.engine import BatchingEngine

    free = Sampling(20, temperature=1.0, seed=7)
    expected = engine.generate([QUESTION], free)[0]
    how = sampling("shared", temperature=1.0, seed=1)
    alone = engine.generate([QUESTION], how)[0]
    with BatchingEngine(engine, slots=4) as live:
        streams = [live.stream(QUESTION, s) for s in (free, how, free, how)]
        found = ["".join(stream) for stream in streams]
    assert found == [expected.text, alone.text, expected.text, alone.text]


@pytest.mark.parametrize(("name", "begun"), list(zip(FORMATS, itertools.cycle([False, True]))))
def test_a_call_keeps_its_format_and_the_tools_schema(engine: Engine, name: str, begun: bool) -> None:
    tools = [tool("dose", DOSE), tool("look_up", SCHEMAS["chinese"])]
    prefill = FORMATS[name].opening() if begun else ""
    constraint = Constraint.call(FORMATS[name], tools, prefill)
    for text in drawn(engine, Sampling(TOKENS, temperature=1.0, constraint=constraint), 2):
        parsed = FORMATS[name].parse(prefill + text, tools)
        assert len(parsed.calls) == 1, text
        assert not parsed.problems
        assert not parsed.content.strip()


def tool(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """A tool."""
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def test_a_call_or_an_answer(engine: Engine) -> None:
    tools = [tool("dose", DOSE)]
    either = Constraint.call(FORMATS["qwen"], tools) | Constraint.json_schema(SCHEMAS["numbers"])
    for text in drawn(engine, Sampling(TOKENS, temperature=2.0, constraint=either), 8):
        parsed = FORMATS["qwen"].parse(text, tools)
        if not parsed.calls:
            Draft202012Validator(SCHEMAS["numbers"]).validate(json.loads(parsed.content))
    size, ids = len(engine.tokenizer), engine.tokenizer("<{", add_special_tokens=False)["input_ids"]
    assert either.forms[0].before.startswith("<tool_call>")
    assert engine.grammars.row(either, [5]).allowed(size)[ids].all(), "both may begin"
