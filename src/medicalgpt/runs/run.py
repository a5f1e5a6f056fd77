"""A run folder as a value: its model, numbers, samples, report and manifest."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medicalgpt.errors import RunError
from medicalgpt.runs import manifest, metrics
from medicalgpt.runs.folder import MERGED, RunFolder
from medicalgpt.runs.manifest import Manifest
from medicalgpt.runs.reward_report import RewardReport, read_report

if TYPE_CHECKING:  # optional: pandas is not required
    from pandas import DataFrame  # type: ignore[import-untyped]  # no stubs are installed


class Metrics(list[dict[str, Any]]):
    """Lines of metrics.jsonl: dictionaries with "step" and the numbers that were written then."""

    def column(self, name: str) -> list[tuple[int, Any]]:
        """(step, value) wherever `name` was written.

        Raises:
            RunError: it never was; the message names what there is.
        """
        found = [(line["step"], line[name]) for line in self if name in line]
        if not found:
            names = sorted({key for line in self for key in line} - {"step"})
            raise RunError(f"no line has {name!r}; there are: {', '.join(names) or 'none'}")
        return found

    def to_pandas(self) -> "DataFrame":
        """One row a line. Raises RunError where pandas is not installed."""
        try:
            import pandas
        except ImportError:
            raise RunError(
                "a DataFrame needs pandas: pip install pandas; without it, a Metrics is a list of rows"
            ) from None
        return pandas.DataFrame(list(self))


class Run:
    """A run folder, finished or not.

    Raises:
        RunError: there is no run in that folder.
    """

    def __init__(self, path: str | Path) -> None:
        self._folder = RunFolder(path)
        if not self._folder.config.is_file():
            raise RunError(
                f"{path} is no run folder: it has no {self._folder.config.name}; give the output_dir of a stage"
            )

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def path(self) -> Path:
        """The folder."""
        return self._folder.path

    @property
    def finished(self) -> bool:
        """Whether it ended well: its manifest, which is written last, is there."""
        return self._folder.manifest.is_file()

    @property
    def manifest(self) -> Manifest:
        """What it was made from and what came out. Raises RunError while it is not finished."""
        return manifest.read(self.path)

    @property
    def model(self) -> Path:
        """The model's folder: merged weights where there are some, else the adapter or full weights as trained."""
        merged = self.path / MERGED
        return merged if merged.is_dir() else self._folder.model

    @property
    def report(self) -> Path:
        """report.html."""
        return self._folder.report

    def metrics(self) -> Metrics:
        """Every number that was logged, in order. Raises RunError for a damaged file."""
        return Metrics(self._lines(self._folder.metrics))

    def samples(self) -> list[dict[str, Any]]:
        """Sample answers written while it trained: step, prompt, answer. Raises RunError for a damaged file."""
        return list(self._lines(self._folder.samples))

    @property
    def reward_report(self) -> RewardReport | None:
        """What held-out pairs said of a reward model; None for other stages."""
        return read_report(self._folder.model)

    @staticmethod
    def _lines(path: Path) -> Iterable[dict[str, Any]]:
        return metrics.read(path) if path.is_file() else ()
