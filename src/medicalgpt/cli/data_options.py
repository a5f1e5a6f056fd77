"""Options of every command that reads data files: what they are in, and what a row of a .txt file is."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from medicalgpt.data.rows import Reading

Encoding = Annotated[str, typer.Option("--encoding", help="As data.encoding, e.g. gb18030 or big5.")]
Txt = Annotated[str, typer.Option("--txt", help="As data.txt: file or line.")]


def reading_of(encoding: str, txt: str) -> "Reading":
    """The two as readers take them. Raises ConfigError for another word, with those allowed."""
    import json

    from medicalgpt.config.loader import load
    from medicalgpt.config.sections import DataConfig
    from medicalgpt.data.rows import Reading

    values = {"train": ["."], "encoding": encoding, "txt": txt}
    return Reading.of(load(DataConfig, None, [f"{key}={json.dumps(value)}" for key, value in values.items()]).value)
