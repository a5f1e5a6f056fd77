"""What was computed already, on disk: an evaluation that was broken off goes on where it stopped, to the same bytes."""

import gzip
import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final, get_args

from medicalgpt.errors import RunError
from medicalgpt.evaluation.choices import Scored
from medicalgpt.evaluation.outcomes import JsonObject, Outcome
from medicalgpt.evaluation.readings import EXTRACTORS, Given
from medicalgpt.refusals.conduct import Conduct
from medicalgpt.runs.atomic import write_bytes

_PARTS: Final = ("letter", "spaced", "text", "openers")
"""In this order, whatever a profile scores first: what was read again is written as what was computed."""


class Progress:
    """Lines of finished bundles in a file, as long as `key` is that of the lines before.

    Args:
        key: a hash of all that makes the numbers. A file with another one is begun anew.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self._done: dict[tuple[str, tuple[str, ...]], list[Outcome]] = {}
        if not self._load(key):
            self._done.clear()
            write_bytes(path, (json.dumps({"key": key}) + "\n").encode())

    def _load(self, key: str) -> bool:
        """Read what is there; a last line that was cut off is taken out. False where there is nothing of this key."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return False
        whole = content[: content.rfind(b"\n") + 1]
        lines = whole.splitlines()
        try:
            if not lines or json.loads(lines[0]) != {"key": key}:
                return False
            for line in lines[1:]:
                entry = json.loads(line)
                outcomes = [outcome_of(item) for item in entry["items"]]
                self._done[entry["test"], tuple(o.id for o in outcomes)] = outcomes
        except (ValueError, KeyError, TypeError):
            return False
        if len(whole) < len(content):
            os.truncate(self.path, len(whole))
        return True

    def find(self, test: str, ids: Sequence[str]) -> list[Outcome] | None:
        """What a bundle of these items came to; None where it was not computed."""
        return self._done.get((test, tuple(ids)))

    def keep(self, test: str, outcomes: Sequence[Outcome]) -> None:
        """Write a bundle down, on the disk before this returns. Raises RunError."""
        items = [line_of(o, texts=True) for o in outcomes]
        line = json.dumps({"test": test, "items": items}, ensure_ascii=False) + "\n"
        try:
            with self.path.open("ab") as file:
                file.write(line.encode("utf-8", "backslashreplace"))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(f"{self.path} could not be written: {error.strerror}") from error

    def remove(self) -> None:
        """All of it stands elsewhere now."""
        self.path.unlink(missing_ok=True)


def line_of(outcome: Outcome, texts: bool = False) -> JsonObject:
    """An outcome as JSON values; with the answer's text only where `texts` says so and it was kept."""
    orders = [
        {"order": s.order}
        | {name: s.logps[name] for name in _PARTS if name in s.logps}
        | ({"tokens": s.tokens, "bytes": s.bytes} if s.tokens else {})
        for s in outcome.orders
    ]
    found: JsonObject = {"id": outcome.id, "gold": outcome.gold, "subject": outcome.subject, "orders": orders}
    found |= {name: True for name in ("together", "each") if getattr(outcome, name)}
    if outcome.given:
        found["given"] = [_given_line(one, texts) for one in outcome.given]
    return found


def _given_line(given: Given, texts: bool) -> JsonObject:
    """What is kept of an answer; of what was not read from it, nothing."""
    kept = {name: value for name, value in asdict(given).items() if texts or name != "text"}
    return {
        name: value for name, value in kept.items() if value not in (None, {}, ()) and (name, value) != ("language", "")
    }


def outcome_of(line: JsonObject) -> Outcome:
    """An outcome from JSON values. Raises KeyError, TypeError or ValueError for others."""
    orders = []
    for entry in line["orders"]:
        logps = {name: list(map(float, entry[name])) for name in _PARTS if name in entry}
        tokens, sizes = map(list, (entry.get("tokens", ()), entry.get("bytes", ())))
        orders.append(Scored(tuple(map(int, entry["order"])), logps, tokens, sizes))
    gold = tuple(map(int, line["gold"]))
    given = tuple(map(_given_of, line.get("given", ())))
    marks = bool(line.get("together")), given, bool(line.get("each"))
    return Outcome(str(line["id"]), gold, str(line["subject"]), orders, *marks)


def _given_of(entry: JsonObject) -> Given:
    numbers = float(entry["repeated"]), int(entry["tokens"]), int(entry["characters"])
    picked = {name: tuple(map(int, entry["picked"][name])) for name in EXTRACTORS} if "picked" in entry else {}
    did = entry.get("did")
    if did not in (None, *get_args(Conduct)):
        raise ValueError("an answer that did something unknown")
    marks, tags = ({str(k): float(v) for k, v in entry.get(name, {}).items()} for name in ("marks", "tags"))
    given = Given(bool(entry["stopped"]), *numbers, str(entry["hash"]), entry.get("text"), picked, did)
    met = tuple(map(bool, entry.get("met", ())))
    masks = bool(entry["masks"]) if "masks" in entry else None
    return replace(given, language=str(entry.get("language", "")), marks=marks, tags=tags, met=met, masks=masks)


def write_items(path: Path, tests: Iterable[tuple[str, Sequence[Outcome]]]) -> None:
    """All outcomes, a JSON line each, compressed to the same bytes for the same outcomes. Raises RunError."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:
        for name, outcomes in tests:
            for outcome in outcomes:
                line = json.dumps({"test": name, **line_of(outcome)}, ensure_ascii=False, separators=(",", ":"))
                file.write(line.encode() + b"\n")
    write_bytes(path, buffer.getvalue())


def read_items_file(path: Path) -> dict[str, list[Outcome]]:
    """Outcomes by test from a file of `write_items`. Raises RunError where it is damaged."""
    found: dict[str, list[Outcome]] = {}
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                entry = json.loads(line)
                found.setdefault(entry["test"], []).append(outcome_of(entry))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged or missing ({type(error).__name__}); run the evaluation again") from error
    return found
