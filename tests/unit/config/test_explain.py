"""`explain` knows every key; tables for people, plain lines for programs."""

import sys

import pytest
from pydantic import BaseModel, Field
from tests.stages import NEEDED

from medicalgpt.config.explain import Row, explain, print_rows
from medicalgpt.config.loader import load
from medicalgpt.config.stages import STAGES, DpoConfig, PtConfig, SftConfig


def by_key(schema: type[BaseModel]) -> dict[str, Row]:
    return {row.key: row for row in explain(schema)}


@pytest.mark.parametrize("stage", STAGES)
def test_every_leaf_is_listed_and_every_row_says_something(stage: str) -> None:
    rows = by_key(STAGES[stage])
    resolved = load(STAGES[stage], None, ["data.train=[a]", "output_dir=o", *NEEDED.get(stage, [])])
    assert set(resolved.origin) - {"objective"} == set(rows)  # PT's objective has no keys: an empty leaf
    assert all(row.description for row in rows.values())


def test_rows_say_type_default_and_range() -> None:
    rows = by_key(SftConfig)
    rate = rows["train.learning_rate"]
    assert (rate.type, rate.default, rate.allowed) == ("number", "0.0002", "> 0")
    dtype = rows["model.dtype"]
    assert (dtype.type, dtype.default, dtype.allowed) == ("choice", "auto", "auto | float32 | bfloat16 | float16")
    assert (rows["lora.rank"].type, rows["lora.rank"].allowed) == ("whole number", "≥ 1 and ≤ 1024")
    assert (rows["data.train"].type, rows["data.train"].default) == ("list of text or section", "required")
    assert rows["data.columns"].type == "mapping of text to text"
    assert (rows["train.max_steps"].type, rows["train.max_steps"].default) == ("whole number or null", "null")
    assert (rows["lora.target_modules"].type, rows["lora.target_modules"].allowed) == (
        "choice or list of text",
        "all-linear | family",
    )
    assert rows["lora.enabled"].type == "true or false"


def test_defaults_are_those_of_the_stage() -> None:
    assert by_key(DpoConfig)["train.learning_rate"].default == "2.0e-05"
    assert not [key for key in by_key(PtConfig) if key.startswith("objective")]


def test_an_optional_section_is_listed_with_its_keys() -> None:
    class Inner(BaseModel):
        size: int = Field(3, description="How big.")

    class Outer(BaseModel):
        inner: Inner | None = Field(None, description="Maybe.")

    assert explain(Outer) == [
        Row("inner", "section or null", "null", "Maybe.", ""),
        Row("inner.size", "whole number", "3", "How big.", ""),
    ]


ROWS = [Row("a.b", "number", "1.0", "The [bold] thing.", "> 0"), Row("c", "text", "required", "Name.", "")]


def test_plain_lines_when_not_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, "title")
    assert capsys.readouterr().out == ("a.b: number (> 0), default 1.0. The [bold] thing.\nc: text, required. Name.\n")


def test_a_table_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    print_rows(ROWS, "title")
    shown = capsys.readouterr().out
    assert "title" in shown
    assert "meaning" in shown
    assert "The [bold] thing." in shown  # brackets are text, not markup
    assert "─" in shown
