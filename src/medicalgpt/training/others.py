"""The models that a stage reads beside its base, and the adapter on that: what they are, for its key and its manifest."""

from medicalgpt.config.base import NamedModel, StageConfig
from medicalgpt.models.locate import hub_address, locate
from medicalgpt.runs.bases import place_hash


def other_hashes(config: StageConfig) -> dict[str, str]:
    """SHA-256 of each by its role: of its files; of a hub's model: of its name and commit."""
    trust = config.model.trust_remote_code
    return {one.role: place_hash(locate(one.name, one.at, trust)) for one in beside(config)}


def other_addresses(config: StageConfig) -> dict[str, str]:
    """Where each is found again, by its role: of a hub's model the address with its commit."""
    return {one.role: str(hub_address(one.name, one.at) or one.name) for one in beside(config)}


def beside(config: StageConfig) -> tuple[NamedModel, ...]:
    """The adapter on the base, and the models that read whole rows."""
    return (*config.adapter_model, *config.other_models)
