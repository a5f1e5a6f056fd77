"""What llama.cpp must be told about a model of each family, and how it wants the tensors.

llama.cpp writes the computation down per architecture; the file gives names, sizes and weights only. A setting that its
computation does not know is refused here, as the exported model would answer differently.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedConfig

from medicalgpt.errors import ModelError
from medicalgpt.models.causal_lm import CausalLM


@dataclass(frozen=True)
class GgufFamily:
    """How llama.cpp computes a family.

    `permuted`: rotary pairs lie next to each other, not half a head apart. `norm_shift`: added to norm weights, which the
    model itself stores less one. `windows`: sliding windows are computed, so the context need not end with the window.
    """

    architecture: str
    activations: tuple[str, ...] = ("silu",)
    permuted: bool = False
    norm_shift: float = 0.0
    windows: bool = False


FAMILIES = {
    "llama": GgufFamily("llama", permuted=True),
    "mistral": GgufFamily("llama", permuted=True),
    "qwen2": GgufFamily("qwen2"),
    "qwen3": GgufFamily("qwen3"),
    "gemma3_text": GgufFamily("gemma3", ("gelu_pytorch_tanh",), norm_shift=1.0, windows=True),
}
"""By `model_type`: LLaMA (also SmolLM2, Yi, TinyLlama …), Mistral, Qwen2 and 2.5, Qwen3 (dense), Gemma 3 (text)."""

Floats = npt.NDArray[np.float32]

_GEMMA_27B_LAYERS = 62  # llama.cpp knows this size by its layers and scales its attention in another way


def family_of(config: PreTrainedConfig) -> GgufFamily:
    """The family of a model's config.

    Raises:
        ModelError: llama.cpp's computation of it is not known here, or lacks a setting of this model.
    """
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise ModelError(
            f"a model of type {config.model_type} cannot be exported to GGUF; supported: {', '.join(FAMILIES)}"
        )
    activation = getattr(config, "hidden_act", None) or getattr(config, "hidden_activation", None)
    if activation not in family.activations:
        raise _refused(config, f"hidden_act={activation}", f"only {' or '.join(family.activations)}")
    if getattr(config, "attn_logit_softcapping", None):
        raise _refused(config, "attn_logit_softcapping", "none")
    if getattr(config, "partial_rotary_factor", None) not in (None, 1, 1.0):
        raise _refused(config, "partial_rotary_factor", "only 1")
    kind = _rope(config).get("rope_type", "default")
    allowed = ("default", "linear", "llama3") if family.architecture == "llama" else ("default", "linear")
    if kind not in allowed:
        raise _refused(config, f"rope_type={kind}", f"only {', '.join(allowed)}")
    return family


def describe(config: PreTrainedConfig, family: GgufFamily) -> dict[str, int | float | str]:
    """Metadata by key without the architecture's name in front; whole numbers, floats and strings."""
    heads, head_dim = config.num_attention_heads, _head_dim(config)
    facts: dict[str, int | float | str] = {
        "context_length": context_length(config, family),
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": heads,
        "attention.head_count_kv": config.num_key_value_heads or heads,
        "attention.key_length": head_dim,
        "attention.value_length": head_dim,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "rope.dimension_count": head_dim,
        "rope.freq_base": float(_rope(config)["rope_theta"]),
        "vocab_size": config.vocab_size,
    }
    if _rope(config).get("rope_type") == "linear":
        facts |= {"rope.scaling.type": "linear", "rope.scaling.factor": float(_rope(config)["factor"])}
    if family.windows:
        facts |= {
            "attention.sliding_window": config.sliding_window,
            "attention.sliding_window_pattern": _window_pattern(config),
            "rope.freq_base_swa": float(config.rope_parameters["sliding_attention"]["rope_theta"]),
        }
        if config.final_logit_softcapping:
            facts["final_logit_softcapping"] = float(config.final_logit_softcapping)
    return facts


def context_length(config: PreTrainedConfig, family: GgufFamily) -> int:
    """The longest text for which llama.cpp computes what the model computes: its context, or its sliding window."""
    window = getattr(config, "sliding_window", None)
    slides = "sliding_attention" in (getattr(config, "layer_types", None) or ["sliding_attention"])
    if window and slides and not family.windows:
        return min(int(config.max_position_embeddings), int(window))
    return int(config.max_position_embeddings)


def tensors(model: CausalLM, family: GgufFamily) -> Iterator[tuple[str, tuple[int, ...], Callable[[], Floats]]]:
    """GGUF name, shape and a function that gives the float32 values, for every tensor; one is in memory at a time.

    Raises:
        ModelError: a tensor that the family has no name for.
    """
    import gguf

    config = model.config
    number = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == family.architecture)
    names = gguf.get_tensor_name_map(number, config.num_hidden_layers)
    # Asked of the weights: a head that was trained apart is not the embedding's, whatever the config says.
    head = model.get_output_embeddings()
    tied = head is not None and head.weight is model.get_input_embeddings().weight
    for key, value in model.state_dict().items():
        if key == "lm_head.weight" and tied:
            continue  # llama.cpp takes the embedding where there is no head
        name = names.get_name(key, (".weight", ".bias"))
        if name is None:
            raise ModelError(f"{key} has no place in a GGUF file of the architecture {family.architecture}")
        yield name, tuple(value.shape), partial(_values, key, value, config, family)
    if (factors := _rope_factors(config)) is not None:
        yield "rope_freqs.weight", factors.shape, lambda: factors


def _values(key: str, value: torch.Tensor, config: PreTrainedConfig, family: GgufFamily) -> Floats:
    array: Floats = value.detach().to("cpu", torch.float32).numpy()
    if family.permuted and ".q_proj." in key:
        array = _interleave(array, config.num_attention_heads)
    elif family.permuted and ".k_proj." in key:
        array = _interleave(array, config.num_key_value_heads or config.num_attention_heads)
    if family.norm_shift and key.endswith("norm.weight"):
        array = array + np.float32(family.norm_shift)
        if key.endswith("q_norm.weight"):
            array = array * np.float32(_query_scale(config))
    return np.ascontiguousarray(array)


def _interleave(array: Floats, heads: int) -> Floats:
    """Rows of a projection [heads · D, …] with rotary pairs (i, i + D/2) side by side."""
    halves = array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:])
    return halves.swapaxes(1, 2).reshape(array.shape)


def _query_scale(config: PreTrainedConfig) -> float:
    """What queries must be multiplied with where llama.cpp divides attention by another number than the model."""
    theirs = _head_dim(config)
    if config.num_hidden_layers == _GEMMA_27B_LAYERS:
        theirs = config.hidden_size // config.num_attention_heads
    return math.sqrt(theirs / config.query_pre_attn_scalar)


def _rope_factors(config: PreTrainedConfig) -> Floats | None:
    """What each rotary frequency [head_dim / 2] is divided by in Llama 3.1 and later."""
    rope = _rope(config)
    if rope.get("rope_type") != "llama3":
        return None
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    dim = _head_dim(config)
    plain = 1.0 / rope["rope_theta"] ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    factors: Floats = (plain / scaled.double()).float().numpy()
    return factors


def _window_pattern(config: PreTrainedConfig) -> int:
    """Every how many layers one sees the whole text."""
    kinds = config.layer_types
    pattern = kinds.index("full_attention") + 1 if "full_attention" in kinds else len(kinds) + 1
    regular = ["sliding_attention" if (i + 1) % pattern else "full_attention" for i in range(len(kinds))]
    if kinds != regular:
        raise _refused(config, "layer_types", "only one full layer behind a fixed number of sliding ones")
    return int(pattern)


def _rope(config: PreTrainedConfig) -> Mapping[str, Any]:
    """Rotary settings; of the layers that see the whole text where a model has two kinds."""
    full: Mapping[str, Any] = config.rope_parameters.get("full_attention", config.rope_parameters)
    return full


def _head_dim(config: PreTrainedConfig) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _refused(config: PreTrainedConfig, setting: str, allowed: str) -> ModelError:
    return ModelError(
        f"this {config.model_type} model has {setting}, which llama.cpp's computation of the family does not know "
        f"(allowed: {allowed}); it would answer differently, so it is not exported"
    )
