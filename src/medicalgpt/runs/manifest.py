"""manifest.json, written last: what a finished run was made from and what came out. No manifest = not finished."""

import json
import math
import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
)

from medicalgpt import __version__
from medicalgpt.errors import RunError
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.hashes import code_hash, hash_file, hash_json, hash_text, hash_tree

__all__ = [
    "SCHEMA_VERSION",
    "BestStep",
    "Draft",
    "Hashes",
    "Manifest",
    "Parent",
    "Record",
    "code_hash",
    "hash_file",
    "hash_json",
    "hash_text",
    "hash_tree",
    "homeless",
    "portable",
    "read",
    "versions",
    "write",
]

SCHEMA_VERSION: Final = 1
NAME = "manifest.json"
_PACKAGES = ("torch", "transformers", "peft", "accelerate")

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Metric = Annotated[float | None, BeforeValidator(_finite)]
Utc = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC).replace(microsecond=0))]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Parent(_Part):
    """The run this one continues: its folder, seen from this run's folder, and the hash of its manifest."""

    path: str
    sha256: Sha256

    @classmethod
    def of(cls, run: str | Path, parent: str | Path) -> "Parent":
        """The entry for `parent` in the manifest of `run`; raises RunError when `parent` is not finished."""
        read(parent)
        return cls(path=portable(parent, run), sha256=hash_file(Path(parent) / NAME))


class Hashes(_Part):
    """SHA-256 of everything that went in; null where a stage has no such input."""

    data: Sha256
    eval: Sha256 | None = None
    template: Sha256 | None = None
    tokenizer: Sha256 | None = None
    base: Sha256
    code: Sha256
    plugins: dict[str, Sha256] = {}
    """The user's own files that define the stage; written only where there are any."""
    models: dict[str, Sha256] = {}
    """Models beside the base by role (adapter, reference, teacher, reward); of a hub's model of its name and commit. As `plugins`."""


class BestStep(_Part):
    """Which step's model is published where `train.keep_best` chose it: the held-out number `metric`, of which the least or
    most is best (`goal`), had its best `value` after `step` of `last` steps. `stopped`: train.patience ended the run there."""

    metric: str
    goal: Literal["min", "max"]
    step: int = Field(ge=0)
    value: float = Field(allow_inf_nan=False)
    last: int = Field(ge=0)
    stopped: bool


class Record(_Part):
    """What is known of a run. Times are in seconds, `tokens` counts the tokens that training computed: prompts and other
    tokens without weight are among them, padding is not."""

    schema_version: Literal[1] = SCHEMA_VERSION
    stage: str
    status: str
    base: str
    models: dict[str, str] = {}
    """Models beside the base by role, of a hub with the commit; written only where there are any."""
    parents: list[Parent] = []
    config_key: str
    hashes: Hashes
    versions: dict[str, str]
    seed: int
    device: str
    world_size: int = Field(ge=1)
    ledger: dict[str, Any]
    seconds: float = Field(ge=0, allow_inf_nan=False)
    tokens: int = Field(ge=0)
    before: dict[str, Metric] = {}
    after: dict[str, Metric] = {}
    best: BestStep | None = None
    """Written only where there is one."""
    created: Utc = Field(default_factory=lambda: datetime.now(UTC), validate_default=True)


class Manifest(Record):
    """The whole record of a finished run, with the `files` of its model."""

    status: Literal["finished"] = "finished"
    files: dict[str, Sha256]


class Draft(Record):
    """A run that is under way or was interrupted, after `step` of `steps`: for its report only, never written as a manifest."""

    status: Literal["running", "interrupted"]
    step: int = Field(ge=0)
    steps: int = Field(ge=1)


def write(folder: str | Path, manifest: Manifest) -> None:
    """Write manifest.json into a run folder, in one step; paths below the home folder are written as `~/…`."""
    unused: dict[str, set[str] | bool] = {
        "hashes": {name for name in ("plugins", "models") if not getattr(manifest.hashes, name)}
    }
    unused |= {name: True for name in ("best", "models") if not getattr(manifest, name)}
    plain = _without_home(json.loads(manifest.model_dump_json(exclude=unused)))
    write_text(Path(folder) / NAME, json.dumps(plain, indent=2, ensure_ascii=False) + "\n")


def read(path: str | Path) -> Manifest:
    """The manifest of a run folder (or the file itself).

    Raises:
        RunError: it is missing, damaged, or of a newer schema.
    """
    file = Path(path)
    file = file / NAME if file.is_dir() else file
    try:
        values = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise RunError(f"{file} is missing: this is not a finished run; finish it first, or name another") from None
    except OSError as error:
        raise RunError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError):
        raise RunError(f"{file} is damaged: it is not JSON; remove the run folder and run the stage again") from None
    schema = values.get("schema_version") if isinstance(values, dict) else None
    if isinstance(schema, int) and schema > SCHEMA_VERSION:
        raise RunError(
            f"{file} has schema {schema}, this medicalgpt {__version__} reads up to {SCHEMA_VERSION}; "
            "update medicalgpt to use this run"
        )
    try:
        return Manifest.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'top level'}: {e['msg']}" for e in error.errors()[:5])
        raise RunError(f"{file} is damaged ({wrong}); remove the run folder and run the stage again") from None


def versions(packages: Sequence[str] | None = None) -> dict[str, str]:
    """Versions of Python and of the packages a result depends on (None: a training run), without importing them."""
    found = {"medicalgpt": __version__, "python": platform.python_version()}
    for name in packages or _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def portable(path: str | Path, start: str | Path) -> str:
    """`path` seen from the folder `start`, with forward slashes; `~/…` where that would spell out the home folder."""
    full, base = os.path.abspath(path), os.path.abspath(start)
    try:
        common = os.path.commonpath([full, base])
    except ValueError:  # two drives on Windows
        return _homeless(full, _home())
    home = _home()
    if home is not None and Path(full).is_relative_to(home) and not Path(common).is_relative_to(home):
        return _homeless(full, home)
    return Path(os.path.relpath(full, base)).as_posix()


def _home() -> str | None:
    try:
        home = os.path.abspath(Path.home())
    except RuntimeError:  # an account without one
        return None
    return None if home == os.path.dirname(home) else home


def _without_home(value: JsonValue) -> JsonValue:
    """A JSON value in which no text names the home folder, and so the user."""
    home = _home()
    if home is None:
        return value
    if isinstance(value, dict):
        return {_homeless(key, home): _without_home(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_home(inner) for inner in value]
    return _homeless(value, home) if isinstance(value, str) else value


def homeless(text: str) -> str:
    """A text in which no path names the home folder, and so the user."""
    return _homeless(text, _home())


def _homeless(text: str, home: str | None) -> str:
    """A text with `~` for the home folder."""
    return text if home is None else re.sub(rf"(?<![\w./~-]){re.escape(home)}(?![\w.-])", "~", text)
