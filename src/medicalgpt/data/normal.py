"""The one normalization by which texts are compared: for the split, for duplicates and for items of tests."""

import unicodedata


class _Kept(dict[int, int | None]):
    """A translation table that drops white space, punctuation and control characters; filled as characters come."""

    def __missing__(self, code: int) -> int | None:
        category = unicodedata.category(chr(code))
        self[code] = None if category[0] in "PZ" or category in ("Cc", "Cf") else code
        return self[code]


_KEPT = _Kept()


def normalized(text: str) -> str:
    """The text in NFKC and folded case, without white space, punctuation and control characters: a key for duplicates."""
    if text.isascii():  # most of English: NFKC leaves it as it is
        return text.lower().translate(_KEPT) or "".join(text.split())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.translate(_KEPT) or "".join(text.split())
