"""Why a run ended that was not told to: kept in its folder until it goes on, so that nobody takes it for an interrupted one."""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from medicalgpt.errors import MedicalGPTError, RunError
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.manifest import homeless

NAME: Final = ".failed.json"
_LONGEST: Final = 2000  # characters


@dataclass(frozen=True)
class Failure:
    """The error's class, what it said (of our own errors, which quote no row; "" of any other), and when, in UTC."""

    error: str
    message: str
    at: str


def note_failure(folder: Path, error: BaseException | None) -> None:
    """Keep why a run ended; nothing where it ended well, was told to stop, or the folder cannot be written."""
    if not isinstance(error, Exception):  # Ctrl-C and exits were asked for
        return
    said = homeless(str(error))[:_LONGEST] if isinstance(error, MedicalGPTError) else ""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    values = {"error": type(error).__name__, "message": said, "at": at}
    with suppress(RunError):  # the error itself is what the user must see
        write_text(folder / NAME, json.dumps(values, ensure_ascii=False) + "\n")


def forget_failure(folder: Path) -> None:
    """The run goes on."""
    (folder / NAME).unlink(missing_ok=True)


def read_failure(folder: Path) -> Failure | None:
    """Why the run in a folder ended; None where nothing says that it failed."""
    try:
        values = json.loads((folder / NAME).read_bytes())
        return Failure(*(str(values[name])[:_LONGEST] for name in ("error", "message", "at")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return Failure("unknown", f"{NAME} is damaged", "")
