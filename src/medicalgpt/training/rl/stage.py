"""One reinforcement-learning stage from its config to a finished run folder."""

import random
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medicalgpt.config.rl import RlConfig
from medicalgpt.data.files import skipped_lines
from medicalgpt.data.ledger import warning_lines
from medicalgpt.data.sources import source_lines
from medicalgpt.errors import ConfigError
from medicalgpt.kernels.device import accelerator
from medicalgpt.language import translated
from medicalgpt.memory.estimate import require_memory
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.rendering.remarks import system_remark, unknown_languages
from medicalgpt.rewards.answers import PromptRow
from medicalgpt.rewards.functions import source_file
from medicalgpt.rewards.sources import Functions, Rewards
from medicalgpt.runs.folder import StartState
from medicalgpt.runs.hashes import hash_file
from medicalgpt.training.context import Context, Outcome, Status
from medicalgpt.training.live_report import LiveReport
from medicalgpt.training.placing import training_device
from medicalgpt.training.policy import checkpoint_activations, mixed_precision
from medicalgpt.training.publish import chosen, gather, publish
from medicalgpt.training.rl.data_answers import data_answers
from medicalgpt.training.rl.experience import measure
from medicalgpt.training.rl.heldout import HeldOut, reference_trees
from medicalgpt.training.rl.loop import RlTrainer
from medicalgpt.training.rl.opening import open_roles
from medicalgpt.training.rl.process_group import ProcessGroup
from medicalgpt.training.rl.prompts import PromptSet
from medicalgpt.training.rl.roles import Roles
from medicalgpt.training.rl.servers import open_sampler
from medicalgpt.training.rl.shared_rows import share_updates
from medicalgpt.training.rl.teacher import TeacherScore
from medicalgpt.training.rl.update import Updater
from medicalgpt.training.sequence import RowGroup, row_group
from medicalgpt.training.sharding import sharding_of
from medicalgpt.training.stages import objective_of
from medicalgpt.training.together import share, wait


def train_rl(ctx: Context[RlConfig, PromptSet], start: StartState, parents: tuple[Path, ...]) -> Outcome:
    """Train the policy of a stage; raises MedicalGPTError."""
    config, prompts = ctx.config, ctx.prepared
    world = ProcessGroup(ctx.rank, ctx.world, training_device())
    _check(config, world)
    group = row_group(config, world.rank, world.size)
    sharding = sharding_of(config, world.size)
    require_memory(config, sharding.parts if sharding else 1)
    torch.manual_seed(config.train.seed)
    # Our own draws have seeds of their own; a reward function may use these.
    random.seed(f"{config.train.seed}:{ctx.rank}")
    np.random.seed([config.train.seed, ctx.rank])
    functions = None
    if config.scoring is not None:
        functions, notes = Functions.open(config.scoring, [*prompts.train, *prompts.held_out])
        prompts.notes.extend(notes)
        prompts.columns_read(functions.columns)
    with ctx.phases.during("loading", f"loading {config.model.base} and the other roles"):
        roles = open_roles(config, sharding)
        roles.notes += share_updates(roles, group, config)
    _announce(ctx, roles, prompts)
    trainer = _trainer(ctx, config, roles, prompts, world, functions, LiveReport(ctx, parents), group)
    if start.checkpoint is not None:
        ctx.console.print(translated(f"resuming from {start.checkpoint}"))
    trainer.trackers, trainer.best = _trackers(ctx, config), ctx.best
    try:
        before, after = trainer.run(start)
    finally:
        if trainer.trackers is not None:
            trainer.trackers.end_training()
    if trainer.stop.number is not None and trainer.step < trainer.updates:
        trainer.report.interrupted(trainer.step, trainer.updates)
        return Outcome(Status.INTERRUPTED, ctx.folder.path, before, signal=trainer.stop.number)
    for line in trainer.movement.findings(trainer.step, trainer.updater.optimizer):
        ctx.console.print(translated(line), highlight=False)
    if ctx.best is not None:  # its checkpoint is read by every process
        share(ctx.folder.path, [ctx.folder.metrics.name, ctx.folder.checkpoints.name])
    best, after = chosen(ctx, roles.trained(), trainer.step, trainer.updates, after)
    if (root := roles.policy.passes.root) is not None:
        gather(ctx, root)
    if ctx.rank == 0:
        with ctx.phases.during("saving", f"saving the model and the report into {ctx.folder.path}"):
            publish(ctx, roles.loaded, trainer.tokens, before, after, parents, best=best)
    wait()
    return Outcome(Status.FINISHED, ctx.folder.path, before, after)


def _check(config: RlConfig, world: ProcessGroup) -> None:
    if config.rollout.prompts % world.size:
        raise ConfigError(f"rollout.prompts={config.rollout.prompts} is no multiple of the {world.size} processes")
    if mixed_precision(config) == "fp16":
        raise ConfigError("model.dtype=float16 needs loss scaling, which ratios do not bear; use bfloat16 or float32")


def _trainer(
    ctx: Context[RlConfig, PromptSet],
    config: RlConfig,
    roles: Roles,
    prompts: PromptSet,
    world: ProcessGroup,
    functions: Functions | None,
    report: LiveReport,
    group: RowGroup,
) -> RlTrainer:
    filler = ctx.template.pad_id or 0
    capacity = config.row_tokens
    if config.train.gradient_checkpointing:
        checkpoint_activations(unwrap(roles.policy.model))
        if roles.critic is not None:
            checkpoint_activations(unwrap(roles.critic.model))
    rate = config.critic.critic_learning_rate if config.critic else 0.0
    updater = Updater(config, roles, world, capacity, filler, rate, group)
    rewards = _rewards(config, roles, capacity, ctx.template.stop_id, functions)
    sampler = open_sampler(ctx, config, roles, world)
    if config.on_policy < 1:
        lengths, seed = (config.data.max_tokens, config.rollout.max_new_tokens), config.train.seed
        stops = ctx.template.stop_ids
        sampler.data = data_answers(prompts.train, ctx.template, config.on_policy, seed, lengths, stops)
    rows = spread(prompts.held_out, config.train.eval_prompts)
    held_out = HeldOut(
        rows,
        sampler.greedy,
        partial(measure, roles, capacity=capacity, filler=filler, with_critic=False),
        rewards,
        reference_trees(rows, ctx.template, config.data.max_tokens),
        world,
    )
    return RlTrainer(config, updater, sampler, rewards, prompts.train, held_out, ctx.folder, world, ctx.phases, report)


def spread(rows: list[PromptRow], count: int) -> list[PromptRow]:
    """At most `count` rows, taken evenly from beginning to end: several files follow one another."""
    if len(rows) <= count:
        return rows
    return [rows[i * len(rows) // count] for i in range(count)]


def _rewards(
    config: RlConfig, roles: Roles, capacity: int, stop_id: int, functions: Functions | None
) -> Rewards | TeacherScore:
    if config.scoring is None:
        compare = objective_of(config)
        if not callable(compare):
            raise ConfigError(
                f"nothing scores the answers of {type(config).__name__}: return a RewardConfig section in its property "
                "`scoring`, or learn from a teacher with an objective that can be called on two tables of log-probabilities"
            )
        return TeacherScore(roles.policy, compare, capacity)
    report = roles.report
    mean, std = (report.mean, report.std or 1.0) if report is not None else (0.0, 1.0)
    return Rewards(config.scoring, config.rollout.max_new_tokens, roles.reward, stop_id, mean, std, functions)


def _announce(ctx: Context[RlConfig, PromptSet], roles: Roles, prompts: PromptSet) -> None:
    trained = sum(p.numel() for p in roles.trained().values())
    ledger = prompts.ledger
    talks = [row.dialogue.messages for row in prompts.train]
    for remark in (
        *unknown_languages((ctx.template.encoder.ids(turns[-1].content) for turns in talks), ctx.template),
        *system_remark(ctx.template, ctx.config.data.system, talks),
    ):
        ctx.console.print(translated(remark), highlight=False, markup=False)
    roles_said = "; ".join(translated(note) for note in roles.notes)
    for line in (
        *prompts.notes,
        *source_lines(ledger.get("sources", ())),
        *skipped_lines(ledger.get("skipped", {})),
        f"prompts: rows {ledger['rows']}, kept {ledger['kept']}, truncated {ledger['truncated']}, dropped {ledger['dropped']}; "
        f"{len(prompts.train)} to train on, {len(prompts.held_out)} held out",
        *warning_lines(ledger),
        f"{ctx.name}: {ctx.config.model.base}, {trained / 1e6:.2f} M parameters trained; {roles_said}",
    ):
        ctx.console.print(translated(line), highlight=False, markup=False)
    if roles.report is not None:
        a = roles.report.accuracy
        ctx.console.print(
            translated(f"reward model: right on {a.value:.1%} [{a.low:.1%}, {a.high:.1%}] of {a.rows} held-out pairs"),
            highlight=False,
        )


def _trackers(ctx: Context[RlConfig, PromptSet], config: RlConfig) -> Any:
    """Loggers beside metrics.jsonl, through accelerate; only the first process speaks."""
    if not config.report_to or ctx.rank != 0:
        return None
    from accelerate import Accelerator

    found = Accelerator(log_with=list(config.report_to), project_dir=str(ctx.folder.path), cpu=accelerator() is None)
    found.init_trackers("tensorboard" if config.report_to == ["tensorboard"] else "medicalgpt")
    return found


def function_hashes(config: RlConfig) -> dict[str, str]:
    """SHA-256 of the user's own functions that score answers."""
    out: dict[str, str] = {}
    for entry in config.scoring.functions if config.scoring else ():
        file = source_file(entry.path) if entry.path is not None else None
        if file is not None:
            out[f"reward {entry.path}"] = hash_file(file)
    return out
