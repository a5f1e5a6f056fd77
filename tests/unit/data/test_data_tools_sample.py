"""The sample dialogues with tools: every number in them is recomputed here, and every tool format can train them."""

import json
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.texts import byte_level

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Dialogue, Message
from medicalgpt.rendering.rows import render_dialogue
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.tool_formats import FORMATS, check_tools
from medicalgpt.rendering.tool_formats.checker import CallChecker

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "data" / "tools"


def egfr(age_years: int, sex: str, creatinine_mg_dl: float) -> dict[str, Any]:
    """CKD-EPI 2021, creatinine, without race (Inker et al., NEJM 2021)."""
    kappa, alpha, factor = (0.7, -0.241, 1.012) if sex == "female" else (0.9, -0.302, 1.0)
    share = creatinine_mg_dl / kappa
    value = 142 * min(share, 1) ** alpha * max(share, 1) ** -1.2 * 0.9938**age_years * factor
    return {"egfr_ml_min_1_73m2": round(value)}


def creatinine_clearance(age_years: int, sex: str, weight_kg: float, creatinine_mg_dl: float) -> dict[str, Any]:
    """Cockcroft and Gault 1976."""
    value = (140 - age_years) * weight_kg / (72 * creatinine_mg_dl) * (0.85 if sex == "female" else 1)
    return {"ml_min": round(value)}


def paracetamol_dose(weight_kg: float, age_months: int) -> dict[str, Any]:
    """10 to 15 mg/kg, never rounded up; at most 4 doses and 60 mg/kg a day."""
    if weight_kg > 30 and age_months < 60:
        return {"error": "weight_kg and age_months do not fit together; ask again"}
    return {
        "single_dose_mg": [int(10 * weight_kg), int(15 * weight_kg)],
        "hours_between_doses": 4,
        "most_doses_in_24_hours": 4,
        "most_mg_in_24_hours": int(60 * weight_kg),
    }


def crb65(
    confusion: bool, breaths_per_minute: int, systolic_mmhg: int, diastolic_mmhg: int, age_years: int
) -> dict[str, Any]:
    """One point each (Lim et al., Thorax 2003, without urea)."""
    low = systolic_mmhg < 90 or diastolic_mmhg <= 60
    return {"score": confusion + (breaths_per_minute >= 30) + low + (age_years >= 65)}


FORMULAS = {
    "egfr": egfr,
    "creatinine_clearance": creatinine_clearance,
    "paracetamol_dose": paracetamol_dose,
    "crb65": crb65,
    "bmi": lambda weight_kg, height_cm: {"bmi": round(weight_kg / (height_cm / 100) ** 2, 1)},
    # ADAG study, Diabetes Care 2008.
    "average_glucose": lambda hba1c_percent: {
        "mg_dl": round(28.7 * hba1c_percent - 46.7),
        "mmol_l": round(1.59 * hba1c_percent - 2.59, 1),
    },
    "glucose_units": lambda value, unit: {"mg/dL": round(value * 18.016, 1)} if unit == "mmol/L" else {},
    "due_date": lambda last_period: {"due_date": str(date.fromisoformat(last_period) + timedelta(280))},
}
LOOKED_UP = {"drug_interactions"}


@pytest.fixture(scope="module")
def rows() -> list[Dialogue]:
    return list(read([FOLDER], "dialogue", ledger=Ledger()))  # type: ignore[arg-type]


def answered(row: Dialogue) -> list[tuple[dict[str, Any], Message]]:
    """Each call of a row with its result."""
    calls = [call for m in row.messages for call in m.tool_calls]
    results = [m for m in row.messages if m.role == "tool"]
    assert len(calls) == len(results)
    return list(zip(calls, results))


def test_there_are_a_dozen_and_more_in_two_languages(rows: list[Dialogue]) -> None:
    files = Counter(Path(row.source.file).name for row in rows)
    assert set(files) == {"en.jsonl", "zh-Hant.jsonl"}
    assert all(count >= 8 for count in files.values())
    without = [row for row in rows if not answered(row)]
    assert 2 <= len(without) < len(rows) / 3  # a model must also learn when not to call
    assert any(len(m.tool_calls) > 1 for row in rows for m in row.messages)


def test_every_call_fits_its_tool(rows: list[Dialogue]) -> None:
    for row in rows:
        check_tools(row.tools)
        checker = CallChecker(row.tools)
        assert [checker.problem(call) for call, _ in answered(row)] == [None] * len(answered(row)), row.source


def test_every_number_is_right(rows: list[Dialogue]) -> None:
    seen = Counter()
    for row in rows:
        for call, result in answered(row):
            seen[call["name"]] += 1
            if call["name"] not in LOOKED_UP:
                assert json.loads(result.content) == FORMULAS[call["name"]](**call["arguments"]), row.source
    assert set(seen) == {*FORMULAS, *LOOKED_UP}


def test_answers_state_the_results(rows: list[Dialogue]) -> None:
    """The numbers of a result stand in the answer that follows it."""
    for row in rows:
        for number, message in enumerate(row.messages):
            if message.role != "tool":
                continue
            answer = next(m.content for m in row.messages[number:] if m.role == "assistant")
            values = [v for v in json.loads(message.content).values() if isinstance(v, int | float | list)]
            flat = [x for v in values for x in (v if isinstance(v, list) else [v]) if isinstance(x, int | float)]
            assert all(f"{value:g}" in answer for value in flat), row.source


@pytest.mark.parametrize("tool_format", FORMATS)
def test_every_format_can_train_every_row(rows: list[Dialogue], tool_format: str) -> None:
    template = ChatTemplate.load(byte_level(), "chatml", tool_format)
    for row in rows:
        (tree,) = render_dialogue(row, template, 8192).trees
        ids, weights = tree.path(0)
        said = template.encoder.decode(ids[weights > 0].tolist())
        assert said.count("<|im_end|>") == sum(m.role == "assistant" for m in row.messages)
        assert not any(m.content in said for m in row.messages if m.role == "tool")


def test_config_and_template_know_the_same_formats() -> None:
    for name in FORMATS:
        assert DataConfig(train=["x"], tool_format=name).tool_format == name  # type: ignore[arg-type]
    allowed = DataConfig.model_json_schema()["properties"]["tool_format"]["anyOf"][0]["enum"]
    assert set(allowed) == set(FORMATS)
