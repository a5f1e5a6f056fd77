"""Fold LoRA adapters into their base. Whether the result says the same is proved elsewhere (export/equivalence.py)."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from medicalgpt.errors import ModelError
from medicalgpt.models.adapter_config import down_to_base
from medicalgpt.models.adapters import is_adapted, peft_model, scores_answers, take_out_token_rows
from medicalgpt.models.load import HeadKind
from medicalgpt.models.locate import Located, locate
from medicalgpt.models.quantized import quantized_kind, refuse_quantized


@dataclass(frozen=True)
class Chain:
    """A base and the adapters that are applied to it, the first one first."""

    base: Located
    adapters: tuple[Located, ...]

    @property
    def head(self) -> HeadKind:
        """What the adapters were trained for."""
        return "score" if scores_answers(self.adapters[0]) else "language"


def find_chain(
    model: str, adapters: Sequence[str] = (), revision: str | None = None, trust_remote_code: bool = False
) -> Chain:
    """Locate a base and its adapters; where `model` is an adapter itself, it is the first one, on its own base.

    Raises:
        ModelError: nothing to merge, something that is no adapter, quantized weights, or reward and language adapters mixed.
    """
    found = locate(model, revision, trust_remote_code)
    chain = [locate(a, None, trust_remote_code) for a in adapters]
    for given, place in zip(adapters, chain):
        if not place.is_adapter:
            raise ModelError(f"--adapter {given} is not an adapter (it has no adapter_config.json)")
    below, found = down_to_base(found, trust_remote_code)
    chain = [*reversed(below), *chain]
    if not chain:
        raise ModelError(f"{model} has no adapter to merge: it is a whole model already. Name one with --adapter")
    refuse_quantized(found, "be merged into")
    kinds = {scores_answers(place) for place in chain}
    if len(kinds) > 1:
        raise ModelError("a reward model's adapter and a language model's cannot be merged into one model")
    return Chain(found, tuple(chain))


def merge_adapter(model: nn.Module) -> nn.Module:
    """The plain model with the active adapter folded into its weights.

    Raises:
        ModelError: there is no adapter, or the base is quantized.
    """
    if not is_adapted(model):
        raise ModelError("this model has no adapter to merge")
    if kind := quantized_kind(model):
        raise ModelError(
            f"merging into quantized weights ({kind}) would change the model; load the base with quantization=none first"
        )
    take_out_token_rows(model)  # peft folds in only what is not in yet
    plain: nn.Module = peft_model(model).merge_and_unload()
    return plain
