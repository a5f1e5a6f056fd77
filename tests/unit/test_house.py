"""Rules of the house: file sizes, names, shipped configs, sample data."""

import json
from pathlib import Path

import pytest

from medicalgpt.config import load, stage_schema
from medicalgpt.config.pipeline import PipelineConfig
from medicalgpt.data import Ledger, group_key, read

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "examples" / "data"
KINDS = {"documents": "document", "dialogues": "dialogue", "preferences": "preference"}


def test_no_source_file_is_over_400_lines() -> None:
    long = [p.name for p in (ROOT / "src").rglob("*.py") if len(p.read_text(encoding="utf-8").splitlines()) > 400]
    assert long == []


def test_no_file_has_a_name_that_explains_nothing() -> None:
    banned = {"utils.py", "util.py", "helpers.py", "common.py", "misc.py"}
    assert [p for p in (ROOT / "src").rglob("*.py") if p.name in banned] == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/**/*.yaml")), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_shipped_config_loads(path: Path) -> None:
    schema = PipelineConfig if path.parent.name == "pipelines" else stage_schema(path.stem)
    value = load(schema, path).value
    for entry in getattr(value, "stages", []):
        assert entry.config is None or (path.parent / entry.config).is_file()


def _rows(folder: str, kind: str) -> list:
    return list(read([DATA / folder], kind, ledger=Ledger()))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", KINDS)
def test_sample_data_is_enough_and_held_out_rows_are_new(name: str) -> None:
    train, held = _rows(name, KINDS[name]), _rows(f"{name}-heldout", KINDS[name])
    assert not {group_key(r) for r in train} & {group_key(r) for r in held}
    assert len(train) >= {"documents": 30, "dialogues": 240, "preferences": 120}[name]
    assert len(held) >= {"documents": 6, "dialogues": 40, "preferences": 40}[name]
    if name == "documents":
        assert sum(len(r.text.encode()) for r in train) >= 60_000


def test_rejected_answers_are_not_given_away_by_their_length() -> None:
    longer = [len(r.rejected[-1].content) > len(r.chosen[-1].content) for r in _rows("preferences", "preference")]
    assert 0.4 < sum(longer) / len(longer) < 0.6


def test_both_readmes_have_the_same_sections_and_the_two_commands() -> None:
    texts = [(ROOT / n).read_text(encoding="utf-8") for n in ("README.md", "README.zh-TW.md")]
    assert len({sum(line.startswith("## ") for line in t.splitlines()) for t in texts}) == 1
    assert all("make demo" in t and "make test" in t for t in texts)


def test_the_manifest_of_sample_flaws_is_complete() -> None:
    flaws = {
        json.loads(line)["flaw"]
        for line in (DATA / "preferences" / "en.jsonl").read_text(encoding="utf-8").splitlines()
    }
    assert {"unsafe_dosage", "missed_red_flag", "invented_fact", "unhelpful_refusal"} <= flaws
