"""Wrong input of every kind: exit code 2, one message that says what came and what to do, and nothing half-written."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.stages import Bench, dialogues, preferences, write
from transformers import AutoTokenizer
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.data.records import Message
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.memory import estimate
from medicalgpt.training.supervised import run

SECRET = "Mrs. Ngo-Lindqvist has syphilis"  # stands for patient text: it must never show up in a message
GOOD = {"messages": [{"role": "user", "content": SECRET}, {"role": "assistant", "content": "Rest."}]}
Refuse = Callable[..., str]


@pytest.fixture
def refuse(bench: Bench, tmp_path: Path) -> Refuse:
    """Run a stage that has to be refused; returns the message in one line."""

    def run(*overrides: str, stage: str = "sft", clean: bool = True) -> str:
        out = tmp_path / "run"
        result = CliRunner().invoke(app, ["train", *bench.words(stage, out, *overrides)])
        assert result.exit_code == 2, result.output
        assert isinstance(result.exception, SystemExit), "an error of another kind got through"
        assert "error: " in result.stderr
        assert "Traceback" not in result.output
        assert "Ngo-Lindqvist" not in result.output
        assert "syphilis" not in result.output
        assert not (out / "manifest.json").exists()
        if clean:
            left = [p.name for p in out.iterdir() if p.name != ".lock"] if out.exists() else []
            assert not left, f"a run that was refused left {left} behind"
        return " ".join(result.stderr.partition("error: ")[2].split())

    return run


def data(tmp_path: Path, rows: Sequence[Any], name: str = "rows.jsonl") -> str:
    return f"data.train=[{write(tmp_path / name, rows)}]"


# -- files --------------------------------------------------------------------------------------------------------------
def test_missing_file(refuse: Refuse) -> None:
    said = refuse("data.train=[nowhere/rows.jsonl]")
    assert "nowhere/rows.jsonl: no such file or folder; check the path" in said


def test_missing_held_out_file(refuse: Refuse) -> None:
    assert "held.jsonl: no such file" in refuse("data.eval=[held.jsonl]")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"], ids=["nothing", "blank lines", "only a BOM"])
def test_empty_file(content: bytes, refuse: Refuse, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(content)
    assert f"{file}: the file is empty" in refuse(f"data.train=[{file}]")


def test_empty_folder(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    said = refuse(f"data.train=[{tmp_path / 'rows'}]")
    assert "holds no data file; allowed: .jsonl, .json, .csv" in said


def test_file_of_an_unknown_type(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "rows.doc").write_text(SECRET)
    assert "this file type is not read; allowed: .jsonl" in refuse(f"data.train=[{tmp_path / 'rows.doc'}]")


def test_damaged_gzip(refuse: Refuse, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl.gz"
    file.write_bytes(gzip.compress(json.dumps(GOOD).encode() * 50)[:40])
    assert str(file) in refuse(f"data.train=[{file}]")


# -- rows ---------------------------------------------------------------------------------------------------------------
def test_wrong_json_names_the_line(refuse: Refuse, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(GOOD) + "\n" + json.dumps(GOOD) + "\n" + f'{{"messages": "{SECRET}\n')
    said = refuse(f"data.train=[{file}]")
    assert f"{file}:3" in said
    assert "data.on_bad_row=drop" in said


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"messages": None}, "messages is null"),
        ({"question": SECRET, "answer": None}, "answer is null"),
        ({"messages": [{"role": "user", "content": None}, {"role": "assistant", "content": SECRET}]}, "is null"),
        ({"messages": [{"role": "user", "content": SECRET}, {"role": "assistant", "content": "  "}]}, "is blank"),
        ({"messages": [{"role": "assistant", "content": SECRET}]}, "not from the user"),
        ({"messages": [{"role": "user", "content": SECRET}] * 2}, "wrong role order: a user turn follows a user turn"),
        ({"messages": [{"role": "user", "content": SECRET}]}, "no assistant turn"),
        ({"messages": [{"role": "doctor", "content": SECRET}]}, "unknown role 'doctor'; allowed: system, user"),
        ({"messages": SECRET}, "not JSON"),
        ({"words": SECRET}, "no column has a name we know"),
        ([SECRET], "object"),
    ],
)  # fmt: skip
def test_bad_row(row: Any, said: str, refuse: Refuse, tmp_path: Path) -> None:
    message = refuse(data(tmp_path, [GOOD, row]))
    assert f"{tmp_path / 'rows.jsonl'}:2" in message
    assert said in message
    assert "data.on_bad_row=drop" in message


@pytest.mark.parametrize(
    ("stage", "other", "right"), [("sft", "dpo", "train dpo"), ("dpo", "pt", "train pt"), ("pt", "sft", "train sft")]
)
def test_rows_of_another_stage(stage: str, other: str, right: str, refuse: Refuse, bench: Bench) -> None:
    said = refuse(f"data.train=[{bench.folder / other}.jsonl]", stage=stage)
    assert f"which fits `medicalgpt {right}`" in said
    assert f"{other}.jsonl:1" in said


def test_too_many_bad_rows(refuse: Refuse, tmp_path: Path) -> None:
    rows = [*dialogues(10), *({"messages": None} for _ in range(5))]
    said = refuse(data(tmp_path, rows), "data.on_bad_row=drop")
    assert "5 of 15 rows read are bad (33.3%), allowed are 5.0%" in said
    assert "data.max_bad_share" in said


def test_nothing_left_to_train_on(refuse: Refuse, tmp_path: Path) -> None:
    long = {"messages": [{"role": "user", "content": SECRET}, {"role": "assistant", "content": "word " * 200}]}
    said = refuse(data(tmp_path, [long]), "data.eval_fraction=0")
    assert "no row of data.train is left to train on" in said
    assert "longer than 64 tokens" in said


def test_text_that_spells_a_special_token(refuse: Refuse, tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": f"{SECRET}<|im_end|>"}, {"role": "assistant", "content": "Rest."}]}
    said = refuse(data(tmp_path, [row]))
    assert "contains the special token '<|im_end|>'; remove it" in said
    assert "rows.jsonl:1" in said


def test_answers_of_a_pair_that_are_the_same(refuse: Refuse, tmp_path: Path) -> None:
    pair = {"prompt": SECRET, "chosen": "Rest.", "rejected": " Rest. "}
    assert "rows.jsonl:2" in refuse(data(tmp_path, [*preferences(1), pair]), stage="dpo")


# -- configuration ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.learning_rte=1e-3", "did you mean 'train.learning_rate'?"),
        ("lerning.rate=1", "lerning"),
        ("train.max_steps=many", "train.max_steps"),
        ("train.max_steps=3.5", "train.max_steps"),
        ("train.learning_rate=-1", "> 0"),
        ("train.schedule=cosin", "cosine | linear | constant | wsd"),
        ("quantization=int4", "none | int8 | nf4"),
        ("train.max_steps", "expected key=value"),
        ("data.train=[]", "data.train"),
        ("data.template=chatlm", "chatml"),
        ("data.columns={question: nothing_of_that_name}", "no file has these columns"),
        ("model.base=smollm2-135", "did you mean smollm2-135m"),
        ("model.base=./nowhere", "no model './nowhere'"),
        ("model.adapter=./nowhere", "./nowhere"),
        ("lora.target_modules=[qproj]", "q_proj"),
    ],
)
def test_wrong_setting(override: str, said: str, refuse: Refuse) -> None:
    assert said in refuse(override)


@pytest.mark.parametrize("override", ["objective.beta=0", "objective.beta=-0.1"])
def test_dpo_without_a_pull_to_the_reference(override: str, refuse: Refuse) -> None:
    assert "objective.beta" in refuse(override, stage="dpo")


def test_all_mistakes_come_at_once(refuse: Refuse) -> None:
    said = refuse("train.sed=1", "lora.rank=x", "data.max_tokens=3")
    assert all(key in said for key in ("train.sed", "lora.rank", "data.max_tokens"))


def test_unknown_stage() -> None:
    result = CliRunner().invoke(app, ["train", "stf", "output_dir=x"])
    assert result.exit_code == 2
    assert (
        "unknown stage 'stf'; stages are pt, sft, dpo, orpo, simpo, kto, rm, ppo, rloo, grpo, distill; did you mean 'sft'?"
        in result.stderr
    )


# -- templates and tokenizers -------------------------------------------------------------------------------------------
def template(tmp_path: Path, text: str) -> str:
    file = tmp_path / "own.jinja"
    file.write_text(text)
    return f"data.template={file}"


HEADERS = "{%- for m in messages -%}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"


def test_template_without_generation_prompt(refuse: Refuse, tmp_path: Path) -> None:
    said = refuse(template(tmp_path, HEADERS + "<|im_end|>\n{%- endfor -%}"))
    assert "has no generation prompt" in said
    assert "choose another data.template or add add_generation_prompt" in said


def test_template_that_trains_no_stop_token(refuse: Refuse, tmp_path: Path) -> None:
    prompt = "{%- if add_generation_prompt -%}<|im_start|>assistant\n{%- endif -%}"
    said = refuse(template(tmp_path, HEADERS + "\n{%- endfor -%}" + prompt))
    assert "without a special token, so no stop token could be trained" in said


def test_template_that_is_no_jinja(refuse: Refuse, tmp_path: Path) -> None:
    assert "own.jinja" in refuse(template(tmp_path, "{% for m in messages %}"))


def with_tokenizer(bench: Bench, tmp_path: Path, change: Callable[[Any], None]) -> str:
    """The tiny base with a changed tokenizer."""
    folder = tmp_path / "base"
    folder.mkdir()
    for file in bench.base.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    change(tokenizer)
    tokenizer.save_pretrained(folder)
    return f"model.base={folder}"


def test_tokenizer_without_pad_trains_and_answers(bench: Bench, tmp_path: Path) -> None:
    base = with_tokenizer(bench, tmp_path, lambda tokenizer: setattr(tokenizer, "pad_token", None))
    assert AutoTokenizer.from_pretrained(tmp_path / "base").pad_token is None
    result = CliRunner().invoke(app, ["train", *bench.words("sft", tmp_path / "run", base)])
    assert result.exit_code == 0, result.output
    prompts = [[Message("user", text)] for text in ("Fever?", "A much longer question about a cough?")]
    batch = Engine.open(str(tmp_path / "run")).generate(prompts, Sampling(max_new_tokens=4), batch_size=2)
    single = Engine.open(str(tmp_path / "run")).generate(prompts, Sampling(max_new_tokens=4), batch_size=1)
    assert [c.text for c in batch] == [c.text for c in single]


def test_tokenizer_without_eos(bench: Bench, refuse: Refuse, tmp_path: Path) -> None:
    base = with_tokenizer(bench, tmp_path, lambda tokenizer: setattr(tokenizer, "eos_token", None))
    said = refuse(base)
    assert "the tokenizer has no eos token; set one (tokenizer.eos_token) before training" in said


def test_tokenizer_without_template(bench: Bench, refuse: Refuse, tmp_path: Path) -> None:
    def change(tokenizer: Any) -> None:
        tokenizer.chat_template = None
        (tmp_path / "base" / "chat_template.jinja").unlink(missing_ok=True)

    said = refuse(with_tokenizer(bench, tmp_path, change))
    assert "no chat template of its own; set data.template to one of alpaca, aquila" in said


def test_tokenizer_larger_than_the_embeddings(bench: Bench, refuse: Refuse, tmp_path: Path) -> None:
    base = with_tokenizer(bench, tmp_path, lambda tokenizer: tokenizer.add_tokens([f"<new{i}>" for i in range(9)]))
    said = refuse(base)
    assert "the tokenizer has 409 tokens" in said
    assert "only 400 embeddings" in said
    assert "belongs to another model" in said


# -- the machine and the folder -----------------------------------------------------------------------------------------
def test_model_too_large_for_the_memory(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("the model was loaded before its size was checked")

    monkeypatch.setattr(estimate, "free_memory", lambda: 100_000)
    monkeypatch.setattr(run, "open_module", never)
    said = refuse("lora.enabled=false")
    assert "training needs about" in said
    assert "0.00 GB are free" in said
    assert all(part in said for part in ("weights", "gradients", "optimizer", "activations"))
    assert "lora.enabled=true trains adapters only" in said


def test_a_refused_run_leaves_its_folder_to_the_corrected_one(bench: Bench, refuse: Refuse, tmp_path: Path) -> None:
    refuse("lora.target_modules=[qproj]")
    result = CliRunner().invoke(app, ["train", *bench.words("sft", tmp_path / "run")])
    assert result.exit_code == 0, result.output


def test_output_dir_with_foreign_files(bench: Bench, refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("mine")
    said = refuse(clean=False)
    assert "is not a run folder but holds other files or folders (1, such as thesis.tex)" in said
    assert "choose a new or empty output_dir" in said
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["thesis.tex"]


def test_output_dir_that_is_a_file(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    result = CliRunner().invoke(app, ["train", *bench.words("sft", tmp_path / "run")])
    assert result.exit_code == 2
    assert "is a file; output_dir must be" in " ".join(result.stderr.split())
    assert (tmp_path / "run").read_text() == "mine"


def test_resume_never_leaves_a_run_alone(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    bench.train("sft", tmp_path / "run")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")}
    result = CliRunner().invoke(app, ["train", *bench.words("sft", tmp_path / "run", "train.resume=never")])
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert "holds a finished run and train.resume is never" in said
    assert "set train.resume=auto" in said
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")} == before


def test_a_run_that_another_process_has(bench: Bench, tmp_path: Path) -> None:
    from medicalgpt.runs.lock import FolderLock

    (tmp_path / "run").mkdir()
    lock = FolderLock(tmp_path / "run" / ".lock")
    lock.acquire()
    try:
        result = CliRunner().invoke(app, ["train", *bench.words("sft", tmp_path / "run")])
    finally:
        lock.release()
    assert result.exit_code == 2
    assert "is in use by process" in " ".join(result.stderr.split())
