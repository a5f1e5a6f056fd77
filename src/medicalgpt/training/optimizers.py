"""The optimizer of a run: `train.optimizer` over groups of weights, LoRA+ in any of them.

Embeddings and heads get plain AdamW beside Muon and AdamW in 8 bits. Muon makes all directions of a step equally long, where most rows
of an embedding have no gradient at all; and moments of rare and frequent tokens differ too much in size for one scale.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from medicalgpt.config.base import StageConfig
from medicalgpt.config.optimizers import projected
from medicalgpt.config.sections import OptimizerConfig
from medicalgpt.errors import ConfigError
from medicalgpt.kernels.device import accelerator
from medicalgpt.kernels.eight_bit import LEAST, eight_bit, require_bitsandbytes
from medicalgpt.kernels.galore import galore, require_galore
from medicalgpt.kernels.joined import Joined
from medicalgpt.models.causal_lm import output_head

_TOKEN_ROWS: Final = frozenset({"lora_embedding_A", "lora_embedding_B", "trainable_tokens_delta"})
"""What peft calls adapters of an embedding."""
_HEADS: Final = ("score", "head")
"""Of a reward model of transformers, and of our critics and reward models."""


@dataclass(frozen=True)
class Group:
    """Trained weights by name that share a peak learning rate and a weight decay."""

    weights: Mapping[str, nn.Parameter]
    rate: float
    decay: float

    def options(self, named: Sequence[str] | None = None) -> dict[str, object]:
        """As torch takes a group; of the weights those that are named. `peak` is the rate that schedules start from."""
        chosen = self.weights if named is None else named
        params = [self.weights[name] for name in chosen]
        return {"params": params, "weight_decay": self.decay, "lr": self.rate, "peak": self.rate}


def require_optimizer(name: str) -> None:
    """Refuse an optimizer that this machine cannot run, before anything is read. Raises ConfigError."""
    if name == "paged_adamw_8bit" and accelerator() is None:
        raise ConfigError(
            "train.optimizer=paged_adamw_8bit moves moments between a GPU and main memory, and there is no GPU here; use adamw_8bit"
        )
    if name in ("adamw_8bit", "paged_adamw_8bit"):
        require_bitsandbytes(on_cpu=accelerator() is None)
    if name == "galore":
        require_galore()


def optimizer_of(
    config: StageConfig, groups: Sequence[Group], token_weights: set[int], fused: bool = False
) -> Optimizer:
    """What `train.optimizer` names, over `groups`; the first group of its list has the rate of the first of `groups`.

    Args:
        token_weights: ids of parameters that embeddings and heads have (`token_weights`).
        fused: AdamW in one kernel.

    Raises:
        ConfigError: GaLore, and no matrix is large enough for it.
    """
    t = config.train
    betas, eps = (t.adam_beta1, t.adam_beta2), t.adam_epsilon
    if config.lora.enabled and config.lora.plus_ratio != 1:
        groups = [part for group in groups for part in _with_plus(group, config.lora.plus_ratio)]
    if t.optimizer == "adamw":
        return AdamW([group.options() for group in groups], betas=betas, eps=eps, fused=fused or None)
    if t.optimizer == "adafactor":
        return Joined([_adafactor(groups)])
    takes = _taken(t)
    special, rest = _parted(groups, lambda weight: id(weight) not in token_weights and takes(weight))
    others = AdamW(rest, betas=betas, eps=eps, fused=fused or None)
    if t.optimizer == "muon":
        # Steps as large as AdamW's, so that its learning rates hold (arXiv 2502.16982).
        return Joined([Muon(special, adjust_lr_fn="match_rms_adamw"), others])
    if t.optimizer == "galore":
        if not any(group["params"] for group in special):
            raise ConfigError(
                f"train.optimizer=galore projects matrices of more than train.galore_rank={t.galore_rank} rows and columns (no "
                "embeddings, no heads), and none is trained here; adapters are smaller. Set lora.enabled=false, a lower galore_rank or "
                "optimizer=adamw"
            )
        return Joined([galore(special, betas, eps, t.galore_rank, t.galore_interval, t.galore_scale), others])
    return eight_bit(special, others, betas, eps, paged=t.optimizer == "paged_adamw_8bit")


def token_weights(*models: nn.Module) -> set[int]:
    """Ids of the parameters of embeddings and heads, also of adapters on them."""
    return {id(p) for model in models for p in _token_weights(model)}


def _token_weights(model: nn.Module) -> Iterator[nn.Parameter]:
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) or name.rsplit(".", 1)[-1] in _HEADS:
            yield from module.parameters()
        if (head := output_head(module)) is not None:
            yield from head.parameters()
    for name, parameter in model.named_parameters():
        if not _TOKEN_ROWS.isdisjoint(name.split(".")):
            yield parameter


def _taken(config: OptimizerConfig) -> Callable[[torch.Tensor], bool]:
    """Which weights are the named optimizer's own; AdamW has the others."""
    if config.optimizer == "muon":
        return lambda weight: weight.dim() == 2
    if config.optimizer == "galore":
        return lambda weight: projected(weight.shape, config.galore_rank)
    return lambda weight: weight.numel() >= LEAST


def _parted(
    groups: Sequence[Group], takes: Callable[[nn.Parameter], bool]
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Each group's weights that are taken, and the others. Empty groups stay, so that the first is always the first's."""
    taken, left = [], []
    for group in groups:
        names = [name for name, weight in group.weights.items() if takes(weight)]
        taken.append(group.options(names))
        left.append(group.options([name for name in group.weights if name not in set(names)]))
    return taken, left


def _with_plus(group: Group, ratio: float) -> Iterator[Group]:
    """LoRA+ (arXiv 2402.12354): the matrices B, which start at zero, learn faster than A."""
    fast = {n: p for n, p in group.weights.items() if not {"lora_B", "lora_embedding_B"}.isdisjoint(n.split("."))}
    yield replace(group, weights={n: p for n, p in group.weights.items() if n not in fast})
    if fast:
        yield replace(group, weights=fast, rate=ratio * group.rate)


def _adafactor(groups: Sequence[Group]) -> Optimizer:
    """transformers' Adafactor with the learning rate as it is given, as `optim: adafactor` of its Trainer."""
    from transformers.optimization import Adafactor

    return Adafactor([group.options() for group in groups], scale_parameter=False, relative_step=False)
