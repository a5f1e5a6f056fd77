"""A prompt as it is given back before its answer (`echo`), and where in that text each of its tokens begins."""

from collections.abc import Sequence
from dataclasses import dataclass

from medicalgpt.generate.token_text import GrowingText, TokenTexts


@dataclass(frozen=True, slots=True)
class Echoed:
    """A prompt's text, its token ids, and the place of each in the text, in characters."""

    text: str
    ids: Sequence[int]
    offsets: Sequence[int]


def echoed(texts: TokenTexts, ids: Sequence[int], prompt: str | None = None) -> Echoed:
    """What the model read, as text.

    Args:
        prompt: the text that was asked, from which the ids were made; None where ids were asked. Tokens that the tokenizer
            puts before a text by itself are no part of it, nor is the space that SentencePiece reads before a first word. A
            tokenizer that changes text (letters to lower case, say) is believed: what it read is given back.
    """
    front = [] if prompt is None else texts.front
    added = len(front) if list(ids[: len(front)]) == front else 0
    growing = GrowingText()
    offsets, parts, at = [0] * added, list[str](), 0
    for token in ids[added:]:
        part = growing.push(texts[token])
        offsets.append(at)
        parts.append(part)
        at += len(part)
    text = "".join(parts) + growing.finish()
    if prompt is not None and text == f" {prompt}":
        return Echoed(prompt, ids, [max(0, offset - 1) for offset in offsets])
    return Echoed(text, ids, offsets)
