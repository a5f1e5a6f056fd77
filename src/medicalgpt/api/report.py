"""One page to sign about a run or a pipeline, as `medicalgpt report` writes it."""

import os
from pathlib import Path

from medicalgpt.language import Language
from medicalgpt.trust.write import write_report

PathLike = str | os.PathLike[str]


def report(
    folder: PathLike, *, language: Language = "en", output: PathLike | None = None, before: PathLike | None = None
) -> Path:
    """Write trust.html and trust.json about a run or a pipeline, finished or not; returns the page's path.

    Args:
        folder: the output_dir of a run or a pipeline.
        language: of the page; the JSON file is the same in all.
        output: where both files go; None: the folder itself.
        before: of a run, the folder of an evaluation of the model before it, to be compared with.

    Raises:
        RunError, ModelError: it is neither, or something in it is damaged. DataError: the two evaluations are not of the same
            tests. ConfigError: `before` with a pipeline.
    """
    return write_report(
        Path(folder), language, None if output is None else Path(output), None if before is None else Path(before)
    )
