"""Chat and batch generation with the embedded SmolLM2-135M-Instruct, through the real command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from medicalgpt.data.records import Message
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.models.load import load_tokenizer
from medicalgpt.models.locate import locate
from medicalgpt.rendering.template import ChatTemplate

pytestmark = pytest.mark.slow
MODEL = "smollm2-135m"
QUESTION = "What is the capital of France?"


def command(*words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "medicalgpt", *words]
    return subprocess.run(call, input=typed, capture_output=True, text=True, encoding="utf-8", timeout=300)


def test_a_piped_chat_answers_and_remembers() -> None:
    typed = f"{QUESTION}\nAnd of Germany?\n"
    done = command("chat", "--model", MODEL, "--temperature", "0", "--max-new-tokens", "40", typed=typed)
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout
    assert "Berlin" in done.stdout
    assert "<|im" not in done.stdout


def test_a_file_is_answered_with_stop_tokens(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [{"prompt": QUESTION}, {"question": "Name one symptom of a cold.", "answer": "A runny nose."}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = command(
        "generate", "--model", MODEL, "--input", str(source), "--output", str(target), "--max-new-tokens", "64"
    )
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, target.read_text(encoding="utf-8").splitlines())
    assert "Paris" in first["response"]
    assert first["stopped"]
    assert second["reference"] == "A runny nose."


def test_the_engine_equals_transformers() -> None:
    import torch

    engine = Engine.open(MODEL, dtype="float32")
    questions = [QUESTION, "What is a fever and when should an adult see a doctor about it?", "高血壓是什麼？"]
    prompts = [[Message("user", q)] for q in questions]
    found = engine.generate(prompts, Sampling(max_new_tokens=24), batch_size=3)
    for prompt, completion in zip(prompts, found):
        ids = torch.tensor([engine.template.prompt_ids(prompt)])
        out = engine.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False
        )
        assert completion.token_ids == out[0, ids.shape[1] :].tolist()
        assert "".join(engine.stream(prompt, Sampling(max_new_tokens=24))) == completion.text


def test_the_named_template_is_the_models_own() -> None:
    tokenizer = load_tokenizer(locate(MODEL).folder)
    own, named = ChatTemplate.load(tokenizer), ChatTemplate.load(tokenizer, "smollm")
    turns = (Message("user", QUESTION), Message("assistant", " Paris.\n"), Message("user", "首都？"))
    for talk in (turns[:1], turns[:2], turns, (Message("system", "Be brief."), *turns)):
        assert named.text(talk, generation_prompt=True) == own.text(talk, generation_prompt=True)
    assert named.prompt_ids(turns) == own.prompt_ids(turns)
    assert named.stop_ids == own.stop_ids
