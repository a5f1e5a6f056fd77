"""Words of other tools, and the key or sentence that says the same here.

Configs come from LLaMA-Factory, ms-swift, axolotl, TRL and transformers, and from the scripts that medical models were
trained with for years. Such a word is never obeyed: a batch size, for one, has no counterpart. It is explained.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass

_BATCH = "batches are counted in tokens: rows × tokens a row × gradient accumulation × processes"
_PACKED = "rows are always packed, and nothing is padded; see train.row_tokens and train.batching"
_ALONE = "not needed"
_FEWER = "take the first N rows of an entry, data.train={path: …, rows: N}, or set train.max_steps"
_COMMAND = "the stage is a word of the command: medicalgpt train sft"
_SHARDS = "full is FSDP and zero3; zero2 is full with distributed.reshard=false"
_LAYERS = "a layer is never split over devices; shards are whole layers' weights, distributed.shard"
_NEVER = "a finished run is never written over; choose another output_dir"
_PRIVATE = "nothing is uploaded"


@dataclass(frozen=True, slots=True)
class Meant:
    """Keys that a foreign word may mean, the likeliest first, and a sentence where keys do not say enough."""

    keys: tuple[str, ...]
    note: str = ""

    @property
    def sentence(self) -> str:
        """The note as a sentence of its own."""
        return self.note[:1].upper() + self.note[1:]

    def among(self, known: Container[str]) -> tuple[str, ...]:
        """Those of the keys that a schema knows."""
        return tuple(key for key in self.keys if key in known)


# One line: foreign words, our keys, and a sentence.
_LINES: tuple[tuple[str, str, str], ...] = (
    # the model
    ("model_name_or_path model_id model_path base_model pretrained_model_name_or_path model_name", "model.base", ""),
    ("model_type", "model.base", "the family is found by itself; medicalgpt models families lists them"),
    ("adapter_name_or_path adapters peft_path lora_model lora_model_dir ckpt_dir", "model.adapter", ""),
    ("tokenizer_name_or_path tokenizer_path tokenizer_name", "model.tokenizer", ""),
    ("sft_model_path", "model.base", ""),
    ("model_revision", "model.revision", ""),
    ("bf16 fp16 pure_bf16 tf32 torch_dtype compute_dtype mixed_precision precision", "model.dtype", ""),
    ("load_in_8bit load_in_4bit quantization_bit quant_bits bits qlora quant_method", "quantization", "int8 or nf4"),
    ("quantization_method bnb_4bit_compute_dtype bnb_4bit_quant_type double_quantization", "quantization", ""),
    ("flash_attn flash_attention use_flash_attn attn_implementation attn_impl xformers_attention", "", "chosen by itself"),
    ("rope_scaling", "model.rope_scaling", "linear or yarn, with model.rope_factor"),
    ("longlora use_unsloth enable_liger_kernel use_liger_kernel activation_offloading", "", "kernels and positions are the model's own"),
    # adapters
    ("finetuning_type train_type tuner_type sft_type use_peft use_lora full_finetune", "lora.enabled", "true, or false for all weights"),
    ("lora_r lora_rank r peft_rank", "lora.rank", ""),
    ("lora_alpha peft_alpha", "lora.alpha", ""),
    ("lora_dropout peft_dropout", "lora.dropout", ""),
    ("lora_target lora_target_modules target_modules lora_target_linear", "lora.target_modules", ""),
    ("use_dora use_rslora pissa_init peft_use_dora init_lora_weights", "lora.variant", ""),
    ("additional_target modules_to_save lora_modules_to_save", "lora.modules_to_save", ""),
    ("loraplus_lr_ratio lora_plus_ratio lorap_lr_ratio", "lora.plus_ratio", ""),
    # data
    ("dataset datasets dataset_name train_dataset train_data train_file train_files train_file_dir", "data.train", "files or folders"),
    ("dataset_dir data_path data_file data_files train_path cached_dataset", "data.train", "files or folders"),
    ("eval_dataset val_dataset validation_file validation_file_dir validation_data test_file test_datasets", "data.eval", ""),
    ("val_size val_set_size split_dataset_ratio validation_split_percentage test_size eval_split_ratio", "data.eval_fraction", "a share between 0 and 1"),
    ("cutoff_len max_seq_length max_seq_len model_max_length sequence_len max_length seq_length", "data.max_tokens", ""),
    ("block_size max_source_length max_target_length max_prompt_length", "data.max_tokens", "prompt and answer together"),
    ("chat_template conversation conversation_template template_name prompt_template prompt_template_name", "data.template", ""),
    ("default_system system_prompt", "data.system", ""),
    ("truncation_strategy truncation_mode excess_length_strategy", "data.over_length", ""),
    ("columns prompt_column query_column response_column dataset_text_field field_messages", "data.columns", ""),
    ("dataset_info dataset_format custom_dataset_info", "data.columns", "shapes are detected; columns can be named"),
    ("packing sample_packing neat_packing padding_free group_by_length pad_to_sequence_len", "", _PACKED),
    ("dataset_config dataset_train_split dataset_test_split dataset_config_name", "data.train", "hf://owner/name/configuration/split"),
    ("enable_thinking reasoning_effort", "", "templates decide; medicalgpt models templates lists them"),
    ("interleave_probs mix_strategy dataset_weights interleave_prob stopping_strategy", "data.train", "entries such as {path: …, share: 0.3}"),
    ("max_samples max_train_samples max_eval_samples train_dataset_sample", "", _FEWER),
    ("streaming dataset_streaming overwrite_cache use_cache lazy_tokenize cache_dir", "", f"{_ALONE}: rendered rows are kept in a cache by content"),
    ("preprocessing_num_workers dataloader_num_workers dataset_num_proc dataset_processes", "", _ALONE),
    ("train_on_prompt train_on_inputs mask_prompt mask_history completion_only_loss assistant_only_loss", "objective.train_on", ""),
    # steps
    ("per_device_train_batch_size per_gpu_train_batch_size micro_batch_size train_batch_size", "rollout.prompts train.tokens_per_step", _BATCH),
    ("batch_size global_batch_size gradient_accumulation_steps", "rollout.prompts train.tokens_per_step", _BATCH),
    ("per_device_eval_batch_size eval_batch_size", "", f"{_ALONE}: held-out rows are packed like the others"),
    ("num_train_epochs num_epochs n_epochs epoch", "train.epochs", ""),
    ("max_train_steps total_steps", "train.max_steps", ""),
    ("lr peak_lr", "train.learning_rate", ""),
    ("lr_scheduler_type lr_scheduler scheduler", "train.schedule", ""),
    ("warmup_ratio warmup_steps num_warmup_steps warmup_fraction", "train.warmup", "a share below 1, else steps"),
    ("optim optimizer_type", "train.optimizer", "adamw, adamw_8bit, paged_adamw_8bit, adafactor, muon or galore"),
    ("use_apollo use_badam use_adam_mini", "train.optimizer", "those here hold less, too: adamw_8bit, adafactor or galore"),
    ("use_galore", "train.optimizer", "galore"),
    ("galore_rank", "train.galore_rank", ""),
    ("galore_update_interval update_proj_gap", "train.galore_interval", ""),
    ("galore_scale", "train.galore_scale", ""),
    ("galore_target", "", "here: all matrices inside the layers that are larger than train.galore_rank"),
    ("use_muon", "train.optimizer", "muon"),
    ("gradient_clipping grad_clip max_norm", "train.max_grad_norm", ""),
    ("use_gradient_checkpointing enable_gradient_checkpointing", "train.gradient_checkpointing", ""),
    ("data_seed random_seed", "train.seed", ""),
    ("neftune_noise_alpha neft_alpha", "train.neftune_alpha", ""),
    ("logging_steps logging_strategy logging_first_step", "train.log_every", ""),
    ("save_steps save_strategy saves_per_epoch", "train.save_every", ""),
    ("eval_steps eval_strategy evaluation_strategy evals_per_epoch", "train.eval_every", ""),
    ("save_total_limit", "train.keep_checkpoints", ""),
    ("load_best_model_at_end metric_for_best_model greater_is_better", "train.keep_best", "eval/loss, or max:NAME"),
    ("early_stopping_patience early_stopping early_stopping_steps", "train.patience", "in evaluations"),
    ("resume_from_checkpoint auto_resume_from_checkpoints", "train.resume", "an interrupted run goes on by itself"),
    ("overwrite_output_dir", "", _NEVER),
    ("output_path save_path out_dir save_dir", "output_dir", ""),
    ("use_wandb wandb_project logging_dir plot_loss use_swanlab", "report_to", "report.html is written anyway"),
    ("deepspeed fsdp fsdp_config zero_stage fsdp_version", "distributed.shard", _SHARDS),
    ("ddp_timeout", "distributed.timeout", ""),
    ("ddp_find_unused_parameters ddp_backend", "", _ALONE),
    ("device_map tensor_parallel_size", "", _LAYERS),
    ("stage do_train do_eval do_predict rl rlhf_type", "", _COMMAND),
    ("push_to_hub hub_model_id hub_strategy hub_token", "", _PRIVATE),
    ("export_dir merge_lora save_safetensors", "", "medicalgpt merge writes full weights"),
    # preferences and rewards
    ("pref_beta dpo_beta kto_beta kl_coef init_kl_coef kl_penalty_coef", "objective.beta", ""),
    ("beta", "objective.beta", ""),
    ("pref_loss loss_type dpo_loss", "objective.loss objective.loss_type", ""),
    ("dpo_label_smoothing", "objective.label_smoothing", ""),
    ("center_rewards_coefficient", "objective.center", ""),
    ("pref_ftx rpo_alpha cpo_alpha ftx_gamma", "objective.sft_weight", ""),
    ("orpo_alpha orpo_beta lambda_orpo", "objective.weight", ""),
    ("simpo_gamma gamma_beta_ratio", "objective.gamma", ""),
    ("kto_chosen_weight", "objective.desirable_weight", ""),
    ("kto_rejected_weight", "objective.undesirable_weight", ""),
    ("ref_model ref_model_path reference_model reference_model_name_or_path", "objective.reference_model", ""),
    ("reward_model reward_model_path reward_model_name_or_path", "reward.model", ""),
    ("reward_funcs reward_functions", "reward.functions", ""),
    ("mask_truncated_completions", "objective.overlong_filter", ""),
    ("num_generations num_return_sequences", "rollout.completions", ""),
    ("max_completion_length max_new_tokens response_length", "rollout.max_new_tokens train.sample_tokens", ""),
    ("cliprange epsilon clip_range", "objective.clip", ""),
    ("epsilon_high cliprange_high clip_ratio_high", "objective.clip_high", ""),
    ("importance_sampling_level", "objective.ratio", ""),
    ("ppo_target", "objective.target_kl", "nats an answer"),
    ("use_vllm vllm_server_host vllm_server_port vllm_server_base_url", "rollout.backend", "vllm, with rollout.servers: addresses of running `vllm serve`"),
    ("cliprange_value", "objective.value_clip", ""),
    ("ppo_epochs num_ppo_epochs num_iterations", "objective.epochs", ""),
    ("num_mini_batches ppo_mini_batch_size", "objective.minibatches", ""),
    ("whiten_rewards whiten_advantages scale_rewards", "objective.whiten objective.scale", ""),
    ("teacher_model teacher_model_name_or_path", "objective.teacher", ""),
    ("lmbda", "objective.on_policy", ""),
)  # fmt: skip

FOREIGN: Mapping[str, Meant] = {
    word: Meant(tuple(keys.split()), note) for words, keys, note in _LINES for word in words.split()
}
"""By word, lower case with underscores."""


def meant_by(word: str) -> Meant | None:
    """What a word of another tool means here, however it is written (`--Learning-Rate` as `learning_rate`); None where unknown."""
    return FOREIGN.get(fold_word(word))


def fold_word(word: str) -> str:
    """A word in small letters with underscores, without the dashes of an option."""
    return word.lstrip("-").replace("-", "_").lower()
