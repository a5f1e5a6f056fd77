"""Train one stage on fixed rows."""

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from medicalgpt.config.base import SupervisedConfig
from medicalgpt.data.files import skipped_lines
from medicalgpt.data.ledger import warning_lines
from medicalgpt.data.records import Message
from medicalgpt.data.sources import source_lines
from medicalgpt.disk.cache import cache_root
from medicalgpt.errors import ConfigError, RenderError
from medicalgpt.memory.estimate import require_memory
from medicalgpt.models.adapters import trainable
from medicalgpt.models.batches import costs
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
from medicalgpt.training.policy import AUTOCAST, Policy, load_policy, mixed_precision
from medicalgpt.training.preflight import as_table, preflight, show
from medicalgpt.training.publish import chosen, publish
from medicalgpt.training.reference import load_reference, reference_kind
from medicalgpt.training.stages import objective_of
from medicalgpt.training.supervised.module import StageModule
from medicalgpt.training.supervised.plan import Plan, held_out_rows, make_plan
from medicalgpt.training.supervised.reference_cache import ReferenceCache, compute
from medicalgpt.training.supervised.reward_report import reward_report
from medicalgpt.training.supervised.session import build_trainer


def train_supervised(ctx: Context[SupervisedConfig, Prepared], start: StartState, parents: tuple[Path, ...]) -> Outcome:
    config, console, prepared = ctx.config, ctx.console, ctx.prepared
    require_memory(config)
    torch.manual_seed(config.train.seed)
    with ctx.phases.during("loading", f"loading {config.model.base}"):
        loaded, policy, note = load_policy(config)
    console.print(f"{ctx.name}: {config.model.base}, {_size(policy)}, {note}", highlight=False)
    _preflight(ctx, prepared, loaded)
    plan = make_plan(config, prepared, policy.batching, ctx.template.pad_id or 0, ctx.world, start.stretched)
    console.print(
        f"{plan.run.steps} steps × {plan.run.rows_per_step} rows of up to {plan.capacity} tokens; "
        f"{plan.padding:.1%} of the rows' room is empty",
        highlight=False,
    )
    module = StageModule(policy, objective_of(config), _reference(ctx, policy, plan))
    live = LiveReport(ctx, parents)
    trainer, stop = build_trainer(ctx, module, plan, loaded, live)
    if start.checkpoint is not None:
        console.print(f"resuming from {start.checkpoint}")
    before = trainer.run(start)
    if stop.signal is not None and trainer.state.global_step < trainer.state.max_steps:
        live.interrupted(trainer.state.global_step, trainer.state.max_steps)
        return Outcome(Status.INTERRUPTED, ctx.folder.path, before, signal=stop.signal)
    for line in trainer.movement.findings(trainer.state.global_step, trainer.optimizer):
        console.print(line, highlight=False)
    after = trainer.evaluate()
    trainer.answer(trainer.state.global_step)
    best, after = chosen(ctx, trainable(module), trainer.state.global_step, plan.run.steps, after)
    if ctx.rank == 0:
        with ctx.phases.during("saving", f"saving the model and the report into {ctx.folder.path}"):
            report = reward_report(ctx, trainer)
            publish(ctx, loaded, trainer.tokens, before, after, parents, report, best)
    trainer.accelerator.wait_for_everyone()
    return Outcome(Status.FINISHED, ctx.folder.path, before, after)


def _size(policy: Policy) -> str:
    total = sum(p.numel() for p in policy.parameters())
    learn = sum(p.numel() for p in policy.parameters() if p.requires_grad)
    return f"{total / 1e6:.1f} M parameters, {learn / 1e6:.2f} M trained"


def _preflight(ctx: Context[SupervisedConfig, Prepared], prepared: Prepared, loaded: Loaded) -> None:
    """Print the ledger, the proofs and one row with its trained tokens in color."""
    for note in prepared.notes:
        ctx.console.print(note, highlight=False)
    ids = (trained_ids(tree) for tree in prepared.train)
    talks = [*prepared.first_rows.conversations, *(prompt.prompt for prompt in prepared.first_rows.prompts)]
    for remark in (*unknown_languages(ids, ctx.template), *system_remark(ctx.template, ctx.config.data.system, talks)):
        ctx.console.print(remark, highlight=False, markup=False)
    if advice := objective_of(ctx.config).advice(*prepared.train.verdicts):
        ctx.console.print(advice, highlight=False)
    ledger = prepared.ledger
    ctx.console.print(
        "rows: " + ", ".join(f"{k} {ledger[k]}" for k in ("rows", "kept", "truncated", "split", "dropped")),
        highlight=False,
    )
    for line in [*source_lines(ledger.get("sources", ())), *skipped_lines(ledger.get("skipped", {}))]:
        ctx.console.print(line, highlight=False, markup=False)
    for reason, count in ledger["reasons"].items():
        ctx.console.print(f"  {count} {reason}", highlight=False)
    if found := ledger.get("held_out"):
        ctx.console.print(_held_out(found), highlight=False)
    for line in warning_lines(ledger):
        ctx.console.print(line, highlight=False, markup=False)
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


def _reference(ctx: Context[SupervisedConfig, Prepared], policy: Policy, plan: Plan) -> CausalPolicy | None:
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
        return load_reference(config, choice, policy.batching)
    if kind == "cached":
        # The stores' folder is named after everything that decides which rows they hold, and in which order.
        facts = {
            "rows": ctx.prepared.train.folder.parent.name,
            "base": ctx.base,
            "dtype": config.model.dtype,
            "quantization": config.quantization,
            "code": ctx.key.code,
        }
        precision = mixed_precision(config)
        with ctx.phases.during("reference", "measuring what the reference says of every row (kept for later runs)"):
            fill_cache(plan, policy, hash_json(facts), cache_root(), precision, ctx.rank, ctx.world)
    return None


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
