"""A tiny random model of every architecture we vouch for, and what is expected of it: the table of docs/families.md."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from medicalgpt.models.families import native_class
from tests.tiny import tiny_tokenizer
from tests.zoo_families import FAMILIES, experts

# What a configuration class knows of these is set; all of them together are a model of two layers and 30 to 100 thousand
# numbers. Windows of 6 and 4 experts of 16 numbers are small enough to matter in a row of 20 tokens.
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "sliding_window": 6,
    "query_pre_attn_scalar": 8,
    # what is random in training would not be the same twice
    **dict.fromkeys(
        [
            "attention_dropout",
            "residual_dropout",
            "hidden_dropout",
            "activation_dropout",
            "dropout",
            "embd_pdrop",
            "resid_pdrop",
            "attn_pdrop",
            "hidden_dropout_prob",
            "attention_probs_dropout_prob",
            "router_jitter_noise",
            "input_jitter_noise",
        ],
        0.0,
    ),
    # mixture of experts
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "n_shared_experts": 1,
    "shared_expert_intermediate_size": 32,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
    # compressed keys and values
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
    # linear attention and state spaces
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_d_state": 8,
    "mamba_n_groups": 1,
    "mamba_expand": 2,
}

# The image tower of models that also read pictures; here they read text only.
VISION = {
    "image_size": 28,
    "patch_size": 14,
    "depth": 2,
    "num_heads": 4,
    "out_hidden_size": 32,
    "projection_intermediate_size": 32,
}


def zoo_config(kind: str, **extra: Any) -> Any:
    """The configuration of a tiny model; a fresh object each time."""
    from transformers import CONFIG_MAPPING

    family = FAMILIES[kind]
    settings = {**family.settings, **extra}
    cls = CONFIG_MAPPING[family.model_type or kind]
    whole = cls()
    if not hasattr(whole, "text_config"):
        return _sized(cls, settings)
    parts: dict[str, Any] = {"text_config": _sized(type(whole.text_config), settings)}
    if whole.vision_config is not None:
        known = whole.vision_config.to_dict()
        vision = {name: value for name, value in {**SIZES, **VISION}.items() if name in known}
        parts["vision_config"] = type(whole.vision_config)(**vision)
    return cls(**parts)


def _sized(cls: Any, settings: dict[str, Any]) -> Any:
    known = {*cls().to_dict(), *getattr(cls, "attribute_map", {})}
    sizes = {name: value for name, value in SIZES.items() if name in known}
    tokens = {"vocab_size": len(tiny_tokenizer()), "pad_token_id": None, "bos_token_id": None, "eos_token_id": 2}
    return cls(**{**sizes, **tokens, **settings})


def transformers_class(config: Any) -> Any:
    """The class of transformers that loads a model as its authors wrote it."""
    import transformers

    return getattr(transformers, native_class(config.model_type) or "AutoModelForCausalLM")


def zoo_model(kind: str, scale: float = 4.0, **extra: Any) -> Any:
    """A random causal LM in fp32.

    Matrices are scaled up, so that attention is far from uniform; what begins at zero would hide what stands behind it.
    """
    config = zoo_config(kind, **extra)
    torch.manual_seed(0)
    model = transformers_class(config).from_config(config).float()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(scale)
            if not parameter.any():
                parameter.normal_(std=0.1)
    return model


def save_member(folder: Path, kind: str) -> Path:
    """A model folder as a user would have it: safetensors, tokenizer, template."""
    zoo_model(kind).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


HEADS = ("Architecture", "Models", "Training", "Answers", "Why not faster", "LoRA on experts")
CHINESE = {
    **dict(zip(HEADS, ("架构", "模型", "训练", "回答", "为什么不能更快", "专家上的 LoRA"))),
    **{"yes": "有", "no": "没有", "Granite 3 MoE with shared experts": "Granite 3 MoE（带共享专家）"},
    "attention of its own": "自有的注意力",
    "recurrent layers": "循环层",
    "convolutions": "卷积",
    "attention sinks": "注意力汇",
    "its layers do not pass the layout on": "各层不传递布局",
    "attention in chunks": "分块注意力",
    "a mask computed from the values": "由数值算出的掩码",
    "attention to chosen tokens only": "只看选中的 token",
    "its window is in its masks only": "窗口只在掩码里",
    "two attentions in one layer": "一层里有两个注意力",
}


def table(words: Mapping[str, str] | None = None) -> str:
    """The table of docs/families.md; in other words, if there are any."""
    rows = [list(HEADS), ["---"] * len(HEADS)]
    reached = {True: "yes", False: "no", None: "–"}
    for kind, family in sorted(FAMILIES.items()):
        name, decoder = family.model_type or kind, "decoder" if family.decoder else "transformers"
        rows.append([f"`{name}`", family.models, family.batching, decoder, family.why or "–", reached[experts(kind)]])
    lines = [f"| {' | '.join((words or {}).get(cell, cell) for cell in cells)} |" for cells in rows]
    lines[1] = "|" + "---|" * len(HEADS)
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(), table(CHINESE), sep="\n\n")
