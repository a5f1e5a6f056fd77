"""SmolLM2-135M as GGUF files, through the real commands: the same answers in full and half precision, small drift in 8 bits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.e2e.test_chat_smollm import command
from tests.llamacpp import llama_tokens

from medicalgpt.data.records import Message
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling

pytest.importorskip("xllamacpp")
pytestmark = pytest.mark.slow
MODEL = "smollm2-135m"
QUESTIONS = ["What is the capital of France?", "How is high blood pressure treated? Name 3 points.", "高血壓的症狀？"]
PROMPTS = [[Message("user", question)] for question in QUESTIONS]
GREEDY = Sampling(max_new_tokens=40)
# Largest |Δ log p| of tokens with p > 1e-4, and least share of equal best tokens.
LIMITS: dict[str, tuple[float, float]] = {"f32": (1e-3, 1.0), "f16": (0.1, 0.95), "q8_0": (1.0, 0.85)}


@pytest.fixture(scope="module")
def ours() -> Engine:
    return Engine.open(MODEL)


@pytest.mark.parametrize("kind", [pytest.param("f32", marks=pytest.mark.nightly), "f16", "q8_0"])
def test_an_exported_file_says_what_the_model_says(kind: str, ours: Engine, tmp_path: Path) -> None:
    path = tmp_path / f"{kind}.gguf"
    done = command("export", "gguf", "--model", MODEL, "--output", str(path), "--type", kind)
    assert done.returncode == 0, done.stderr
    engine = Engine.open(str(path))
    assert engine.stop_ids == ours.stop_ids
    ready = [engine.prepare(prompt, GREEDY) for prompt in PROMPTS]
    assert ready == [ours.prepare(prompt, GREEDY) for prompt in PROMPTS]
    texts = ["take  5 mg\n\n twice 1234", *QUESTIONS]
    assert llama_tokens(path, texts) == [ours.tokenizer(text)["input_ids"] for text in texts]
    expected = ours.generate(PROMPTS, GREEDY)
    if kind != "q8_0":
        assert engine.generate(PROMPTS, GREEDY, batch_size=3) == expected
    _check_drift(engine, ours, ready[0].ids + expected[0].token_ids, *LIMITS[kind])


def _check_drift(engine: Any, ours: Any, ids: list[int], limit: float, agreement: float) -> None:
    with torch.no_grad():
        reference = torch.log_softmax(ours.model(input_ids=torch.tensor([ids])).logits[0], -1).numpy()
    first = len(ids) - 7
    found, expected = engine.backend.server.logps(ids, first), reference[first - 1 :]
    assert np.abs(found - expected)[expected > np.log(1e-4)].max() < limit
    assert (found.argmax(-1) == expected.argmax(-1)).mean() >= agreement


def test_a_file_answers_in_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    assert command("export", "gguf", "--model", MODEL, "--output", str(path), "--type", "f16").returncode == 0
    words = ("chat", "--model", str(path), "--temperature", "0", "--max-new-tokens", "40")
    done = command(*words, typed=f"{QUESTIONS[0]}\n")
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout
    assert "<|im" not in done.stdout
