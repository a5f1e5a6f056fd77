"""Text of others as one line of ours."""


def one_line(text: str) -> str:
    """A text on one line, without what would move a cursor or change colors; blanks side by side are one."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
