"""From a stage's config to the pieces it trains with: objective, model, batching, reference, plan."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from medicalgpt.config.base import StageConfig, SupervisedConfig
from medicalgpt.config.rl import DistillConfig, GrpoConfig, PpoConfig, RlConfig, RlooConfig
from medicalgpt.config.sections import ModelConfig
from medicalgpt.config.stages import (
    STAGES,
    DpoConfig,
    KtoConfig,
    OrpoConfig,
    PairConfig,
    PtConfig,
    ReferencedConfig,
    RmConfig,
    SftConfig,
    SimpoConfig,
)
from medicalgpt.errors import ConfigError
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.load import Loaded, Quantization, load, pick_dtype
from medicalgpt.models.locate import locate
from medicalgpt.models.optimize import tune
from medicalgpt.models.policy import Batching, CausalPolicy
from medicalgpt.models.probe import probe
from medicalgpt.models.quantized import refuse_quantized
from medicalgpt.models.reward import RewardPolicy, probe_scores
from medicalgpt.objectives.base import Objective
from medicalgpt.objectives.distill import Distillation
from medicalgpt.objectives.dpo import DirectPreference
from medicalgpt.objectives.grpo import GroupRelative
from medicalgpt.objectives.kto import UnpairedFeedback
from medicalgpt.objectives.language import Pretraining, SupervisedFineTuning
from medicalgpt.objectives.orpo import OddsRatioPreference
from medicalgpt.objectives.ppo import ClippedPolicy
from medicalgpt.objectives.reward import RewardModelling
from medicalgpt.objectives.rloo import LeaveOneOut
from medicalgpt.objectives.simpo import SimplePreference
from medicalgpt.render.build import Prepared, replay_choice
from medicalgpt.render.mismatch import Mismatched, mismatch, mismatch_held_out
from medicalgpt.render.pack import RunPlan, plan_run
from medicalgpt.train.cache import ReferenceCache, compute
from medicalgpt.train.data import PlanDataset, Trees, costs, held_out_rows, row_costs

Policy = CausalPolicy | RewardPolicy
AUTOCAST = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The number type behind each answer of `mixed_precision`; None is no autocast."""


def stage_name(config: StageConfig) -> str:
    """The stage's short name."""
    return next(name for name, schema in STAGES.items() if type(config) is schema)


def objective_of(config: StageConfig) -> Objective:
    """The objective a config asks for."""
    if isinstance(config, PtConfig):
        return Pretraining()
    if isinstance(config, SftConfig):
        return SupervisedFineTuning()
    if isinstance(config, RmConfig):
        r = config.objective
        return RewardModelling(r.margin, r.centre, r.label_smoothing)
    if isinstance(config, OrpoConfig):
        return OddsRatioPreference(config.objective.weight)
    if isinstance(config, RlConfig):
        return policy_objective(config)
    if isinstance(config, SimpoConfig):
        return SimplePreference(config.objective.beta, config.objective.gamma)
    if isinstance(config, KtoConfig):
        k = config.objective
        return UnpairedFeedback(k.beta, k.desirable_weight, k.undesirable_weight)
    assert isinstance(config, DpoConfig)
    o = config.objective
    return DirectPreference(o.beta, o.loss, o.label_smoothing, o.length_normalised, o.sft_weight)


def policy_objective(config: RlConfig, beta: float | None = None) -> Objective:
    """What the policy minimises on its own answers; `beta` is the current one where it is adapted."""
    if isinstance(config, DistillConfig):
        return Distillation(config.objective.divergence, config.objective.mix)
    assert isinstance(config, PpoConfig | RlooConfig | GrpoConfig)
    o = config.objective
    high = o.clip if o.clip_high is None else o.clip_high
    if isinstance(config, PpoConfig):
        return ClippedPolicy(o.clip, high, config.objective.entropy)
    if isinstance(config, RlooConfig):
        return LeaveOneOut(o.clip, high)
    return GroupRelative(o.clip, high, o.beta if beta is None else beta, config.objective.reduce)


def load_policy(config: StageConfig) -> tuple[Loaded, Policy, str]:
    """The model to train as a policy, and one line on how it will be batched."""
    scores = objective_of(config).needs.scores
    loaded = load_trained(config, scores)
    return (loaded, *as_policy(loaded, config, scores))


def load_trained(config: StageConfig, scores: bool = False) -> Loaded:
    """The model a stage trains, with its fresh adapter, or with every weight trained."""
    lora = config.lora if config.lora.enabled else None
    if lora is None:
        refuse_quantized(locate(config.model.base, config.model.revision, config.model.trust_remote_code), "trained")
    loaded = load(_with_dtype(config), config.quantization, lora, "score" if scores else "language")
    keep_differentiable(loaded.model)
    if not config.lora.enabled:
        for parameter in loaded.model.parameters():
            parameter.requires_grad_(True)
    return loaded


def as_policy(loaded: Loaded, config: StageConfig, scores: bool = False) -> tuple[Policy, str]:
    """A loaded model, all its adapters in place, as the policy objectives see, and how it will be batched.

    Raises:
        ConfigError: train.batching=tree on a model that cannot.
    """
    tune(loaded.model)
    found = (probe_scores if scores else probe)(loaded.model, config.train.batching)
    if config.train.batching == "tree" and found.batching != "tree":
        raise ConfigError(f"train.batching=tree: {found.reason}; use auto or padded")
    policy: Policy
    if scores:
        policy = RewardPolicy(loaded.model, found.batching)
    else:
        policy = CausalPolicy(loaded.model, found.batching, found.chunked_head)
        if isinstance(config, SupervisedConfig):
            policy.neftune_alpha = config.train.neftune_alpha
    if config.train.gradient_checkpointing:
        checkpoint_activations(unwrap(loaded.model))
    note = f"batching: {found.batching}" + (f" ({found.reason})" if found.reason else "")
    return policy, note


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


def checkpoint_activations(model: Any) -> None:
    """Recompute activations in the backward pass instead of keeping them."""
    enable = getattr(model, "activation_checkpointing_enable", None)
    if enable is not None:
        enable(activation_checkpointing_kwargs={"use_reentrant": False})
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


@dataclass
class Plan:
    """What the run will see."""

    train: PlanDataset
    held_out: PlanDataset | None
    run: RunPlan
    padding: float
    capacity: int


def make_plan(config: SupervisedConfig, prepared: Prepared, batching: Batching, filler: int, world: int) -> Plan:
    """Choose replay, pack everything and lay out the steps.

    Raises:
        ConfigError: tokens_per_step is too small for this number of processes.
    """
    t = config.train
    parts = [(prepared.train, np.arange(len(prepared.train)))]
    if prepared.replay is not None:
        parts.append(
            (prepared.replay, replay_choice(prepared.train, prepared.replay, config.data.replay_share, t.seed))
        )
    trees = Trees(tuple(parts))
    others = partners(config, prepared)
    lengths = row_costs(trees, others[0], batching)
    branches = 2 if isinstance(config, PairConfig) else 1
    capacity = t.row_tokens or config.data.max_tokens * branches
    rows_per_step = max(1, round(t.tokens_per_step / capacity))
    if rows_per_step % world:
        rows_per_step = max(world, round(rows_per_step / world) * world)
    run = plan_run(lengths, capacity, rows_per_step, t.epochs, t.max_steps, t.seed, batching == "padded")
    held_out = None
    if prepared.held_out is not None and len(prepared.held_out):
        lengths = row_costs(prepared.held_out, others[1], batching)
        rows = held_out_rows(lengths, capacity, batching, world)
        held_out = PlanDataset(prepared.held_out, rows, batching, filler, others[1])
    train = PlanDataset(trees, run.rows, batching, filler, others[0])
    return Plan(train, held_out, run, run.padding_fraction(np.asarray([len(x) for x in trees]), capacity), capacity)


def partners(config: StageConfig, prepared: Prepared) -> tuple[Mismatched | None, Mismatched | None]:
    """Prompts with the answers of others for the training and the held-out rows, where the objective needs them."""
    if not objective_of(config).needs.baseline:
        return None, None
    limit, seed = config.data.max_tokens, config.train.seed
    train, held_out = mismatch(prepared.train, limit, seed), None
    if prepared.held_out is not None and len(prepared.held_out):
        held_out = mismatch_held_out(prepared.held_out, prepared.train, limit, seed)
    return train, held_out


def reference_kind(config: StageConfig) -> str:
    """Where the reference comes from: "adapter_off", "model" or "cached".

    Raises:
        ConfigError: adapter_off without a fresh adapter: the base would not be the model that training started from.
    """
    assert isinstance(config, ReferencedConfig)
    kind = config.objective.reference
    base = locate(config.model.base, config.model.revision, config.model.trust_remote_code)
    continued = config.model.adapter or base.kind in ("adapter", "hub-adapter")
    fresh = config.lora.enabled and not continued and config.lora.variant != "pissa"
    if kind == "auto":
        return "adapter_off" if fresh else "cached"
    if kind == "adapter_off" and not fresh:
        raise ConfigError(
            "objective.reference=adapter_off needs a fresh LoRA adapter (lora.enabled, no model.adapter, no pissa): only then "
            "is the base with the adapter off the model that training starts from; use cached or model"
        )
    return kind


def load_reference(config: ReferencedConfig, batching: Batching) -> CausalPolicy:
    """The second, frozen model that the objective was asked to compare with."""
    name = config.objective.reference_model or config.model.base
    adapter = None if config.objective.reference_model else config.model.adapter
    return open_reference(
        config.model.model_copy(update={"base": name, "adapter": adapter}), config.quantization, batching
    )


def open_reference(model: ModelConfig, quantization: Quantization, batching: Batching) -> CausalPolicy:
    """A frozen model that runs batches as the policy does.

    Raises:
        ConfigError: it cannot.
    """
    loaded = load(model, quantization, None)
    keep_differentiable(loaded.model)  # so that it rounds as the policy does, and the first margin is exactly 0
    found = probe(loaded.model, batching)
    reference = CausalPolicy(loaded.model, found.batching, found.chunked_head)
    if found.batching != batching:
        raise ConfigError(f"the reference model cannot run {batching} batches as the policy does: {found.reason}")
    reference.requires_grad_(False)
    return reference.eval()


def fill_cache(
    plan: Plan, policy: CausalPolicy, key: str, cache: Path, precision: str, rank: int = 0, world: int = 1
) -> None:
    """Attach reference log-probabilities to both datasets, computing them where no cache of that content exists.

    `precision` is the autocast type of the training step: the same rounding makes the first margin exactly 0.
    """
    autocast = AUTOCAST[precision]
    named = [("train", plan.train), ("held_out", plan.held_out)]
    named += [(f"{name}/mismatched", data.mismatched) for name, data in named if data is not None]
    for name, data in named:
        if data is None:
            continue
        digest = hashlib.sha256(f"{key}/{name}/{policy.batching}".encode()).hexdigest()[:32]
        path = cache / "reference" / f"{digest}.npz"
        if path.is_file():
            data.reference = ReferenceCache.load(path)
            continue
        rows = held_out_rows(costs(data.trees, policy.batching), plan.capacity, policy.batching, world)
        with torch.autocast(next(policy.parameters()).device.type, autocast, enabled=autocast is not None):
            data.reference = compute(
                policy, data.trees, [r for r in rows if r], policy.batching, data.filler, rank, world
            )
        if rank == 0:
            data.reference.save(path)
