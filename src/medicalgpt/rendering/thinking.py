"""Thinking blocks: an answer's thoughts (`<think>…</think>` at its start) apart from the answer itself."""

from typing import NamedTuple

OPEN, CLOSE = "<think>", "</think>"


class Split(NamedTuple):
    """An answer taken apart, or a piece of it. `reasoning` is without the tags."""

    reasoning: str
    answer: str


def opens_thinking(prompt: str) -> bool:
    """Whether a prompt ends within a thinking block that it opened itself."""
    return prompt.rstrip().endswith(OPEN)


class ThinkingStream:
    """Splits an answer whose pieces are still coming. No part of a tag is given out.

    Only a block at the very start holds thoughts; later on the tags are text. Blank text around the thoughts and before
    the answer is left out; an answer without a block stays as it is. A block that was never closed is all thoughts.

    Args:
        opened: the prompt opened the block already.
    """

    def __init__(self, opened: bool = False) -> None:
        self.thinking = opened
        """Whether what comes now is thought."""
        self.found = opened
        """Whether the answer has a thinking block."""
        self._held = ""
        self._begins = True  # the part that comes now has shown nothing yet
        self._plain = False  # the answer's text has begun

    def push(self, text: str) -> Split:
        """Take a piece; gives what is certain now."""
        self._held += text
        if not self.thinking and not self._plain and not self._open():
            return Split("", "")
        reasoning = self._think() if self.thinking else ""
        return Split(reasoning, self._answer() if not self.thinking else "")

    def finish(self) -> Split:
        """The rest when no more pieces come."""
        rest, self._held = self._held, ""
        if self.thinking:
            return Split(rest.rstrip() if not self._begins else rest.strip(), "")
        return Split("", rest)

    def _open(self) -> bool:
        """Look for the opening tag; False while the text may still become one."""
        start = self._held.lstrip()
        if start.startswith(OPEN):
            self.thinking = self.found = True
            self._held = start[len(OPEN) :]
        elif OPEN.startswith(start):
            return False
        else:
            self._plain, self._begins = True, False
        return True

    def _think(self) -> str:
        text = self._held.lstrip() if self._begins else self._held
        thoughts, closed, rest = text.partition(CLOSE)
        if closed:
            self.thinking, self._plain, self._begins, self._held = False, True, True, rest
            return thoughts.rstrip()
        shown = text[: len(text) - partial_match(text, CLOSE)].rstrip()  # blank text is kept back: the end has none
        self._held = text[len(shown) :]
        self._begins = self._begins and not shown
        return shown

    def _answer(self) -> str:
        text = self._held.lstrip() if self._begins else self._held
        self._held = ""
        self._begins = self._begins and not text
        return text


def split_thinking(text: str, opened: bool = False) -> Split:
    """A finished answer's thoughts and the answer itself."""
    stream = ThinkingStream(opened)
    first, last = stream.push(text), stream.finish()
    return Split(first.reasoning + last.reasoning, first.answer + last.answer)


def partial_match(text: str, marker: str) -> int:
    """How many characters at the end of `text` are the beginning of `marker`, which is not whole there."""
    return next((n for n in range(min(len(marker) - 1, len(text)), 0, -1) if text.endswith(marker[:n])), 0)
