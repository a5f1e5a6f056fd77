"""Every layer that was asked for learns, the head too; a setting without effect is refused, a run without one says so."""

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tests.rl import scored_by, train, words
from tests.stages import SMALL, Bench, Killed, dialogues, preferences, write
from tests.tiny import save_tiny
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.models.adapters import trainable
from medicalgpt.training.rl.loop import RlTrainer
from medicalgpt.training.supervised.trainer import StageTrainer

FAST = ("train.max_steps=3", "train.learning_rate=0.02", "train.warmup=0")


def run(stage: str, base: Path, out: Path, *more: str) -> tuple[int, str]:
    """Exit code and output; raises what no command catches."""
    rows = write(out.parent / f"{stage}.jsonl", dialogues() if stage == "sft" else preferences())
    words = ["train", stage, f"model.base={base}", f"data.train={rows}", f"output_dir={out}", *SMALL, *FAST, *more]
    done = CliRunner().invoke(app, words)
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("untied") / "base", tie_word_embeddings=False)


@pytest.mark.parametrize(
    ("stage", "targets"),
    [("sft", "q_proj,lm_head"), ("sft", "lm_head"), ("dpo", "q_proj,lm_head"), ("orpo", "lm_head")],
)
def test_an_adapter_on_the_head_learns(stage: str, targets: str, untied: Path, tmp_path: Path) -> None:
    code, said = run(stage, untied, tmp_path / "run", f"lora.target_modules=[{targets}]")
    assert code == 0, said
    file = tmp_path / "run/model/adapter_model.safetensors"
    saved = load_file(file)
    assert all(".lora_" in name for name in saved), "the base's head is no part of the adapter"
    assert file.stat().st_size < 4 * sum(value.numel() for value in saved.values()) + 4096
    moved = {name: float(value.norm()) for name, value in saved.items() if "lora_B" in name}
    assert any("lm_head" in name for name in moved)
    assert all(norm > 0 for norm in moved.values()), moved


def test_a_name_of_the_list_that_no_layer_has_is_refused(untied: Path, tmp_path: Path) -> None:
    code, said = run("sft", untied, tmp_path / "run", "lora.target_modules=[q_proj,query_key_value]")
    assert code == 2
    assert "no layer that can learn is called query_key_value" in " ".join(said.split())


def test_a_run_whose_steps_are_too_small_says_that_it_learned_nothing(untied: Path, tmp_path: Path) -> None:
    code, said = run(
        "sft", untied, tmp_path / "run", "train.learning_rate=1e-30", "train.weight_decay=0", "lora.enabled=false"
    )
    assert code == 0, said
    assert "this run learned nothing" in " ".join(said.split())
    code, said = run("sft", untied, tmp_path / "other")
    assert code == 0
    assert "learned nothing" not in said
    assert "did not change" not in said


def die(*_: Any, **__: Any) -> None:
    raise Killed


def test_a_run_that_goes_on_says_so_too(untied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint that it went on from is no movement."""
    options = ("train.learning_rate=1e-30", "train.weight_decay=0", "train.save_every=2", "train.max_steps=3")
    step, save = StageTrainer.training_step, StageTrainer._save_checkpoint

    def dies_in_the_third(self: Any, *given: Any, **more: Any) -> Any:
        return die() if self.state.global_step == 2 else step(self, *given, **more)

    def saves_other_weights(self: Any, *given: Any) -> None:
        for parameter in trainable(self.module).values():
            parameter.data += 1
        save(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(StageTrainer, "training_step", dies_in_the_third)
        patch.setattr(StageTrainer, "_save_checkpoint", saves_other_weights)
        with pytest.raises(Killed):
            run("sft", untied, tmp_path / "run", *options)
    code, said = run("sft", untied, tmp_path / "run", *options)
    assert code == 0, said
    assert "learned nothing since the checkpoint of step 2" in " ".join(said.split())


def test_answers_of_equal_worth_teach_nothing_whatever_weight_decay_does(
    bench: Bench, tmp_path: Path, no_figures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (
        scored_by("equal"),
        "reward.missing_stop_penalty=0",
        "objective.beta=0",
        "train.weight_decay=0.1",
        "train.learning_rate=0.02",
        "train.save_every=1",
    )
    update = RlTrainer._update

    def dies_in_the_second(self: Any) -> Any:
        return die() if self.step == 1 else update(self)

    with monkeypatch.context() as patch:
        patch.setattr(RlTrainer, "_update", dies_in_the_second)
        with pytest.raises(Killed):
            train(bench, "grpo", tmp_path / "run", *options)
    done = CliRunner().invoke(app, ["train", *words(bench, "grpo", tmp_path / "run", *options)])
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "learned nothing since the checkpoint of step 1" in said
    assert "but by weight decay" in said
