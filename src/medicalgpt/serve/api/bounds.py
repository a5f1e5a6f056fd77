"""How much a request may consist of, beside its bytes: a parser holds the interpreter while it makes millions of objects."""

from typing import Final

from medicalgpt.serve.api.errors import ApiError

MOST_VALUES: Final = 300_000
"""Of a body: numbers, texts, lists and objects; more than the token ids of the longest batches of prompts."""
MOST_NAMES: Final = 100_000
"""Of fields in all objects; each costs as much as several numbers."""
MOST_FIELDS: Final = 64
MOST_TURNS: Final = 10_000
MOST_CALLS: Final = 128
"""In one turn."""


def check_values(body: bytes) -> None:
    """Refuse a body that would take long to parse. Commas, brackets and colons are counted, also those within texts.

    Raises:
        ApiError: 400.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise ApiError(400, f"the body has more than {MOST_VALUES} commas and brackets, which is this server's limit")
    if body.count(b":") > MOST_NAMES:
        raise ApiError(400, f"the body has more than {MOST_NAMES} colons, which is this server's limit")
