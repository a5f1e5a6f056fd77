"""What the reader of a file is told beyond its name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from medicalgpt.config.sections import DataConfig, Encodings, TxtRows


@dataclass(frozen=True, slots=True)
class Reading:
    """`encoding` of text files that are no UTF-8, and what a row of a .txt file is; as in the `data` section.

    `limits`: of these files only so many rows are read, the first ones.
    """

    encoding: Encodings = "auto"
    txt: TxtRows = "file"
    limits: Mapping[Path, int] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, data: DataConfig) -> "Reading":
        """As the section says."""
        return cls(data.encoding, data.txt)


DETECTED: Final = Reading()
