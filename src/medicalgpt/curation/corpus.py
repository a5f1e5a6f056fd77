"""A finished corpus as a value: its files, its report, its manifest."""

import json
import os
from pathlib import Path

from medicalgpt.config.curation import CURATE
from medicalgpt.curation.report import Report
from medicalgpt.errors import RunError
from medicalgpt.runs import corpus, manifest
from medicalgpt.runs.manifest import Manifest

REPORT = "curation.json"


class Corpus:
    """The corpus in a run folder; a path wherever one is asked for: that of the rows to train on.

    Raises:
        RunError: no finished curation is in that folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder)
        if self.manifest.stage != CURATE:
            raise RunError(
                f"{folder} is a run of {self.manifest.stage}, not a corpus; give the output_dir of a curation"
            )

    def __repr__(self) -> str:
        return f"Corpus({str(self.path)!r})"

    def __fspath__(self) -> str:
        return str(self.train)

    @property
    def train(self) -> Path:
        """The folder of the rows to train on, one below it for each kind of row."""
        return self.path / corpus.TRAIN

    @property
    def held_out(self) -> Path | None:
        """The same of rows that were set apart; None where none were."""
        folder = self.path / corpus.HELD_OUT
        return folder if folder.is_dir() else None

    @property
    def manifest(self) -> Manifest:
        """What it was made from. Raises RunError while it is not finished."""
        return manifest.read(self.path)

    @property
    def report(self) -> Report:
        """The counts of curation.json. Raises RunError where the file is damaged."""
        try:
            found = json.loads((self.path / REPORT).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise RunError(f"{self.path / REPORT} is damaged; make the corpus again")
        return found
