"""Whose folder is it: may this run begin in a folder, given what lies there?"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from medicalgpt import __version__
from medicalgpt.errors import RunError
from medicalgpt.runs import manifest
from medicalgpt.runs.hashes import NUMBERS
from medicalgpt.runs.run_key import LENGTH, RunKey

RUN_FILE = ".run.json"
CONFIG = "config.resolved.yaml"
_EARLY = re.compile(r"\.lock|\.\.run\.json\.\d+\.tmp")  # all that a process killed in its first moment leaves behind

# They change no number; two spellings of output_dir are this very folder.
_FREE = (
    "output_dir",
    "report_to",
    "train.resume",
    "train.save_minutes",
    "rollout.servers",
    "rollout.allow_remote",
    "rollout.adapter_dir",
    "rollout.timeout",
)

State = Literal["empty", "unfinished", "finished"]


class Standing(NamedTuple):
    """What a folder holds, and what is to be said about it ("" is nothing).

    `shorter` is the key of the run there where this one makes it longer.
    """

    state: State
    note: str = ""
    shorter: RunKey | None = None


@dataclass(frozen=True)
class _Recorded:
    """What a folder says about its run. `parts` and `version` are empty where an older version began it."""

    state: Literal["unfinished", "finished"]
    key: str
    parts: Mapping[str, str]
    version: str
    made: manifest.Manifest | None = None


def examine(folder: Path, config_text: str, key: RunKey, resume: Literal["auto", "never"]) -> Standing:
    """What the folder holds, when that does not stand in the way of the run; creates nothing.

    A finished run that other code made is still this run, with a note; an unfinished one is refused, since going on would
    mix two versions' numbers.

    Raises:
        RunError: the folder holds foreign files, a run with another key, or any run when `resume` is "never".
    """
    there = _names(folder)
    if not there:
        return Standing("empty")
    found = _recorded(folder, there)
    which = f"{folder} holds {'an unfinished' if found.state == 'unfinished' else 'a finished'} run"
    if resume == "never":
        raise RunError(
            f"{which} and train.resume is never; "
            "set train.resume=auto, choose another output_dir, or remove the folder to start over"
        )
    if found.key == key.hash():
        return Standing(found.state)
    shorter = key.shorter(folder / CONFIG)
    if shorter is not None and found.key == shorter.hash():
        return Standing(found.state, shorter=shorter)
    code = found.made.hashes.code if found.made else found.parts.get("code")
    same_but_code = code is not None and found.key == key.hash(code)
    if found.made and (same_but_code or key.made(found.made, found.parts, folder / CONFIG)):
        other = (
            "whose code for the numbers is another"
            if same_but_code
            else "which had other names or defaults of settings"
        )
        return Standing(
            "finished",
            f"it was made by {found.version}, {other}; it stays as it is. To train it again, remove the folder",
        )
    if same_but_code or (code is not None and shorter is not None and found.key == shorter.hash(code)):
        raise RunError(
            f"{which} with these settings, data and base, but {found.version} began it and the code that makes the numbers "
            f"({', '.join(NUMBERS)}) is another now: going on would mix two versions in one run. Finish it with that "
            "version, choose another output_dir, or remove the folder to start over"
        )
    raise RunError(
        f"{which} of another configuration ({_differences(folder / CONFIG, config_text, found.parts, key)}); "
        "choose another output_dir, or remove the folder to start over"
    )


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if not _EARLY.fullmatch(path.name))
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise RunError(f"{folder} is a file; output_dir must be a new, an empty or this run's own folder") from None
    except OSError as error:
        raise RunError(
            f"{folder} cannot be used as a run folder: {error.strerror}; choose another output_dir"
        ) from error


def _recorded(folder: Path, there: list[str]) -> _Recorded:
    """What a folder that is not empty says about its run."""
    if manifest.NAME in there:
        made = manifest.read(folder / manifest.NAME)
        begun: dict[str, Any] = {}
        with suppress(OSError, ValueError):  # not needed for a finished run, and lost in some copies
            begun = json.loads((folder / RUN_FILE).read_bytes())
        version = f"medicalgpt {made.versions['medicalgpt']}" if "medicalgpt" in made.versions else "another version"
        return _Recorded("finished", made.config_key, _parts(begun), version, made)
    if RUN_FILE not in there:
        raise RunError(
            f"{folder} is not a run folder but holds other files or folders ({len(there)}, such as {there[0]}); "
            "choose a new or empty output_dir"
        )
    try:
        begun = json.loads((folder / RUN_FILE).read_bytes())
        version = f"medicalgpt {begun['version']}" if "version" in begun else "another version"
        return _Recorded("unfinished", str(begun["config_key"]), _parts(begun), version)
    except (OSError, ValueError, TypeError, KeyError):
        raise RunError(
            f"{folder / RUN_FILE} is unreadable, so nobody can tell which run this is; "
            "choose another output_dir, or remove the folder to start over"
        ) from None


def _parts(begun: Any) -> Mapping[str, str]:
    parts = begun.get("parts") if isinstance(begun, dict) else None
    return parts if isinstance(parts, dict) else {}


class Stretch(NamedTuple):
    """Where a run was made longer: the step it had then, and how many epochs it was to have."""

    step: int
    epochs: float


def record(key: RunKey, stretched: Sequence[Stretch] = ()) -> dict[str, Any]:
    """What `.run.json` says of a run that begins now, or is made longer."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    said = {
        "config_key": key.hash(),
        "parts": key.parts(),
        "version": __version__,
        "created": created,
        "stage": key.stage,
    }
    return said | ({"stretched": [list(one) for one in stretched]} if stretched else {})


def stretches(folder: Path) -> tuple[Stretch, ...]:
    """Where the run in a folder was made longer, as far as its number of epochs decided its length.

    Raises:
        RunError: its record is damaged.
    """
    try:
        said = json.loads((folder / RUN_FILE).read_bytes()).get("stretched", [])
        return tuple(Stretch(int(step), float(epochs)) for step, epochs in said)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"{folder / RUN_FILE} is unreadable; choose another output_dir, or remove the folder to start over"
        ) from error


def _differences(written: Path, text: str, parts: Mapping[str, str], key: RunKey) -> str:
    """Which keys differ between the folder's resolved config and `text`, or which other part does."""
    import yaml

    try:
        old = dict(leaves(yaml.safe_load(written.read_text("utf-8"))))
        new = dict(leaves(yaml.safe_load(text)))
    except (OSError, ValueError, yaml.YAMLError):
        return f"compare its {written.name}"
    absent = object()
    keys = sorted(k for k in old.keys() | new.keys() if old.get(k, absent) != new.get(k, absent))
    keys = [key for key in keys if key not in _FREE]
    if not keys:
        changed = [name for name, mine in key.parts().items() if parts.get(name, mine) != mine]
        if changed:
            return f"the settings are the same, but not: {', '.join(changed)}"
        return "the settings are the same, so data, base model, template or code changed"
    if set(keys) <= {f"train.{name}" for name in LENGTH}:
        return (
            f"different: {', '.join(keys)}, and only a larger train.max_steps or, without it, more train.epochs (or "
            "train.patience) goes on"
        )
    return "different: " + ", ".join(keys[:6]) + (f" and {len(keys) - 6} more" if len(keys) > 6 else "")


def leaves(node: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """The values of nested mappings by dotted key, in their order; an empty mapping is a value."""
    if isinstance(node, dict) and node:
        for key, inner in node.items():
            yield from leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, node
