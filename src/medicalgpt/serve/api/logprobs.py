"""Log-probabilities as OpenAI writes them: the model's own, before penalties and temperature."""

from collections.abc import Sequence
from typing import Any

from medicalgpt.generate.backends.decoder.token_score import TokenScore
from medicalgpt.generate.token_text import GrowingText, TokenTexts
from medicalgpt.serve.api.echo import Echoed

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


Lists = dict[str, list[Any]]


class TextLogprobs:
    """The four parallel lists of text completions, for one answer piece by piece."""

    def __init__(self, texts: TokenTexts) -> None:
        self._texts = texts
        self._offset = 0
        self._growing = GrowingText()

    def prompt(self, echoed: Echoed, scores: Sequence[TokenScore]) -> Lists:
        """The tokens of a prompt, before everything else. Nothing predicts the first one, which has null twice."""
        self._offset = len(echoed.text)
        names = [self._texts[token].escaped for token in echoed.ids]
        logps: list[float | None] = [None, *(score.logp for score in scores)]
        tops: list[dict[str, float] | None] = [None, *(self._top(score) for score in scores)]
        return {"tokens": names, "token_logprobs": logps, "top_logprobs": tops, "text_offset": list(echoed.offsets)}

    def push(self, scored: Scored) -> Lists:
        """The next tokens, last the stop token that ended the answer, where one did: it is no part of the text.

        Offsets count characters of the answer; a token within a character has that one's.
        """
        out: Lists = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for token, score in scored:
            found = self._texts[token]
            out["tokens"].append(found.escaped)
            out["token_logprobs"].append(score.logp)
            out["top_logprobs"].append(self._top(score))
            out["text_offset"].append(self._offset)
            self._offset += len(self._growing.push(found))
        return out

    def _top(self, score: TokenScore) -> dict[str, float]:
        return {self._texts[other].escaped: logp for other, logp in score.top}


def joined(parts: Sequence[Lists]) -> Lists:
    """Lists of several pieces one after the other."""
    return {key: [item for part in parts for item in part[key]] for key in parts[0]}
