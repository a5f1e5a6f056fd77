"""Run one training stage from its config to a finished run folder."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from rich.console import Console

from medicalgpt.config import Resolved, dump
from medicalgpt.config.base import StageConfig, SupervisedConfig
from medicalgpt.config.rl import RlConfig
from medicalgpt.config.stages import KtoConfig, ReferencedConfig, SftConfig
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Dialogue, Feedback, Message, Preference
from medicalgpt.errors import MedicalGPTError, RenderError
from medicalgpt.models.embedded.registry import cache_root
from medicalgpt.models.load import Loaded, find
from medicalgpt.models.locate import locate
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.objectives.kto import weight_advice
from medicalgpt.render.build import Prepared, prepare
from medicalgpt.render.rows import encode_conversation
from medicalgpt.render.template import ChatTemplate
from medicalgpt.runs.folder import Begun, RunFolder
from medicalgpt.runs.hashes import code_hash, hash_json
from medicalgpt.train import finish, setup
from medicalgpt.train.callbacks import console as make_console
from medicalgpt.train.module import StageModule
from medicalgpt.train.preflight import as_table, preflight, show
from medicalgpt.train.rl.prompts import PromptSet, read_prompt_set
from medicalgpt.train.rl.stage import other_hashes, train_rl
from medicalgpt.train.session import build_trainer


@dataclass
class Outcome:
    """How a stage ended: "finished", "already finished" or "interrupted" (with the signal's number)."""

    status: str
    folder: Path
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    signal: int = 0


@dataclass
class Context:
    """What the parts of a stage share."""

    config: StageConfig
    name: str
    console: Console
    template: ChatTemplate
    prepared: Prepared | PromptSet
    folder: RunFolder
    key: str
    base: dict[str, str]
    rank: int
    world: int
    started: float = field(default_factory=time.perf_counter)


def run_stage(resolved: Resolved[Any], parents: tuple[Path, ...] = ()) -> Outcome:
    """Train one stage. A finished run with the same inputs is left as it is; an interrupted one goes on.

    Raises:
        MedicalGPTError: bad input, a failed proof, or a run that had to stop.
    """
    config: StageConfig = resolved.value
    state = PartialState(cpu=not torch.cuda.is_available())
    ctx = _in_turn(state, lambda: _open(config, state.process_index, state.num_processes))
    begun = _begin(ctx, dump(resolved), state)
    if begun.status == "finished":
        ctx.console.print(f"{ctx.folder.path} is finished already; nothing to do")
        return finish.recall(ctx.folder.path)
    with ctx.folder:
        try:
            return (train_rl if isinstance(config, RlConfig) else _train)(ctx, begun, parents)
        except MedicalGPTError:
            if ctx.rank == 0:
                finish.withdraw(ctx.folder)
            raise


def _in_turn(state: PartialState, act: Callable[[], Context]) -> Context:
    """One process of each machine acts first, the others find its results in the cache; its error is everyone's."""
    if state.num_processes == 1:
        return act()
    found: Context | None = None
    error: MedicalGPTError | None = None
    if state.is_local_main_process:
        try:
            found = act()
        except MedicalGPTError as wrong:
            error = wrong
    errors: list[Any] = [None] * state.num_processes
    torch.distributed.all_gather_object(errors, error)
    for refused in filter(None, errors):
        raise refused
    return found or act()


def _open(config: StageConfig, rank: int, world: int) -> Context:
    """Locate the base, read and render the data, and name everything the run depends on."""
    name, console = setup.stage_name(config), make_console(rank)
    model = config.model
    found = locate(model.base, model.revision, model.trust_remote_code)
    tokenizer = find(model)[2]
    template = ChatTemplate.load(tokenizer, config.data.template, config.data.tool_format)
    base = finish.base_hashes(found, model.adapter, model.tokenizer)
    prepared: Prepared | PromptSet
    if isinstance(config, RlConfig):
        prepared = read_prompt_set(config.data, template, config.rollout.max_new_tokens, config.train.seed)
        base |= other_hashes(config)
    else:
        kind = setup.objective_of(config).needs.data
        train_on = config.objective.train_on if isinstance(config, SftConfig) else "assistant"
        prepared = prepare(config.data, kind, template, cache_root(), config.train.seed, train_on)
    settings = config.model_dump(
        exclude={"output_dir": True, "report_to": True, "train": {"resume"}, "data": {"train", "eval", "replay"}}
    )
    key = hash_json({"stage": name, "config": settings, "data": prepared.hashes, "base": base, "code": code_hash()})
    return Context(config, name, console, template, prepared, RunFolder(config.output_dir), key, base, rank, world)


def _begin(ctx: Context, text: str, state: PartialState) -> Begun:
    """Rank 0 claims the folder; the others are told how the run starts."""
    said: list[Any] = [None]
    if ctx.rank == 0:
        try:
            said = [ctx.folder.begin(text, ctx.key, ctx.config.train.resume)]
        except Exception as error:  # every rank must hear of it, or the others would wait for ever
            said = [error]
    if state.num_processes > 1:
        torch.distributed.broadcast_object_list(said, src=0)
    if isinstance(said[0], Exception):
        raise said[0]
    return said[0]  # type: ignore[no-any-return]


def _train(ctx: Context, begun: Begun, parents: tuple[Path, ...]) -> Outcome:
    config, console, prepared = ctx.config, ctx.console, ctx.prepared
    assert isinstance(config, SupervisedConfig)
    assert isinstance(prepared, Prepared)
    finish.require_memory(config)
    torch.manual_seed(config.train.seed)
    loaded, policy, note = setup.load_policy(config)
    console.print(f"{ctx.name}: {config.model.base}, {_size(policy)}, {note}", highlight=False)
    _preflight(ctx, prepared, loaded)
    plan = setup.make_plan(config, prepared, policy.batching, ctx.template.pad_id or 0, ctx.world)
    console.print(
        f"{plan.run.steps} steps × {plan.run.rows_per_step} rows of up to {plan.capacity} tokens; "
        f"{plan.padding:.1%} of the rows' room is empty",
        highlight=False,
    )
    module = StageModule(policy, setup.objective_of(config), _reference(ctx, policy, plan))
    trainer, stop = build_trainer(ctx, module, plan, loaded)
    if begun.checkpoint is not None:
        console.print(f"resuming from {begun.checkpoint}")
    before = trainer.run(begun)
    if stop.signal is not None and trainer.state.global_step < trainer.state.max_steps:
        return Outcome("interrupted", ctx.folder.path, before, signal=stop.signal)
    after = trainer.evaluate()
    trainer.answer(trainer.state.global_step)
    if ctx.rank == 0:
        report = finish.reward_report(ctx, trainer)
        finish.publish(ctx, loaded, trainer.tokens, before, after, parents, report)
    trainer.accelerator.wait_for_everyone()
    return Outcome("finished", ctx.folder.path, before, after)


def _size(policy: setup.Policy) -> str:
    total = sum(p.numel() for p in policy.parameters())
    learn = sum(p.numel() for p in policy.parameters() if p.requires_grad)
    return f"{total / 1e6:.1f} M parameters, {learn / 1e6:.2f} M trained"


def _preflight(ctx: Context, prepared: Prepared, loaded: Loaded) -> None:
    """Print the ledger, the proofs and one row with its trained tokens in colour."""
    for note in prepared.notes:
        ctx.console.print(note, highlight=False)
    if isinstance(ctx.config, KtoConfig):
        o = ctx.config.objective
        advice = weight_advice(*prepared.train.verdicts, o.desirable_weight, o.undesirable_weight)
        if advice:
            ctx.console.print(advice, highlight=False)
    ledger = prepared.ledger
    ctx.console.print(
        "rows: " + ", ".join(f"{k} {ledger[k]}" for k in ("rows", "kept", "truncated", "split", "dropped")),
        highlight=False,
    )
    for reason, count in ledger["reasons"].items():
        ctx.console.print(f"  {count} {reason}", highlight=False)
    proofs = preflight(prepared.train, ctx.template, loaded.model, _conversations(ctx))
    ctx.console.print(as_table(proofs))
    if ctx.console.is_terminal:  # a log file must not hold patient text
        ctx.console.print(show(prepared.train[0], ctx.template))


def _conversations(ctx: Context, count: int = 8) -> list[tuple[Message, ...]]:
    """The first few finished conversations of the training data."""
    data, kind = ctx.config.data, setup.objective_of(ctx.config).needs.data
    if kind == "document":
        return []
    found: list[tuple[Message, ...]] = []
    for record in islice(
        read(data.train, kind, columns=data.columns, on_bad_row="drop", max_bad_share=1.0, ledger=Ledger()), count
    ):
        messages: tuple[Message, ...] = ()
        if isinstance(record, Dialogue):
            messages = record.messages
        elif isinstance(record, Preference):
            messages = (*record.prompt, record.chosen[0])
        elif isinstance(record, Feedback):
            messages = (*record.prompt, record.answer[0])
        with suppress(RenderError):  # a row the template refuses was settled when it was rendered
            encode_conversation(ctx.template, messages, (), {len(messages) - 1})
            found.append(messages)
    return found


def _reference(ctx: Context, policy: setup.Policy, plan: setup.Plan) -> CausalPolicy | None:
    config = ctx.config
    if not isinstance(config, ReferencedConfig) or isinstance(policy, RewardPolicy):
        return None
    kind = setup.reference_kind(config)
    if kind == "model":
        return setup.load_reference(config, policy.batching)
    if kind == "cached":
        # The stores' folder is named after everything that decides which rows they hold, and in which order.
        assert isinstance(ctx.prepared, Prepared)
        facts = {
            "rows": ctx.prepared.train.folder.parent.name,
            "base": ctx.base,
            "dtype": config.model.dtype,
            "quantization": config.quantization,
            "code": code_hash(),
        }
        precision = setup.mixed_precision(config)
        setup.fill_cache(plan, policy, hash_json(facts), cache_root(), precision, ctx.rank, ctx.world)
    return None
