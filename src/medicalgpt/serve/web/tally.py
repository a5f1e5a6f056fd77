"""How the comparisons in a ratings file went."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from medicalgpt.errors import ServeError

_LONGEST: Final = 4 * 2**20  # bytes of a row, so that no file fills the memory


@dataclass
class Tally:
    """`won` counts for each model how often it was the best, `undecided` the verdicts "tie" and "bad"."""

    won: Counter[str] = field(default_factory=Counter)
    undecided: Counter[str] = field(default_factory=Counter)

    @classmethod
    def read(cls, path: Path) -> "Tally":
        """Of a file, line by line; of none where it is missing. Raises ServeError where a row is no comparison."""
        tally, number = cls(), 0
        try:
            with path.open("rb") as file:
                while line := file.readline(_LONGEST):
                    number += 1
                    tally.add(json.loads(line))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ServeError(f"--feedback: {path} cannot be read: {error.strerror}; choose another place") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ServeError(
                f"--feedback: row {number} of {path} is no comparison; choose another name, or take the row out"
            ) from None
        return tally

    def add(self, row: dict[str, object]) -> None:
        """Count one more row; KeyError, TypeError or AttributeError where it is none."""
        said, answers = row["verdict"], row["answers"]
        if said in ("tie", "bad"):
            self.undecided[str(said)] += 1
            return
        if not isinstance(answers, list):
            raise TypeError("answers")
        (model,) = (answer["model"] for answer in answers if answer["letter"] == said)
        self.won[str(model)] += 1
