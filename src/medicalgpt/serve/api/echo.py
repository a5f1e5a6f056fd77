"""A prompt as it is given back before its answer (`echo`), and where in that text each of its tokens begins."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from medicalgpt.generate.token_text import TokenTexts


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
    added = 0 if prompt is None else _added(texts, ids)
    characters = codecs.getincrementaldecoder("utf-8")("replace")
    offsets, parts, at = [0] * added, list[str](), 0
    for token in ids[added:]:
        found = texts[token]
        part = found.text if found.bytes is None else characters.decode(found.bytes)
        offsets.append(at)
        parts.append(part)
        at += len(part)
    text = "".join(parts) + characters.decode(b"", final=True)
    if prompt is not None and text == f" {prompt}":
        return Echoed(prompt, ids, [max(0, offset - 1) for offset in offsets])
    return Echoed(text, ids, offsets)


def _added(texts: TokenTexts, ids: Sequence[int]) -> int:
    """How many special tokens the tokenizer has put in front by itself."""
    tokenizer = texts.tokenizer
    bare = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    whole = list(tokenizer("a")["input_ids"])
    front = next((i for i in range(len(whole)) if whole[i : i + len(bare)] == bare), 0)
    return front if list(ids[:front]) == whole[:front] else 0
