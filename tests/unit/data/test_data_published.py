"""The row shapes of published training folders, each through reading and rendering as its stage does it: nothing to configure."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import tiny_tokenizer

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.records import Kind
from medicalgpt.rendering.build import prepare
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.training.rl.prompts import read_prompt_set

ASKED, SAID, WORSE = "感冒发烧38度怎么办?", "多休息,多饮水,必要时服用退热药,三天不退请就医。", "不用管它。"
TURNS = [{"from": "human", "value": ASKED}, {"from": "gpt", "value": SAID}]
HISTORY = [["你好", "您好,请问哪里不舒服?"]]
OPENAI = {
    "input": {"messages": [{"role": "user", "content": ASKED}]},
    "preferred_output": [{"role": "assistant", "content": SAID}],
    "non_preferred_output": [{"role": "assistant", "content": WORSE}],
}

DIALOGUES: list[tuple[dict[str, Any], int]] = [
    ({"conversations": TURNS}, 2),
    ({"conversations": [{"from": "system", "value": "你是医生。"}, *TURNS, *TURNS]}, 5),
    ({"instruction": ASKED, "input": "", "output": SAID}, 2),
    ({"instruction": ASKED, "input": "成人", "output": SAID, "history": HISTORY}, 4),
    ({"Question": ASKED, "ANSWER": SAID}, 2),
    ({"Input": ASKED, "Target": SAID}, 2),
    ({"INPUT": ASKED, "output": SAID}, 2),
]
PAIRS: list[tuple[dict[str, Any], int]] = [
    ({"system": "", "history": [], "question": ASKED, "response_chosen": SAID, "response_rejected": WORSE}, 1),
    ({"system": "医生", "history": HISTORY, "question": ASKED, "response_chosen": SAID, "response_rejected": WORSE}, 4),
    ({"Question": ASKED, "Response_Chosen": SAID, "Response_Rejected": WORSE}, 1),
    ({"prompt": ASKED, "chosen_answer": SAID, "rejected_answer": WORSE}, 1),
    ({"conversations": TURNS[:1], "chosen": TURNS[1], "rejected": {"from": "gpt", "value": WORSE}}, 1),
    (OPENAI, 1),
]


def _write(path: Path, row: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for _ in range(2)), encoding="utf-8")
    return path


def _template() -> ChatTemplate:
    return ChatTemplate.load(tiny_tokenizer(), None)


def _rendered(path: Path, kind: Kind) -> tuple[dict[str, Any], str]:
    """The ledger, and the text of the first tree."""
    data = DataConfig(train=[str(path)], eval_fraction=0)
    found = prepare(data, kind, _template(), path.parent / "cache", seed=0)
    tree = found.train[0]
    return found.ledger, tiny_tokenizer().decode([i for segment in tree.segments for i in segment.ids])


@pytest.mark.parametrize(("row", "turns"), DIALOGUES)
def test_rows_of_fine_tuning(row: dict[str, Any], turns: int, tmp_path: Path) -> None:
    ledger, text = _rendered(_write(tmp_path / "rows.jsonl", row), "dialogue")
    assert (ledger["kept"], ledger["warnings"]) == (2, {})
    assert text.count("<|im_start|>") == turns
    assert ASKED in text
    assert SAID in text


@pytest.mark.parametrize(("row", "prompt"), PAIRS)
def test_rows_of_preferences(row: dict[str, Any], prompt: int, tmp_path: Path) -> None:
    ledger, text = _rendered(_write(tmp_path / "rows.jsonl", row), "preference")
    assert (ledger["kept"], ledger["warnings"]) == (2, {})
    assert text.count("<|im_start|>") == prompt + 1  # the header of the answer belongs to the prompt, which both share
    assert (text.count(ASKED), text.count(SAID), text.count(WORSE)) == (1, 1, 1)


@pytest.mark.parametrize(
    ("row", "turns"), [*DIALOGUES, ({"question": ASKED, "answer": SAID}, 2), ({"Prompt": ASKED}, 2)]
)
def test_rows_of_reinforcement_learning(row: dict[str, Any], turns: int, tmp_path: Path) -> None:
    path = _write(tmp_path / "rows.jsonl", row)
    found = read_prompt_set(DataConfig(train=[str(path)], eval_fraction=0), _template(), new_tokens=8, seed=0)
    assert (found.ledger["kept"], found.ledger["warnings"]) == (2, {})
    (first, _) = found.train
    assert len(first.dialogue.messages) == turns - 1
    assert ASKED in first.dialogue.messages[-1].content
    assert first.reference == (SAID if "Prompt" not in row else None)


def test_a_number_is_a_reference_too(tmp_path: Path) -> None:
    path = _write(tmp_path / "rows.jsonl", {"question": "每次5毫升,一日3次,一日共多少毫升?", "answer": 15})
    found = read_prompt_set(DataConfig(train=[str(path)], eval_fraction=0), _template(), new_tokens=8, seed=0)
    assert [row.reference for row in found.train] == ["15", "15"]


def test_plain_text_of_pretraining(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text(f"{ASKED}\n{SAID}\n", encoding="utf-8")
    ledger, text = _rendered(path, "document")
    assert ledger["kept"] == 1
    assert f">{ASKED}\n{SAID}\n<" in text
