"""Which named tests are known, and where their files lie. Tests are facts in YAML; items of others never come with the package."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files as resources
from pathlib import Path
from typing import Final, Literal

from medicalgpt.config.evaluation import ItemFile, NamedTest
from medicalgpt.config.loader import load
from medicalgpt.config.lookup import did_you_mean
from medicalgpt.errors import ConfigError, DataError
from medicalgpt.runs.hashes import hash_file

_SHIPPED: Final = Path(str(resources("medicalgpt.evaluation"))) / "tests"
"""Facts of the known tests, and the files of those that are the project's own."""
State = Literal["right", "other content", "missing"]


@dataclass(frozen=True)
class FoundTest:
    """A test with its files. `problems`: by path what is wrong with a file; a test with any cannot be run."""

    config: NamedTest
    files: dict[str, Path] = field(default_factory=dict)
    problems: dict[str, State] = field(default_factory=dict)

    @property
    def state(self) -> State:
        """The worst state of its files."""
        return "missing" if "missing" in self.problems.values() else next(iter(self.problems.values()), "right")


def known_tests(own: Sequence[Path] = ()) -> dict[str, tuple[NamedTest, Path | None]]:
    """Tests by name, with the folder of those that users add.

    Args:
        own: YAML files of the user's own tests.

    Raises:
        ConfigError: a file is no test, or a name is taken.
    """
    found: dict[str, tuple[NamedTest, Path | None]] = {t.name: (t, _own_place(t)) for t in _shipped()}
    for path in own:
        test = load(NamedTest, path).value
        if test.name in found:
            raise ConfigError(f"{path}: there is a test '{test.name}' already; give yours another name")
        found[test.name] = (test, path.parent)
    return found


def _own_place(test: NamedTest) -> Path | None:
    """Where the files of a test lie that come with the package; None for those of others."""
    return _SHIPPED if all((_SHIPPED / file.path).is_file() for file in test.files) else None


@cache
def _shipped() -> tuple[NamedTest, ...]:
    return tuple(load(NamedTest, path).value for path in sorted(_SHIPPED.glob("*.yaml")))


def own_tests(folder: Path) -> list[Path]:
    """YAML files of tests in a folder of tests: those with the keys of one."""
    return [path for path in sorted(folder.rglob("*.test.yaml")) if path.is_file()]


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
    """A folder in which test files lie, however deep and under whatever names."""

    path: Path

    @cached_property
    def files(self) -> dict[str, list[Path]]:
        """All files below it by name."""
        found: dict[str, list[Path]] = {}
        for path in sorted(self.path.rglob("*")):
            if path.is_file():
                found.setdefault(path.name, []).append(path)
        return found


def locate(test: NamedTest, beside: Path | None, folder: ItemFolder) -> FoundTest:
    """Find a test's files beside its own YAML, or below a folder: by path, else by size and content under any name."""
    found, problems = dict[str, Path](), dict[str, State]()
    for path, sha256, size in _wanted(test.files):
        place, state = _find(path, sha256, size, beside, folder)
        if place is not None:
            found[path] = place
        if state != "right":
            problems[path] = state
    return FoundTest(test, found, problems)


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
        + f"\nfetch them from {found.config.origin}, or leave the test out"
    )


def find_tests(names: Sequence[str], folder: Path) -> list[FoundTest]:
    """Tests and suites by name, with their files below a folder. Raises ConfigError, DataError as `choose`, `require`."""
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; name the one below which the tests' files lie (--tests, evaluate.tests)"
        )
    known, place = known_tests(own_tests(folder)), ItemFolder(folder)
    return [require(locate(*known[name], place), place) for name in choose(names, known)]


def _wanted(files: Sequence[ItemFile]) -> Iterator[tuple[str, str | None, int | None]]:
    for file in files:
        yield file.path, file.sha256, file.bytes
        if file.answers is not None:
            yield file.answers.path, file.answers.sha256, file.answers.bytes
        if file.examples is not None:
            yield file.examples, file.examples_sha256, None


def _find(
    path: str, sha256: str | None, size: int | None, beside: Path | None, folder: ItemFolder
) -> tuple[Path | None, State]:
    if beside is not None and (beside / path).is_file():
        return beside / path, _state(beside / path, sha256)
    named = [place for place in folder.files.get(path.rsplit("/", 1)[-1], ()) if place.as_posix().endswith(f"/{path}")]
    for place in named:
        if _state(place, sha256) == "right":
            return place, "right"
    if sha256 is not None and size is not None:
        for places in folder.files.values():
            for place in places:
                if place.stat().st_size == size and hash_file(place) == sha256:
                    return place, "right"
    return (named[0], "other content") if named else (None, "missing")


def _state(path: Path, sha256: str | None) -> State:
    return "right" if sha256 is None or hash_file(path) == sha256 else "other content"
