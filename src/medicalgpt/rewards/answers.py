"""What is scored: a prompt of a run with the answers to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medicalgpt.data.records import Dialogue, Source
from medicalgpt.rendering.tree import Segment, TokenTree


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One prompt of a run: its turns, the token ids the model gets, and the answer that stood in the data, if any.

    `columns`: the row as it stands in its file, and mapped columns (`data.columns`) under their canonical names, too.
    `thinking`: the prompt ends within a thinking block, so that answers begin with thoughts.
    """

    dialogue: Dialogue
    ids: tuple[int, ...]
    reference: str | None
    columns: Mapping[str, Any] = field(default_factory=dict)
    thinking: bool = False

    @property
    def source(self) -> Source:
        """The row it came from."""
        return self.dialogue.source


@dataclass(frozen=True, slots=True)
class Answer:
    """One completion; `ids` include the stop token when `stopped`.

    `logps`: log-probability of each token by whoever drew it, where that was another process than the trained model's.
    """

    ids: tuple[int, ...]
    text: str
    stopped: bool
    logps: tuple[float, ...] = ()


@dataclass
class Group:
    """A prompt with its completions."""

    row: PromptRow
    answers: list[Answer]

    @property
    def tree(self) -> TokenTree:
        """Prompt without weight, every token of every completion with weight 1."""
        return self._grown([a.ids for a in self.answers])

    def closed_tree(self, stop_id: int) -> TokenTree:
        """The tree that a reward model reads: it learned to score at the stop token, so answers that were cut get one.

        At the token where an answer happens to be cut its score would be noise.
        """
        return self._grown([a.ids if a.stopped else (*a.ids, stop_id) for a in self.answers])

    def _grown(self, answers: Sequence[Sequence[int]]) -> TokenTree:
        prompt = np.asarray(self.row.ids, np.int32)
        leaves = [Segment(np.asarray(ids, np.int32), np.ones(len(ids), np.float32), 0) for ids in answers]
        return TokenTree((Segment(prompt, np.zeros(len(prompt), np.float32)), *leaves), self.row.source)
