"""Whether ids spell a text, for byte-level tokenizers without decoding: the bytes of their tokens in a row are the text's."""

from typing import Any

import numpy as np
from tokenizers import decoders


class Spelling:
    """The bytes that each token of one tokenizer stands for.

    Args:
        backend: the tokenizer of the `tokenizers` library; None for any other, about which nothing is known.
    """

    def __init__(self, backend: Any) -> None:
        self._known = (
            _Bytes(backend) if backend is not None and isinstance(backend.decoder, decoders.ByteLevel) else None
        )

    def spells(self, ids: np.ndarray, text: str) -> bool:
        """True where decoding the ids [tokens] gives just this text; False where it does not, or where only decoding can tell."""
        if self._known is None:
            return False
        try:
            return self._known.joined(ids) == text.encode()
        except (LookupError, UnicodeEncodeError):
            return False


class _Bytes:
    """The bytes of tokens by their ids; each is worked out when it first comes."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.characters = characters()
        self._found = np.full(1 + max(backend.get_vocab().values(), default=0), None, np.object_)

    def joined(self, ids: np.ndarray) -> bytes:
        """The bytes of tokens in a row. LookupError for one that the tokenizer itself decodes to something else, or without text."""
        try:
            return b"".join(self._found[ids].tolist())
        except TypeError:  # one comes for the first time
            for index in np.unique(ids).tolist():
                if self._found[index] is None:
                    self._found[index] = self._bytes(index)
            return b"".join(self._found[ids].tolist())

    def _bytes(self, index: int) -> bytes:
        token = self.backend.id_to_token(index)
        if token is None:
            raise KeyError(index)
        try:
            found = bytes([self.characters[character] for character in token])
        except KeyError:  # an added token, written as it is
            found = token.encode()
        if self.backend.decode([index], skip_special_tokens=False) != found.decode(errors="replace"):
            raise KeyError(index)
        return found


def characters() -> dict[str, int]:
    """The character by which byte-level vocabularies write each byte: itself where it is printed, else one from 256 on."""
    printed = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(256) if byte not in printed)
    return {chr(byte): byte for byte in printed} | {chr(256 + n): byte for n, byte in enumerate(others)}
