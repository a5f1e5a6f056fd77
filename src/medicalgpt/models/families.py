"""Model families: what a family's config.json says, how it is loaded, which layers LoRA adapts, which template it speaks.

Weights published under one name differ inside: "ChatGLM" is two architectures with code of their own and four that
transformers carries; "Yi" is a LLaMA. So the table has one line for each `model_type` of a family, and a model is found by
its config.json, never by its name. `medicalgpt models families` prints it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from medicalgpt.config.near_names import did_you_mean
from medicalgpt.errors import ModelError

LoadingClass = Literal["AutoModelForCausalLM", "AutoModel", "AutoModelForImageTextToText"]
Targets = tuple[str, ...] | Literal["all-linear"]

# Names of the linear layers that LoRA adapts. Routers and gates of experts are left alone: moving them moves tokens
# between experts, which a few thousand rows cannot teach well.
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
_GATED = (*_ATTENTION, "gate_proj", "up_proj", "down_proj")
_FUSED_GATE = (*_ATTENTION, "gate_up_proj", "down_proj")
_ONE_QKV = ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h")
_LATENT = (
    *(
        "q_proj",
        "q_a_proj",
        "q_b_proj",
        "kv_a_proj_with_mqa",
        "kv_b_proj",
        "o_proj",
    ),  # q_proj where q is not compressed
    *("gate_proj", "up_proj", "down_proj"),
)
_LINEAR_ATTENTION = (*_GATED, "in_proj_qkvz", "in_proj_qkv", "in_proj_z", "out_proj")


@dataclass(frozen=True, slots=True)
class Architecture:
    """One `model_type` under which models of a family are published.

    `templates` are names in order of preference, of which the first that suits the tokenizer is meant. `remote_code` is
    True where transformers has no port, so that the model's own Python code is needed. `mark` is a key of config.json with
    the value that tells this one from others of the same `model_type`. Names of `lora_targets` that a model does not have
    are passed over: layers of experts, for one, come and go.
    """

    model_type: str
    templates: tuple[str, ...]
    lora_targets: Targets = _GATED
    loads: LoadingClass = "AutoModelForCausalLM"
    remote_code: bool = False
    mark: tuple[str, object] | None = None

    def describes(self, config: Mapping[str, object]) -> bool:
        """Whether a config.json is one of these."""
        if config.get("model_type") != self.model_type:
            return False
        return self.mark is None or config.get(self.mark[0]) == self.mark[1]


@dataclass(frozen=True, slots=True)
class Family:
    """A name that users know. `instead` says which models of it need no code of their own."""

    about: str
    architectures: tuple[Architecture, ...] = ()
    instead: str = ""

    @property
    def model_types(self) -> list[str]:
        """Every `model_type`, once."""
        return list(dict.fromkeys(a.model_type for a in self.architectures))


def _own_code(
    model_type: str,
    templates: tuple[str, ...],
    targets: Targets = _GATED,
    loads: LoadingClass = "AutoModelForCausalLM",
    mark: tuple[str, object] | None = None,
) -> Architecture:
    return Architecture(model_type, templates, targets, loads, remote_code=True, mark=mark)


def _each(model_types: str, templates: tuple[str, ...], targets: Targets = _GATED) -> tuple[Architecture, ...]:
    return tuple(Architecture(model_type, templates, targets) for model_type in model_types.split())


def _as_it_is(about: str, model_types: str) -> Family:
    """A family whose models bring their own chat template, and whose linear layers are all adapted, as of any model."""
    return Family(about, _each(model_types, ("vicuna",), "all-linear"))


FAMILIES: dict[str, Family] = {
    "llama": Family(
        "LLaMA 1 to 4 and what was trained from it: Vicuna, Alpaca, Ziya, SmolLM2",
        _each("llama llama4 llama4_text", ("llama3", "vicuna")),
    ),
    "bloom": Family("BLOOM and BLOOMZ", _each("bloom", ("vicuna",), _ONE_QKV)),
    "chatglm": Family(
        "ChatGLM-6B, ChatGLM2, ChatGLM3, GLM-4, GLM-5 and later",
        (
            _own_code("chatglm", ("chatglm",), _ONE_QKV, loads="AutoModel", mark=("position_encoding_2d", True)),
            _own_code("chatglm", ("glm4",), _ONE_QKV, mark=("padded_vocab_size", 151552)),
            _own_code("chatglm", ("chatglm3", "chatglm2"), _ONE_QKV),
            *_each("glm glm4", ("glm4",), _FUSED_GATE),
            *_each("glm4_moe", ("glm4",)),
            *_each("glm4_moe_lite glm_moe_dsa", ("glm4",), _LATENT),
            Architecture("glm5_next", ("glm4",), "all-linear", "AutoModelForImageTextToText"),
        ),
        "the -hf releases of GLM-4 (glm-4-9b-chat-hf) and all later ones",
    ),
    "baichuan": Family(
        "Baichuan and Baichuan2",
        (
            _own_code("baichuan", ("baichuan2",), ("W_pack", *_GATED[3:]), mark=("vocab_size", 125696)),
            _own_code("baichuan", ("baichuan",), ("W_pack", *_GATED[3:])),
        ),
    ),
    "qwen": Family(
        "Qwen 1 to 3.5",
        (
            _own_code("qwen", ("qwen", "chatml"), ("c_attn", "c_proj", "w1", "w2")),
            *_each("qwen2 qwen2_moe", ("qwen", "chatml")),
            *_each("qwen3 qwen3_moe", ("qwen3", "qwen")),
            *_each(
                "qwen3_next qwen3_5 qwen3_5_text qwen3_5_moe qwen3_5_moe_text", ("qwen3", "qwen"), _LINEAR_ATTENTION
            ),
        ),
        "Qwen1.5 and later",
    ),
    "internlm": Family(
        "InternLM 1 to 3",
        (
            _own_code("internlm", ("internlm",)),
            _own_code("internlm2", ("internlm2", "chatml"), ("wqkv", "wo", "w1", "w2", "w3")),
            *_each("internlm3", ("internlm2", "chatml")),
        ),
        "InternLM3",
    ),
    "mistral": Family("Mistral, Mixtral and Ministral", _each("mistral mixtral ministral ministral3", ("mistral",))),
    "gemma": Family(
        "Gemma 1 to 4",
        _each("gemma gemma2 gemma3 gemma3_text gemma3n gemma3n_text gemma4 gemma4_text", ("gemma",)),
    ),
    "cohere": Family("Command R and Aya", _each("cohere cohere2 cohere2_moe", ("cohere",))),
    "deepseek": Family(
        "DeepSeek LLM, Coder, V2 to V4, and the models distilled from R1",
        (
            _own_code("deepseek", ("deepseek",)),
            *_each("deepseek_v2", ("deepseek",), _LATENT),
            *_each("deepseek_v3 deepseek_v32", ("deepseek3", "deepseek"), _LATENT),
            *_each("deepseek_v4", ("deepseek3", "deepseek"), "all-linear"),
            *_each("llama", ("deepseek",)),
            *_each("qwen2 qwen3", ("deepseek3", "deepseek")),
        ),
        "DeepSeek LLM 7B and 67B, V2 and later",
    ),
    "yi": Family("Yi", (*_each("llama", ("yi", "chatml")), _own_code("Yi", ("yi", "chatml"))), "its later revisions"),
    "xverse": Family("XVERSE", (_own_code("xverse", ("xverse",)),)),
    "orion": Family("Orion", (_own_code("orion", ("orion",)),)),
    "minimax": _as_it_is("MiniMax Text 01, M1, M2, M3", "minimax minimax_m2 minimax_m3_vl_text"),
    "kimi": Family(
        "Kimi K2.5 and later, Kimi Linear; Moonlight (of DeepSeek V3's build)",
        (
            Architecture("kimi_k25", ("vicuna",), "all-linear", "AutoModelForImageTextToText"),
            *_each("kimi_linear deepseek_v3", ("vicuna",), "all-linear"),
        ),
    ),
    "hunyuan": _as_it_is("Hunyuan and Youtu-LLM", "hunyuan_v1_dense hunyuan_v1_moe hy_v3 hy_v4 youtu"),
    "ernie": _as_it_is("ERNIE 4.5", "ernie4_5 ernie4_5_moe"),
    "seed": _as_it_is("Seed-OSS", "seed_oss"),
    "ling": _as_it_is("Ling and Ring from version 3 on", "bailing_hybrid"),
    "minicpm": _as_it_is("MiniCPM 3", "minicpm3"),
    "granite": _as_it_is(
        "Granite 3, 4 and later", "granite granite_swa granitemoe granitemoe_swa granitemoeshared granitemoehybrid"
    ),
    "phi": _as_it_is("Phi 1 to 4", "phi phi3 phimoe"),
    "gpt-oss": _as_it_is("gpt-oss", "gpt_oss"),
    "olmo": _as_it_is("OLMo 1 to 3, OLMoE, FlexOlmo", "olmo olmo2 olmo3 olmo_hybrid olmoe flex_olmo"),
    "smollm": Family("SmolLM3", _each("smollm3", ("smollm", "vicuna"), "all-linear")),
    "exaone": _as_it_is("EXAONE 4 and later", "exaone4 exaone_moe"),
    "nemotron": _as_it_is("Nemotron", "nemotron nemotron_h"),
    "lfm": _as_it_is("LFM 2 and 3", "lfm2 lfm2_moe lfm3"),
    "falcon": _as_it_is("Falcon, Falcon Mamba, Falcon H1", "falcon falcon_mamba falcon_h1"),
    "auto": Family("whatever config.json says; any other causal language model of transformers, too"),
}


def identify(config: Mapping[str, object], family: str = "auto", where: str = "the model") -> Architecture:
    """The line of the table for a config.json. A `model_type` of several families is that of the one named, else the first.

    Args:
        config: the content of config.json.
        family: a name of FAMILIES.
        where: what the model is called in a message.

    Raises:
        ModelError: no such family, or the model is of another one (saying which).
    """
    known = _family(family)
    places = FAMILIES.values() if family == "auto" else (known,)
    for architecture in (a for place in places for a in place.architectures):
        if architecture.describes(config):
            return architecture
    if family == "auto":
        return _unlisted(config)
    actual = str(config.get("model_type"))
    names = [name for name, other in FAMILIES.items() if actual in other.model_types]
    belongs = f"which is {' or '.join(names)}" if names else "a model_type of no family in the table"
    raise ModelError(
        f"{where} is no {family} model: its config.json says model_type {actual!r}, {belongs}; {family} takes "
        f"{', '.join(known.model_types)}. Give {' or '.join([*names, 'auto'])} as the family (--model_type)"
    )


def family_of(architecture: Architecture) -> str:
    """The first family that lists an architecture; "auto" where none does."""
    return next((name for name, family in FAMILIES.items() if architecture in family.architectures), "auto")


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise ModelError(f"family {name!r} is unknown{did_you_mean(name, FAMILIES)}; allowed: {', '.join(FAMILIES)}")
    return FAMILIES[name]


def _unlisted(config: Mapping[str, object]) -> Architecture:
    """A model of none of the families: by its own code if transformers has none for it, all its linear layers adapted."""
    code = config.get("auto_map")
    own = code if isinstance(code, dict) else {}
    model_type = str(config.get("model_type"))
    native = native_class(model_type)
    loads: LoadingClass = native or "AutoModelForCausalLM"
    if native is None and "AutoModel" in own and "AutoModelForCausalLM" not in own:
        loads = "AutoModel"
    return Architecture(model_type, ("vicuna",), "all-linear", loads, remote_code=bool(own) and native is None)


def native_class(model_type: str) -> LoadingClass | None:
    """The class by which the installed transformers loads its own port of a language model; None where it has none.

    Some that also read pictures are known to it under a class of their own only; of these the text decoder is used.
    """
    from transformers.models.auto import modeling_auto as auto

    if model_type in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return "AutoModelForCausalLM"
    return "AutoModelForImageTextToText" if model_type in auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES else None
