"""Whose folder is it: may this run begin in a folder, given what lies there?"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from medicalgpt.errors import RunError
from medicalgpt.runs import manifest

RUN_FILE = ".run.json"
CONFIG = "config.resolved.yaml"
_EARLY = re.compile(r"\.lock|\.\.run\.json\.\d+\.tmp")  # all that a process killed in its first moment leaves behind

State = Literal["empty", "unfinished", "finished"]


def examine(folder: Path, config_text: str, config_key: str, resume: Literal["auto", "never"]) -> State:
    """What the folder holds, when that does not stand in the way of the run; creates nothing.

    Raises:
        RunError: the folder holds foreign files, a run with another key, or any run when `resume` is "never".
    """
    there = _names(folder)
    if not there:
        return "empty"
    state, recorded = _recorded(folder, there)
    which = f"{folder} holds {'an unfinished' if state == 'unfinished' else 'a finished'} run"
    if resume == "never":
        raise RunError(
            f"{which} and train.resume is never; "
            "set train.resume=auto, choose another output_dir, or remove the folder to start over"
        )
    if recorded != config_key:
        raise RunError(
            f"{which} of another configuration ({_differences(folder / CONFIG, config_text)}); "
            "choose another output_dir, or remove the folder to start over"
        )
    return state


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if not _EARLY.fullmatch(path.name))
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise RunError(f"{folder} is a file; output_dir must be a new, an empty or this run's own folder") from None
    except OSError as error:
        raise RunError(f"{folder} cannot be used as a run folder: {error.strerror}") from error


def _recorded(folder: Path, there: list[str]) -> tuple[Literal["unfinished", "finished"], str]:
    """The state of a folder that is not empty, and the config key it was begun with."""
    if manifest.NAME in there:
        return "finished", manifest.read(folder / manifest.NAME).config_key
    if RUN_FILE not in there:
        raise RunError(
            f"{folder} is not a run folder but holds other files or folders ({len(there)}, such as {there[0]}); "
            "choose a new or empty output_dir"
        )
    try:
        return "unfinished", str(json.loads((folder / RUN_FILE).read_bytes())["config_key"])
    except (OSError, ValueError, TypeError, KeyError):
        raise RunError(
            f"{folder / RUN_FILE} is unreadable, so nobody can tell which run this is; "
            "choose another output_dir, or remove the folder to start over"
        ) from None


def _differences(written: Path, text: str) -> str:
    """Which keys differ between the folder's resolved config and `text`."""
    import yaml

    try:
        old = dict(_leaves(yaml.safe_load(written.read_text("utf-8"))))
        new = dict(_leaves(yaml.safe_load(text)))
    except (OSError, ValueError, yaml.YAMLError):
        return f"compare its {written.name}"
    absent = object()
    keys = sorted(k for k in old.keys() | new.keys() if old.get(k, absent) != new.get(k, absent))
    keys = [key for key in keys if key != "output_dir"]  # two spellings of this very folder
    if not keys:
        return "the settings are the same, so data, base model, template or code changed"
    return "different: " + ", ".join(keys[:6]) + (f" and {len(keys) - 6} more" if len(keys) > 6 else "")


def _leaves(node: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(node, dict) and node:
        for key, inner in node.items():
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, node
