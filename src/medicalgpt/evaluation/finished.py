"""A finished evaluation: its numbers, its items, and how it stands to an earlier one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medicalgpt.config.evaluation import Gate
from medicalgpt.evaluation.evaluation import require_finished
from medicalgpt.evaluation.gates import Judged, corrected, differences, usual_gates
from medicalgpt.evaluation.names import ITEMS
from medicalgpt.evaluation.outcomes import JsonObject, Outcome
from medicalgpt.evaluation.progress import read_items_file


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation. `results` is its results.json: values with 95 % intervals under `tests` and `groups`."""

    folder: Path
    results: JsonObject

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "Evaluation":
        """The evaluation in a folder. Raises RunError where none is finished there, or its items are others."""
        return cls(Path(folder), require_finished(Path(folder)))

    def items(self) -> dict[str, list[Outcome]]:
        """What the model made of every item, by test. Raises RunError where the file is damaged."""
        return read_items_file(self.folder / ITEMS)

    def judged_against(self, before: "Evaluation", gates: Sequence[Gate] = ()) -> list[Judged]:
        """Whether this model lost anything: PASS, BLOCK or INCONCLUSIVE for each gate; without any, for each suite.

        Raises:
            DataError: the two are not of the same tests, files, versions or settings. ConfigError: a gate names what was
                not measured.
        """
        wanted = gates or usual_gates(before.results)
        found = differences(wanted, before.results, self.results, before.items(), self.items())
        return corrected(wanted, found, self.results)
