"""Held-out data: which records ask the same thing, and a seeded choice among the distinct things asked."""

import unicodedata
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from medicalgpt.data.records import Dialogue, Document, Feedback, Preference, Record


class _Kept(dict[int, int | None]):
    """A translation table that drops white space, punctuation and control characters; filled as characters come."""

    def __missing__(self, code: int) -> int | None:
        category = unicodedata.category(chr(code))
        self[code] = None if category[0] in "PZ" or category in ("Cc", "Cf") else code
        return self[code]


_KEPT = _Kept()


def normalized(text: str) -> str:
    """The text in NFKC and folded case, without white space, punctuation and control characters: a key for duplicates."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.translate(_KEPT) or "".join(text.split())


def group_key(record: Record) -> str:
    """16 hex characters that are equal for records which ask the same.

    A dialogue is known by its first user turn, a preference or feedback by the user turns of its prompt, a document by its text.
    """
    match record:
        case Document():
            texts = [record.text]
        case Dialogue():
            texts = [m.content for m in record.messages if m.role == "user"][:1]
        case Preference() | Feedback():
            texts = [m.content for m in record.prompt if m.role == "user"]
    joined = "\n".join(normalized(text) for text in texts)
    return blake2b(joined.encode(), digest_size=8).hexdigest()


def choose_eval(keys: Sequence[str], fraction: float, seed: int) -> set[str]:
    """The keys to hold out: `round(fraction × distinct keys)` of them, whatever their order and repetitions.

    At least one when `fraction` is above 0 and there are two or more distinct keys, and never all of them.

    Raises:
        ValueError: `fraction` outside [0, 1).
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"fraction is {fraction}; allowed: 0 up to, but not, 1")
    distinct = set(keys)
    if fraction == 0 or len(distinct) < 2:
        return set()
    count = min(max(round(fraction * len(distinct)), 1), len(distinct) - 1)
    order = sorted(distinct, key=lambda key: (blake2b(f"{seed}:{key}".encode(), digest_size=16).digest(), key))
    return set(order[:count])


def leaks(train_keys: Iterable[str], eval_keys: Iterable[str]) -> int:
    """How many distinct held-out keys also occur among the training keys."""
    return len(set(train_keys) & set(eval_keys))
