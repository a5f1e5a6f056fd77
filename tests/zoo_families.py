"""Every architecture we vouch for: what a tiny one is made of, and how it runs; the rows of the table of docs/families.md."""

from dataclasses import dataclass, field
from typing import Any

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
_SPARSE = ["dense", "sparse"]
_INDEXER = {"index_topk": 4, "index_head_dim": 16, "index_n_heads": 8}


# Of mixtures of experts: whose experts, and the router before them, LoRA on all linear layers reaches.
EXPERTS = {
    True: "mixtral qwen3_moe qwen3_next glm4_moe glm4_moe_lite glm_moe_dsa deepseek_v2 deepseek_v3 deepseek_v32 ernie4_5_moe "
    "hunyuan_v1_moe olmoe minimax minimax_m2 exaone_moe dots1 solar_open cohere2_moe flex_olmo afmoe mellum longcat_flash",
    False: "qwen2_moe qwen3_5_moe_text gpt_oss phimoe granitemoe llama4_text hy_v3 lfm2_moe mimo_v2_flash jetmoe "
    "granitemoehybrid jamba axk1 axk2 granitemoeshared granitemoe_swa laguna minimax_m3_vl_text hy_v4 bailing_hybrid "
    "kimi_linear kimi_k25 nemotron_h qwen3_5_moe llama4 kolibri1 deepseek_v4 qwen4_exp_text mistral4 mistral_large4 zaya "
    "step3p7 glm5_next",
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
    "cwm": _tree("Code World Model", layer_types=_MIXED, bos_token_id=1),
    "iquestcoder": _tree("IQuest Coder"),
    "youtu": _tree("Youtu-LLM", num_key_value_heads=4),
    "axk1": _tree("A.X K1", num_key_value_heads=4, mlp_layer_types=_SPARSE),
    "axk2": _padded("A.X K2", INDEXED, num_key_value_heads=4, mlp_layer_types=_SPARSE, gated_norm_rank=4, **_INDEXER),
    "nanochat": _tree("nanochat"),
    "granitemoeshared": _tree("Granite 3 MoE with shared experts", shared_intermediate_size=32),
    "granite_swa": _padded("Granite SWASH", SINKS, layer_types=_MIXED),
    "granitemoe_swa": _padded("Granite SWASH MoE", SINKS, layer_types=_MIXED, shared_intermediate_size=32),
    "flex_olmo": _tree("FlexOlmo"),
    "afmoe": _tree("Trinity", num_dense_layers=1, layer_types=_MIXED, num_shared_experts=1),
    "laguna": _tree("Laguna", layer_types=_MIXED, mlp_layer_types=_SPARSE, num_attention_heads_per_layer=[4, 4]),
    "mellum": _tree("Mellum 2", layer_types=_MIXED, mlp_layer_types=_SPARSE),
    "lfm3": _padded("LFM 3", CONVOLUTION, layer_types=["conv", "full_attention"]),
    "longcat_flash": _tree(
        "LongCat Flash",
        num_layers=2,
        ffn_hidden_size=64,
        moe_topk=2,
        zero_expert_num=2,
        expert_ffn_hidden_size=16,
        num_key_value_heads=4,
        qk_head_dim=16,
    ),
    "minimax_m3_vl_text": _padded(
        "MiniMax M3 (text)",
        INDEXED,
        layer_types=["full_attention", "minimax_m3_sparse"],
        mlp_layer_types=_SPARSE,
        dense_intermediate_size=64,
        shared_intermediate_size=16,
        rotary_dim=4,
        index_n_heads=2,
        index_head_dim=8,
        index_block_size=4,
        index_topk_blocks=2,
    ),
    "deepseek_v4": _padded(
        "DeepSeek V4",
        INDEXED,
        num_key_value_heads=1,
        head_dim=16,
        o_groups=2,
        o_lora_rank=8,
        index_n_heads=4,
        index_head_dim=8,
        index_topk=4,
        hc_mult=2,
        layer_types=["heavily_compressed_attention", "compressed_sparse_attention"],
        mlp_layer_types=["moe", "moe"],
        compress_rates={"heavily_compressed_attention": 4, "compressed_sparse_attention": 2},
    ),
    "qwen4_exp_text": _padded(
        "Qwen 4 Exp",
        RECURRENT,
        layer_types=_LINEAR,
        hc_count=2,
        hc_lowrank=8,
        indexer_n_heads=2,
        indexer_kv_heads=1,
        indexer_head_dim=8,
        indexer_budget=4,
        indexer_compress_ratio=2,
    ),
    "mistral4": _tree("Mistral Small 4", head_dim=16, num_key_value_heads=4, first_k_dense_replace=0),
    "mistral_large4": _padded("Mistral Large 4", INDEXED, num_key_value_heads=4, mlp_layer_types=_SPARSE, **_INDEXER),
    "zaya": _padded("ZAYA 1", CONVOLUTION, num_experts_per_tok=1, router_hidden_size=16),
    "step3p7": _tree(
        "Step 3.7",
        pad_token_id=3,
        layer_types=_MIXED,
        mlp_layer_types=_SPARSE,
        share_expert_dim=16,
        num_sliding_attention_heads=4,
    ),
    "glm5_next": _padded(
        "GLM 5.3 Flash",
        RECURRENT,
        num_key_value_heads=4,
        layer_types=_LINEAR,
        mlp_layer_types=_SPARSE,
        hc_mult=2,
        linear_head_dim=8,
        linear_num_heads=4,
        index_kpool=2,
        qk_rope_head_dim=0,
        head_dim=0,
        **_INDEXER,
    ),
    "hy_v4": _padded("Hunyuan 4", INDEXED, num_key_value_heads=4, mlp_layer_types=_SPARSE, hc_mult=2, **_INDEXER),
    "bailing_hybrid": _padded(
        "Ling 3", RECURRENT, num_key_value_heads=4, layer_types=_LINEAR, mlp_layer_types=_SPARSE, num_mtp_layers=0
    ),
    "kimi_linear": _padded(
        "Kimi Linear",
        RECURRENT,
        num_key_value_heads=4,
        layer_types=_LINEAR,
        mlp_layer_types=_SPARSE,
        linear_head_dim=8,
        linear_num_heads=4,
    ),
    "kimi_k25": _tree("Kimi K2.5, K2.6", num_key_value_heads=4),
    "nemotron_h": _padded(
        "Nemotron 3 Nano",
        RECURRENT,
        layers_block_type=["mamba", "attention", "moe"],
        ssm_state_size=8,
        mamba_num_heads=8,
        mamba_head_dim=8,
        n_groups=1,
        moe_shared_expert_intermediate_size=32,
        chunk_size=8,
    ),
    "zamba2": _padded(
        "Zamba 2",
        RECURRENT,
        layers_block_type=["mamba", "hybrid"],
        n_mamba_heads=8,
        mamba_ngroups=1,
        num_key_value_heads=4,
        chunk_size=8,
    ),
    "qwen3_5_moe": _padded("Qwen 3.5 MoE", RECURRENT, layer_types=_LINEAR),
    "qwen3_vl": _tree("Qwen 3 VL"),
    "mistral3": _tree("Mistral Small 3"),
    "gemma4_unified_text": _tree("Gemma 4 12B (text)", layer_types=_MIXED, global_head_dim=8),
    "llama4": _padded("Llama 4", CHUNKS, attention_chunk_size=6, intermediate_size_mlp=64),
    "kolibri1": _tree("Kolibri 1", layer_types=_MIXED),
    "codegen": _padded("CodeGen", NO_INTERFACE, rotary_dim=4, n_embd=32, n_layer=2, n_head=4),
    "doge": _padded("Doge", DYNAMIC),
}


# Tried by the slow tests only: what few will train, and what runs as another one of the table does.
RARE = (
    "cwm iquestcoder axk1 axk2 nanochat granitemoeshared granite_swa granitemoe_swa flex_olmo afmoe mellum lfm3 "
    "longcat_flash nemotron_h zamba2 qwen3_5_moe llama4 kolibri1 codegen doge mistral4 zaya step3p7 glm5_next "
    "gemma4_unified_text"
)
