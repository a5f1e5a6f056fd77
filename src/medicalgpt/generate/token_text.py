"""What single tokens say, as text and as bytes: for log-probabilities, which are told token by token."""

import codecs
import re
from functools import cached_property
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

_HALF = "\ufffd"  # what decoders write for bytes that are no whole character
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class TokenText(NamedTuple):
    """A token's text, and its bytes where they are known: a token may be a part of a character only."""

    text: str
    bytes: bytes | None

    @property
    def escaped(self) -> str:
        """The text; for a part of a character `bytes:\\xe9`, so that different tokens have different names."""
        if _HALF not in self.text or self.bytes is None:
            return self.text
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in self.bytes)


class GrowingText:
    """The text of tokens one after the other. Bytes of a character wait until it is whole."""

    def __init__(self) -> None:
        self._characters = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: TokenText) -> str:
        """What the text grows by."""
        return token.text if token.bytes is None else self._characters.decode(token.bytes)

    def finish(self) -> str:
        """What stands for a character that no token completed."""
        return self._characters.decode(b"", final=True)


class TokenTexts:
    """Texts of a tokenizer's tokens. The bytes of an answer's tokens, one after the other, are those of its text."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self._known: dict[int, TokenText] = {}

    def __getitem__(self, token: int) -> TokenText:
        if token not in self._known:
            self._known[token] = self._read(token)
        return self._known[token]

    def _read(self, token: int) -> TokenText:
        piece = self.tokenizer.convert_ids_to_tokens(token)
        if not isinstance(piece, str):  # models may have more outputs than the tokenizer has tokens
            return TokenText("", None)
        anchor, before = self._anchor
        text = self._decode([*anchor, token])[len(before) :]
        if _HALF not in text:
            return TokenText(text, text.encode())
        if found := _BYTE.fullmatch(piece):
            return TokenText(text, bytes([int(found.group(1), 16)]))
        if all(character in self._alphabet for character in piece):
            return TokenText(text, bytes(self._alphabet[character] for character in piece))
        return TokenText(text, None)

    @cached_property
    def front(self) -> list[int]:
        """The special tokens that the tokenizer puts before a text by itself."""
        bare, _ = self._anchor
        whole = list(self.tokenizer("a")["input_ids"])
        return whole[: next((i for i in range(len(whole)) if whole[i : i + len(bare)] == bare), 0)]

    def _decode(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    @cached_property
    def _anchor(self) -> tuple[list[int], str]:
        """Something that stands before: SentencePiece drops the space of a token that comes first."""
        ids = list(self.tokenizer("a", add_special_tokens=False)["input_ids"])
        return ids, self._decode(ids)

    @cached_property
    def _alphabet(self) -> dict[str, int]:
        """The characters in which byte-level tokenizers write bytes."""
        from transformers.convert_slow_tokenizer import bytes_to_unicode

        return {character: byte for byte, character in bytes_to_unicode().items()}
