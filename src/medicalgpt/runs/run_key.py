"""What a run is made from: the parts that must be equal for it to go on, or to count as done."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medicalgpt.runs.hashes import hash_json
from medicalgpt.runs.manifest import Manifest

LENGTH = ("max_steps", "epochs", "patience")  # of the section `train`: all that may be raised when a run goes on
_IN_MANIFEST = ("data", "eval", "template", "tokenizer")


def _is_less(old: Mapping[str, object], new: Mapping[str, object]) -> bool:
    """Whether fewer steps, or a smaller patience (None: without end), and none of both more."""
    waited, waits = old.get("patience"), new.get("patience")
    if waited == waits:
        return _is_shorter(old, new)
    waits_less = isinstance(waited, int) and (waits is None or (isinstance(waits, int) and waited < waits))
    same = all(old[name] == new[name] for name in ("max_steps", "epochs"))
    return waits_less and (same or _is_shorter(old, new))


def _is_shorter(old: Mapping[str, object], new: Mapping[str, object]) -> bool:
    name = "epochs" if old["max_steps"] is None and new["max_steps"] is None else "max_steps"
    a, b = old[name], new[name]
    return isinstance(a, int | float) and isinstance(b, int | float) and a < b


def _unreadable(config: Path) -> None:
    return None


@dataclass(frozen=True)
class RunKey:
    """A run's inputs; two runs with equal `hash()` are the same run.

    Attributes:
        settings: the stage's config as JSON values, without what changes no number.
        data, base: SHA-256 by name, of what is trained on and of the models it starts from or is judged by.
        code: `code_hash()` of this package.
        settings_in: settings as a config.resolved.yaml has them, read by today's schema; None where it cannot.
    """

    stage: str
    settings: Mapping[str, Any]
    data: Mapping[str, str]
    base: Mapping[str, str]
    code: str
    settings_in: Callable[[Path], Mapping[str, Any] | None] = field(default=_unreadable, compare=False, repr=False)

    def hash(self, code: str | None = None) -> str:
        """SHA-256 over all parts, or what it would be with another package's code hash."""
        parts = {"stage": self.stage, "config": self.settings, "data": self.data, "base": self.base}
        return hash_json(parts | {"code": code or self.code})

    def shorter(self, config: Path) -> "RunKey | None":
        """The key of the shorter run that a folder's config.resolved.yaml tells of; None where that is no such run.

        A run is a shorter one of this when it differs in `train.max_steps`, which it has set to less, or, where neither
        sets that, in `train.epochs`; or in `train.patience`, of which it had less.
        """
        before = self.settings_in(config)
        old, new = (settings.get("train") if settings else None for settings in (before, self.settings))
        if not isinstance(old, Mapping) or not isinstance(new, Mapping):
            return None
        length = {name: old[name] for name in LENGTH if name in old}
        if {**new, **length} != old or not _is_less(length, new):
            return None
        return replace(self, settings={**self.settings, "train": {**new, **length}})

    def parts(self) -> dict[str, str]:
        """Each part's own hash, so that a later version can tell which one changed."""
        return {"data": hash_json(dict(self.data)), "base": hash_json(dict(self.base)), "code": self.code}

    def made(self, record: Manifest, parts: Mapping[str, str], config: Path) -> bool:
        """Whether a finished run had these settings, data and base, whatever its code and its spelling of settings.

        Args:
            parts: `parts()` as its folder kept them. Where there are none the manifest's hashes decide; they lack replay
                data, adapters, reward models and teachers, so a run with one of those counts as another.
            config: the folder's config.resolved.yaml.
        """
        if record.stage != self.stage or self.settings_in(config) != self.settings:
            return False
        if "data" in parts and "base" in parts:
            own = self.parts()
            return all(parts[name] == own[name] for name in ("data", "base"))
        if not self.data.keys() <= set(_IN_MANIFEST) or self.base.keys() != {"base"}:
            return False
        hashes = record.hashes.model_dump()
        return hashes["base"] == self.base["base"] and all(hashes[name] == self.data.get(name) for name in _IN_MANIFEST)
