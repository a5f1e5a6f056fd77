"""Answers of the data in the place of drawn ones, for a share of the prompts: off-policy distillation (λ of arXiv 2306.13649)."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medicalgpt.data.records import Message, Source
from medicalgpt.errors import ConfigError, MedicalGPTError
from medicalgpt.rendering.rows import render_dialogue
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rewards.answers import Answer, PromptRow


@dataclass(frozen=True)
class DataAnswers:
    """Which prompts of an update are answered by the data, and with what.

    A choice depends on the seed, the update and the place in it, not on the number of processes; so a run that goes on makes it again.
    """

    on_policy: float
    seed: int
    answers: dict[Source, Answer]

    def takes(self, update: int, place: int) -> bool:
        """Whether the prompt at a place of an update gets its answer from the data."""
        return bool(np.random.default_rng([self.seed, 17, update, place]).random() >= self.on_policy)

    def taken_before(self, update: int, place: int) -> int:
        """How many prompts before that place do."""
        return sum(self.takes(update, one) for one in range(place))

    def answer(self, row: PromptRow) -> Answer:
        """What the data answers to a prompt."""
        return self.answers[row.source]


def data_answers(
    rows: Sequence[PromptRow],
    template: ChatTemplate,
    on_policy: float,
    seed: int,
    lengths: tuple[int, int],
    stop_ids: Container[int],
) -> DataAnswers:
    """The answers that stand in the data, as the model would have drawn them: behind the prompt's tokens, with the stop token.

    Args:
        lengths: most tokens of prompt and answer together, and of the answer, which is cut there.

    Raises:
        ConfigError: a prompt has no answer, or one that the template does not write behind it.
    """
    found = {row.source: _answer(row, template, lengths, stop_ids) for row in rows}
    lost = [source for source, answer in found.items() if answer is None]
    if lost:
        raise ConfigError(
            f"objective.on_policy={on_policy:g} learns from the data's own answers as well, and {len(lost)} of {len(found)} training "
            f"prompts have none that follows them, the first at {lost[0]}; leave such rows out, or set objective.on_policy=1"
        )
    return DataAnswers(on_policy, seed, {source: answer for source, answer in found.items() if answer is not None})


def _answer(
    row: PromptRow, template: ChatTemplate, lengths: tuple[int, int], stop_ids: Container[int]
) -> Answer | None:
    if not row.reference:
        return None
    whole = replace(row.dialogue, messages=(*row.dialogue.messages, Message("assistant", row.reference)))
    longest, most = lengths
    try:
        (tree,) = render_dialogue(whole, template, longest, "last").trees
    except (MedicalGPTError, ValueError):  # what the template refuses, or cuts to several, is no one answer
        return None
    ids = np.concatenate([segment.ids for segment in tree.segments])
    (trained,) = np.nonzero(np.concatenate([segment.weights for segment in tree.segments]))
    start = len(row.ids)
    if not len(trained) or tuple(ids[:start].tolist()) != row.ids:
        return None
    said = tuple(ids[start : trained[-1] + 1].tolist())[:most]
    return Answer(said, row.reference, bool(said) and said[-1] in stop_ids) if said else None
