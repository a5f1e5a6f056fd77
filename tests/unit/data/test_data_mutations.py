"""Damaged rows are refused, never a traceback, and every one is accounted for."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests import damaged_files
from tests.mutations import SEEDS, put_through

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.report import detect
from medicalgpt.rendering.tool_formats.checker import CallChecker


def test_damaged_rows_are_kept_or_refused_and_none_is_lost() -> None:
    found = put_through(300, seed=7)
    assert found.uncaught == {}
    assert found.kept + found.refused == found.rows > 900
    assert min(found.kept, found.refused) > 100


def test_the_seeds_of_the_damage_are_good_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in SEEDS), encoding="utf-8")
    assert detect(path).reasons == {}


CALL = {"name": "dose", "arguments": {"kg": "70"}}


def _tool(schema: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "dose", "parameters": schema}}


@pytest.mark.parametrize("kind", ["float", "str", "List[str]", ["integer", "none"]])
def test_a_type_that_json_schema_does_not_know_is_not_checked(kind: Any) -> None:
    schema = {"type": "dict", "properties": {"kg": {"type": kind}, "drug": {"type": "string"}}, "required": ["kg"]}
    checker = CallChecker([_tool(schema)])
    assert checker.problem(CALL) is None
    # What is next to it is checked as ever.
    missing, wrong = (checker.problem({"name": "dose", "arguments": a}) for a in ({}, {"kg": 1, "drug": 2}))
    assert (missing and missing.kind, wrong and wrong.kind) == ("missing_argument", "wrong_type")


@pytest.mark.parametrize(
    "schema", [{"required": [{}]}, {"properties": 4}, {"$ref": "#/x"}, {"required": 5}, {"allOf": 7}]
)
def test_a_schema_that_is_none_is_a_problem_of_the_call(schema: Any) -> None:
    problem = CallChecker([_tool(schema)]).problem(CALL)
    assert problem is not None
    assert "its schema cannot be applied" in problem.reason


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ('{"maximum": NaN}', "tools is text that is not JSON"),
        ('{"maximum": 1e999}', "tools: a number that JSON cannot write (NaN or infinite)"),
        ('{"description": "\\ud83d"}', "tools: half of a surrogate pair (broken \\ud83d-like escape)"),
        ('{"\\ud83d": 1}', "tools: half of a surrogate pair (broken \\ud83d-like escape)"),
        ("[" * 80 + "]" * 80, "tools: nested deeper than 64"),
    ],
)
@pytest.mark.parametrize("as_text", [True, False])
def test_schemas_that_no_json_can_say_refuse_the_row(schema: str, reason: str, as_text: bool, tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}]
    tools = f'[{{"name": "dose", "parameters": {schema}}}]'
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"messages": {json.dumps(turns)}, "tools": {json.dumps(tools) if as_text else tools}}}\n')
    if "NaN" in schema and not as_text:
        reason = "tools: a number that JSON cannot write (NaN or infinite)"
    assert detect(path).reasons == {reason: 1}
    ledger = Ledger()
    good = tmp_path / "good.jsonl"
    good.write_text(json.dumps({"messages": turns}) + "\n")
    assert len(list(read([good, path], "dialogue", on_bad_row="drop", max_bad_share=0.5, ledger=ledger))) == 1
    assert ledger.reasons == {("dropped", reason): 1}


def test_damaged_files_are_read_or_refused_and_all_is_counted() -> None:
    found = damaged_files.put_through(150, seed=11)
    assert found.uncaught == {}
    assert found.exact
    assert (found.files, found.read + found.refused) == (150, 150)
    assert min(found.read, found.refused, found.kept) > 20


@pytest.mark.slow
def test_many_damaged_rows_and_files_within_time_and_memory() -> None:
    rows, files = put_through(12_000, seed=12), damaged_files.put_through(2500, seed=12)
    assert rows.exact, rows.uncaught
    assert files.exact, files.uncaught
    assert files.grown < 256 << 20


def test_files_without_damage_are_read() -> None:
    """All but what no reader takes, and UTF-16 that nothing tells from binary."""
    files = damaged_files.good_files()
    files = (*files[:-2:7], *files[-2:])
    unread = [ending for ending, content in files if not damaged_files.is_read(ending, content)]
    assert unread[-2:] == [".xlsx", ".pdf"]
    assert len(unread) - 2 <= len(files) // 7
