"""A transformers causal language model, as the rest of the house sees it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypeGuard

import torch
from torch import nn
from transformers import GenerationConfig, PreTrainedConfig

from medicalgpt.errors import ModelError
from medicalgpt.kernels.attention import AttentionModel


class TokenMatrix(Protocol):
    """Input embedding or head: a layer whose weight [V, D] has one row a token."""

    @property
    def weight(self) -> torch.Tensor:
        """The rows, of whatever number type they are kept in."""
        ...

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Token ids to embeddings, or states to logits."""
        ...


class CausalOutput(Protocol):
    """What a forward pass gives. `logits` [B, T, V]."""

    logits: torch.Tensor


class CausalLM(AttentionModel, Protocol):
    """A transformers model: its classes share these members, but no one class of transformers declares all of them.

    A sequence classifier, as reward models are, has them too; it has no output embeddings and cannot generate.
    """

    base_model_prefix: str
    config: PreTrainedConfig
    generation_config: GenerationConfig
    hf_quantizer: object
    all_tied_weights_keys: dict[str, str]
    training: bool

    @property
    def device(self) -> torch.device:
        """Where its first parameter lies."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """The number type of its first floating-point parameter."""
        ...

    def __call__(self, *, input_ids: torch.Tensor, use_cache: bool, **settings: object) -> CausalOutput:
        """The forward pass on token ids [B, T]."""
        ...

    def get_decoder(self) -> nn.Module:
        """The part below the head, for text."""
        ...

    def get_input_embeddings(self) -> TokenMatrix:
        """The embedding table."""
        ...

    def get_output_embeddings(self) -> TokenMatrix | None:
        """The head, None where there is none."""
        ...

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Put another layer in the place of the head."""
        ...

    def resize_token_embeddings(self, new_num_tokens: int, *, mean_resizing: bool) -> object:
        """Give embedding table and head this many rows."""
        ...

    def can_generate(self) -> bool:
        """Whether it writes text."""
        ...

    def save_pretrained(self, save_directory: Path | str) -> None:
        """Write config and weights into a folder."""
        ...

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """See `nn.Module`."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """See `nn.Module`."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """See `nn.Module`."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """See `nn.Module`."""
        ...

    def state_dict(self) -> Mapping[str, torch.Tensor]:
        """See `nn.Module`."""
        ...

    def set_submodule(self, target: str, module: nn.Module) -> None:
        """See `nn.Module`."""
        ...

    def float(self) -> object:
        """See `nn.Module`."""
        ...


def is_causal_lm(model: object) -> TypeGuard[CausalLM]:
    """Whether an object has what is asked of a transformers model before anything else."""
    return isinstance(model, nn.Module) and all(hasattr(model, name) for name in ("config", "get_input_embeddings"))


def unwrap(model: nn.Module | CausalLM) -> CausalLM:
    """The transformers model inside a PEFT wrapper, or the model itself.

    Raises:
        ModelError: it is no model of transformers.
    """
    base = getattr(model, "get_base_model", None)
    inner = model if base is None else base()
    if not is_causal_lm(inner):
        raise ModelError(
            f"a {type(inner).__name__} is no model of transformers (it has no config or no input embeddings); give what "
            "models.load gives"
        )
    return inner


def output_head(model: nn.Module | CausalLM) -> nn.Module | None:
    """The layer that makes logits of states; None for a model that scores."""
    head = getattr(model, "get_output_embeddings", lambda: None)()
    return head if isinstance(head, nn.Module) else None


def head_name(model: nn.Module | CausalLM) -> str | None:
    """The head's name in the model; None where there is none."""
    inner = unwrap(model)
    head = output_head(inner)
    return None if head is None else next((name for name, module in inner.named_modules() if module is head), None)


def device_of(model: nn.Module | CausalLM) -> torch.device:
    """Where token ids have to lie: the device of the embedding table, also of a model laid over several."""
    return unwrap(model).get_input_embeddings().weight.device
