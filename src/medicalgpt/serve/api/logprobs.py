"""Log-probabilities as OpenAI writes them: the model's own, before penalties and temperature."""

import codecs
from collections.abc import Sequence
from typing import Any

from medicalgpt.generate.backends.decoder.pool import TokenScore
from medicalgpt.generate.token_text import TokenTexts

Scored = Sequence[tuple[int, TokenScore]]


def _entry(texts: TokenTexts, token: int, logp: float) -> dict[str, Any]:
    text, raw = texts[token]
    return {"token": text, "logprob": logp, "bytes": None if raw is None else list(raw)}


def for_chat(texts: TokenTexts, scored: Scored) -> list[dict[str, Any]]:
    """An entry for each token, with the likeliest ones at its place."""
    return [
        _entry(texts, token, score.logp) | {"top_logprobs": [_entry(texts, other, logp) for other, logp in score.top]}
        for token, score in scored
    ]


class TextLogprobs:
    """The four parallel lists of text completions, for one answer piece by piece."""

    def __init__(self, texts: TokenTexts) -> None:
        self._texts = texts
        self._offset = 0
        self._characters = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, scored: Scored) -> dict[str, list[Any]]:
        """The next tokens. Offsets count characters of the answer; a token within a character has that one's."""
        out: dict[str, list[Any]] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for token, score in scored:
            found = self._texts[token]
            out["tokens"].append(found.escaped)
            out["token_logprobs"].append(score.logp)
            out["top_logprobs"].append({self._texts[other].escaped: logp for other, logp in score.top})
            out["text_offset"].append(self._offset)
            characters = found.text if found.bytes is None else self._characters.decode(found.bytes)
            self._offset += len(characters)
        return out
