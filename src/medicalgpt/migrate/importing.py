"""A file of another toolkit in, a configuration of ours out."""

from pathlib import Path

from medicalgpt.migrate.carry import Carrying, carry
from medicalgpt.migrate.rules import rules
from medicalgpt.migrate.script import read_given


def import_config(path: Path, stage: str | None = None, dataset_info: Path | None = None) -> Carrying:
    """Read a file of another tool and carry over what can be.

    Raises:
        ConfigError: the file cannot be read, is of no tool that is known, or does not tell its stage.
    """
    return carry(read_given(path, stage), rules(dataset_info))
