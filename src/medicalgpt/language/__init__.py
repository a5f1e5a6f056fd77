"""The language of what people read: terminal messages, help, errors, reports and model cards, in English, 简体中文 or 繁體中文.

Code speaks English only. A finished text is translated where it is shown, by `translated`: it is matched against the templates of
the catalogue, and its values are carried over. What has no translation is shown in English, whole. Logs, manifests, JSON, answers of
the API, exit codes and `str(error)` are English in every language, so that programs may read them. See docs/adr/019-languages.md.
"""

from medicalgpt.language.choice import ENV, LANGUAGES, Language, choose, chosen

__all__ = ["ENV", "LANGUAGES", "Language", "choose", "chosen", "translated"]


def translated(text: str, words: bool = False, language: Language | None = None, exact: bool = False) -> str:
    """A text of ours in the chosen language; as it is where it has no translation. English loads no catalogue.

    Args:
        words: single words within it are ours, too, and no names of the user's.
        language: of who reads this text, where that is not who started the process (a page in a browser).
        exact: only where the whole text is known: what may be ours or the user's, such as the title of a test.
    """
    if (language := language or chosen()) == "en":
        return text
    from medicalgpt.language.catalogue import catalogue  # lazy: English never needs it

    found = catalogue(language)
    return found.known(text) if exact else found.translate(text, words)
