"""What `evaluate judge-check` found out about a judge: where it is kept, whether it is of this judge, and how it is told."""

import json
import re
from pathlib import Path
from typing import Final

from medicalgpt.config.evaluation import GraderConfig
from medicalgpt.errors import ConfigError, RunError
from medicalgpt.evaluation.outcomes import JsonObject
from medicalgpt.rewards.judge import form
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.hashes import hash_text

SCHEMA: Final = 1
NOT_CHECKED: Final = "judge not checked"
_FOLDER: Final = Path("runs/judges")
_MOST: Final = 1 << 20  # bytes of a result


def identity(config: GraderConfig) -> JsonObject:
    """Which judge it is: another model, place or form of the question is another one."""
    return {"url": config.url, "model": config.model, "form": form() + ("-one-by-one" if config.one_by_one else "")}


def usual_place(config: GraderConfig) -> Path:
    """Where the check of a judge is kept unless another file is named."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", config.model).strip("-.")[:60] or "judge"
    which = hash_text(config.url + config.model + ("one by one" if config.one_by_one else ""))
    return _FOLDER / f"{name}-{which[:8]}.json"


def check_of(config: GraderConfig) -> JsonObject | None:
    """The check of a judge; None where there is none, or it was made with other wording of the question.

    Raises:
        ConfigError: `config.check` names a file that is none, or of another judge.
    """
    if config.check is None:
        found = _read(usual_place(config))
        return found if found is not None and found["judge"] == identity(config) else None
    found = _read(Path(config.check))
    if found is None:
        raise ConfigError(f"{config.check}: this is no result of `medicalgpt evaluate judge-check`")
    if found["judge"] != identity(config):
        raise ConfigError(
            f"{config.check}: this is the check of another judge (address, model, or how questions are worded); run "
            "`medicalgpt evaluate judge-check` for this one"
        )
    return found


def _read(path: Path) -> JsonObject | None:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MOST))
    except (OSError, ValueError, RecursionError):
        return None
    whole = isinstance(found, dict) and found.get("schema_version") == SCHEMA and "judge" in found
    return found if whole else None


def keep_check(config: GraderConfig, check: JsonObject, place: Path | None) -> Path:
    """Write a check down, at its usual place unless another one is named; gives it. Raises RunError."""
    target = place or usual_place(config)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{target.parent} cannot be made: {error.strerror}") from error
    write_text(target, json.dumps(check, indent=1, ensure_ascii=False) + "\n")
    return target


def told(check: JsonObject | None) -> str:
    """In words, what stands beside every number of a judge."""
    if check is None:
        return NOT_CHECKED
    words = {
        "labels": "agrees with people in",
        "truncated": "puts real answers above cut ones in",
        "swapped": "above those to others in",
        "repeats": "says the same again in",
        "ungraded": "says nothing clear in",
    }
    parts = [f"{text} {_share(check[name])}" for name, text in words.items() if check.get(name)]
    return f"the judge {', '.join(parts)}" if parts else NOT_CHECKED


def _share(found: JsonObject) -> str:
    return f"{found['value']:.1%} [{found['low']:.1%}, {found['high']:.1%}] of {found['rows']}"
