"""Tool schemas of strangers: refused where they are too large, and never checked for longer than the budget allows."""

import math
import time
from typing import Any

import pytest

from medicalgpt.data import patterns
from medicalgpt.data.tool_schemas import MOST_DEPTH, MOST_TOOLS, MOST_VALUES, check_tools
from medicalgpt.errors import DataError
from medicalgpt.rendering.tool_formats.checker import CallChecker

LIMIT = 5.0  # seconds on a busy machine; the budget is one


def tool(parameters: Any, name: str = "dose") -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def doubling(levels: int, keyword: str = "allOf") -> dict[str, Any]:
    """Every definition twice in the next one: 2^levels steps."""
    parts: dict[str, Any] = {"d0": {"type": "object"}}
    for i in range(1, levels + 1):
        parts[f"d{i}"] = {keyword: [{"$ref": f"#/$defs/d{i - 1}"}, {"$ref": f"#/$defs/d{i - 1}"}]}
    return {"$defs": parts, "$ref": f"#/$defs/d{levels}"}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (nested(100), f"more than {MOST_DEPTH} levels deep"),
        (
            {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(20_000)}},
            f"more than {MOST_VALUES}",
        ),
        ({"type": "object", "description": "x" * 300_000}, "characters"),
        ({"type": "number", "multipleOf": 10**400}, "beyond 2^64"),
        ({"type": "number", "maximum": math.nan}, "NaN"),
        ({"type": "number", "maximum": math.inf}, "NaN, an infinite number"),
        ({"type": "string", "description": "\ud800"}, "half of a surrogate pair"),
        ({"type": "string", "pattern": "("}, "'format' is not kept"),
        ({"type": "string", "pattern": "a" * 2_000}, "a pattern has 2000 characters"),
        ({"type": "string", "pattern": "(?:" * 20 + "a{1,99}" + "){1,99}" * 20}, "20 groups within each other"),
        ({"patternProperties": {"(" * 20 + "a+" + ")+" * 20: {}}}, "20 groups within each other"),
        ({"type": "string", "pattern": "(?#[)" + "(" * 20 + "a" + ")+" * 20}, "does not know"),
        ({"type": "objekt"}, "parameters is no JSON schema"),
        ({"patternProperties": {"a": {}}, "unevaluatedProperties": False}, "use additionalProperties"),
    ],
)
def test_a_schema_beyond_bounds_is_refused_at_once(schema: Any, said: str) -> None:
    begin = time.thread_time()
    with pytest.raises(DataError, match=r"tool 'dose'") as caught:
        check_tools([tool(schema)])
    assert said in str(caught.value)
    assert time.thread_time() - begin < LIMIT


def test_more_tools_than_a_question_needs() -> None:
    with pytest.raises(DataError, match=f"more than {MOST_TOOLS} tools"):
        check_tools(tool({}, f"t{i}") for i in range(MOST_TOOLS + 1))
    with pytest.raises(DataError, match="values in their schemas together"):
        check_tools(tool({"enum": list(range(1_000))}, f"t{i}") for i in range(6))


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        ({"properties": {"a": {"type": "string", "pattern": "^(a|a)*$"}}}, {"a": "a" * 40 + "!"}),
        ({"properties": {"a": {"type": "string", "pattern": "(x+x+)+y"}}}, {"a": "x" * 5_000}),
        ({"patternProperties": {"^(a|a)*$": {"type": "string"}}}, {"a" * 40 + "!": "x"}),
        ({"additionalProperties": False, "patternProperties": {"^(a+)+$": {}}}, {"a" * 40 + "!": 1}),
        (doubling(30), {}),
        (doubling(30, "anyOf"), {}),
        (doubling(25, "oneOf"), {"a": 1}),
    ],
)
def test_a_check_that_never_ends_is_broken_off(schema: Any, arguments: dict[str, Any]) -> None:
    check_tools([tool(schema)])
    begin = time.thread_time()
    found = CallChecker([tool(schema)]).problem({"name": "dose", "arguments": arguments})
    assert time.thread_time() - begin < LIMIT
    assert found is None or found.kind in ("bad_value", "unknown_argument") or "takes too long" in found.reason


def test_all_calls_of_an_answer_share_the_budget() -> None:
    slow = tool({"properties": {"a": {"pattern": "^(a|a)*$"}}})
    checker = CallChecker([slow])
    begin = time.thread_time()
    for _ in range(20):
        checker.problem({"name": "dose", "arguments": {"a": "a" * 40 + "!"}})
    assert time.thread_time() - begin < LIMIT


@pytest.mark.parametrize(
    ("schema", "arguments", "right"),
    [
        ({"properties": {"kg": {"type": "number", "minimum": 0}}, "required": ["kg"]}, {"kg": 70}, True),
        ({"properties": {"kg": {"type": "number", "minimum": 0}}, "required": ["kg"]}, {"kg": -1}, False),
        ({"properties": {"kg": {"type": "number"}}, "additionalProperties": False}, {"lb": 1}, False),
        ({"properties": {"code": {"pattern": "^[A-Z]\\d{2}$"}}}, {"code": "E11"}, True),
        ({"properties": {"code": {"pattern": "^[A-Z]\\d{2}$"}}}, {"code": "e11"}, False),
        ({"patternProperties": {"^x_": {"type": "integer"}}}, {"x_a": "one"}, False),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [1, 1.0]}, False),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [1, True]}, True),
        (doubling(8), {}, True),
    ],
)
def test_ordinary_schemas_are_checked_as_ever(schema: Any, arguments: dict[str, Any], right: bool) -> None:
    check_tools([tool(schema)])
    assert (CallChecker([tool(schema)]).problem({"name": "dose", "arguments": arguments}) is None) is right


@pytest.mark.parametrize(
    ("pattern", "depth"),
    [
        ("", 0),
        ("^a(b)(c)$", 1),
        (r"\(\(\((a)", 1),
        ("[(((](a)", 1),
        ("[^](((](a)", 1),
        (r"[\](((](a)", 1),
        ("((a)[)]((b)))", 3),
        ("(?:(?<unit>mg|ml)(?=/kg))?", 2),
    ],
)
def test_groups_within_each_other_are_counted(pattern: str, depth: int) -> None:
    assert patterns._deepest(pattern) == depth


@pytest.mark.parametrize("pattern", [r"^\d{3}-(\d{2}(-\d+)?)?$", r"^[^\s@]+@([a-z0-9-]+\.)+[a-z]{2,}$"])
def test_usual_patterns_are_taken(pattern: str) -> None:
    check_tools([tool({"type": "string", "pattern": pattern})])
