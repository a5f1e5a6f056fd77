"""Run one training stage from its config to a finished run folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from medicalgpt.config import Resolved, dump, load
from medicalgpt.config.base import StageConfig, SupervisedConfig
from medicalgpt.config.renamed import first_names
from medicalgpt.config.rl import RlConfig
from medicalgpt.config.stages import stage_name
from medicalgpt.errors import ConfigError, MedicalGPTError
from medicalgpt.kernels.malloc import restore_memory
from medicalgpt.models.embedded.registry import cache_root
from medicalgpt.models.load import find
from medicalgpt.models.locate import locate
from medicalgpt.rendering.build import Prepared, prepare
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.runs.bases import base_hashes
from medicalgpt.runs.folder import RunFolder, StartState, withdraw
from medicalgpt.runs.hashes import code_hash
from medicalgpt.runs.run_key import RunKey
from medicalgpt.training.context import AnyContext, Context, Outcome, recall
from medicalgpt.training.context import console as make_console
from medicalgpt.training.plugins import plugin_hashes
from medicalgpt.training.rl.prompts import PromptSet, read_prompt_set
from medicalgpt.training.rl.stage import other_hashes, train_rl
from medicalgpt.training.supervised.run import train_supervised


def run_stage(resolved: Resolved[Any], parents: tuple[Path, ...] = ()) -> Outcome:
    """Train one stage. A finished run with the same inputs is left as it is; an interrupted one goes on.

    Raises:
        MedicalGPTError: bad input, a failed proof, or a run that had to stop.
    """
    config: SupervisedConfig | RlConfig = resolved.value
    state = PartialState(cpu=not torch.cuda.is_available())
    ctx = _in_turn(state, lambda: _open(config, state.process_index, state.num_processes))
    start = _begin(ctx, dump(resolved), state)
    if start.status == "finished":
        ctx.console.print(f"{ctx.folder.path} is finished already; nothing to do")
        if start.note:
            ctx.console.print(start.note, highlight=False)
        return recall(ctx.folder.path)
    with ctx.folder:
        try:
            return (train_rl if config.rollouts else train_supervised)(ctx, start, parents)
        except MedicalGPTError:
            if ctx.rank == 0:
                withdraw(ctx.folder)
            raise
        finally:
            restore_memory()


def _in_turn(state: PartialState, act: Callable[[], AnyContext]) -> AnyContext:
    """One process of each machine acts first, the others find its results in the cache; its error is everyone's."""
    if state.num_processes == 1:
        return act()
    found: AnyContext | None = None
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


def _open(config: SupervisedConfig | RlConfig, rank: int, world: int) -> AnyContext:
    """Locate the base, read and render the data, and name everything the run depends on."""
    name, console = stage_name(config), make_console(rank)
    model = config.model
    found = locate(model.base, model.revision, model.trust_remote_code)
    tokenizer = find(model)[2]
    template = ChatTemplate.load(tokenizer, config.data.template, config.data.tool_format)
    base = base_hashes(found, model.adapter, model.tokenizer)
    prepared: Prepared | PromptSet
    if isinstance(config, RlConfig):
        prepared = read_prompt_set(config.data, template, config.rollout.max_new_tokens, config.train.seed)
        base |= other_hashes(config)
    else:
        prepared = prepare(config.data, config.kind, template, cache_root(), config.train.seed, config.trained_turns)
    base |= plugin_hashes(config)
    key = RunKey(name, _settings(config), prepared.hashes, base, code_hash(), partial(_settings_in, type(config)))
    return Context(config, name, console, template, prepared, RunFolder(config.output_dir), key, base, rank, world)


def _settings(config: StageConfig) -> dict[str, Any]:
    """The settings that a run's numbers depend on; its files enter by their content."""
    return first_names(
        config.model_dump(
            mode="json",
            exclude={"output_dir": True, "report_to": True, "train": {"resume"}, "data": {"train", "eval", "replay"}},
        )
    )


def _settings_in(schema: type[StageConfig], file: Path) -> dict[str, Any] | None:
    """The same of a config.resolved.yaml, which another version may have written with fewer keys or older names."""
    try:
        return _settings(load(schema, file).value)
    except (ConfigError, OSError):
        return None


def _begin(ctx: AnyContext, text: str, state: PartialState) -> StartState:
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
