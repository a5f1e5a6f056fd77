"""inference.py and inference_multigpu_demo.py: every flag is set once and its effect is seen."""

import copy
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tiny import save_tiny, tiny_model, tiny_tokenizer

from medicalgpt.cli import legacy
from medicalgpt.data.records import Message
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.models.load import load_base

QUESTIONS = ["What is a fever?", "高血壓的症狀?", "How is high blood pressure treated?"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="module")
def adapter(base: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("adapter")
    adapted = get_peft_model(tiny_model(), LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    adapted.peft_config["default"].base_model_name_or_path = base
    adapted.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.txt"
    path.write_text("\n".join(QUESTIONS) + "\n", encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    """The engines that were opened; GPUs that a flag hides are hidden for this test only."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "as before")
    engines: list[Engine] = []
    real = Engine.open

    def spy(*args: Any, **kwargs: Any) -> Engine:
        engines.append(real(*args, **kwargs))
        return engines[-1]

    monkeypatch.setattr(Engine, "open", spy)
    return engines


class Script:
    """inference.py with a base and a file, greedy unless told otherwise."""

    def __init__(self, base: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.base, self.data, self.monkeypatch, self.calls = base, data, monkeypatch, 0

    def rows(self, *words: str, run: Any = legacy.inference) -> list[dict[str, Any]]:
        self.calls += 1
        target = self.data.parent / f"out{self.calls}.jsonl"
        given = ["--base_model", self.base, "--data_file", str(self.data), "--output_file", str(target)]
        cold = [] if "--temperature" in words else ["--temperature", "0"]
        short = [] if "--max_new_tokens" in words else ["--max_new_tokens", "12"]
        run([*given, *cold, *short, *words])
        return [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]

    def answers(self, *words: str) -> list[str]:
        return [row["response"] for row in self.rows(*words)]

    def talk(self, typed: str, *words: str) -> None:
        self.monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        legacy.inference(["--base_model", self.base, "--interactive", "--max_new_tokens", "6", *words])


@pytest.fixture
def script(base: str, questions: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    return Script(base, questions, monkeypatch)


def fails(*words: str, run: Any = legacy.inference) -> None:
    with pytest.raises(SystemExit) as caught:
        run(list(words))
    assert caught.value.code == 2


# -- model --------------------------------------------------------------------------------------------------------------
def test_model_type_is_checked_and_chooses_the_template(
    script: Script, base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fails("--model_type", "bloom", "--base_model", base, "--data_file", str(script.data))
    assert "is no bloom model" in capsys.readouterr().err
    bare = save_tiny(tmp_path / "bare")
    (bare / "chat_template.jinja").unlink()
    script.base = str(bare)
    as_llama, as_yi = script.answers("--model_type", "llama"), script.answers("--model_type", "yi")
    said = capsys.readouterr().err
    assert as_llama != as_yi
    assert "taking vicuna" in said


def test_lora_model_changes_the_answers(script: Script, adapter: str) -> None:
    plain = script.answers()
    assert script.answers("--lora_model", "") == plain
    assert script.answers("--lora_model", adapter) != plain


def test_tokenizer_path_and_resize_emb(
    script: Script, base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], opened: list[Engine]
) -> None:
    larger = copy.deepcopy(tiny_tokenizer())
    larger.add_tokens(["fever"])
    larger.save_pretrained(tmp_path / "tokenizer")
    words = ("--tokenizer_path", str(tmp_path / "tokenizer"))
    fails("--base_model", base, "--data_file", str(script.data), *words)
    assert "--resize_emb" in capsys.readouterr().err
    script.rows(*words, "--resize_emb")
    assert "embeddings grown from 400 to 401 tokens" in capsys.readouterr().err
    assert len(opened[-1].tokenizer) == opened[-1].model.get_input_embeddings().weight.shape[0] == 401


def test_template_name(script: Script, opened: list[Engine]) -> None:
    assert script.answers("--template_name", "alpaca") != script.answers()
    assert [engine.template.name for engine in opened] == ["alpaca", "tokenizer"]


@pytest.mark.parametrize(("flag", "kind"), [("--load_in_8bit", "Linear8bitLt"), ("--load_in_4bit", "Linear4bit")])
def test_weights_in_few_bits(script: Script, tmp_path: Path, opened: list[Engine], flag: str, kind: str) -> None:
    script.base = str(save_tiny(tmp_path / "wide", hidden_size=64, intermediate_size=128, num_key_value_heads=4))
    script.rows(flag, "--max_new_tokens", "2")
    assert kind in {type(module).__name__ for module in opened[0].model.modules()}


def test_few_bits_exclude_each_other(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    fails("--base_model", base, "--data_file", "x", "--load_in_8bit", "--load_in_4bit")
    assert "exclude each other" in capsys.readouterr().err


def test_trust_remote_code(base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_tiny(tmp_path / "own")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "house", "auto_map": {"AutoConfig": "gone.HouseConfig"}}
    (folder / "config.json").write_text(json.dumps(config))
    words = ("--base_model", str(folder), "--interactive")
    fails(*words)
    assert "which is off" in capsys.readouterr().err
    fails(*words, "--trust_remote_code")
    assert "gone.py" in capsys.readouterr().err  # it went to look for the code


@pytest.mark.parametrize(
    ("words", "visible"),
    [(["--only_cpu"], ""), (["--gpus", "1"], "1"), (["--gpus", "0,1", "--only_cpu"], ""), ([], "as before")],
)
def test_only_cpu_and_gpus_hide_devices(script: Script, words: list[str], visible: str) -> None:
    script.rows(*words)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible


def test_several_gpus_hold_one_model(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    from medicalgpt.models import load

    laid: list[str | None] = []

    def spy(*args: Any) -> torch.nn.Module:
        laid.append(args[5])
        return load_base(*args)

    monkeypatch.setattr(load, "load_base", spy)
    assert script.answers("--gpus", "0,1") == script.answers("--gpus", "0")
    assert laid == ["auto", None]


# -- answers ------------------------------------------------------------------------------------------------------------
def test_system_prompt(script: Script) -> None:
    assert script.answers("--system_prompt", "Be brief.") != script.answers()


def test_temperature(script: Script) -> None:
    warm = script.answers("--temperature", "1.5")
    assert warm != script.answers()
    assert warm == script.answers("--temperature", "1.5"), "a file is answered the same again"


def test_repetition_penalty(script: Script) -> None:
    assert script.answers("--repetition_penalty", "5") != script.answers()


def test_max_new_tokens(script: Script) -> None:
    assert {row["tokens"] for row in script.rows("--max_new_tokens", "3")} == {3}


def test_stop_str(script: Script) -> None:
    whole = script.answers("--max_new_tokens", "30")[0]
    text = next(c for c in whole[2:] if c.isalnum())
    rows = script.rows("--max_new_tokens", "30", "--stop_str", text)
    assert (rows[0]["response"], rows[0]["stopped"]) == (whole[: whole.index(text)], True)


@pytest.mark.parametrize(
    ("run", "flag"), [(legacy.inference, "--eval_batch_size"), (legacy.inference_multigpu, "--batch_size")]
)
def test_batch_size(script: Script, monkeypatch: pytest.MonkeyPatch, run: Any, flag: str) -> None:
    sizes: list[int] = []
    real = Engine.generate

    def spy(self: Engine, *args: Any, batch_size: int, **kwargs: Any) -> Any:
        sizes.append(batch_size)
        return real(self, *args, batch_size=batch_size, **kwargs)

    monkeypatch.setattr(Engine, "generate", spy)
    assert script.rows(flag, "2", run=run) == script.rows(run=run)
    assert sizes == [2, 4]


# -- files and chat -----------------------------------------------------------------------------------------------------
def test_data_file_may_be_plain_text_or_json_lines(
    script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = script.rows()
    assert [row["question"] for row in plain] == QUESTIONS
    assert "3 questions, one a line" in capsys.readouterr().err
    script.data = tmp_path / "rows.jsonl"
    script.data.write_text("".join(json.dumps({"prompt": q, "id": i}) + "\n" for i, q in enumerate(QUESTIONS)))
    rows = script.rows()
    assert [(row["id"], row["response"]) for row in rows] == [(i, row["response"]) for i, row in enumerate(plain)]
    assert "3 rows" in capsys.readouterr().err


def test_single_tune_in_a_file_asks_the_last_question_alone(script: Script, tmp_path: Path) -> None:
    alone = script.answers()
    script.data = tmp_path / "rows.jsonl"
    rows = [{"prompt": q, "history": [["Is asthma bad?", "Call a doctor."]]} for q in QUESTIONS]
    script.data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert script.answers("--single_tune") == alone
    assert script.answers() != alone


def test_single_tune_in_a_chat_forgets(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[int] = []
    real = Engine.stream

    def spy(self: Engine, prompt: Any, *args: Any, **kwargs: Any) -> Any:
        turns.append(len(prompt))
        return real(self, prompt, *args, **kwargs)

    monkeypatch.setattr(Engine, "stream", spy)
    script.talk("fever?\nand then?\n")
    script.talk("fever?\nand then?\n", "--single_tune")
    assert turns == [1, 3, 1, 1]


def test_interactive_answers_what_is_typed(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    script.talk("What is a fever?\n", "--temperature", "0")
    first = capsys.readouterr().out
    assert "not a doctor" in first
    (expected,) = Engine.open(script.base).generate([[Message("user", "What is a fever?")]], Sampling(6))
    assert expected.text.strip() in first


def test_an_output_that_was_begun_is_gone_on_with(
    script: Script, base: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--eval_batch_size", "1")
    script.data.write_text("\n".join(f"{q} {i}" for i in range(3) for q in QUESTIONS), encoding="utf-8")
    whole = script.rows(*words)
    real, calls = Engine.generate, []

    def dies(self: Engine, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Engine, "generate", dies)
    with pytest.raises(SystemExit) as caught:
        script.rows(*words)
    assert caught.value.code == 130
    assert "out2.jsonl.partial keeps the answers so far" in capsys.readouterr().err
    script.calls -= 1
    assert script.rows(*words) == whole
    assert "9 rows (4 of them from an earlier call)" in capsys.readouterr().out
    script.calls -= 1
    with pytest.raises(SystemExit):
        script.rows(*words)
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize("run", [legacy.inference, legacy.inference_multigpu])
def test_without_a_file_medical_questions_of_ours_are_answered(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(["--model_type", "auto", "--base_model", base, "--temperature", "0", "--max_new_tokens", "4"])
    rows = [json.loads(line) for line in Path("predictions_result.jsonl").read_text(encoding="utf-8").splitlines()]
    asked = [row["Input"] for row in rows]
    assert asked == legacy.QUESTIONS.read_text(encoding="utf-8").splitlines()
    assert {q.isascii() for q in asked} == {True, False}, "English and Chinese"
    answers = Engine.open(base).generate([[Message("user", q)] for q in asked], Sampling(4, temperature=0.0))
    assert rows == [{"Input": q, "Output": a.text} for q, a in zip(asked, answers)]
    assert [path.name for path in tmp_path.iterdir()] == ["predictions_result.jsonl"]
    assert "no --data_file is given" in capsys.readouterr().err


def test_a_file_called_json_holds_json_lines_as_it_always_did(script: Script) -> None:
    target = script.data.with_name("out.json")
    given = ["--base_model", script.base, "--data_file", str(script.data), "--output_file", str(target)]
    legacy.inference([*given, "--max_new_tokens", "2"])
    assert len([json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]) == len(QUESTIONS)


# -- words --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("run", [legacy.inference, legacy.inference_multigpu])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--base_model", "x", "--singletune"], "did you mean '--single_tune'"),
        (["--base-model", "x"], "did you mean '--base_model'"),
        (["--temperature", "0"], "--base_model is missing"),
        (["--base_model", "x", "--max_new_tokens", "0"], "0 is not at least 1"),
        (["--base_model", "x", "--data_file", "gone.txt"], "gone.txt: no such file"),
        (["--base_model", "x", "--data_file", "gone.txt", "--temperature", "-1"], "temperature is -1.0; allowed"),
    ],
)
def test_wrong_words_are_explained(
    run: Any, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(*words, run=run)
    assert message in capsys.readouterr().err


def test_the_multigpu_script_does_not_chat(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    fails("--base_model", base, "--interactive", run=legacy.inference_multigpu)
    assert "--interactive is no flag of inference_multigpu_demo.py" in capsys.readouterr().err
