"""Answers as token ids behind their prompts, split where lm-evaluation-harness splits, so that log-likelihoods compare."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.template_text import adds_bos


@dataclass(frozen=True, slots=True)
class Continuation:
    """Token ids of a prompt with an answer; the answer begins at `start`. `bytes`: of the answer's text in UTF-8."""

    ids: np.ndarray
    start: int
    bytes: int

    @property
    def tokens(self) -> int:
        """Tokens of the answer."""
        return len(self.ids) - self.start


def behind_text(template: ChatTemplate, prompt: str, answers: Sequence[str]) -> list[Continuation]:
    """Answers behind a plain text: prompt and answer are encoded as one text, and cut after as many tokens as the prompt has.

    White space at the prompt's end belongs to the answer. The tokenizer's own first token stands in front where it adds one.
    """
    encoder = template.encoder
    stem = prompt.rstrip()
    head = [int(template.tokenizer.bos_token_id)] if adds_bos(template.tokenizer) else []
    start = len(head) + len(encoder.ids(stem))
    found = []
    for answer in answers:
        whole = [*head, *encoder.ids(prompt + answer)]
        found.append(Continuation(np.asarray(whole, np.int32), start, len(answer.encode())))
    return found


def behind_turn(template: ChatTemplate, prompt: str, answers: Sequence[str]) -> list[Continuation]:
    """Answers behind an opened assistant's turn: tokens never reach across the border, as when the model writes."""
    found = []
    for answer in answers:
        before, after = template.encoder.parts([prompt, answer])
        found.append(Continuation(np.asarray([*before, *after], np.int32), len(before), len(answer.encode())))
    return found
