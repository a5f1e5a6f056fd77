"""Cutting a conversation to length in time that grows with what is kept, not with what was given.

Each oldest exchange that goes makes the conversation shorter, so the longest one that fits is looked for from its end: twice as
many exchanges at a time, then by halves. A conversation of any length costs one rendering of its text, and measurements
of what is about as long as the limit.
"""

from collections.abc import Callable, Sequence

from medicalgpt.data.records import Message, Tools
from medicalgpt.rendering.template_text import TemplateText

_MARGIN = 2
"""Encoding a text in parts moves its count by some tokens a part; never to a half."""


def first_fitting(count: int, fits: Callable[[int], bool]) -> int | None:
    """The first of `count` candidates, each shorter than the one before, that fits; None where the last does not.

    It was found to fit, and the one before it not to.
    """
    if count == 0 or not fits(count - 1):
        return None
    good, bad, step = count - 1, -1, 1
    while good > 0:
        probe = max(0, count - 1 - step)
        if not fits(probe):
            bad = probe
            break
        good, step = probe, 2 * step
    while good - bad > 1:
        middle = (good + bad) // 2
        if fits(middle):
            good = middle
        else:
            bad = middle
    return good


def rough_length(template: TemplateText, messages: Sequence[Message], tools: Tools, limit: int) -> int | None:
    """About how many tokens a conversation has, where that is so much above `limit` that it need not be measured turn by
    turn; None where it must be. One rendering and one encoding.
    """
    if (
        sum(len(m.content) for m in messages) <= limit
    ):  # a token is a character at least, but for rare ones of several bytes
        return None
    count = len(template.encoder.ids(template.text(messages, tools)))
    return count if count > _MARGIN * limit else None
