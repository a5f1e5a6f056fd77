"""Scores of an HTTP service."""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from medicalgpt.config.rewards import RewardFunction
from medicalgpt.errors import RunError
from medicalgpt.rewards import columns
from medicalgpt.rewards.answers import Group, PromptRow
from medicalgpt.rewards.functions import in_time
from medicalgpt.rewards.numbers import as_numbers
from medicalgpt.rewards.posting import PostError, post_json, require_allowed

_ROOM_A_SCORE: Final = 64  # bytes of one number as JSON, amply; an answer longer than all of them is not read
_ROOM: Final = 1 << 16
_FIX = "add it to every row, or take it out of the reward's columns"


class ServiceReward:
    """A service that gets `{"prompts": …, "completions": …, "reference": …, "columns": {name: …}}`, with one value for each
    completion in every list, and answers `{"scores": [number, …]}`.

    On this machine it gets every column unless `columns` names some; on another one `reference` and columns only where
    they are named, so that nothing leaves this machine unasked.
    """

    def __init__(self, config: RewardFunction, allow_remote: bool) -> None:
        """Raises ConfigError: it is no address, or on another machine and that is not allowed."""
        self.url, self.label, self.timeout, self.chosen = str(config.path), config.label, config.timeout, config.columns
        self.local = require_allowed(self.url, allow_remote)
        self.names: list[str] = []

    def prepare(self, rows: Sequence[PromptRow]) -> list[str]:
        """Look for the columns it gets in all rows of a run. Raises DataError where a row lacks one that was named."""
        if self.chosen is None:
            self.names = [columns.REFERENCE, *columns.spellings(rows)] if self.local else []
        else:
            for name in self.chosen:
                columns.require(rows, name, f"reward {self.label}", _FIX)
            self.names = list(self.chosen)
        self.names = list(dict.fromkeys(self.names))
        return []

    def __call__(self, groups: Sequence[Group]) -> list[float]:
        """Scores of every answer, group by group. Raises RunError: it is late, broken, or does not give numbers."""
        asked: dict[str, Any] = {
            "prompts": [[m.as_dict() for m in g.row.dialogue.messages] for g in groups for _ in g.answers],
            "completions": [a.text for g in groups for a in g.answers],
        }
        count = len(asked["completions"])
        values = {n: [_plain(columns.value(g.row, n)) for g in groups for _ in g.answers] for n in self.names}
        if columns.REFERENCE in values:
            asked["reference"] = values.pop(columns.REFERENCE)
        if self.names:
            asked["columns"] = values
        body = json.dumps(asked).encode()
        # A service that is late where no limit of a socket sees it, as while its name is looked up, is late all the same.
        return in_time(lambda: as_numbers(self._post(body, count), count), self.label, self.timeout, count)

    def _post(self, body: bytes, count: int) -> object:
        limit = _ROOM + _ROOM_A_SCORE * count
        try:
            found = post_json(self.url, body, self.timeout, limit)
        except PostError as error:
            if error.late:
                raise self._late(count) from None
            raise self._failed(f"{error}. The last checkpoint is intact") from None
        if not isinstance(found, dict) or "scores" not in found:
            raise RunError(f'reward {self.label}: expected {{"scores": [number, …]}}, got another JSON value')
        return found["scores"]

    def _late(self, count: int) -> RunError:
        return self._failed(
            f"took longer than {self.timeout:g} s for {count} answers; raise its timeout, or make it faster. "
            "The last checkpoint is intact"
        )

    def _failed(self, what: str) -> RunError:
        return RunError(f"reward {self.label} {what}")


def _plain(value: Any) -> Any:
    """A value as JSON has it: bytes in base64, dates and decimals as text, numbers that JSON lacks as null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)
