"""Text that comes in pieces: how much of its end may be the beginning of a marker."""


def begun(text: str, marker: str) -> int:
    """How many characters at the end of `text` are the beginning of `marker`, which is not whole there."""
    return next((n for n in range(min(len(marker) - 1, len(text)), 0, -1) if text.endswith(marker[:n])), 0)
