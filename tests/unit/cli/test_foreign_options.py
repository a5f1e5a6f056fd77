"""Options and commands of other tools are told what they are called here."""

import re

import pytest
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.cli.foreign_options import _COMMANDS, _OPTIONS, option_hint


def said(words: str) -> str:
    done = CliRunner().invoke(app, words.split(), env={"COLUMNS": "400", "TERM": "dumb"})
    assert done.exit_code == 2
    return re.sub(r"[\s│]+", " ", done.output)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("train sft --model_name_or_path x", "Did you mean model.base=…. Keys are words without dashes"),
        ("train sft --model x", "Did you mean model.base=…"),
        ("train sft --learning_rate 1e-4", "Did you mean train.learning_rate=…"),
        ("train sft --train.epochs 3", "Did you mean train.epochs=…"),
        ("train sft --lora_rank=8", "Did you mean lora.rank=…"),
        (
            "train sft --per_device_train_batch_size 4",
            "Did you mean train.tokens_per_step=…. Batches are counted in tokens",
        ),
        ("train sft --packing", "Rows are always packed"),
        ("train sft --zzzz", "No such option: --zzzz. Keys are words without dashes"),
        ("train --stage sft", "The stage is a word of the command: medicalgpt train sft"),
        ("chat --model_name_or_path x", "Did you mean --model?"),
        ("chat --model x --max_new_tokens 3", "Did you mean --max-new-tokens?"),
        ("generate --data_file x", "Did you mean --input?"),
        ("generate --load_in_4bit", "Did you mean --quantization?"),
        ("quantize --bits 4", "Did you mean --method?"),
        ("sft --config x", "No such command 'sft'. A stage is trained with: medicalgpt train sft"),
        ("webui", "Did you mean 'demo'?"),
        ("trian", "Did you mean 'train'?"),
    ],
)
def test_a_foreign_word_is_told_ours(words: str, answer: str) -> None:
    assert answer in said(words)


def test_every_option_and_command_that_is_named_exists() -> None:
    import typer

    group = typer.main.get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    every = {name for command in commands.values() for parameter in command.params for name in parameter.opts}
    assert {option for options in _OPTIONS.values() for option in options} <= every
    assert set(_COMMANDS.values()) <= commands.keys()


def test_the_stages_own_keys_are_named() -> None:
    assert "objective.beta=…" in option_hint("--beta", "train", (), ["train", "dpo"])
    assert "objective.beta" not in option_hint("--beta", "train", (), ["train", "sft"])
