"""Which named tests are known, and where their files lie. Tests are facts in YAML; items of others never come with the package."""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files as resources
from pathlib import Path
from typing import Final, Literal

from medicalgpt.config.evaluation import ItemFile, NamedTest
from medicalgpt.config.loader import load
from medicalgpt.config.near_names import did_you_mean
from medicalgpt.errors import ConfigError, DataError
from medicalgpt.evaluation.fetching import fetched
from medicalgpt.runs.hashes import hash_file

_OWN: Final = ".test.yaml"
_CLAIM: Final = re.compile(r"^(?:name|group):\s*['\"]?([\w.-]+)", re.MULTILINE)
_MOST_READ: Final = 1 << 20
_log = logging.getLogger(__name__)
_SHIPPED: Final = Path(str(resources("medicalgpt.evaluation"))) / "tests"
"""Facts of the known tests, and the files of those that are the project's own."""
State = Literal["right", "other content", "missing"]


@dataclass(frozen=True)
class FoundTest:
    """A test with its files. `problems`: by path what is wrong with a file; a test with any cannot be run."""

    config: NamedTest
    files: dict[str, Path] = field(default_factory=dict)
    problems: dict[str, State] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the files, by path."""

    @property
    def state(self) -> State:
        """The worst state of its files."""
        return "missing" if "missing" in self.problems.values() else next(iter(self.problems.values()), "right")


def known_tests(
    own: Sequence[Path] = (), broken: dict[Path, ConfigError] | None = None
) -> dict[str, tuple[NamedTest, Path | None]]:
    """Tests by name, with the folder of those that users add.

    Args:
        own: YAML files of the user's own tests.
        broken: gets those that are none, with what is wrong; None: the first of them is raised.

    Raises:
        ConfigError: a file is no test, or a name is taken.
    """
    found: dict[str, tuple[NamedTest, Path | None]] = {t.name: (t, _own_place(t)) for t in _shipped()}
    for path in own:
        try:
            test = load(NamedTest, path).value
            if test.name in found:
                raise ConfigError(f"{path}: there is a test '{test.name}' already; give yours another name")
            found[test.name] = (test, path.parent)
        except ConfigError as error:
            if broken is None:
                raise
            broken[path] = error
    return found


def claims(path: Path) -> set[str]:
    """What a file that is no test would be asked for by: the names of test and suite in it, as far as they can be read."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_READ).decode("utf-8", "replace")
    except OSError:
        text = ""
    return {path.name.removesuffix(_OWN), *_CLAIM.findall(text)}


def _own_place(test: NamedTest) -> Path | None:
    """Where the files of a test lie that come with the package; None for those of others."""
    return _SHIPPED if all((_SHIPPED / file.path).is_file() for file in test.files) else None


@cache
def _shipped() -> tuple[NamedTest, ...]:
    return tuple(load(NamedTest, path).value for path in sorted(_SHIPPED.glob("*.yaml")))


def own_tests(folder: Path) -> list[Path]:
    """YAML files of tests in a folder of tests: those with the keys of one."""
    return [path for path in sorted(folder.rglob(f"*{_OWN}")) if path.is_file()]


def choose(names: Sequence[str], known: dict[str, tuple[NamedTest, Path | None]]) -> list[str]:
    """Names of tests and of groups of tests, as names of tests in order.

    Raises:
        ConfigError: no test or group has this name, or none is named.
    """
    if not names:
        raise ConfigError(f"no test or suite is named; suites: {', '.join({t.group: None for t, _ in known.values()})}")
    groups: dict[str, list[str]] = {}
    for test, _ in known.values():
        groups.setdefault(test.group, []).append(test.name)
    found: dict[str, None] = {}
    for name in names:
        if name not in known and name not in groups:
            allowed = [*groups, *known]
            raise ConfigError(
                f"no test or suite is called '{name}'; suites: {', '.join(groups)}; tests: {', '.join(known)}"
                f"{did_you_mean(name, allowed)}"
            )
        found |= dict.fromkeys(groups.get(name, [name]) if name not in known else [name])
    return list(found)


@dataclass(frozen=True)
class ItemFolder:
    """A folder in which test files lie, however deep and under whatever names; what is hashed is remembered."""

    path: Path
    _hashes: dict[Path, str] = field(default_factory=dict, compare=False, repr=False)

    def hash(self, path: Path) -> str:
        """SHA-256 of a file."""
        if path not in self._hashes:
            self._hashes[path] = hash_file(path)
        return self._hashes[path]

    @cached_property
    def files(self) -> dict[str, list[Path]]:
        """All files below it by name."""
        found: dict[str, list[Path]] = {}
        for path in sorted(self.path.rglob("*")):
            if path.is_file():
                found.setdefault(path.name, []).append(path)
        return found


def locate(test: NamedTest, beside: Path | None, folder: ItemFolder, fetch: bool = False) -> FoundTest:
    """Find a test's files beside its own YAML, or below a folder: by path, else by size and content under any name.

    Args:
        fetch: those that are not there as published are fetched from the hub that the test names.

    Raises:
        DataError: a file cannot be fetched, or is another one than the test says.
    """
    found, problems = dict[str, Path](), dict[str, State]()
    for path, sha256, size, hub in _wanted(test.files):
        place, state = _find(path, sha256, size, beside, folder)
        if state != "right" and fetch and hub is not None and sha256 is not None:
            place, state = fetched(hub, sha256, folder.hash), "right"
        if place is not None:
            found[path] = place
        if state != "right":
            problems[path] = state
    return FoundTest(test, found, problems, {path: folder.hash(place) for path, place in found.items()})


def require(found: FoundTest, folder: ItemFolder) -> FoundTest:
    """The same; raises DataError where a file is missing or has other content."""
    if not found.problems:
        return found
    lines = [
        f"  {path}: {state}" + (f" ({found.files[path]})" if path in found.files else "")
        for path, state in list(found.problems.items())[:5]
    ]
    more = f"\n  … and {len(found.problems) - 5} more" if len(found.problems) > 5 else ""
    raise DataError(
        f"test {found.config.name}: these files are not below {folder.path} as they were published:\n"
        + "\n".join(lines)
        + more
        + f"\nfetch them from {found.config.origin}{_by_hub(found)}, or leave the test out{elsewhere(found.config)}"
    )


def elsewhere(test: NamedTest) -> str:
    """In words, where the same questions are in other files; "" where that is not known."""
    return f"; on the Hub the same questions are in {test.on_hub}, in other files" if test.on_hub else ""


def _by_hub(found: FoundTest) -> str:
    """How a test's files come by themselves, where it says from which hub."""
    has = {path for path, _, _, hub in _wanted(found.config.files) if hub is not None}
    return ", or let them be fetched from their hub (--fetch, evaluate.fetch)" if has & found.problems.keys() else ""


def find_tests(names: Sequence[str], folder: Path, fetch: bool = False) -> list[FoundTest]:
    """Tests and suites by name, with their files below a folder.

    A file that is no test stops only those who ask for what it claims to be; others hear of it.

    Raises:
        ConfigError, DataError: as `choose`, `locate`, `require`.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; name the one below which the tests' files lie (--tests, evaluate.tests)"
        )
    broken = dict[Path, ConfigError]()
    known, place = known_tests(own_tests(folder), broken), ItemFolder(folder)
    for path, error in broken.items():
        if claims(path) & set(names):
            raise error
        _log.warning("%s is no test and is passed over: %s", path, error)
    return [require(locate(*known[name], place, fetch), place) for name in choose(names, known)]


def _wanted(files: Sequence[ItemFile]) -> Iterator[tuple[str, str | None, int | None, str | None]]:
    """Path, SHA-256, size and hub's address of every file."""
    for file in files:
        yield file.path, file.sha256, file.bytes, file.hub
        if file.answers is not None:
            yield file.answers.path, file.answers.sha256, file.answers.bytes, file.answers.hub
        if file.examples is not None:
            yield file.examples, file.examples_sha256, None, None


def _find(
    path: str, sha256: str | None, size: int | None, beside: Path | None, folder: ItemFolder
) -> tuple[Path | None, State]:
    if beside is not None and (beside / path).is_file():
        return beside / path, _state(beside / path, sha256, folder)
    named = [place for place in folder.files.get(path.rsplit("/", 1)[-1], ()) if place.as_posix().endswith(f"/{path}")]
    for place in named:
        if _state(place, sha256, folder) == "right":
            return place, "right"
    if sha256 is not None and size is not None:
        for places in folder.files.values():
            for place in places:
                if place.stat().st_size == size and folder.hash(place) == sha256:
                    return place, "right"
    return (named[0], "other content") if named else (None, "missing")


def _state(path: Path, sha256: str | None, folder: ItemFolder) -> State:
    return "right" if sha256 is None or folder.hash(path) == sha256 else "other content"
