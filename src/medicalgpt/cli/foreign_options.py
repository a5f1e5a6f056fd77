"""Options and commands of other tools on our command line, and what they are called here."""

from collections.abc import Collection, Sequence

from medicalgpt.config.explain import explain
from medicalgpt.config.foreign import fold_word, meant_by
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.near_names import close_names
from medicalgpt.config.stages import STAGES

# One line: words of other tools, and the options that may be meant, of which a command has one or none.
_LINES: tuple[tuple[str, str], ...] = (
    ("model_name_or_path base_model model_path model_id pretrained_model_name_or_path ckpt", "--model"),
    ("adapter_name_or_path adapters lora_model lora_path peft_path ckpt_dir", "--adapter --model"),
    ("template_name chat_template conv_template prompt_template", "--template"),
    ("tokenizer_path tokenizer_name_or_path", "--tokenizer"),
    ("model_type", "--family"),
    ("system_prompt default_system", "--system"),
    ("max_length max_tokens max_gen_length", "--max-new-tokens"),
    ("stop_str stop_words", "--stop"),
    ("load_in_8bit load_in_4bit quantization_bit quant_bits bits", "--quantization --method"),
    ("torch_dtype bf16 fp16 precision", "--dtype"),
    ("infer_backend engine", "--backend"),
    ("data_file input_file eval_dataset val_dataset dataset", "--input"),
    ("output_file result_path output_dir export_dir save_path out", "--output"),
    ("eval_batch_size per_device_eval_batch_size", "--batch-size"),
    ("resize_emb", "--resize-embeddings"),
    ("single_tune", "--no-history"),
    ("server_port", "--port"),
    ("server_name listen", "--host"),
    ("api_key", "--api-key-file"),
    ("cutoff_len max_seq_length", "--max-tokens"),
    ("lora_rank lora_r", "--rank"),
)
_OPTIONS = {word: options.split() for words, options in _LINES for word in words.split()}
_COMMANDS = {
    "infer inference predict eval": "generate",
    "cli chat_cli interact": "chat",
    "webchat webui web-ui app ui gradio": "demo",
    "api deploy server": "serve",
    "merge-lora merge_lora": "merge",
    "quant": "quantize",
    "finetune rlhf": "train",
}


def option_hint(option: str, command: str, known: Collection[str], given: Sequence[str] = ()) -> str:
    """What `option` is called here, ready to be appended to "no such option"; "" where nobody knows.

    Args:
        command: the command it was given to, and `known` the options this has.
        given: the words after `train`, of which the first may be a stage.
    """
    word = fold_word(option)
    for ours in (f"--{word.replace('_', '-')}", *_OPTIONS.get(word, ())):
        if ours in known and ours != option:
            return f". Did you mean {ours}?"
    if command != "train":
        return ""
    keys = _keys(next((one for one in given if one in STAGES), "sft"))
    found = [key for key in keys if word in (key, key.rpartition(".")[2], key.replace(".", "_"))]
    meant = None if found else meant_by(option)
    found = found or list(meant.among(keys) if meant else close_names(word, keys, most=1))
    note = f". {meant.sentence}" if meant and meant.note else ""
    said = f". Did you mean {' or '.join(f'{key}=…' for key in found[:3])}" if found else ""
    return f"{said}{note}. Keys are words without dashes, for example train.learning_rate=1e-4"


def command_hint(name: str) -> str:
    """Which command of ours does what `name` does elsewhere, ready to be appended; "" where nobody knows."""
    if name in STAGES:
        return f" A stage is trained with: medicalgpt train {name}"
    ours = next((there for words, there in _COMMANDS.items() if name.lower() in words.split()), None)
    return f" Did you mean {ours!r}?" if ours else ""


def _keys(stage: str) -> list[str]:
    return [row.key for row in explain(stage_schema(stage))]
