"""GGUF file → Hugging Face folder with float32 safetensors, a corrected tokenizer and every stop token."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from medicalgpt.errors import ModelError
from medicalgpt.gguf.vocab import split_digits
from medicalgpt.models.embedded.registry import EmbeddedModel
from medicalgpt.models.tokenizer_files import save_tokenizer

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


def convert_gguf(model: EmbeddedModel, gguf: Path, out: Path) -> None:
    """Dequantize `gguf` and write config, weights, tokenizer, chat template and generation config into `out`.

    Raises ModelError when the file lacks a chat template, a special token or the expected number of parameters.
    """
    from medicalgpt.models.embeddings import rows  # lazy: heavy

    with _quiet():
        tokenizer = _tokenizer(model, gguf)
        network = _network(gguf)
    parameters = sum(p.numel() for p in network.parameters())
    if parameters != model.parameters:
        raise ModelError(f"{model.name}: {gguf.name} has {parameters:,} parameters, expected {model.parameters:,}")
    if len(tokenizer) > rows(network):
        raise ModelError(f"{model.name}: {len(tokenizer)} tokens but fewer embeddings; the file is damaged")
    config = network.config
    config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    config.pad_token_id = tokenizer.pad_token_id
    # The GGUF reader leaves the name of some training run there.
    config.__dict__.pop("_model_name_or_path", None)
    network.generation_config = _generation_config(model, tokenizer)
    with _quiet():
        network.save_pretrained(out)
        save_tokenizer(tokenizer, out)


def _network(gguf: Path) -> "PreTrainedModel":
    import torch
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    # Weights are plain floats by now, but save_pretrained would still take the model for a quantized one.
    if hasattr(network, "hf_quantizer"):
        del network.hf_quantizer
    if hasattr(network.config, "quantization_config"):
        del network.config.quantization_config
    vars(network)["is_quantized"] = False
    return network


def _tokenizer(model: EmbeddedModel, gguf: Path) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    if model.chat_template:
        tokenizer.chat_template = model.chat_template
    if not tokenizer.chat_template:
        raise ModelError(f"{model.name}: {gguf.name} carries no chat template")
    missing = [t for t in (model.eos_token, model.pad_token, *model.stop_tokens) if t not in tokenizer.get_vocab()]
    if missing:
        raise ModelError(f"{model.name}: {gguf.name} lacks the special token(s) {', '.join(missing)}")
    # Some GGUF files name the stop token as padding; then masking the padding also masks every learned stop.
    tokenizer.pad_token = model.pad_token
    tokenizer.eos_token = model.eos_token
    tokenizer.model_max_length = model.context
    if model.split_digits:
        tokenizer.backend_tokenizer.pre_tokenizer = split_digits()
    return tokenizer


def _generation_config(model: EmbeddedModel, tokenizer: "PreTrainedTokenizerBase") -> "GenerationConfig":
    from transformers import GenerationConfig

    stops = [tokenizer.convert_tokens_to_ids(t) for t in model.stop_tokens]
    return GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=stops, pad_token_id=tokenizer.pad_token_id
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers' own progress bars off, and back as they were."""
    from transformers.utils import logging

    was_on, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if was_on:
            logging.enable_progress_bar()
