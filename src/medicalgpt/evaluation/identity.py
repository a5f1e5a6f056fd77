"""Which model it was: hashes of weights, template and tokenizer, without loading anything."""

from collections.abc import Sequence
from pathlib import Path

from medicalgpt.config.sections import ModelConfig
from medicalgpt.models.adapter_config import down_to_base
from medicalgpt.models.locate import Located, locate
from medicalgpt.runs.hashes import hash_tree

Identity = str | dict[str, str] | list["Identity"]


def weights_of(model: ModelConfig, patterns: Sequence[str] = ("*.safetensors", "*.jinja")) -> Identity:
    """Hashes of a model's files, its adapter's too; of a hub's model its address with the commit."""
    trust = model.trust_remote_code
    adapters, base = down_to_base(locate(model.base, model.at, trust), trust)
    found = _hashes_of(base, patterns)
    for adapter in reversed(adapters):
        found = [_hashes_of(adapter, patterns), found]
    return found


def _hashes_of(place: Located, patterns: Sequence[str]) -> Identity:
    return place.address if place.hub is not None else hash_tree(Path(place.folder), patterns)
