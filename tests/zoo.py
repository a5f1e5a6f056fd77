"""A tiny random model of every architecture we vouch for, and what is expected of it: the table of docs/families.md."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tests.tiny import tiny_tokenizer

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
VISION = {"image_size": 28, "patch_size": 14}

NO_INTERFACE = "attention of its own"
RECURRENT = "recurrent layers"
CONVOLUTION = "convolutions"
SINKS = "attention sinks"
DROPS = "its layers do not pass the layout on"
CHUNKS = "attention in chunks"
DYNAMIC = "a mask computed from the values"
INDEXED = "attention to chosen tokens only"

_MIXED = ["sliding_attention", "full_attention"]
_LINEAR = ["linear_attention", "full_attention"]


# Of mixtures of experts: whose experts, and the router before them, LoRA on all linear layers reaches.
EXPERTS = {
    True: "mixtral qwen3_moe qwen3_next glm4_moe glm4_moe_lite glm_moe_dsa deepseek_v2 deepseek_v3 deepseek_v32 ernie4_5_moe "
    "hunyuan_v1_moe olmoe minimax minimax_m2 exaone_moe dots1 solar_open cohere2_moe",
    False: "qwen2_moe qwen3_5_moe_text gpt_oss phimoe granitemoe llama4_text hy_v3 lfm2_moe mimo_v2_flash jetmoe "
    "granitemoehybrid jamba",
}


@dataclass(frozen=True)
class Family:
    """An architecture: the models people know it by, its configuration beside `SIZES`, and how it runs.

    `why` is empty for what runs in trees and in our decoder, else the reason why not.
    """

    models: str
    settings: dict[str, Any] = field(default_factory=dict)
    batching: str = "tree"
    decoder: bool = True
    why: str = ""
    model_type: str = ""
    """Where it differs from the name in the table."""


def _padded(models: str, why: str, decoder: bool = False, **settings: Any) -> Family:
    return Family(models, settings, "padded", decoder, why)


def _tree(models: str, **settings: Any) -> Family:
    return Family(models, settings)


def experts(kind: str) -> bool | None:
    """Whether LoRA on all linear layers reaches a family's experts; None where there are none."""
    return next((reached for reached, kinds in EXPERTS.items() if kind in kinds.split()), None)


FAMILIES: dict[str, Family] = {
    "llama": _tree("Llama 1–3, Vicuna, Ziya, Yi, DeepSeek LLM, SmolLM2, TinyLlama"),
    "mistral": _tree("Mistral, Zephyr"),
    "ministral": _tree("Ministral"),
    "mixtral": _tree("Mixtral"),
    "qwen2": _tree("Qwen 1.5, 2, 2.5"),
    "qwen2_moe": _tree("Qwen 1.5 MoE, Qwen 2 57B-A14B"),
    "qwen3": _tree("Qwen 3"),
    "qwen3_moe": _tree("Qwen 3 30B-A3B, 235B-A22B"),
    "qwen3_next": _padded("Qwen 3 Next", RECURRENT, layer_types=_LINEAR),
    "qwen3_5_text": _padded("Qwen 3.5", RECURRENT, layer_types=_LINEAR),
    "qwen3_5_moe_text": _padded("Qwen 3.5 MoE", RECURRENT, layer_types=_LINEAR),
    "gemma": _tree("Gemma"),
    "gemma2": _tree("Gemma 2", attn_logit_softcapping=4.0, final_logit_softcapping=3.0),
    "gemma3_text": _tree("Gemma 3, MedGemma (text)", layer_types=_MIXED),
    "gemma3n_text": _tree(
        "Gemma 3n (text)",
        num_kv_shared_layers=0,
        layer_types=_MIXED,
        vocab_size_per_layer_input=400,
        hidden_size_per_layer_input=8,
        laurel_rank=4,
        activation_sparsity_pattern=[0.0, 0.0],
    ),
    "gemma4_text": _tree(
        "Gemma 4 (text)",
        layer_types=_MIXED,
        vocab_size_per_layer_input=400,
        hidden_size_per_layer_input=8,
        global_head_dim=8,
        num_kv_shared_layers=0,
    ),
    "glm": _tree("GLM-4 9B"),
    "glm4": _tree("GLM-4 0414"),
    "glm4_moe": _tree("GLM-4.5, 4.6"),
    "glm4_moe_lite": _tree("GLM-4.7 Flash", num_key_value_heads=4),
    "deepseek_v2": _tree("DeepSeek V2", num_key_value_heads=4),
    "deepseek_v3": _tree("DeepSeek V3, R1", num_key_value_heads=4),
    "deepseek_v32": _padded(
        "DeepSeek V3.2", INDEXED, num_key_value_heads=4, index_topk=4, index_head_dim=16, index_n_heads=8
    ),
    "internlm3": _tree("InternLM 3"),
    "minicpm3": _tree("MiniCPM 3", num_key_value_heads=4),
    "ernie4_5": _tree("ERNIE 4.5"),
    "ernie4_5_moe": _tree("ERNIE 4.5 MoE"),
    "hunyuan_v1_dense": _tree("Hunyuan 0.5B–7B"),
    "hunyuan_v1_moe": _tree("Hunyuan A13B"),
    "seed_oss": _tree("Seed-OSS"),
    "bloom": _padded("BLOOM, BLOOMZ, Phoenix", "ALiBi", n_layer=2, n_head=4),
    "gpt2": _tree("GPT-2"),
    "gpt_neox": _tree("Pythia, GPT-NeoX, Dolly"),
    "gpt_bigcode": _tree("StarCoder, SantaCoder"),
    "gptj": _padded("GPT-J", NO_INTERFACE, rotary_dim=4),
    "gpt_oss": _padded(
        "gpt-oss", SINKS, layer_types=_MIXED, rope_parameters={"rope_type": "default", "rope_theta": 1e4}
    ),
    "opt": _tree("OPT, Galactica", ffn_dim=64, word_embed_proj_dim=32),
    "falcon": _padded("Falcon", NO_INTERFACE),
    "mpt": _padded("MPT", "ALiBi"),
    "phi": _tree("Phi-1, 1.5, 2"),
    "phi3": _tree("Phi-3, 3.5, 4"),
    "phi3, partial": Family(
        "Phi-4-mini",
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}},
        model_type="phi3",
    ),
    "phimoe": Family("Phi-3.5-MoE", {"sliding_window": 512}, decoder=False, why="its window is in its masks only"),
    "cohere": _tree("Command R, Aya 23", logit_scale=0.5),
    "cohere2": _tree("Command R7B, Command A", layer_types=_MIXED),
    "olmo": _tree("OLMo"),
    "olmo2": _tree("OLMo 2"),
    "olmo3": _tree("OLMo 3", layer_types=_MIXED),
    "olmoe": _tree("OLMoE"),
    "granite": _tree("Granite 3", logits_scaling=4.0),
    "granitemoe": _tree("Granite 3 MoE"),
    "granitemoehybrid": _padded(
        "Granite 4", RECURRENT, layer_types=["mamba", "attention"], shared_intermediate_size=32
    ),
    "starcoder2": _tree("StarCoder 2"),
    "stablelm": _padded("StableLM", NO_INTERFACE),
    "smollm3": _tree("SmolLM3"),
    "exaone4": _tree("EXAONE 4", layer_types=_MIXED),
    "nemotron": _padded("Nemotron 4, Minitron", DROPS, decoder=True),
    "apertus": _tree("Apertus"),
    "llama4_text": _padded("Llama 4 (text)", CHUNKS, attention_chunk_size=6, intermediate_size_mlp=64),
    "minimax_m2": _tree("MiniMax M2"),
    "lfm2": _padded("LFM 2", CONVOLUTION, layer_types=["conv", "full_attention"]),
    "mamba": _padded("Mamba", RECURRENT),
    "falcon_mamba": _padded("Falcon Mamba", RECURRENT),
    "mamba2": _padded("Mamba 2, Codestral Mamba", RECURRENT, num_heads=8, state_size=8, n_groups=1),
    "jamba": _padded("Jamba", RECURRENT, attn_layer_offset=1, attn_layer_period=2),
    "falcon_h1": _padded("Falcon H1", RECURRENT, mamba_d_ssm=64),
    "bamba": _padded("Bamba", RECURRENT, attn_layer_indices=[1]),
    "recurrent_gemma": _padded(
        "RecurrentGemma", RECURRENT, attention_window_size=6, lru_width=32, block_types=["recurrent", "attention"]
    ),
    "rwkv": _padded("RWKV 4", RECURRENT),
    "biogpt": _padded("BioGPT", NO_INTERFACE),
    "xglm": _padded("XGLM", NO_INTERFACE, ffn_dim=64),
    "gpt_neo": _padded("GPT-Neo", NO_INTERFACE, attention_types=[[["global", "local"], 1]], window_size=6),
    "persimmon": _tree("Persimmon"),
    "ministral3": _tree(
        "Ministral 3",
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 1e4,
            "llama_4_scaling_beta": 0.1,
            "original_max_position_embeddings": 8,
        },
    ),
    "glm_moe_dsa": _padded("GLM-5", INDEXED, num_key_value_heads=4, index_topk=4, index_head_dim=16, index_n_heads=8),
    "exaone_moe": _tree("K-EXAONE", layer_types=_MIXED),
    "hy_v3": _tree("Hunyuan 3"),
    "dots1": _tree("dots.llm1"),
    "solar_open": _tree("Solar Open"),
    "arcee": _tree("AFM 4.5B"),
    "lfm2_moe": _padded("LFM 2 MoE", CONVOLUTION, layer_types=["conv", "full_attention"], num_dense_layers=1),
    "minimax": _padded("MiniMax Text 01", RECURRENT, layer_types=_LINEAR),
    "mimo_v2_flash": _padded("MiMo V2 Flash", SINKS),
    "helium": _tree("Helium"),
    "jetmoe": _tree("JetMoE", kv_channels=8),
    "olmo_hybrid": _padded("OLMo Hybrid", RECURRENT, layer_types=_LINEAR),
    "vaultgemma": _tree("VaultGemma"),
    "hyperclovax": _tree("HyperCLOVA X SEED"),
    "jais2": _tree("Jais 2"),
    "diffllama": Family("DiffLlama", decoder=False, why="two attentions in one layer"),
    "bitnet": _tree("BitNet b1.58"),
    "cohere2_moe": _tree("Command A+"),
    "gemma3": _tree("Gemma 3 4B–27B, MedGemma", layer_types=_MIXED),
    "gemma4": _tree(
        "Gemma 4",
        pad_token_id=3,
        layer_types=_MIXED,
        vocab_size_per_layer_input=400,
        hidden_size_per_layer_input=8,
        global_head_dim=8,
        num_kv_shared_layers=0,
    ),
    "qwen3_5": _padded("Qwen 3.5", RECURRENT, layer_types=_LINEAR),
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


def zoo_model(kind: str, scale: float = 4.0, **extra: Any) -> Any:
    """A random causal LM in fp32.

    Matrices are scaled up, so that attention is far from uniform; what begins at zero would hide what stands behind it.
    """
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(zoo_config(kind, **extra)).float()
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


def table() -> str:
    """The table of docs/families.md."""
    rows = [
        "| Architecture | Models | Training | Answers | Why not faster | LoRA on experts |",
        "|---|---|---|---|---|---|",
    ]
    words = {True: "yes", False: "no", None: "–"}
    for kind, family in sorted(FAMILIES.items()):
        name, decoder = family.model_type or kind, "decoder" if family.decoder else "transformers"
        cells = [f"`{name}`", family.models, family.batching, decoder, family.why or "–", words[experts(kind)]]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)
