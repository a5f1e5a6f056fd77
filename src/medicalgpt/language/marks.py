"""Punctuation that code sets around texts which are translated: full-width where the reader's language is Chinese."""

from medicalgpt.language.choice import Language, chosen


def colon(language: Language | None = None) -> str:
    """What stands between a name and what is said of it.

    Args:
        language: of who reads it; None: the chosen one.
    """
    return ": " if (language or chosen()) == "en" else "："


def comma(language: Language | None = None) -> str:
    """What stands between the parts of a sentence; `language` as above."""
    return ", " if (language or chosen()) == "en" else "，"


def semicolon() -> str:
    """What stands between two things that are each said of something."""
    return "; " if chosen() == "en" else "；"


def bracketed(text: str, gap: str = " ", language: Language | None = None) -> str:
    """Brackets behind something, apart from it by `gap` where brackets are not as wide as a character; `language` as above."""
    return f"{gap}({text})" if (language or chosen()) == "en" else f"（{text}）"
