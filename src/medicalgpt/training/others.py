"""The models that a stage reads beside its base, the adapter on that and what lies below: for its key and its manifest."""

from dataclasses import replace

from medicalgpt.config.base import NamedModel, StageConfig
from medicalgpt.models.locate import hub_address, locate
from medicalgpt.runs.bases import place_hash


def other_hashes(config: StageConfig) -> dict[str, str]:
    """SHA-256 of each by its role: of its files; of a hub's model: of its name and commit. Keys as of `other_addresses`."""
    trust = config.model.trust_remote_code
    found = {one.role: place_hash(locate(one.name, one.at, trust)) for one in beside(config)}
    return found | {named: place_hash(locate(at, None, trust)) for named, at in _below(config).items()}


def other_addresses(config: StageConfig) -> dict[str, str]:
    """Where each is found again: of a hub's model the address with its commit.

    By its role; a base that an adapter names without a commit by what is named.
    """
    return {one.role: str(hub_address(one.name, one.at) or one.name) for one in beside(config)} | _below(config)


def _below(config: StageConfig) -> dict[str, str]:
    pinned = {named: hub_address(named, commit) for named, commit in config.model.below.items()}
    return {named: str(replace(at, revision=config.model.below[named])) for named, at in pinned.items() if at}


def beside(config: StageConfig) -> tuple[NamedModel, ...]:
    """The adapter on the base, and the models that read whole rows."""
    return (*config.adapter_model, *config.other_models)
