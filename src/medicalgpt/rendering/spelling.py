"""Whether ids spell a text, for byte-level tokenizers without decoding: the bytes of their tokens in a row are the text's."""

from collections.abc import Sequence
from typing import Any

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

    def spells(self, ids: Sequence[int], text: str) -> bool:
        """True where decoding the ids gives just this text; False where it does not, or where only decoding can tell."""
        if self._known is None:
            return False
        try:
            return b"".join(map(self._known.__getitem__, ids)) == text.encode()
        except (KeyError, UnicodeEncodeError):
            return False


class _Bytes(dict[int, bytes]):
    """Token id → its bytes; filled as ids come. KeyError for a token that the tokenizer itself decodes to something else."""

    def __init__(self, backend: Any) -> None:
        super().__init__()
        self.backend = backend
        self.characters = characters()

    def __missing__(self, index: int) -> bytes:
        token = self.backend.id_to_token(index)
        if token is None:
            raise KeyError(index)
        try:
            found = bytes([self.characters[character] for character in token])
        except KeyError:  # an added token, written as it is
            found = token.encode()
        if self.backend.decode([index], skip_special_tokens=False) != found.decode(errors="replace"):
            raise KeyError(index)
        self[index] = found
        return found


def characters() -> dict[str, int]:
    """The character by which byte-level vocabularies write each byte: itself where it is printed, else one from 256 on."""
    printed = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(256) if byte not in printed)
    return {chr(byte): byte for byte in printed} | {chr(256 + n): byte for n, byte in enumerate(others)}
