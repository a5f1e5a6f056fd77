"""One answer's way through its grammar: what may come next, and what came."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from medicalgpt.errors import GrammarError
from medicalgpt.rendering.thinking import CLOSE

_TAIL = 16  # tokens in which the end of the thoughts is looked for


class Matcher(Protocol):
    """What is asked of llguidance's LLMatcher."""

    def compute_bitmask(self) -> bytes:
        """A bit for each token that may come next."""
        ...

    def consume_token(self, sampled_token: int) -> bool:
        """Go on; False where the token may not come."""
        ...

    def is_accepting(self) -> bool:
        """Whether the answer may end here."""
        ...

    def is_error(self) -> bool:
        """Whether it has failed, for good."""
        ...

    def get_error(self) -> str:
        """Why."""
        ...


class RowGrammar:
    """Which tokens may come next in one answer.

    Args:
        thoughts: decodes tokens, where the prompt has opened a thinking block: until it is closed the answer is free, except
            that it must not end.
        consume: goes on by a text, which came in one token with the end of the thoughts.
        failed: told when the grammar breaks down.
    """

    def __init__(
        self,
        matcher: Matcher,
        stop_ids: Sequence[int],
        failed: Callable[[], None],
        thoughts: Callable[[Sequence[int]], str] | None = None,
        consume: Callable[[str], Sequence[int]] = lambda text: (),
    ) -> None:
        self.problem: str | None = None
        """Why the answer cannot go on; it is then not what was asked for."""
        self.over = False
        """Whether a stop token has come."""
        self._matcher, self._stop_ids = matcher, list(stop_ids)
        self._failed, self._thoughts, self._consume = failed, thoughts, consume
        self._tail: list[int] = []

    def allowed(self, size: int) -> npt.NDArray[np.bool_]:
        """Whether each of `size` tokens may come next, bool [size]; stop tokens once the JSON is whole, and not before."""
        if self._thoughts is not None:
            free = np.ones(size, np.bool_)
            free[self._stop_ids] = False
            return free
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            self._fail()
        found = np.zeros(size, np.bool_)
        known = np.unpackbits(bits, bitorder="little")[:size]
        found[: len(known)] = known
        found[self._stop_ids] = self.problem is not None or self._matcher.is_accepting()
        return found

    def take(self, token: int) -> None:
        """A token that was drawn."""
        self.over = self.over or token in self._stop_ids
        if self.over or self.problem is not None:
            return
        if self._thoughts is None:
            self._go_on(token)
            return
        self._tail = [*self._tail[1 - _TAIL :], token]
        _, closed, rest = self._thoughts(self._tail).partition(CLOSE)
        if closed:
            self._thoughts = None
            for found in self._consume(rest.lstrip()):
                self._go_on(found)

    def _go_on(self, token: int) -> None:
        if not self._matcher.consume_token(token):
            self._fail()

    def _fail(self) -> None:
        reason = on_one_line(self._matcher.get_error(), 200)
        self.problem = f"the JSON schema proved too complex in the midst of an answer; simplify it ({reason})"
        self._failed()


def on_one_line(reason: str, most: int) -> str:
    """llguidance's words, of which so many characters."""
    return " ".join(reason.replace("<non-verbose/>", "").split())[:most]


def require_whole(rows: Iterable[RowGrammar | None]) -> None:
    """Raises GrammarError where a grammar broke down."""
    for row in rows:
        if row is not None and row.problem is not None:
            raise GrammarError(row.problem)


def mask(logits: torch.Tensor, rows: Mapping[int, RowGrammar]) -> None:
    """Rule out what the grammars of some rows of logits [B, V] do not allow, in place."""
    for i, row in rows.items():
        forbidden = torch.from_numpy(~row.allowed(logits.shape[-1]))
        logits[i].masked_fill_(forbidden.to(logits.device), float("-inf"))
