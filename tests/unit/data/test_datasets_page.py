"""docs/datasets.md: its addresses are addresses, and a made-up row with the columns of each set is a row of its stage."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Kind
from medicalgpt.hub.address import parse

PAGE = Path(__file__).resolve().parents[3] / "docs" / "datasets.md"
KINDS: dict[str, Kind] = {"pt": "document", "sft": "dialogue", "grpo": "dialogue", "dpo": "preference"}
TURN = {"role": "user", "content": "What is a fever?"}, {"role": "assistant", "content": "More than 38 °C."}
QA = {"instruction": "What is a fever?", "input": "", "output": "More than 38 °C."}
# The columns that each set's page states, with words of ours in them.
ROWS: dict[str, dict[str, Any]] = {
    "shibing624/medical/pretrain": {"text": "发热指体温超过 38 °C。"},
    "epfl-llm/guidelines": {
        "id": "1", "source": "who", "title": "Fever", "clean_text": "A fever is …", "raw_text": "<p>", "url": "", "overview": "",
    },
    "MedRAG/textbooks": {"id": "1", "title": "Fever", "content": "A fever is …", "contents": "Fever. A fever is …"},
    "wikimedia/wikipedia": {"id": "1", "url": "u", "title": "发热", "text": "发热是 …"},
    "shibing624/medical/finetune": QA,
    "FreedomIntelligence/Huatuo26M-Lite": {
        "id": 1, "answer": "多休息。", "score": 5, "label": "儿科学", "question": "发热怎么办？", "related_diseases": "感冒",
    },
    "FreedomIntelligence/medical-o1-reasoning-SFT": {"Question": "发热？", "Complex_CoT": "先想 …", "Response": "38 °C 以上。"},
    "Flmc/DISC-Med-SFT": {"_id": 1, "source": "meddialog", "conversation": [*TURN, *TURN]},
    "michaelwzhu/ShenNong_TCM_Dataset": {"query": "发热？", "response": "多休息。"},
    "lavita/ChatDoctor-HealthCareMagic-100k": QA,
    "medalpaca/medical_meadow_medical_flashcards": QA,
    "keivalya/MedQuad-MedicalQnADataset": {"qtype": "symptoms", "Question": "What is a fever?", "Answer": "Above 38 °C."},
    "qiaojin/PubMedQA": {
        "pubid": 1, "question": "Does rest help?", "context": {"contexts": ["…"], "labels": ["RESULTS"], "meshes": []},
        "long_answer": "Rest helped.", "final_decision": "yes",
    },
    "openlifescienceai/medmcqa": {
        "id": "1", "question": "Fever is above?", "opa": "36", "opb": "38", "opc": "40", "opd": "42", "cop": 1,
        "choice_type": "single", "exp": None, "subject_name": "Medicine", "topic_name": None,
    },
    "GBaker/MedQA-USMLE-4-options": {
        "question": "Fever is above?", "answer": "38", "options": {"A": "36", "B": "38", "C": "40", "D": "42"},
        "meta_info": "step1", "answer_idx": "B", "metamap_phrases": ["fever"],
    },
    "FreedomIntelligence/medical-o1-verifiable-problem": {
        "Open-ended Verifiable Question": "Above what is it a fever?", "Ground-True Answer": "38 °C",
    },
    "shibing624/medical/reward": {"question": "发热？", "response_chosen": "多休息。", "response_rejected": "不用管。"},
    "hiyouga/DPO-En-Zh-20k": {
        "conversations": [{"from": "human", "value": "发热？"}],
        "chosen": {"from": "gpt", "value": "多休息。"}, "rejected": {"from": "gpt", "value": "不用管。"},
    },
    "HuggingFaceH4/ultrafeedback_binarized": {
        "prompt": "What is a fever?", "prompt_id": "1", "messages": list(TURN), "chosen": list(TURN),
        "rejected": [TURN[0], {"role": "assistant", "content": "No idea."}], "score_chosen": 8.0, "score_rejected": 2.0,
    },
}  # fmt: skip


def _sets() -> list[Any]:
    """(kind, address, columns) of every line of the page's tables."""
    found = []
    for stage, table in re.findall(
        r"Words for `medicalgpt train (\w+)`.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE.read_text(encoding="utf-8")
    ):
        for row in table.splitlines():
            words = re.findall(r"`data\.(train|columns)=([^`]+)`", row)
            columns: dict[str, str] = next((yaml.safe_load(text) for key, text in words if key == "columns"), {})
            (address,) = (text for key, text in words if key == "train")
            found.append(pytest.param(KINDS[stage], address, columns, id=address))
    return found


def _row(address: str) -> dict[str, Any]:
    (row,) = (row for start, row in ROWS.items() if re.match(rf"hf://{re.escape(start)}(?=[/@#]|$)", address))
    return row


@pytest.mark.parametrize(("kind", "address", "columns"), _sets())
def test_a_row_of_the_set_is_read(kind: Kind, address: str, columns: dict[str, str], tmp_path: Path) -> None:
    assert parse(address) is not None
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(_row(address), ensure_ascii=False) + "\n", encoding="utf-8")
    (record,) = read([path], kind, columns=columns, ledger=Ledger())
    assert type(record).__name__.lower() == kind
    if "opb" in _row(address) or "options" in _row(address):
        assert "B. 38" in str(record), "the options stand below the question"


def test_every_made_up_row_belongs_to_a_set_of_the_page() -> None:
    used = [_row(p.values[1]) for p in _sets()]
    assert all(any(row is other for other in used) for row in ROWS.values())
    assert len(used) >= 20
