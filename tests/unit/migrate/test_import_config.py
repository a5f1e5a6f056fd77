"""Configurations of other toolkits become ours: what is carried over, with which meaning, and that no word is lost."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.yaml_text import parse
from medicalgpt.errors import ConfigError
from medicalgpt.migrate.importing import import_config
from medicalgpt.migrate.written import as_yaml

LLAMA_FACTORY = """\
### model
model_name_or_path: Qwen/Qwen2.5-7B-Instruct
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 16
lora_target: q_proj,v_proj
deepspeed: examples/deepspeed/ds_z2_config.json
dataset: {dataset}
dataset_dir: data
template: qwen
cutoff_len: 1024
output_dir: saves/qwen
save_steps: 500
plot_loss: true
per_device_train_batch_size: 2
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
lr_scheduler_type: cosine
warmup_steps: 20
bf16: true
val_size: 0.1
eval_strategy: steps
eval_steps: 50
mix_strategy: interleave_under
interleave_probs: 0.7,0.3
loraplus_lr_ratio: 16.0
additional_target: embed_tokens,lm_head
optim: adamw_bnb_8bit
adam_beta2: 0.95
rope_scaling: yarn
use_galore: true
"""
SCRIPT = """\
#!/bin/bash
# SFT of a 0.5B model
OUT=outputs-sft
CUDA_VISIBLE_DEVICES=0,1 torchrun --nproc_per_node 2 supervised_finetuning.py \\
    --model_name_or_path ${1:-Qwen/Qwen2.5-0.5B} \\
    --train_file_dir ./data/finetune \\
    --validation_file_dir './data/held out' \\
    --per_device_train_batch_size 4 --gradient_accumulation_steps 8 \\
    --do_train --use_peft True --lora_rank 8 --lora_dropout 0.05 --target_modules all \\
    --model_max_length 2048 --template_name vicuna --num_train_epochs 1 --learning_rate 2e-5 \\
    --output_dir $OUT --seed $(date +%s | tail -1) --report_to tensorboard \\
    --torch_dtype float16 "${EXTRA[@]}" > log.txt 2>&1
echo "it's done"
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def imported(path: Path, stage: str | None = None, info: Path | None = None) -> tuple[dict[str, Any], str]:
    """Values by dotted key, as they stand in the written file, and its text."""
    found = import_config(path, stage, info)
    text = as_yaml(found, path.name)
    file = write(path.parent / "written.yaml", text)
    assert load(stage_schema(found.stage), file)
    values = {}
    for key, value in parse(text).value.items():
        values |= {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
    return values, text


def left(text: str) -> str:
    return " ".join(line.removeprefix("# ").strip() for line in text.partition("# Not carried over:")[2].splitlines())


def test_llama_factory_with_its_list_of_data_sets(tmp_path: Path) -> None:
    info = {
        "ward": {"file_name": "ward.json", "columns": {"prompt": "问题", "response": "答案"}, "num_samples": 100},
        "zh": {"hf_hub_url": "owner/med-zh", "formatting": "sharegpt", "tags": {"role_tag": "from"}},
    }
    write(tmp_path / "data/dataset_info.json", json.dumps(info))
    values, text = imported(write(tmp_path / "lf.yaml", LLAMA_FACTORY.format(dataset="ward,zh")))
    assert values["model.base"] == "Qwen/Qwen2.5-7B-Instruct"
    assert (values["lora.enabled"], values["lora.rank"], values["lora.alpha"]) == (
        True,
        16,
        32.0,
    )  # twice the rank there
    assert values["lora.target_modules"] == ["q_proj", "v_proj"]
    assert values["data.train"] == [
        {"path": f"{tmp_path}/data/ward.json", "rows": 100, "share": 0.7},
        {"path": "hf://owner/med-zh", "share": 0.3},
    ]
    assert values["data.columns"] == {"instruction": "问题", "output": "答案"}
    assert (values["data.max_tokens"], values["data.template"], values["data.eval_fraction"]) == (1024, "qwen", 0.1)
    assert (values["train.learning_rate"], values["train.schedule"], values["train.warmup"]) == (1e-4, "cosine", 20)
    assert values["train.epochs"] == 3.0, "not set there: its default, which is not ours"
    assert values["train.tokens_per_step"] == 2 * 8 * 1024
    assert "16 rows a step there" in text
    assert (values["train.eval_every"], values["train.save_every"]) == (50, 500)
    assert (values["distributed.shard"], values["distributed.reshard"]) == ("full", False)
    assert values["model.dtype"] == "bfloat16"
    assert "the weights stay in float32" in text
    said = left(text)
    assert values["lora.modules_to_save"] == ["embed_tokens", "lm_head"]
    assert (values["lora.plus_ratio"], values["train.optimizer"], values["train.adam_beta2"]) == (
        16.0,
        "adamw_8bit",
        0.95,
    )
    assert "model.rope_scaling=yarn and model.rope_factor=N" in said
    for word in (
        "plot_loss: true",
        "use_galore: true (lf.yaml:32): adapters are smaller than what it projects",
        "do_train: true",
        "zh.tags",
    ):
        assert word in said
    assert "report_to" not in values


def test_data_sets_that_nothing_tells_of_are_said(tmp_path: Path) -> None:
    values, text = imported(write(tmp_path / "lf.yaml", LLAMA_FACTORY.format(dataset="ward")))
    assert values["data.train"] == ["ward"]
    assert "'ward' is a name of dataset_info.json, which is not here" in text
    assert "interleave_probs" in left(text)
    other = write(tmp_path / "else/info.json", json.dumps({"ward": {"file_name": "w.json"}}))
    values, _ = imported(tmp_path / "lf.yaml", info=other)
    assert values["data.train"] == [f"{tmp_path}/else/w.json"]
    with pytest.raises(ConfigError, match="is no JSON"):
        import_config(tmp_path / "lf.yaml", None, write(tmp_path / "bad.json", "{"))


def test_an_old_script_of_medicalgpt(tmp_path: Path) -> None:
    values, text = imported(write(tmp_path / "run_sft.sh", SCRIPT))
    assert values["model.base"] == "Qwen/Qwen2.5-0.5B"
    assert (values["data.train"], values["data.eval"]) == (["./data/finetune"], ["./data/held out"])
    assert values["train.tokens_per_step"] == 4 * 8 * 2 * 2048  # two processes
    assert (values["train.epochs"], values["train.schedule"]) == (1, "linear")
    assert (values["output_dir"], values["report_to"]) == ("outputs-sft", ["tensorboard"])
    assert (values["model.dtype"], values["data.template"]) == ("float16", "vicuna")
    said = left(text)
    assert "seed: $(…) (run_sft.sh:11): only running the script would tell its value" in said
    assert "${EXTRA[@]}: true (run_sft.sh:12)" in said
    assert "train.seed" not in values
    assert "log.txt" not in text


@pytest.mark.parametrize("line", [SCRIPT.splitlines()[n] for n in (4, 5, 9)])
def test_a_script_is_never_run(tmp_path: Path, line: str) -> None:
    mark = tmp_path / "ran"
    script = SCRIPT.replace(line, f"{line[:-1]} --x $(touch {mark}) `touch {mark}` \\") + f"touch {mark}\n"
    _, text = imported(write(tmp_path / "a.sh", script))
    assert not mark.exists()
    assert "x: $(…) (a.sh:" in left(text)
    assert "$(…): true (a.sh:" in left(text)


@pytest.mark.parametrize(
    ("command", "stage", "expected"),
    [
        ("trl dpo --dataset_name a/b --beta 0.2 --loss_type hinge --use_peft --lora_r 32 --max_steps -1", "dpo",
         {"objective.beta": 0.2, "objective.loss": "hinge", "data.train": ["hf://a/b"], "lora.rank": 32, "lora.alpha": 32,
          "train.learning_rate": 1e-6, "data.max_tokens": 1024}),
        ("python examples/scripts/orpo.py --dataset_name a/b --beta 0.3", "orpo", {"objective.weight": 0.3, "lora.enabled": False}),
        ("python examples/scripts/cpo.py --dataset_name a/b --beta 2 --simpo_gamma 0.5 --loss_type simpo", "simpo",
         {"objective.beta": 2, "objective.gamma": 0.5}),
        ("python examples/scripts/reward_modeling.py --dataset_name a/b --center_rewards_coefficient 0.01", "rm",
         {"objective.center": 0.01, "train.learning_rate": 1e-4}),
        ("python reward_modeling.py --train_file_dir d --max_source_length 100 --max_target_length 60", "rm",
         {"data.max_tokens": 160, "train.learning_rate": 5e-5}),
        ("python examples/scripts/kto.py --dataset_name a/b --desirable_weight 1.5", "kto", {"objective.desirable_weight": 1.5}),
        ("accelerate launch --num_processes 4 examples/scripts/grpo.py --dataset_name a/b --num_generations 4 "
         "--per_device_train_batch_size 8 --max_completion_length 64 --scale_rewards none --loss_type dapo "
         "--reward_model_name_or_path r/m", "grpo",
         {"rollout.prompts": 8, "rollout.completions": 4, "rollout.max_new_tokens": 64, "objective.scale": False,
          "objective.loss_type": "dapo", "reward.model": "r/m"}),
        ("python src/train_bash.py --stage dpo --pref_loss orpo --pref_beta 0.2 --dataset x", "orpo", {"objective.weight": 0.2}),
        ("llamafactory-cli train --stage ppo --reward_model saves/rm --dataset x --ppo_epochs 3 --max_new_tokens 50", "ppo",
         {"reward.model": "saves/rm", "objective.epochs": 3, "rollout.max_new_tokens": 50}),
        ("python ppo_training.py --sft_model_path m --reward_model_path r --train_file_dir d", "ppo",
         {"model.base": "m", "reward.model": "r"}),
        ("python dpo_training.py --train_file_dir d --model_name_or_path m --warmup_steps 100", "dpo", {"train.warmup": 100}),
        ("python pretraining.py --train_file_dir d --block_size 512 --validation_split_percentage 3", "pt",
         {"data.max_tokens": 512, "data.eval_fraction": 0.03}),
    ],
)  # fmt: skip
def test_commands(tmp_path: Path, command: str, stage: str, expected: dict[str, Any]) -> None:
    path = write(tmp_path / "c.sh", command + "\n")
    assert import_config(path).stage == stage
    values, _ = imported(path)
    assert {key: values.get(key) for key in expected} == expected


def test_defaults_of_there_are_written_where_ours_are_others(tmp_path: Path) -> None:
    values, text = imported(write(tmp_path / "a.yaml", "stage: dpo\npref_loss: simpo\ndataset: a\n"))
    assert (values["objective.beta"], values["objective.gamma"], values["train.epochs"]) == (0.1, 0.5, 3.0)
    assert "beta: 0.1  # default of LLaMA-Factory" in text
    values, _ = imported(
        write(tmp_path / "b.sh", "trl grpo --dataset_name a/b --reward_model_name_or_path r --beta 0.04\n")
    )
    assert (values["objective.beta"], values["objective.loss_type"], values["objective.epochs"]) == (0.04, "dapo", 1)
    assert (values["rollout.completions"], values["rollout.max_new_tokens"]) == (8, 512)


def test_every_word_ends_up_somewhere(tmp_path: Path) -> None:
    """Of a long file each word stands as the source of a value, or among those that were not carried over, with its line."""
    from medicalgpt.migrate.tools import WORDS

    for tool, stage in (
        ("LLaMA-Factory", "sft"),
        ("LLaMA-Factory", "ppo"),
        ("TRL", "dpo"),
        ("TRL", "grpo"),
        ("MedicalGPT", "pt"),
    ):
        words = [*sorted(WORDS[tool] - {"stage"}), "no_such_word"]  # type: ignore[index]  # a tool's name
        lines = [f"{word}: true" for word in words] + (["stage: sft"] if tool == "LLaMA-Factory" else [])
        path = write(tmp_path / f"{tool}-{stage}.yaml", "\n".join(lines) + "\n")
        found = import_config(path, stage)
        seen = {one.word.name for one in found.left} | {w.name for v in found.values.values() for w in v.sources}
        told = " ".join(found.said)
        assert [word for word in words if word not in seen and word not in told] == [], (tool, stage)
        assert as_yaml(found, path.name)


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("optim: adamw_torch", "adamw"),
        ("optim: paged_adamw_8bit", "paged_adamw_8bit"),
        ("optim: adafactor", "adafactor"),
        ("use_muon: true\noptim: adamw_torch", "muon"),
        ("optim: galore_adamw", "galore"),
        ("use_galore: true", "galore"),
        ("use_galore: false", None),
        ("optim: lomo", None),
    ],
)
def test_optimizers(tmp_path: Path, line: str, ours: str | None) -> None:
    values, text = imported(write(tmp_path / "lf.yaml", f"stage: sft\nfinetuning_type: full\ndataset: a\n{line}\n"))
    assert values.get("train.optimizer") == ours
    if "lomo" in line:
        assert "optim: lomo (lf.yaml:4): here: adamw, adamw_8bit, paged_adamw_8bit, adafactor, muon" in left(text)


def test_galore_comes_with_its_own_defaults(tmp_path: Path) -> None:
    lines = "use_galore: true\ngalore_target: all\ngalore_rank: 64\n"
    values, text = imported(write(tmp_path / "lf.yaml", f"stage: sft\nfinetuning_type: full\ndataset: a\n{lines}"))
    ours = {key: value for key, value in values.items() if "galore" in key}
    assert ours == {"train.galore_rank": 64, "train.galore_interval": 200, "train.galore_scale": 2.0}
    assert "galore_target: all (lf.yaml:5): here: all matrices inside the layers" in left(text)


def test_what_is_refused_here_is_left_with_the_reason(tmp_path: Path) -> None:
    text = "stage: sft\nfinetuning_type: full\nquantization_bit: 4\ndataset: a\nmax_grad_norm: -1\nlr_scheduler_type: polynomial\n"
    values, text = imported(write(tmp_path / "lf.yaml", text))
    said = left(text)
    assert values["lora.enabled"] is False
    assert "quantization" not in values
    assert "quantization_bit: 4 (lf.yaml:3): quantization does not take it:" in said
    assert "it needs lora.enabled=true" in said
    assert "max_grad_norm: -1 (lf.yaml:5): train.max_grad_norm does not take it" in said
    assert "lr_scheduler_type: polynomial (lf.yaml:6): here: cosine, linear, constant, wsd" in said


def test_comments_cannot_become_values(tmp_path: Path) -> None:
    text = 'stage: sft\ndataset: a\n"x\\nmodel":\n  "y\\nlora: {rank: 1}": 3\nsystem_prompt: "a\\n# b: c"\n'
    values, _ = imported(write(tmp_path / "lf.yaml", text))
    assert "lora.rank" not in values
    assert values["data.system"] == "a\n# b: c"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "a: [", r"a\.yaml:\d: this is no YAML or JSON"),
        ("a.yaml", "- a\n", "its top level is no mapping"),
        ("a.yaml", "model:\n  base: x\n", "none of its words .* a file of ours needs no import"),
        ("a.yaml", "learning_rate: 1\ndataset_name: x\n", "does not say which stage it trains; give one of ours: --stage pt"),
        ("a.json", '{"stage": "dream", "dataset": "x"}', "its stage is 'dream'"),
        ("a.sh", "echo hi\n", "no command in it is a training"),
        ("a.sh", "python pretraining.py --a 'b\n", r"a\.sh:1: a quote that begins here does not end"),
        ("a.sh", "trl sft --config none.yaml\n", r"it names none\.yaml, which is not here"),
        ("a.sh", "python pretraining.py --a 1\npython dpo_training.py --a 1\n", r"2 trainings \(pt, dpo\); choose one with --stage"),
        ("a.yaml", "a: " + "x" * 600_000, "give the configuration or script of one training"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        import_config(write(tmp_path / name, text))


def test_reasons_are_in_the_readers_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = write(tmp_path / "a.sh", "python pretraining.py --model_type bloom --orpo_beta 0.1 --train_file_dir p\n")
    monkeypatch.setenv("MEDICALGPT_LANG", "zh-CN")
    said = CliRunner().invoke(app, ["config", "import", str(script)]).output
    assert "家族自动识别；medicalgpt models families 会列出它们；见 model.base" in said
    assert "阶段 pt 没有 objective.beta" in said


def test_one_of_several_and_a_file_behind_a_command(tmp_path: Path) -> None:
    script = write(
        tmp_path / "a.sh", "python pretraining.py --train_file_dir p\npython dpo_training.py --train_file_dir d\n"
    )
    assert import_config(script, "dpo").values["data.train"].value == ["d"]
    write(tmp_path / "lf.yaml", "stage: sft\ndataset: a\nlora_rank: 4\n")
    command = write(tmp_path / "b.sh", "llamafactory-cli train lf.yaml learning_rate=3e-5 lora_rank=8\n")
    values, _ = imported(command)
    assert (values["train.learning_rate"], values["lora.rank"]) == (3e-5, 8)


def test_the_command_prints_or_writes_a_new_file(tmp_path: Path) -> None:
    path, out = write(tmp_path / "run_sft.sh", SCRIPT), tmp_path / "config.yaml"
    done = CliRunner().invoke(app, ["config", "import", str(path), "--output", str(out)])
    assert done.exit_code == 0, done.output
    assert f"written: {out}" in done.output
    assert "words not carried over" in done.output
    checked = CliRunner().invoke(app, ["config", "validate", "sft", str(out)])
    assert checked.output.startswith("ok: ")
    again = CliRunner().invoke(app, ["config", "import", str(path), "--output", str(out)])
    assert again.exit_code == 2
    assert "is there already" in again.output
    printed = CliRunner().invoke(app, ["config", "import", str(path)])
    assert out.read_text(encoding="utf-8") in printed.output
