"""`medicalgpt train rm` and `medicalgpt score` on a tiny model."""

import json
from pathlib import Path

import pytest
import torch
from tests.stages import Bench, column, manifest, preferences, write
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ModelError
from medicalgpt.models.load import load
from medicalgpt.rewards.reward_model import score_file

WAYS = {"lora": [], "full": ["lora.enabled=false"], "padded": ["train.batching=padded"]}


def invoke(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("way", WAYS)
def test_a_reward_model_learns_its_pairs_and_transformers_reads_the_same_scores(
    way: str, bench: Bench, tmp_path: Path, no_figures: None
) -> None:
    run, pairs = tmp_path / "run", bench.folder / "rm.jsonl"
    steps = ["train.max_steps=25", "train.learning_rate=3e-3", "data.eval_fraction=0", f"data.eval=[{pairs}]"]
    invoke("train", *bench.words("rm", run, *steps, *WAYS[way]))
    assert column(run, "eval/rewards/accuracy")[-1] > max(0.8, column(run, "eval/rewards/accuracy")[0])
    report = json.loads((run / "model" / "reward.json").read_text())
    assert report["accuracy"]["value"] == pytest.approx(column(run, "eval/rewards/accuracy")[-1])
    assert manifest(run)["stage"] == "rm"

    output = tmp_path / "scores.jsonl"
    said = invoke("score", "--model", str(run), "--input", str(pairs), "--output", str(output), "--dtype", "float32")
    assert f"held-out accuracy {report['accuracy']['value']:.1%}" in said
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["source"].rsplit(":", 1)[-1] for row in rows] == [str(i + 1) for i in range(len(rows))]

    plain = run / ("model" if way == "full" else "merged")
    assert (plain / "reward.json").is_file()
    model = AutoModelForSequenceClassification.from_pretrained(plain, num_labels=1).eval()
    tokenizer = AutoTokenizer.from_pretrained(plain)
    for pair, row in zip(preferences(), rows):
        for answer in ("chosen", "rejected"):
            turns = [{"role": "user", "content": pair["prompt"]}, {"role": "assistant", "content": pair[answer]}]
            text = tokenizer.apply_chat_template(turns, tokenize=False).rstrip("\n")
            ids = tokenizer([text, "padding " * 40], return_tensors="pt", padding=True)
            with torch.no_grad():
                found = model(input_ids=ids["input_ids"], attention_mask=ids["attention_mask"]).logits[0, 0]
            assert float(found) == pytest.approx(row[answer], abs=1e-4)


def test_dialogues_are_scored_too(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    run = tmp_path / "run"
    invoke("train", *bench.words("rm", run, "train.max_steps=2"))
    source = write(tmp_path / "d.jsonl", [{"question": p["prompt"], "answer": p["chosen"]} for p in preferences()[:3]])
    said = invoke("score", "--model", str(run), "--input", str(source), "--dialogues")
    assert "3 answers: score mean" in said


def test_language_and_reward_models_are_not_mixed_up(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    rm, sft = tmp_path / "rm", tmp_path / "sft"
    invoke("train", *bench.words("rm", rm, "train.max_steps=1"))
    invoke("train", *bench.words("sft", sft, "train.max_steps=1"))
    for place in (rm, rm / "merged"):
        with pytest.raises(ModelError, match="is a reward model; it scores answers"):
            load(ModelConfig(base=str(place)))
    with pytest.raises(ModelError, match="language model's adapter, not a reward model's"):
        load(ModelConfig(base=str(sft)), head="score")
    with pytest.raises(ModelError, match="would score with random weights"):
        score_file(load(ModelConfig(base=str(bench.base)), head="score"), tmp_path, "preference", 64)


def test_an_existing_output_is_kept(bench: Bench, tmp_path: Path) -> None:
    target = tmp_path / "mine.jsonl"
    target.write_text("keep me")
    done = CliRunner().invoke(app, ["score", "--model", str(bench.base), "--input", "x", "--output", str(target)])
    assert done.exit_code == 2
    assert "exists already" in done.output
    assert target.read_text() == "keep me"
