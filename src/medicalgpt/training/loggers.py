"""Loggers beside metrics.jsonl: whether their packages are there, asked before anything is read or loaded."""

from collections.abc import Sequence
from importlib.util import find_spec

from medicalgpt.errors import ConfigError


def require_loggers(names: Sequence[str]) -> None:
    """See that the packages of `report_to` are installed; each is called as its package is.

    Raises:
        ConfigError: one is not, with the command that installs it.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"report_to: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed; pip install "
            f"{' '.join(missing)}, or leave it out: metrics.jsonl and report.html are written anyway"
        )
