"""The head of a card, read by the library that the hub's own tools read it with."""

import pytest
from huggingface_hub import ModelCard

from medicalgpt.export.lineage import Lineage
from medicalgpt.export.model_card import card

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
