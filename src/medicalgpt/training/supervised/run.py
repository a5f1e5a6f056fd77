"""Train one stage on fixed rows."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from medicalgpt.checkpoints.checkpoint import header
from medicalgpt.config.base import SupervisedConfig
from medicalgpt.data.files import skipped_lines
from medicalgpt.data.ledger import warning_lines
from medicalgpt.data.records import Message
from medicalgpt.data.sources import source_lines
from medicalgpt.disk.cache import cache_root
from medicalgpt.errors import ConfigError, RenderError
from medicalgpt.language import translated
from medicalgpt.memory.estimate import require_memory
from medicalgpt.models.adapters import trainable
from medicalgpt.models.load import Loaded
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.rendering.build import Prepared
from medicalgpt.rendering.remarks import system_remark, trained_ids, unknown_languages
from medicalgpt.rendering.rows import encode_conversation
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.runs.folder import StartState
from medicalgpt.runs.hashes import hash_json
from medicalgpt.training.context import Context, Outcome, Status
from medicalgpt.training.live_report import LiveReport
from medicalgpt.training.policy import AUTOCAST, Policy, mixed_precision
from medicalgpt.training.preflight import as_table, preflight, show
from medicalgpt.training.publish import chosen, gather, publish
from medicalgpt.training.reference import load_reference, reference_kind
from medicalgpt.training.sequence import RowGroup, row_group, share_rows
from medicalgpt.training.sharding import sharding_of
from medicalgpt.training.stages import objective_of
from medicalgpt.training.supervised.module import StageModule
from medicalgpt.training.supervised.opening import open_module
from medicalgpt.training.supervised.plan import Plan, make_plan
from medicalgpt.training.supervised.reference_filling import fill_caches
from medicalgpt.training.supervised.reward_report import reward_report
from medicalgpt.training.supervised.session import build_trainer
from medicalgpt.training.supervised.trainer import StageTrainer
from medicalgpt.training.together import share, wait


def train_supervised(ctx: Context[SupervisedConfig, Prepared], start: StartState, parents: tuple[Path, ...]) -> Outcome:
    config, console, prepared = ctx.config, ctx.console, ctx.prepared
    group, sharding = row_group(config, ctx.rank, ctx.world), sharding_of(config, ctx.world)
    require_memory(config, sharding.parts if sharding else 1)
    torch.manual_seed(config.train.seed)
    with ctx.phases.during("loading", f"loading {config.model.base}"):
        loaded, module, note = open_module(config, sharding)
        note += share_rows(module, group, config)
    policy = module.policy
    total, learn = _millions(policy)
    what = f"{ctx.name}: {config.model.base}, {total:.1f} M parameters, {learn:.2f} M trained, {note}"
    console.print(translated(what), highlight=False)
    _preflight(ctx, prepared, loaded)
    earlier = header(start.checkpoint) if start.checkpoint is not None else None
    plan = make_plan(config, prepared, policy.batching, ctx.template.pad_id or 0, group.count, start.stretched, earlier)
    console.print(
        translated(
            f"{plan.run.steps} steps × {plan.run.rows_per_step} rows of up to {plan.capacity} tokens; "
            f"{plan.padding:.1%} of the rows' room is empty"
        ),
        highlight=False,
    )
    reference = _reference(ctx, module, plan, group)
    if reference is not None:
        module.compare_with(reference)
    live = LiveReport(ctx, parents)
    trainer, stop = build_trainer(ctx, module, plan, loaded, live, group)
    if start.checkpoint is not None:
        console.print(translated(f"resuming from {start.checkpoint}"))
    before = trainer.run(start)
    if stop.signal is not None and trainer.state.global_step < trainer.state.max_steps:
        live.interrupted(trainer.state.global_step, trainer.state.max_steps)
        return Outcome(Status.INTERRUPTED, ctx.folder.path, before, signal=stop.signal)
    for line in trainer.movement.findings(trainer.state.global_step, trainer.optimizer):
        console.print(translated(line), highlight=False)
    after = trainer.evaluate()
    trainer.answer(trainer.state.global_step)
    after = _finish(ctx, trainer, loaded, parents, (before, after), plan.run.steps)
    return Outcome(Status.FINISHED, ctx.folder.path, before, after)


def _finish(
    ctx: Context[SupervisedConfig, Prepared],
    trainer: StageTrainer,
    loaded: Loaded,
    parents: tuple[Path, ...],
    numbers: tuple[dict[str, float], dict[str, float]],
    steps: int,
) -> dict[str, float]:
    """Publish the best model or the last; of a sharded one the first process gathers the whole. Returns its held-out numbers."""
    module, (before, after) = trainer.module, numbers
    if ctx.best is not None:  # its checkpoint is read by every process
        share(ctx.folder.path, [ctx.folder.metrics.name, ctx.folder.checkpoints.name])
    best, after = chosen(ctx, trainable(module), trainer.state.global_step, steps, after)
    report = reward_report(ctx, trainer)
    if module.sharding is not None:
        gather(ctx, module)
    if ctx.rank == 0:
        with ctx.phases.during("saving", f"saving the model and the report into {ctx.folder.path}"):
            publish(ctx, loaded, trainer.tokens, before, after, parents, report, best)
    wait()
    return after


def _millions(policy: Policy) -> tuple[float, float]:
    """Millions of parameters: all, and those that are trained."""
    total = sum(p.numel() for p in policy.parameters())
    return total / 1e6, sum(p.numel() for p in policy.parameters() if p.requires_grad) / 1e6


def _preflight(ctx: Context[SupervisedConfig, Prepared], prepared: Prepared, loaded: Loaded) -> None:
    """Print the ledger, the proofs and one row with its trained tokens in color."""
    for note in prepared.notes:
        ctx.console.print(translated(note), highlight=False)
    ids = (trained_ids(tree) for tree in prepared.train)
    talks = [*prepared.first_rows.conversations, *(prompt.prompt for prompt in prepared.first_rows.prompts)]
    for remark in (*unknown_languages(ids, ctx.template), *system_remark(ctx.template, ctx.config.data.system, talks)):
        ctx.console.print(translated(remark), highlight=False, markup=False)
    if advice := objective_of(ctx.config).advice(*prepared.train.verdicts):
        ctx.console.print(translated(advice), highlight=False)
    ledger = prepared.ledger
    ctx.console.print(
        translated(
            f"rows: rows {ledger['rows']}, kept {ledger['kept']}, truncated {ledger['truncated']}, split {ledger['split']}, "
            f"dropped {ledger['dropped']}"
        ),
        highlight=False,
    )
    for line in [*source_lines(ledger.get("sources", ())), *skipped_lines(ledger.get("skipped", {}))]:
        ctx.console.print(translated(line), highlight=False, markup=False)
    for reason, count in ledger["reasons"].items():
        ctx.console.print(f"  {count} {translated(reason)}", highlight=False)
    if found := ledger.get("held_out"):
        ctx.console.print(translated(_held_out(found)), highlight=False)
    for line in warning_lines(ledger):
        ctx.console.print(translated(line), highlight=False, markup=False)
    proofs = preflight(prepared.train, ctx.template, loaded.model, _conversations(prepared, ctx.template))
    ctx.console.print(as_table(proofs))
    if ctx.console.is_terminal:  # a log file must not hold patient text
        ctx.console.print(show(prepared.train[0], ctx.template))


def _held_out(found: dict[str, Any]) -> str:
    """What the ledger says of held-out text, in a line."""
    files = list(found["files"])
    named = ", ".join(files[:3]) + (f" and {len(files) - 3} more files (manifest.json)" if len(files) > 3 else "")
    return f"held out: {found['share']:.1%} of the text ({found['characters']:,} of {found['of']:,} characters), from {named}"


def _conversations(prepared: Prepared, template: ChatTemplate) -> list[tuple[Message, ...]]:
    """The first few conversations of the training data that the template can render."""
    found: list[tuple[Message, ...]] = []
    for messages in prepared.first_rows.conversations:
        with suppress(RenderError):  # a row the template refuses was settled when it was rendered
            encode_conversation(template, messages, (), {len(messages) - 1})
            found.append(messages)
    return found


def _reference(
    ctx: Context[SupervisedConfig, Prepared], module: StageModule, plan: Plan, group: RowGroup
) -> CausalPolicy | None:
    policy = module.policy
    config, choice = ctx.config, ctx.config.reference_choice
    if not objective_of(config).needs.reference:
        return None
    if choice is None or isinstance(policy, RewardPolicy):
        raise ConfigError(
            f"stage {ctx.name}: its objective needs a reference, but {type(config).__name__}.reference_choice says nothing of "
            "where it comes from; return a ReferenceChoice section there (a language model's stage only)"
        )
    kind = reference_kind(config, choice)
    if kind == "model":
        return load_reference(config, choice, policy.batching, module.sharding)
    if kind == "cached":
        # The stores' folder is named after everything that decides which rows they hold, and in which order.
        facts = {
            "rows": ctx.prepared.train.folder.parent.name,
            "base": ctx.base,
            "dtype": config.model.dtype,
            "quantization": config.quantization,
            "code": ctx.key.code,
        }
        autocast = AUTOCAST[mixed_precision(config)]
        with ctx.phases.during("reference", "measuring what the reference says of every row (kept for later runs)"):
            fill_caches(plan, module, policy, hash_json(facts), cache_root(), autocast, group)
    return None
