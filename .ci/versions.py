"""Prints the oldest or newest torch, transformers and peft that pyproject.toml allows, as requirements for pip."""

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

NAMES = ("torch", "transformers", "peft")


def requirements(which: str, pyproject: Path) -> list[str]:
    """`oldest`: each at its lower bound; `newest`: the ranges as they stand, for `pip install --upgrade`.

    Raises:
        ValueError: another word than these two, or a range without a lower bound.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    ranges = {r.name: r for r in map(Requirement, project["dependencies"])}
    if which == "newest":
        return [str(ranges[name]) for name in NAMES]
    if which != "oldest":
        raise ValueError(f"oldest or newest, not {which!r}")
    lower = {name: [s.version for s in ranges[name].specifier if s.operator == ">="] for name in NAMES}
    for name, versions in lower.items():
        if len(versions) != 1:
            raise ValueError(f"{name} has no lower bound in {pyproject}: {ranges[name]}")
    return [f"{name}=={versions[0]}" for name, versions in lower.items()]


if __name__ == "__main__":
    print(*requirements(sys.argv[1], Path(__file__).resolve().parents[1] / "pyproject.toml"))
