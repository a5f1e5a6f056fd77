"""Run one training stage from its config to a finished run folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from rich.console import Console

from medicalgpt.config.base import StageConfig, SupervisedConfig
from medicalgpt.config.data_source import DataSource, path_of
from medicalgpt.config.loader import Resolved, dump, load
from medicalgpt.config.renamed import first_names
from medicalgpt.config.rl import RlConfig
from medicalgpt.config.stages import stage_name
from medicalgpt.config.unused import unused
from medicalgpt.data.sources import check_paths
from medicalgpt.disk.cache import cache_root
from medicalgpt.disk.private import private_files
from medicalgpt.errors import ConfigError, MedicalGPTError
from medicalgpt.hub.address import parse
from medicalgpt.kernels.malloc import restore_memory
from medicalgpt.kernels.products import quick_products
from medicalgpt.language import translated
from medicalgpt.models.families import identify
from medicalgpt.models.load import find
from medicalgpt.models.locate import config_of, locate
from medicalgpt.rendering.build import Prepared, prepare
from medicalgpt.rendering.progress import Progress
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.runs.bases import base_hashes
from medicalgpt.runs.corpus import corpus_of
from medicalgpt.runs.folder import RunFolder, StartState, withdraw
from medicalgpt.runs.hashes import code_hash
from medicalgpt.runs.run_key import RunKey
from medicalgpt.training.best import watch_best
from medicalgpt.training.context import AnyContext, Context, Outcome, recall
from medicalgpt.training.context import console as make_console
from medicalgpt.training.launch import join, side_group
from medicalgpt.training.limits import within_models
from medicalgpt.training.loggers import require_loggers
from medicalgpt.training.optimizers import require_optimizer
from medicalgpt.training.others import other_hashes
from medicalgpt.training.phases import Phases
from medicalgpt.training.pins import named_data, pin
from medicalgpt.training.plugins import plugin_hashes
from medicalgpt.training.rl.prompts import PromptSet, read_prompt_set
from medicalgpt.training.rl.stage import function_hashes, train_rl
from medicalgpt.training.supervised.run import train_supervised
from medicalgpt.training.together import share


@private_files()
def run_stage(resolved: Resolved[Any], parents: tuple[Path, ...] = ()) -> Outcome:
    """Train one stage. A finished run with the same inputs is left as it is; an interrupted one goes on.

    Raises:
        MedicalGPTError: bad input, a failed proof, or a run that had to stop.
    """
    state = join(resolved.value.distributed.timeout)
    resolved, pins = _pinned(resolved, state)
    config: SupervisedConfig | RlConfig = resolved.value
    ctx = _in_turn(state, lambda: _open(config, state.process_index, state.num_processes))
    for note in (*pins, *unused(resolved)):
        ctx.console.print(translated(note), highlight=False, markup=False)
    start = _begin(ctx, dump(resolved), state)
    if start.status == "finished":
        ctx.console.print(translated(f"{ctx.folder.path} is finished already; nothing to do"))
        if start.note:
            ctx.console.print(translated(start.note), highlight=False)
        return recall(ctx.folder.path)
    if start.checkpoint is not None:
        names = [ctx.folder.metrics.name, str(start.checkpoint.relative_to(ctx.folder.path))]
        share(ctx.folder.path, names)
    if start.note:
        ctx.console.print(
            translated(f"{ctx.folder.path} goes on from step {start.step}; {start.note}"), highlight=False
        )
    with ctx.folder, quick_products():
        try:
            before = (*parents, *(run for run in _corpora(config) if run not in parents))
            return (train_rl if config.rollouts else train_supervised)(ctx, start, before)
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
    torch.distributed.all_gather_object(errors, error, group=side_group())
    for refused in filter(None, errors):
        raise refused
    return found or act()


def _open(asked: SupervisedConfig | RlConfig, rank: int, world: int) -> AnyContext:
    """Locate the base, read and render the data, and name everything the run depends on."""
    name, console = stage_name(asked), make_console(rank)
    require_optimizer(asked.train.optimizer)
    model, data = asked.model, asked.data
    check_paths(named_data(data))
    found = locate(model.base, model.at, model.trust_remote_code)
    config = within_models(asked, found, console.print)
    found_base, _, tokenizer = find(model)
    if config.kind == "document":
        template = ChatTemplate.for_documents(tokenizer, config.data.template, config.data.tool_format)
    else:
        usual = identify(config_of(found_base)).templates
        template = ChatTemplate.load(tokenizer, config.data.template, config.data.tool_format, usual)
    base = base_hashes(found, model.tokenizer) | other_hashes(config)
    named = _named([*config.data.train, *config.data.eval, *config.data.replay])
    with Phases(console).during("data", f"reading {named}", bar=config.rollouts):
        prepared = _prepare(config, template)
    if isinstance(config, RlConfig):
        base |= function_hashes(config)
    base |= plugin_hashes(config)
    key = RunKey(name, _settings(asked), prepared.hashes, base, code_hash(), partial(_settings_in, type(asked)))
    best = watch_best(config, prepared.held_out)
    folder = RunFolder(config.output_dir)
    return Context(config, name, console, template, prepared, folder, key, base, rank, world, best)


def _prepare(config: SupervisedConfig | RlConfig, template: ChatTemplate) -> Prepared | PromptSet:
    if isinstance(config, RlConfig):
        return read_prompt_set(config.data, template, config.rollout.max_new_tokens, config.train.seed)
    progress = Progress(Console(stderr=True))
    args = (config.data, config.kind, template, cache_root(), config.train.seed, config.trained_turns)
    return prepare(*args, progress)


def _corpora(config: StageConfig) -> tuple[Path, ...]:
    """The curations whose corpora this stage reads: a model goes back to the raw files over them.

    Raises:
        RunError: a file of a corpus was changed since.
    """
    data = config.data
    paths = [path_of(entry) for entry in (*data.train, *data.eval, *data.replay)]
    found = (corpus_of(Path(path)) for path in paths if parse(path) is None)
    return tuple(dict.fromkeys(run for run in found if run is not None))


def _named(given: list[str | DataSource]) -> str:
    """The first few paths, and how many more."""
    paths = [path_of(entry) for entry in given]
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def _settings(config: StageConfig) -> dict[str, Any]:
    """The settings that a run's numbers depend on; its files enter by their content."""
    return first_names(
        config.model_dump(
            mode="json",
            exclude={
                "output_dir": True,
                "report_to": True,
                "distributed": True,
                # In the base's hash and those of the others, as are the commits of the two lines below.
                "model": {"commit", "adapter_commit", "below"},
                "objective": {"reference_commit", "teacher_commit"},
                "reward": {"model_commit"},
                "train": {"resume", "save_minutes"},
                "data": {"train", "eval", "replay", "workers"},
                "rollout": {"servers", "allow_remote", "adapter_dir", "timeout"},
            },
        )
    )


def _settings_in(schema: type[StageConfig], file: Path) -> dict[str, Any] | None:
    """The same of a config.resolved.yaml, which another version may have written with fewer keys or older names."""
    try:
        return _settings(load(schema, file).value)
    except (ConfigError, OSError):
        return None


def _pinned(resolved: Resolved[Any], state: PartialState) -> tuple[Resolved[Any], list[str]]:
    """As `pin`, by rank 0 for all: a branch may move between two questions. What costs nothing to see is refused before."""
    said: list[Any] = [None]
    if state.process_index == 0:
        try:
            require_loggers(resolved.value.report_to)
            said = [pin(resolved)]
        except Exception as error:  # as in `_begin`
            said = [error]
    if state.num_processes > 1:
        torch.distributed.broadcast_object_list(said, src=0, group=side_group())
    if isinstance(said[0], Exception):
        raise said[0]
    return said[0]  # type: ignore[no-any-return]


def _begin(ctx: AnyContext, text: str, state: PartialState) -> StartState:
    """Rank 0 claims the folder; the others are told how the run starts."""
    said: list[Any] = [None]
    if ctx.rank == 0:
        try:
            said = [ctx.folder.begin(text, ctx.key, ctx.config.train.resume)]
        except Exception as error:  # every rank must hear of it, or the others would wait for ever
            said = [error]
    if state.num_processes > 1:
        torch.distributed.broadcast_object_list(said, src=0, group=side_group())
    if isinstance(said[0], Exception):
        raise said[0]
    return said[0]  # type: ignore[no-any-return]
