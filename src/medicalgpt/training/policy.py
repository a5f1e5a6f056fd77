"""From a stage's config to the pieces it trains with: objective, model, batching, reference, plan."""

from typing import Any

import torch
from torch import nn

from medicalgpt.config.base import StageConfig, SupervisedConfig
from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ConfigError
from medicalgpt.kernels.attention import disable
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.excluded_modules import unreached_parameters
from medicalgpt.models.load import HeadKind, Loaded, load, pick_dtype
from medicalgpt.models.locate import locate
from medicalgpt.models.optimize import optimize_for_training
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.probe import Probe, probe
from medicalgpt.models.quantized import refuse_quantized
from medicalgpt.models.reward import RewardPolicy, probe_scores
from medicalgpt.models.trial import Run, Trial, directly
from medicalgpt.training.placing import place
from medicalgpt.training.together import gathered

Policy = CausalPolicy | RewardPolicy
AUTOCAST = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The number type behind each answer of `mixed_precision`; None is no autocast."""


def load_policy(config: SupervisedConfig) -> tuple[Loaded, Policy, str]:
    """The model to train as a policy, and one line on how it will be batched."""
    loaded = load_trained(config)
    if config.scores:
        return (loaded, *as_scorer(loaded, config))
    policy, note = as_policy(loaded, config)
    policy.neftune_alpha = config.train.neftune_alpha
    return loaded, policy, note


def load_trained(config: StageConfig, placed: bool = True) -> Loaded:
    """The model a stage trains, with its fresh adapter, or with every weight trained that text can reach.

    Args:
        placed: on this process's device; false where it is to be sharded first.
    """
    lora = config.lora if config.lora.enabled else None
    if lora is None:
        refuse_quantized(locate(config.model.base, config.model.at, config.model.trust_remote_code), "be trained")
    head: HeadKind = "score" if config.scores else "language"
    # With adapters the frozen base has its type at once, and what peft makes goes by that.
    loaded = load(_with_dtype(config), config.quantization, lora, head, as_stored=not placed and lora is None)
    if placed:
        place(loaded.model)
    keep_differentiable(loaded.model)
    if not config.lora.enabled:
        still = {id(parameter) for parameter in unreached_parameters(loaded.model)}
        for parameter in loaded.model.parameters():
            parameter.requires_grad_(id(parameter) not in still)
    return loaded


def as_policy(loaded: Loaded, config: StageConfig) -> tuple[CausalPolicy, str]:
    """A loaded language model, all its adapters in place, as a policy, and how it will be batched.

    Raises:
        ConfigError: train.batching=tree on a model that cannot.
    """
    optimize_for_training(loaded.model)
    found, note = ask_batching(loaded, config)
    checkpointed(loaded, config)
    return CausalPolicy(loaded.model, found.batching, found.chunked_head), note


def as_scorer(loaded: Loaded, config: StageConfig) -> tuple[RewardPolicy, str]:
    """A loaded reward model, and how it will be batched; raises as `as_policy` does."""
    optimize_for_training(loaded.model)
    found, note = ask_batching(loaded, config)
    checkpointed(loaded, config)
    return RewardPolicy(loaded.model, found.batching), note


def ask_batching(loaded: Loaded, config: StageConfig, run: Run = directly) -> tuple[Probe, str]:
    """What the model itself says it can do as it will train: on its device, in its number type, backward pass included.

    Args:
        run: how its forward passes are run.

    Raises:
        ConfigError: train.batching=tree on a model that cannot.
    """
    trial = Trial(AUTOCAST[mixed_precision(config)], backward=True, run=run)
    found = (probe_scores if config.scores else probe)(loaded.model, config.train.batching, trial)
    # One process's rounding may lie on the other side of a tolerance; all must run alike.
    found = max(gathered(found), key=lambda one: (one.batching == "padded", not one.chunked_head))
    if found.batching == "padded":
        disable(unwrap(loaded.model))
    if config.train.batching == "tree" and found.batching != "tree":
        raise ConfigError(f"train.batching=tree: {found.reason}; use auto or padded")
    return found, f"batching: {found.batching}" + (f" ({found.reason})" if found.reason else "")


def keep_differentiable(model: nn.Module) -> None:
    """Stop bitsandbytes from repacking 4-bit weights for AVX512 while evaluating.

    The packed kernel has no backward pass and stays in use when training goes on: gradients would silently lose every
    path through the frozen base.
    """
    for module in model.modules():
        if getattr(module, "support_avx512bf16_for_cpu", False):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]


def _with_dtype(config: StageConfig) -> ModelConfig:
    """Full training keeps fp32 master weights under bf16 autocast; a frozen base may be stored in bf16."""
    if config.lora.enabled or config.model.dtype != "auto":
        return config.model
    return config.model.model_copy(update={"dtype": "float32"})


def mixed_precision(config: StageConfig) -> str:
    """Autocast type of the training step: "no", "bf16" or "fp16"."""
    wanted = pick_dtype(config.model.dtype)
    return {torch.float32: "no", torch.bfloat16: "bf16", torch.float16: "fp16"}[wanted]


def keep_trained(player: nn.Module, trained: set[int]) -> None:
    """Of a player only what is named by `id` learns, and nothing is random."""
    player.eval()
    for parameter in player.parameters():
        parameter.requires_grad_(id(parameter) in trained)


def checkpointed(loaded: Loaded, config: StageConfig) -> None:
    """Recompute activations where the stage wants it; after the probe, which would pay for it in vain."""
    if config.train.gradient_checkpointing:
        checkpoint_activations(unwrap(loaded.model))


def checkpoint_activations(model: Any) -> None:
    """Recompute activations in the backward pass instead of keeping them."""
    enable = getattr(model, "activation_checkpointing_enable", None)
    if enable is not None:
        enable(activation_checkpointing_kwargs={"use_reentrant": False})
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
