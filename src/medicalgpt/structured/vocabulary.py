"""A model's tokens as llguidance wants them: their bytes, those that no text holds, and how a text becomes tokens."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from transformers import PreTrainedTokenizerBase

_MARK: Final = "\x02"  # stands before a text, as SentencePiece puts a blank before one that comes first


@dataclass(frozen=True)
class Tokens:
    """A model's tokens: the bytes of one by its id (None where they are not known), those that have no text in an answer, and
    those that end one, at least one.
    """

    tokenizer: PreTrainedTokenizerBase
    bytes_of: Callable[[int], bytes | None]
    silent: Collection[int]
    stop_ids: Sequence[int]


class Vocabulary:
    """What llguidance's `TokenizerWrapper` wraps."""

    def __init__(self, of: Tokens) -> None:
        found = [of.bytes_of(token) for token in range(len(of.tokenizer))]
        hidden = {*of.silent, *of.stop_ids}
        # What has no text, or none that is known, cannot stand in an answer that must be read.
        self.special_token_ids = [i for i, known in enumerate(found) if i in hidden or not known]
        for i in self.special_token_ids:
            found[i] = f"<[{i}]>".encode()
        self.tokens = [known or b"" for known in found]
        self.eos_token_id, self.bos_token_id = of.stop_ids[0], None
        self._tokenizer = of.tokenizer

    def __call__(self, text: str) -> list[int]:
        """Ids of a text in the midst of others, as the tokenizer writes it; llguidance has them drawn where a text is forced."""
        ids, mark = self._encode(_MARK + text), self._mark
        rest = ids[len(mark) :]
        if ids[: len(mark)] == mark and b"".join(self.tokens[i] for i in rest) == text.encode():
            return rest
        return self._longest_first(text.encode())

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    @cached_property
    def _mark(self) -> list[int]:
        return self._encode(_MARK)

    @cached_property
    def _known(self) -> dict[bytes, int]:
        hidden = set(self.special_token_ids)
        return {token: i for i, token in enumerate(self.tokens) if i not in hidden}

    def _longest_first(self, rest: bytes) -> list[int]:
        """Ids by the longest token that fits, up to what no token has."""
        ids: list[int] = []
        longest = max(map(len, self._known), default=0)
        while rest:
            sizes = (n for n in range(min(longest, len(rest)), 0, -1) if rest[:n] in self._known)
            if (size := next(sizes, None)) is None:
                break
            ids.append(self._known[rest[:size]])
            rest = rest[size:]
        return ids
