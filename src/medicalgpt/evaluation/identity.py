"""Which model it was: hashes of weights, template and tokenizer, without loading anything."""

from collections.abc import Sequence
from pathlib import Path

from medicalgpt.config.sections import ModelConfig
from medicalgpt.models.adapter_config import down_to_base
from medicalgpt.models.locate import locate
from medicalgpt.runs.hashes import hash_tree

Identity = str | dict[str, str] | list["Identity"]


def weights_of(model: ModelConfig, patterns: Sequence[str] = ("*.safetensors", "*.jinja")) -> Identity:
    """Hashes of a model's files, its adapter's too; of a Hub model its name."""
    trust = model.trust_remote_code
    adapters, base = down_to_base(locate(model.base, model.revision, trust), trust)
    found = _hashes_of(base.path_or_id, patterns)
    for adapter in reversed(adapters):
        found = [_hashes_of(adapter.path_or_id, patterns), found]
    return found


def _hashes_of(path_or_id: str, patterns: Sequence[str]) -> Identity:
    folder = Path(path_or_id)
    return hash_tree(folder, patterns) if folder.is_dir() else path_or_id
