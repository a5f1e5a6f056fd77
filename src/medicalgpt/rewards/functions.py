"""Scores of one's own: a Python function named by its path."""

import hashlib
import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from medicalgpt.config.rewards import RewardFunction
from medicalgpt.data.formats import fold_name
from medicalgpt.errors import ConfigError, MedicalGPTError, RunError
from medicalgpt.rewards import columns
from medicalgpt.rewards.answers import Group, PromptRow
from medicalgpt.rewards.exceptions import described
from medicalgpt.rewards.numbers import BadScores, as_numbers
from medicalgpt.rewards.signature import read_call

_FIX = "add it to every row, give the parameter a default, or take it out of the function"


class FunctionReward:
    """A function of the user: it gets the prompts (each a list of {role, content}) and one completion for each, and by name
    the columns it asks for, with one value for each completion; it gives one number for each.
    """

    def __init__(self, config: RewardFunction) -> None:
        """Raises ConfigError: nothing is at the path, or it is no function that can be called like this."""
        self.label, self.timeout = config.label, config.timeout
        self.function, self.file = _imported(str(config.path))
        self.call = read_call(self.function, f"reward {self.label}")
        self.names: list[str] = []

    def prepare(self, rows: Sequence[PromptRow]) -> list[str]:
        """Look for the columns it asks for in all rows of a run; gives notes.

        Raises:
            DataError: a row lacks one, with its place.
        """
        call, there = self.call, columns.spellings(rows)
        for name in call.required:
            columns.require(rows, name, f"reward {self.label}", _FIX)
        known = {fold_name(name) for name in there}
        optional = [name for name in call.optional if fold_name(name) in known]
        self.names = list(dict.fromkeys([*call.required, *optional, *(there if call.everything else ())]))
        notes = [
            f"note: reward {self.label}: no row has a column '{name}', so the function's default is used"
            for name in call.optional
            if name not in optional
        ]
        notes += [
            f"note: reward {self.label}: '{name}' gets the {what} by its place, not the column of that name"
            for name, what in zip(call.placed, ("prompts", "completions"))
            if fold_name(name) in known
        ]
        return notes

    def __call__(self, groups: Sequence[Group]) -> list[float]:
        """Scores of every answer, group by group. Raises RunError as `in_time`."""
        prompts = [[m.as_dict() for m in g.row.dialogue.messages] for g in groups for _ in g.answers]
        texts = [a.text for g in groups for a in g.answers]
        values = {n: [columns.value(g.row, n) for g in groups for _ in g.answers] for n in self.names}
        args, given = self.call.arguments(prompts, list(texts), values)
        # Of the rows themselves, as the function may change what it gets.
        handed = [
            *(g.row.columns for g in groups),
            *(m.content for g in groups for m in g.row.dialogue.messages),
            *texts,
        ]

        def run() -> list[float]:
            return as_numbers(self.function(*args, **given), len(texts))

        return in_time(run, self.label, self.timeout, len(texts), self.file, handed)


def in_time(
    work: Callable[[], list[float]],
    label: str,
    timeout: float,
    answers: int,
    file: str | None = None,
    handed: Sequence[object] = (),
) -> list[float]:
    """Do it in a thread of its own, so that what hangs stops the run with a message instead of hanging it.

    Raises:
        RunError: it took longer than `timeout` seconds, raised, or gave something else than numbers; none quotes what was
            `handed` over.
    """
    box: list[list[float] | BaseException] = []

    def run() -> None:
        try:
            box.append(work())
        except BaseException as error:  # handed to the caller below
            box.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout)
    if not box:
        raise RunError(
            f"reward {label} took longer than {timeout:g} s for {answers} answers; raise its timeout, or make it faster. "
            "The last checkpoint is intact"
        )
    found = box[0]
    if isinstance(found, BadScores):
        raise RunError(f"reward {label} {found}") from None
    if isinstance(found, MedicalGPTError):
        raise found
    if isinstance(found, BaseException):
        raise RunError(f"reward {label} raised {described(found, file, handed)}") from found
    return found


def _imported(path: str) -> tuple[Callable[..., Any], str | None]:
    """The function and the file it stands in."""
    place, _, name = path.rpartition(":")
    if not place or not name:
        raise ConfigError(f"reward.functions: {path!r} is no path; write package.module:function or file.py:function")
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the user's own code raises while it is imported, SystemExit, too
        file = str(Path(place).resolve()) if place.endswith(".py") else None
        raise ConfigError(f"reward.functions: {place} cannot be imported: {described(error, file, ())}") from error
    function = getattr(module, name, None)
    if not callable(function):
        names = ", ".join(n for n in vars(module) if callable(getattr(module, n)) and not n.startswith("_"))
        raise ConfigError(f"reward.functions: {place} has no function {name!r}; it has {names or 'none'}")
    return function, module.__file__


def _from_file(path: Path) -> ModuleType:
    """The module in a file; run once for all functions in it, and again when it has changed."""
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    file = path.resolve()
    # Dataclasses and pickling look a module up by its name, and two files may have the same one.
    digest = hashlib.sha256(str(file).encode() + file.read_bytes()).hexdigest()[:12]
    name = f"medicalgpt_reward_{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def source_file(path: str) -> Path | None:
    """The file a function's path leads to, without running it (packages above it are imported); None for a service."""
    place = path.rpartition(":")[0]
    if place.endswith(".py"):
        return Path(place) if Path(place).is_file() else None
    try:
        spec = importlib.util.find_spec(place)
    except (ImportError, ValueError, AttributeError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin and Path(spec.origin).is_file() else None
