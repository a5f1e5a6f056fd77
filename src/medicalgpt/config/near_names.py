""" "Did you mean": names that look like one that was given. Needs nothing of the config classes, so that a helper process need not
make them."""

from collections.abc import Iterable
from difflib import get_close_matches


def close_names(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Known names that look like `name`, best first; upper and lower case count as the same letter."""
    by_lower = {option.lower(): option for option in known}
    return [by_lower[match] for match in get_close_matches(name.lower(), by_lower, n=most, cutoff=0.6)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ "; did you mean 'x'?" ready to be appended to a message, or "" when nothing looks like `name`."""
    found = close_names(name, known)
    return f"; did you mean {' or '.join(repr(option) for option in found)}?" if found else ""
