"""The toolkits whose configurations are read: how one is known, which stage its scripts train, its words and its defaults.

The words are those that their documents and code have (LLaMA-Factory 0.9, shibing624/MedicalGPT 2.x, TRL 1.16); what a word
means here stands in `config.foreign` alone.
"""

from collections.abc import Mapping
from typing import Final, Literal

from medicalgpt.config.foreign import FOREIGN
from medicalgpt.language import translated

Tool = Literal["LLaMA-Factory", "MedicalGPT", "TRL"]

_TRAINER: Final = (
    "output_dir overwrite_output_dir do_train do_eval do_predict per_device_train_batch_size per_device_eval_batch_size "
    "gradient_accumulation_steps learning_rate num_train_epochs max_steps lr_scheduler_type warmup_ratio warmup_steps "
    "adam_beta1 adam_beta2 adam_epsilon weight_decay max_grad_norm optim bf16 fp16 tf32 deepspeed fsdp ddp_timeout "
    "ddp_find_unused_parameters "
    "resume_from_checkpoint report_to logging_steps logging_strategy logging_first_step logging_dir save_steps save_strategy "
    "save_total_limit eval_strategy evaluation_strategy eval_steps load_best_model_at_end metric_for_best_model greater_is_better "
    "seed data_seed gradient_checkpointing neftune_noise_alpha dataloader_num_workers push_to_hub hub_model_id group_by_length"
)
"""Of transformers' TrainingArguments, which all three take."""

WORDS: Final[Mapping[Tool, frozenset[str]]] = {
    "LLaMA-Factory": frozenset(
        f"{_TRAINER} model_name_or_path adapter_name_or_path trust_remote_code quantization_bit quantization_method "
        "double_quantization rope_scaling flash_attn use_unsloth enable_liger_kernel stage finetuning_type lora_rank lora_alpha "
        "lora_dropout lora_target use_dora use_rslora pissa_init pref_beta pref_ftx pref_loss dpo_label_smoothing "
        "kto_chosen_weight kto_rejected_weight simpo_gamma ref_model reward_model ppo_epochs ppo_target dataset dataset_dir "
        "eval_dataset template cutoff_len train_on_prompt mask_history streaming mix_strategy interleave_probs max_samples "
        "overwrite_cache preprocessing_num_workers val_size packing neat_packing tool_format default_system pure_bf16 plot_loss "
        "use_swanlab additional_target loraplus_lr_ratio use_galore galore_target galore_rank galore_update_interval "
        "galore_scale use_apollo use_muon max_new_tokens temperature top_p top_k".split()
    ),
    "MedicalGPT": frozenset(
        f"{_TRAINER} model_type model_name_or_path tokenizer_name_or_path load_in_8bit load_in_4bit qlora cache_dir torch_dtype "
        "device_map trust_remote_code train_file_dir validation_file_dir dataset_name max_train_samples max_eval_samples streaming "
        "block_size overwrite_cache validation_split_percentage preprocessing_num_workers packing use_peft train_on_inputs "
        "target_modules lora_rank lora_alpha lora_dropout peft_path model_max_length template_name flash_attn neft_alpha "
        "max_source_length max_target_length orpo_beta reward_model_name_or_path sft_model_path num_generations "
        "max_prompt_length max_completion_length beta modules_to_save rope_scaling".split()
    ),
    "TRL": frozenset(
        f"{_TRAINER} model_name_or_path model_revision dtype attn_implementation trust_remote_code use_peft lora_r lora_alpha "
        "lora_dropout lora_target_modules use_rslora use_dora load_in_8bit load_in_4bit bnb_4bit_quant_type dataset_name "
        "dataset_config dataset_train_split dataset_test_split dataset_streaming dataset_text_field dataset_num_proc max_length "
        "truncation_mode packing padding_free completion_only_loss assistant_only_loss beta loss_type label_smoothing "
        "desirable_weight undesirable_weight cpo_alpha simpo_gamma center_rewards_coefficient num_generations "
        "max_completion_length temperature top_p top_k num_iterations epsilon epsilon_high importance_sampling_level "
        "scale_rewards mask_truncated_completions reward_model_name_or_path reward_funcs use_vllm teacher_model_name_or_path "
        "use_liger_kernel activation_offloading lora_modules_to_save lmbda".split()
    ),
}

SAME: Final[Mapping[str, str]] = {
    word: f"{section}.{word}".lstrip(".")
    for section, words in (
        ("", "output_dir report_to"),
        ("model", "trust_remote_code dtype"),
        ("data", "template tool_format"),
        (
            "train",
            "learning_rate max_steps weight_decay max_grad_norm seed gradient_checkpointing adam_beta1 adam_beta2 adam_epsilon",
        ),
        ("objective", "label_smoothing desirable_weight undesirable_weight"),
        ("rollout", "temperature top_p top_k"),
    )
    for word in words.split()
}
"""Words that are called the same here, within a section."""

_SCRIPTS: Final[Mapping[Tool, Mapping[str, str]]] = {
    "MedicalGPT": {
        "pretraining.py": "pt",
        "supervised_finetuning.py": "sft",
        "supervised_finetuning_accelerate.py": "sft",
        "reward_modeling.py": "rm",
        "ppo_training.py": "ppo",
        "rl_training.py": "ppo",
        "dpo_training.py": "dpo",
        "orpo_training.py": "orpo",
        "grpo_training.py": "grpo",
    },
    "LLaMA-Factory": {"train_bash.py": "", "train.py": "", "llamafactory-cli": "", "llamafactory": ""},
    "TRL": {
        "sft.py": "sft",
        "dpo.py": "dpo",
        "kto.py": "kto",
        "orpo.py": "orpo",
        "cpo.py": "simpo",
        "reward_modeling.py": "rm",
        "ppo.py": "ppo",
        "rloo.py": "rloo",
        "grpo.py": "grpo",
        "gkd.py": "distill",
    },
}
TRL_COMMANDS: Final[Mapping[str, str]] = {
    "sft": "sft", "dpo": "dpo", "kto": "kto", "orpo": "orpo", "reward": "rm", "grpo": "grpo", "rloo": "rloo",
}  # fmt: skip
"""What stands behind `trl`, and our stage."""

# What is used there where nothing is set, and differs here: without it the file would not train what it did.
_TRAINER_DEFAULTS: Final[Mapping[str, float | str]] = {
    "learning_rate": 5e-5,
    "num_train_epochs": 3.0,
    "lr_scheduler_type": "linear",
    "warmup_ratio": 0.0,
    "per_device_train_batch_size": 8,
}
DEFAULTS: Final[Mapping[Tool, Mapping[str, float | str]]] = {
    "LLaMA-Factory": {**_TRAINER_DEFAULTS, "cutoff_len": 2048, "finetuning_type": "lora", "val_size": 0.0},
    "MedicalGPT": dict(_TRAINER_DEFAULTS),
    "TRL": {**_TRAINER_DEFAULTS, "use_peft": False, "max_length": 1024},
}
_TRL_RATES: Final[Mapping[str, float]] = {"sft": 2e-5, "rm": 1e-4}
_SIMPO: Final[Mapping[str, float | str]] = {"beta": 0.1, "simpo_gamma": 0.5}
_SAMPLED: Final[Mapping[str, float | str]] = {"max_completion_length": 512, "num_iterations": 1}
_OF_STAGE: Final[Mapping[Tool, Mapping[str, Mapping[str, float | str]]]] = {
    "LLaMA-Factory": {"simpo": _SIMPO, "ppo": {"ppo_epochs": 4, "ppo_target": 6.0}},
    "MedicalGPT": {},
    "TRL": {
        "simpo": _SIMPO,
        "grpo": {**_SAMPLED, "num_generations": 8, "beta": 0.0, "loss_type": "dapo"},
        "rloo": {**_SAMPLED, "num_generations": 2},
        "distill": {"lmbda": 0.5},
    },
}
_TRL_LORA: Final[Mapping[str, float]] = {"lora_r": 16, "lora_alpha": 32, "lora_dropout": 0.05}


def defaults_of(tool: Tool, stage: str) -> dict[str, float | str]:
    """The defaults of a tool's stage that differ from ours, by its word."""
    found = {**DEFAULTS[tool], **_OF_STAGE[tool].get(stage, {})}
    if tool == "TRL":
        found["learning_rate"] = _TRL_RATES.get(stage, 1e-6)
        found |= _TRL_LORA
        if stage in ("grpo", "rloo", "ppo", "distill"):
            del found["max_length"]
    return found


def script_tool(path: str, words: frozenset[str]) -> tuple[Tool, str] | None:
    """The tool that a script is of and the stage it trains ("" where its words say that); None of an unknown script.

    Args:
        words: the names of its arguments, which tell scripts of one name apart.
    """
    name = path.rpartition("/")[2]
    if name in _SCRIPTS["LLaMA-Factory"]:
        return "LLaMA-Factory", ""
    trl = "examples/scripts" in path or "/trl/" in path or name not in _SCRIPTS["MedicalGPT"]
    if name in _SCRIPTS["MedicalGPT"] and not (trl and not words & {"train_file_dir", "model_type", "template_name"}):
        return "MedicalGPT", _SCRIPTS["MedicalGPT"][name]
    return ("TRL", _SCRIPTS["TRL"][name]) if name in _SCRIPTS["TRL"] else None


def names_table() -> str:
    """Every word of the three tools and ours as a Markdown table, in the chosen language: for docs/from-other-toolkits.md."""
    lines = [f"| LLaMA-Factory | MedicalGPT | TRL | {translated('here')} | |", "|---|---|---|---|---|"]
    rows: dict[tuple[str, str], list[str]] = {}
    for word in sorted(frozenset().union(*WORDS.values())):
        meant = FOREIGN.get(word)
        keys = meant.keys if meant else (SAME[word],)
        ours = " or ".join(f"`{key}`" for key in keys)
        rows.setdefault((ours, meant.note if meant else ""), []).append(word)
    for (ours, note), words in sorted(rows.items(), key=lambda row: (row[0][0] == "", row[0])):
        cells = [", ".join(f"`{word}`" for word in words if word in WORDS[tool]) for tool in WORDS]
        lines.append(
            f"| {' | '.join(cells)} | {translated(ours) or '–'} | {translated(note).replace('|', chr(92) + '|')} |"
        )
    return "\n".join(lines)
