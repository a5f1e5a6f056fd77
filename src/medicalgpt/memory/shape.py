"""The dimensions of a model that decide its memory, read from its config alone (a model without storage on "meta")."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from medicalgpt.errors import ModelError
from medicalgpt.hub.huggingface import hub_token
from medicalgpt.memory.moments import Weight
from medicalgpt.models.adapter_config import NO_PINS, Pins, down_to_base
from medicalgpt.models.locate import locate

if TYPE_CHECKING:  # torch and transformers are imported where a model is described only
    from torch import nn
    from transformers import PreTrainedConfig

# LLaMA 7B, 13B and 33B ("30B", arXiv 2302.13971) and Llama 2 70B (arXiv 2307.09288): hidden, feed-forward, layers,
# heads, key-value heads.
LLAMA_SIZES: dict[str, tuple[int, int, int, int, int]] = {
    "7B": (4096, 11008, 32, 32, 32),
    "13B": (5120, 13824, 40, 40, 40),
    "30B": (6656, 17920, 60, 52, 52),
    "70B": (8192, 28672, 80, 64, 8),
}


@dataclass(frozen=True)
class Linear:
    """One linear layer's weight [outputs, inputs]."""

    name: str
    inputs: int
    outputs: int

    @property
    def kind(self) -> str:
        """The last part of its name."""
        return self.name.rsplit(".", 1)[-1]

    def is_called(self, target: str) -> bool:
        """Whether a LoRA target means it: its name or the end of it, as peft reads them."""
        return f".{self.name}".endswith(f".{target}")


@dataclass(frozen=True)
class ModelShape:
    """Dimensions of a decoder. `linears` are all linear layers but `head`; widths are per layer.

    `parameters` counts tied weights once. `norms` is the number of norms in a layer, `norm_width` the summed width of
    what they normalize. `plain_norms` and `swiglu` say whether kernels/elementwise.py replaces them; `head_norms` whether queries
    and keys are normalized; `tied` whether the head is the input embedding. `feed_forward` is the width one token sees
    (with experts: all of its active ones together). `weights` are all weights, a tied one once.
    """

    parameters: int
    vocab: int
    hidden: int
    layers: int
    heads: int
    query: int
    key: int
    feed_forward: int
    gated: bool
    swiglu: bool
    plain_norms: bool
    head_norms: bool
    norms: int
    norm_width: int
    linears: tuple[Linear, ...]
    tied: bool = True
    head: Linear | None = None
    weights: tuple[Weight, ...] = ()

    def grown(self, rows: int) -> "ModelShape":
        """The same model with `rows` embeddings, also in its head."""
        more = (rows - self.vocab) * self.hidden * self.token_matrices
        head = self.head and replace(self.head, outputs=rows)
        weights = tuple(replace(w, shape=(rows, *w.shape[1:])) if w.tokens else w for w in self.weights)
        return replace(self, vocab=rows, parameters=self.parameters + more, head=head, weights=weights)

    @property
    def token_matrices(self) -> int:
        """How many matrices have one row a token: the head may be the input embedding itself."""
        return 1 if self.tied else 2


def shape_of_size(size: str) -> ModelShape:
    """Shape of a LLaMA of the given size ("7B", "13B", "30B", "70B"); raises ModelError for others."""
    from transformers import LlamaConfig

    if size.upper() not in LLAMA_SIZES:
        raise ModelError(f"size {size!r} is unknown; allowed: {', '.join(LLAMA_SIZES)}; or name a model instead")
    hidden, wide, layers, heads, key_heads = LLAMA_SIZES[size.upper()]
    return shape_of_config(
        LlamaConfig(
            hidden_size=hidden,
            intermediate_size=wide,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=key_heads,
        )
    )


def shape_of_model(
    name_or_path: str, revision: str | None = None, trust_remote_code: bool = False, pins: Pins = NO_PINS
) -> ModelShape:
    """Shape of a model by name, folder or Hub id; an adapter has the shape of its base. Raises ModelError.

    Args:
        pins: as for `down_to_base`.
    """
    from transformers import AutoConfig

    _, located = down_to_base(locate(name_or_path, revision, trust_remote_code), trust_remote_code, pins)
    try:
        config = AutoConfig.from_pretrained(located.folder, token=hub_token(), trust_remote_code=trust_remote_code)
        return shape_of_config(config, trust_remote_code)
    except ModelError:
        raise
    except Exception as error:  # transformers raises what a damaged value leads to, and so does reading it
        said = error if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: {error}"
        raise ModelError(f"{name_or_path}: transformers cannot read this model's config.json: {said}") from error


def shape_of_config(config: "PreTrainedConfig", trust_remote_code: bool = False) -> ModelShape:
    """Shape of a transformers config. Raises ModelError for a model that is not a decoder with linear layers."""
    from medicalgpt.kernels.elementwise import is_rms_norm, swiglu_parts  # lazy: heavy
    from medicalgpt.models.causal_lm import unwrap  # lazy: heavy
    from medicalgpt.models.empty import empty_model  # lazy: heavy

    try:
        model = empty_model(config, trust_remote_code)
    except (ValueError, KeyError, TypeError, ImportError) as error:
        raise ModelError(
            f"{config.model_type}: not a causal language model that transformers can build: {error}"
        ) from error
    inner = unwrap(model)
    text, head = inner.config.get_text_config(), inner.get_output_embeddings()
    linears = tuple(_linears(model, head))
    if not linears:
        raise ModelError(f"{config.model_type}: the model has no linear layers; its memory cannot be estimated")
    # Recurrent models have no heads; their state is small beside the rest.
    layers, heads = text.num_hidden_layers, getattr(text, "num_attention_heads", None) or 0
    head_dim = getattr(text, "head_dim", None) or (text.hidden_size // heads if heads else 0)
    query, key = heads * head_dim, (getattr(text, "num_key_value_heads", None) or heads) * head_dim
    wide, gated = _feed_forward(text, linears, layers)
    norms, norm_width = _norms(model, layers, head_dim, query, key)
    tokens = {id(p) for m in (inner.get_input_embeddings(), head) if m is not None for p in [m.weight]}
    return ModelShape(
        # A meta model has no storage to compare, but parameters() already yields a tied weight once.
        parameters=sum(p.numel() for p in model.parameters()),
        vocab=inner.get_input_embeddings().weight.shape[0],
        hidden=text.hidden_size,
        layers=layers,
        heads=heads,
        query=query,
        key=key,
        feed_forward=wide,
        gated=gated,
        swiglu=gated and any(swiglu_parts(m) for m in model.modules()),
        plain_norms=all("Gemma" not in type(m).__name__ for m in model.modules() if is_rms_norm(m)),
        norms=norms,
        norm_width=norm_width,
        linears=linears,
        head_norms=any(n.endswith(("q_norm.weight", "k_norm.weight")) for n, _ in model.named_parameters()),
        tied=head is None or head.weight is inner.get_input_embeddings().weight,
        weights=tuple(Weight(tuple(p.shape), id(p) in tokens, n) for n, p in model.named_parameters()),
        head=next(
            (Linear(n, m.in_features, m.out_features) for n, m in model.named_modules() if id(m) == id(head)), None
        ),
    )


def _linears(model: "nn.Module", head: object) -> list[Linear]:
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    found = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and module is not head:
            found.append(Linear(name, module.in_features, module.out_features))
        elif isinstance(module, Conv1D):
            found.append(Linear(name, module.nx, module.nf))
    return found


def _feed_forward(text: "PreTrainedConfig", linears: tuple[Linear, ...], layers: int) -> tuple[int, bool]:
    """Width per token and whether the block is gated (gate and up, apart or fused, beside down)."""
    experts = getattr(text, "num_experts_per_tok", None)
    if experts and getattr(text, "moe_intermediate_size", None):
        shared = getattr(text, "n_shared_experts", None) or 0
        return int(text.moe_intermediate_size) * (experts + shared), True
    wide = getattr(text, "intermediate_size", None) or getattr(text, "n_inner", None) or 4 * text.hidden_size
    # Some families give a width per layer.
    wide = max(wide) if isinstance(wide, list | tuple) else wide
    if experts:
        return wide * experts, True
    # Outputs of width F or 2F per layer: one F is a plain block, two (or one of 2F) a gated one.
    outputs = sum(x.outputs for x in linears if x.outputs in (wide, 2 * wide) and x.inputs == text.hidden_size)
    return wide, outputs >= 2 * wide * layers


def _norms(model: "nn.Module", layers: int, head_dim: int, query: int, key: int) -> tuple[int, int]:
    """Norms per layer and their summed width; a norm over one head's width runs over all of its heads."""
    count = width = 0
    for name, parameter in model.named_parameters():
        if not name.endswith(".weight") or parameter.ndim != 1 or not any(part.isdigit() for part in name.split(".")):
            continue
        count += 1
        size = parameter.shape[0]
        if size == head_dim:
            width += query if "q" in name.split(".")[-2] else key
        else:
            width += size
    return count // layers, width // layers
