"""What a run takes from hubs at one commit for all of its length: found out when it begins, and kept in its folder's config."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medicalgpt.config.base import NamedModel, StageConfig
from medicalgpt.config.data_source import DataSource, path_of
from medicalgpt.config.loader import Resolved, load
from medicalgpt.config.sections import DataConfig, Section
from medicalgpt.data.sources import check_paths, pinned
from medicalgpt.errors import ConfigError
from medicalgpt.hub.address import is_commit, parse
from medicalgpt.models.adapter_config import down_to_base
from medicalgpt.models.embedded.registry import EMBEDDED
from medicalgpt.models.locate import hub_address, hub_model, locate
from medicalgpt.runs.folder import RunFolder
from medicalgpt.training.others import beside

_LISTS = ("train", "eval", "replay")


def pin(resolved: Resolved[Any]) -> tuple[Resolved[Any], list[str]]:
    """The config with the commit of every model and of every address in its data section, and what is to be said of those known.

    A run that goes on, or is asked for again, reads the commits that its folder's config names, also without a network.

    Raises:
        ConfigError: a base is pinned that no adapter names.
        DataError, ModelError: a commit cannot be found out, or data is missing, which is said before a model is looked for.
    """
    config: StageConfig = resolved.value
    before = _before(type(config), RunFolder(config.output_dir).config)
    data, notes = _data(config.data, before.data if before else None)
    check_paths(named_data(data))
    known = {one.role: one for one in _models(before)} if before else {}
    sections: dict[str, Section] = {"data": data}
    said: list[str] = []
    for model in _models(config):
        address = hub_address(model.name, model.at)
        if address is None or model.commit is not None:
            continue
        old = known.get(model.role)
        commit = old.commit if old and (old.name, old.revision) == (model.name, model.revision) else None
        if commit is not None and not is_commit(address.revision):
            said.append(_said(f"{model.key} {model.name}", commit))
        if commit is None:
            commit = hub_model(address, model.name).address.revision
        section, _, noted = model.noted.partition(".")
        sections[section] = sections.get(section, getattr(config, section)).model_copy(update={noted: commit})
    below, more = _below(config.model_copy(update=sections), before.model.below if before else {})
    if below != config.model.below:
        sections["model"] = sections.get("model", config.model).model_copy(update={"below": below})
    said += more
    if all(value is getattr(config, name) for name, value in sections.items()):
        return resolved, []
    origins = {f"model.below.{named}": "default" for named in below}  # as every commit that is noted here
    return Resolved(config.model_copy(update=sections), origins | resolved.origin), [*said, *notes]


def _below(config: StageConfig, before: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The commits of bases that adapters of the pinned config name without one, and what is to be said of those known before."""
    found: dict[str, str] = {}
    said: list[str] = []

    def commit(named: str) -> str | None:
        address = hub_address(named)
        if address is None or named in found:
            return found.get(named)
        known = config.model.below.get(named) or before.get(named)
        if known is not None and named not in config.model.below:
            said.append(_said(named, known))
        found[named] = known or hub_model(address, named).address.revision or ""
        return found[named]

    trust = config.model.trust_remote_code
    for model in (config.base_model, *config.other_models):
        if model.name not in EMBEDDED:
            down_to_base(locate(model.name, model.at, trust), trust, commit)
    if lost := sorted(config.model.below.keys() - found.keys()):
        raise ConfigError(f"model.below names {', '.join(lost)}, which no adapter of this run stands on; take it out")
    return found, said


def _models(config: StageConfig) -> tuple[NamedModel, ...]:
    return (config.base_model, *beside(config))


def named_data(data: DataConfig) -> dict[str, list[str | DataSource]]:
    """Everything that a data section names, by key."""
    return {f"data.{name}": getattr(data, name) for name in _LISTS}


def _data(data: DataConfig, before: DataConfig | None) -> tuple[DataConfig, list[str]]:
    if not any(parse(path_of(entry)) for name in _LISTS for entry in getattr(data, name)):
        return data, []
    notes: list[str] = []
    found = {}
    for name in _LISTS:
        known = getattr(before, name) if before is not None else []
        found[name] = [pinned(entry, known) for entry in getattr(data, name)]
        notes += [_note(new) for old, new in zip(getattr(data, name), found[name]) if new in known and _moves(old)]
    return data.model_copy(update=found), notes


def _before(schema: type[StageConfig], file: Path) -> StageConfig | None:
    if not file.is_file():
        return None
    try:
        return load(schema, file).value
    except (ConfigError, OSError):
        return None


def _moves(entry: str | DataSource) -> bool:
    """Whether an entry names an address whose commit may be another one later."""
    address = parse(path_of(entry))
    fixed = isinstance(entry, DataSource) and entry.commit is not None
    return address is not None and not fixed and not is_commit(address.revision)


def _note(entry: str | DataSource) -> str:
    return _said(path_of(entry), entry.commit if isinstance(entry, DataSource) else None)


def _said(what: str, commit: str | None) -> str:
    return f"{what}: read at commit {commit}, as when this run began; choose another output_dir for what is there now"
