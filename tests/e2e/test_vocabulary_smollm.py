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

from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.sections import ModelConfig
from medicalgpt.data.texts import texts
from medicalgpt.export.merge import merge_run
from medicalgpt.models.load import load as load_model
from medicalgpt.models.locate import locate
from medicalgpt.training.stage import run_stage

pytestmark = pytest.mark.slow

CHINESE = [DATA / "documents" / "zh-Hant", DATA / "documents" / "zh-Hans"]
HELD_OUT = [DATA / "documents-heldout" / "zh-Hant"]
STEPS = 4


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


def test_a_few_steps_teach_the_new_tokens(tmp_path: Path) -> None:
    base, grown = locate("smollm2-135m"), tmp_path / "vocabulary"
    extended(Path(base.path_or_id), grown, 800, list(texts(CHINESE)), min_count=3)
    old, new = both(Path(base.path_or_id), grown)
    paths = [f"data.train=[{','.join(map(str, CHINESE))}]", f"data.eval=[{','.join(map(str, HELD_OUT))}]"]
    sizes = ["data.max_tokens=512", "train.tokens_per_step=1024", "train.row_tokens=1024", "train.learning_rate=2e-3"]
    more = [f"train.max_steps={STEPS}", f"model.tokenizer={grown}", f"output_dir={tmp_path / 'run'}"]
    run_stage(load(stage_schema("pt"), None, [*paths, *sizes, *more]))
    record = manifest(tmp_path / "run")
    start, end = (bits_per_character(record[when]["eval/loss"], new) for when in ("before", "after"))
    assert end < start - 1.0  # measured with 8 steps: 10.65 → 9.04

    rows = [t for name, t in weights(tmp_path / "run").items() if "trainable_tokens" in name]
    assert sum(map(len, rows)) == len(new) - len(old)
    merge_run(tmp_path / "run", Console(quiet=True))
    found = load_model(ModelConfig(base=str(tmp_path / "run" / "merged")))
    assert found.model.config.vocab_size == len(new)
