"""Tiny random models and a tiny tokenizer, built in the process."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

CHATML = (
    "{%- for message in messages -%}{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)
NO_WEIGHTS = (2).to_bytes(8, "little") + b"{}"
"""A whole safetensors file without tensors, for folders that are looked at and never loaded."""
CORPUS = [
    "What is a fever? A temperature of 38 degrees or more is a fever. Call a doctor when it lasts three days.\n",
    "How is high blood pressure treated? Less salt, more movement, and tablets when they are needed.\n\n",
    "高血壓的症狀包括頭痛。請諮詢醫師。糖尿病需要控制血糖。发烧怎么办？多喝水，必要时就医。",
]


@lru_cache
def tiny_tokenizer() -> Any:
    """Byte-level BPE with about 400 tokens, ChatML template, distinct pad, eos and document end."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<pad>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(CORPUS * 5, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",
        pad_token="<pad>",
        unk_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
    )
    tokenizer.chat_template = CHATML
    return tokenizer


def tiny_config(kind: str = "llama", **extra: Any) -> Any:
    """The configuration of a tiny model of a family; a fresh object each time (loading writes into configs)."""
    import transformers as t

    vocabulary = len(tiny_tokenizer())
    common: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": 2,
    }
    families: dict[str, tuple[Any, dict[str, Any]]] = {
        "llama": (t.LlamaConfig, {}),
        "qwen2": (t.Qwen2Config, {}),
        "qwen3": (t.Qwen3Config, {"head_dim": 8}),
        "mistral": (t.MistralConfig, {"sliding_window": 6, "head_dim": 8}),
        "gemma2": (
            t.Gemma2Config,
            {
                "head_dim": 8,
                "sliding_window": 6,
                "query_pre_attn_scalar": 8,
                "attn_logit_softcapping": 4.0,
                "final_logit_softcapping": 3.0,
            },
        ),
        "gemma3": (
            t.Gemma3TextConfig,
            {
                "head_dim": 8,
                "sliding_window": 6,
                "query_pre_attn_scalar": 8,
                "layer_types": ["sliding_attention", "full_attention"],
            },
        ),
        "glm4": (t.Glm4Config, {"head_dim": 8}),
        "cohere": (t.CohereConfig, {"logit_scale": 0.5}),
        "bloom": (t.BloomConfig, {"n_layer": 2, "n_head": 4}),
        "mamba": (t.MambaConfig, {}),
    }
    cls, more = families[kind]
    if kind in ("bloom", "mamba"):
        names = ("vocab_size", "hidden_size", "num_hidden_layers", "pad_token_id", "bos_token_id", "eos_token_id")
        return cls(**{name: common[name] for name in names} | more | extra)
    return cls(**{**common, **more, **extra})


def tiny_model(kind: str = "llama", seed: int = 0, scale: float = 4.0, **extra: Any) -> Any:
    """A random causal LM in fp32. Its matrices are scaled up, so that attention and logits are far from uniform."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(tiny_config(kind, **extra)).float()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(scale)
    return model


def save_tiny(folder: Path, kind: str = "llama", **extra: Any) -> Path:
    """A model folder as a user would have it: safetensors, tokenizer, template."""
    tiny_model(kind, **extra).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def wide_model(kind: str = "llama", rows: int = 512, **extra: Any) -> Any:
    """A tiny model with more rows than the tokenizer has tokens, whose likeliest ids are among those without one."""
    model = tiny_model(kind, vocab_size=rows, **extra)
    tokens = len(tiny_tokenizer())
    with torch.no_grad():
        head = model.get_output_embeddings().weight
        head[tokens:] = 3 * head[: rows - tokens]
    return model


def cut_model(model: Any, rows: int | None = None) -> Any:
    """A copy of a model without the rows behind the tokenizer's last token."""
    import copy

    smaller = copy.deepcopy(model)
    smaller.resize_token_embeddings(rows or len(tiny_tokenizer()), mean_resizing=False)
    return smaller
