"""The embedded SmolLM2-135M with a vocabulary extended by our Chinese sample documents: it reads shorter, and learns."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tests.stages import manifest, weights
from tests.vocabularies import DATA, both, encode, extended

from medicalgpt.config import load, stage_schema
from medicalgpt.config.sections import ModelConfig
from medicalgpt.data.texts import texts
from medicalgpt.models.load import load as load_model
from medicalgpt.models.locate import locate
from medicalgpt.train.merged import merge_run
from medicalgpt.train.stage import run_stage

pytestmark = pytest.mark.slow

CHINESE = [DATA / "documents" / "zh-Hant", DATA / "documents" / "zh-Hans"]
HELD_OUT = [DATA / "documents-heldout" / "zh-Hant", DATA / "documents-heldout" / "zh-Hans"]
STEPS = 8


@pytest.fixture(autouse=True)
def _all_cores() -> Iterator[None]:
    """Tiny models run on one thread; this one is a real one."""
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)


def bits_per_character(loss: float, tokenizer: Any) -> float:
    """Nats a token (a document's end is one) turned into bits a character."""
    held_out = list(texts(HELD_OUT))
    tokens = sum(len(encode(tokenizer, text)) + 1 for text in held_out)
    return loss * tokens / sum(map(len, held_out)) / math.log(2)


def test_a_few_steps_with_the_new_tokens_beat_the_base_without_them(tmp_path: Path, capsys: Any) -> None:
    base, grown = locate("smollm2-135m"), tmp_path / "vocabulary"
    extended(Path(base.path_or_id), grown, 800, list(texts(CHINESE)), min_count=3)
    old, new = both(Path(base.path_or_id), grown)
    paths = [f"data.train=[{','.join(map(str, CHINESE))}]", f"data.eval=[{','.join(map(str, HELD_OUT))}]"]
    same = ["data.max_tokens=512", "train.tokens_per_step=2048", "train.row_tokens=1024", "train.learning_rate=2e-3"]

    def run(name: str, *more: str) -> dict[str, float]:
        words = [*paths, *same, f"output_dir={tmp_path / name}", *more]
        run_stage(load(stage_schema("pt"), None, words))
        record = manifest(tmp_path / name)
        return {when: record[when]["eval/loss"] for when in ("before", "after")}

    plain = run("plain", "train.max_steps=1")
    trained = run("grown", f"train.max_steps={STEPS}", f"model.tokenizer={grown}")
    at_first = bits_per_character(plain["before"], old)
    start, end = (bits_per_character(trained[when], new) for when in ("before", "after"))
    with capsys.disabled():
        print(
            f"bits per character: base {at_first:.2f}; extended, at the start {start:.2f}, after {STEPS} steps {end:.2f}"
        )
    assert end < start - 1.0
    assert end < at_first

    assert sum(len(t) for name, t in weights(tmp_path / "grown").items() if "trainable_tokens" in name) == len(
        new
    ) - len(old)
    merge_run(tmp_path / "grown", Console(quiet=True))
    found = load_model(ModelConfig(base=str(tmp_path / "grown" / "merged")))
    assert found.model.config.vocab_size == len(new)
