"""The head of a card, read by the library that the hub's own tools read it with."""

import re

import pytest
from huggingface_hub import ModelCard

from medicalgpt.export.lineage import Lineage
from medicalgpt.export.model_card import card
from medicalgpt.language import choose

STAGE = {
    "stage": "no",  # a word that YAML 1.1 would read as false
    "rows": {"rows": 3, "kept": 2, "dropped": 1},
    "tokens": 20,
    "data_sha256": "0" * 64,
    "eval_sha256": None,
}


@pytest.mark.parametrize(
    ("license", "stated"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("on: 'a' \"b\" # 使用條款", {"license": "other", "license_name": "on: 'a' \"b\" # 使用條款"}),
        (None, {"license": "other"}),
    ],
)
@pytest.mark.parametrize(
    ("kind", "library", "task"),
    [
        ("language", "transformers", "text-generation"),
        ("score", "transformers", "text-classification"),
        ("gguf", "gguf", "text-generation"),
    ],
)
def test_the_hub_reads_the_head_as_it_was_meant(
    license: str | None, stated: dict[str, str], kind: str, library: str, task: str
) -> None:
    base = {"name": "base", "licence": license, "link": "https://huggingface.co/1e5/no", "sha256": None}
    read = ModelCard(card("assistant", Lineage(base, [STAGE]), kind), ignore_metadata_errors=False)
    assert read.data.to_dict() == {
        **stated,
        "library_name": library,
        "pipeline_tag": task,
        "tags": ["medical", "medicalgpt", "no"],
        "base_model": "1e5/no",
    }


@pytest.mark.parametrize(("language", "said"), [("zh-CN", "不是医疗器械"), ("zh-TW", "不是醫療器材")])
@pytest.mark.parametrize("kind", ["language", "score", "gguf"])
def test_a_card_is_in_the_readers_language_and_its_head_in_that_of_hubs(kind: str, language: str, said: str) -> None:
    base = {"name": "base", "licence": None, "link": "https://huggingface.co/1e5/no", "sha256": None}
    english = ModelCard(card("assistant", Lineage(base, [STAGE]), kind)).data.to_dict()
    choose(language)
    text = card("assistant", Lineage(base, [STAGE]), kind)
    assert ModelCard(text).data.to_dict() == english
    assert said in text
    body = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)|\{[^}]*\}", "", text.split("---\n", 2)[2], flags=re.DOTALL)
    lines = [line for line in body.splitlines() if re.search(r"[a-z]{2,} [a-z]{2,}", line)]
    assert [line for line in lines if not re.search("[\u4e00-\u9fff]", line)] == []
