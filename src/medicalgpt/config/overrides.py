"""Overrides given in Python, as the `key=value` words of a command line."""

import json
from collections.abc import Mapping, Sequence
from os import PathLike, fspath

from medicalgpt.errors import ConfigError

Overrides = Mapping[str, object] | Sequence[str]
"""Dotted keys with their values, or words; a text is one word."""


def override_words(given: Overrides) -> list[str]:
    """`key=value` as on the command line; values as JSON, which YAML reads.

    Raises:
        ConfigError: a value that YAML cannot say and that is no path.
    """
    if isinstance(given, str):
        return [given]
    if not isinstance(given, Mapping):
        return list(given)
    return [f"{key}={json.dumps(value, ensure_ascii=False, default=_path)}" for key, value in given.items()]


def _path(value: object) -> str:
    if isinstance(value, PathLike):
        return str(fspath(value))
    raise ConfigError(
        f"a {type(value).__name__} is no value of a config key; allowed: text, numbers, lists, mappings, paths"
    )
