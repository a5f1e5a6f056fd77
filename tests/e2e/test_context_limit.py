"""Rows beyond the model's context, and a base without a chat template, from the command line to the run folder."""

import json
from pathlib import Path

import pytest
from tests.rl import train as train_rl
from tests.stages import SMALL, Bench, dialogues, documents, manifest, write
from tests.tiny import save_tiny, tiny_tokenizer
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.training.context import Status

FREE = [word for word in SMALL if not word.startswith(("data.max_tokens", "train.row_tokens"))]


def long_rows(folder: Path) -> Path:
    """Dialogues of about 200 tokens."""
    rows = dialogues(12)
    for row in rows:
        row["messages"][0]["content"] += " Please explain it step by step." * 25
    return write(folder / "rows.jsonl", rows)


def invoke(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["train", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


def test_a_rotary_model_is_trained_on_what_it_can_be_asked(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    short = save_tiny(tmp_path / "short", max_position_embeddings=64)
    words = ["sft", f"model.base={short}", f"data.train={long_rows(tmp_path)}", f"output_dir={tmp_path / 'run'}", *FREE]
    code, said = invoke(*words)
    assert code == 0, said
    assert f"data.max_tokens=1024 is lowered to 64, the context of {short}" in said
    ledger = manifest(tmp_path / "run")["ledger"]
    assert (ledger["truncated"], ledger["kept"]) == (12, 0)
    assert "max_tokens: 1024  # default" in (tmp_path / "run/config.resolved.yaml").read_text(encoding="utf-8")
    code, said = invoke(*words)  # the run is known by what was asked for
    assert code == 0
    assert "is finished already" in said


def test_learned_positions_stop_the_run_before_it_begins(bench: Bench, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=64)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    words = [
        "sft",
        f"model.base={tmp_path / 'gpt2'}",
        f"data.train={long_rows(tmp_path)}",
        f"output_dir={tmp_path / 'run'}",
    ]
    code, said = invoke(*words, *FREE)
    assert code == 2
    assert "data.max_tokens=1024, but" in said
    assert "gpt2 has 64 learned positions" in said
    assert not (tmp_path / "run").exists()
    code, said = invoke(*words, *FREE, "data.max_tokens=64")
    assert code == 0, said


def test_rollouts_keep_to_the_context(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    short = save_tiny(tmp_path / "short", max_position_embeddings=64)
    outcome = train_rl(
        bench, "rloo", tmp_path / "run", f"model.base={short}", "data.max_tokens=512", "train.max_steps=1"
    )
    assert outcome.status is Status.FINISHED


@pytest.fixture
def untaught(tmp_path: Path) -> Path:
    """A base without a chat template."""
    base = save_tiny(tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.chat_template = None
    (base / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.save_pretrained(base)
    return base


def test_documents_need_no_chat_template(untaught: Path, tmp_path: Path, no_figures: None) -> None:
    rows, out = write(tmp_path / "pt.jsonl", documents()), tmp_path / "run"
    code, said = invoke("pt", f"model.base={untaught}", f"data.train={rows}", f"output_dir={out}", *SMALL)
    assert code == 0, said
    saved = AutoTokenizer.from_pretrained(out / "model")
    assert saved.chat_template is None  # nothing was made up that a later stage would take for the model's own
    ends = json.loads((out / "model/generation_config.json").read_text(encoding="utf-8"))["eos_token_id"]
    tokens = saved.convert_ids_to_tokens([ends] if isinstance(ends, int) else ends)
    assert set(tokens) == {"<|im_end|>", "<|endoftext|>"}
    seen = CliRunner().invoke(app, ["data", "inspect", str(rows), "--model", str(untaught), "--rows", "1"])
    assert seen.exit_code == 0, seen.output
    merged = CliRunner().invoke(app, ["merge", "--model", str(out), "--output", str(tmp_path / "merged")])
    assert merged.exit_code == 0, merged.output


def test_dialogues_need_one_and_the_message_names_the_familys(untaught: Path, tmp_path: Path) -> None:
    rows = write(tmp_path / "sft.jsonl", dialogues())
    words = ["sft", f"model.base={untaught}", f"data.train={rows}", f"output_dir={tmp_path / 'run'}", *SMALL]
    code, said = invoke(*words)
    assert code == 2
    assert "the tokenizer has no chat template of its own" in said
    assert "usual for models of this family: data.template=llama3 or data.template=vicuna" in said
    roomy = ("data.max_tokens=256", "train.row_tokens=256", "train.tokens_per_step=256")
    code, said = invoke(*words, "data.template=vicuna", *roomy)
    assert code == 0, said
