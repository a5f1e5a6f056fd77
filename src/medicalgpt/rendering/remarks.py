"""What is worth saying of rows before they are trained on: a language that the base hardly knows, a system prompt of the template."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medicalgpt.data.records import Message
from medicalgpt.errors import RenderError
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.tree import TokenTree

SAMPLED = 200
"""Rows that are looked at: the first ones, as a language seldom changes after that."""

# Tokens a character above which a tokenizer has hardly seen the language: one that knows it takes 0.6 to 0.9 for a Chinese
# character and 0.2 to 0.45 for a letter; one that falls back on bytes takes 2 to 3, and 1 to 2.
_MOST_DENSE, _MOST_LETTERS = 1.2, 0.7
_DENSE = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "IDEOGRAPHIC")
NAMES = {
    "CJK": "Chinese (or Japanese)", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean", "LATIN": "in Latin letters",
    "CYRILLIC": "Cyrillic", "ARABIC": "Arabic", "DEVANAGARI": "Hindi", "THAI": "Thai", "GREEK": "Greek", "HEBREW": "Hebrew",
}  # fmt: skip
_FEWEST = 20  # letters that a row must have to say something of its language
_QUOTED = 120  # characters of a template's system prompt that are shown
_MARK, _ASKED = "S5Y5S", "Q7U7Q"  # words that no template writes


@dataclass
class _Script:
    rows: int = 0
    hard: int = 0
    tokens: int = 0
    characters: int = 0


def trained_ids(tree: TokenTree) -> list[int]:
    """What is trained of a sample's first branch: the data's own words, without those of a template."""
    ids, weights = tree.path(tree.leaves[0])
    return [int(i) for i in ids[weights > 0]]


def unknown_languages(rows: Iterable[Sequence[int]], template: ChatTemplate) -> list[str]:
    """A warning for each script of whose rows most take many more tokens than the base would if it knew the language.

    Args:
        rows: token ids of samples, without a template's words; the first `SAMPLED` are looked at.
    """
    found: dict[str, _Script] = {}
    special = set(template.encoder.special.values())
    looked = 0
    for ids in rows:
        if looked == SAMPLED:
            break
        looked += 1
        plain = [int(i) for i in ids if int(i) not in special]
        text = template.encoder.decode(plain)
        script = _script(text)
        if script is None:
            continue
        one = found.setdefault(script, _Script())
        one.rows += 1
        one.tokens += len(plain)
        one.characters += len(text)
        one.hard += len(plain) > len(text) * (_MOST_DENSE if script in _DENSE else _MOST_LETTERS)
    return [_warning(script, one, looked) for script, one in found.items() if one.hard > one.rows / 2]


def _script(text: str) -> str | None:
    """The script of most letters, by Unicode's names; None for a text of few letters."""
    counts: dict[str, int] = {}
    for character in text[:2000]:
        if character.isalpha():
            name = unicodedata.name(character, "?").split(" ")[0].split("-")[0]
            counts[name] = counts.get(name, 0) + 1
    letters = sum(counts.values())
    return max(counts, key=counts.__getitem__) if letters >= min(_FEWEST, max(1, len(text) // 2)) else None


def _warning(script: str, one: _Script, looked: int) -> str:
    most = _MOST_DENSE if script in _DENSE else _MOST_LETTERS
    script = NAMES.get(script, script.capitalize())
    return (
        f"warning: {one.rows} of {looked} rows looked at are {script}, of which this tokenizer makes "
        f"{one.tokens / one.characters:.1f} tokens a character (a base that knows the language: below {most:g}). The base has hardly "
        "seen it and will write it badly; choose another model.base, or extend its vocabulary and begin with PT (docs/vocabulary.md)"
    )


def added_system(template: ChatTemplate) -> str | None:
    """What the template writes as a system prompt where a conversation has none; None where it adds nothing."""
    asked = Message("user", _ASKED)
    try:
        plain = template.text([asked], generation_prompt=True).partition(_ASKED)[0]
        before, found, rest = template.text([Message("system", _MARK), asked], generation_prompt=True).partition(_MARK)
    except RenderError:  # no place for a system message, or no turns at all
        return None
    between = rest.partition(_ASKED)[0]
    if not found or not plain.startswith(before) or not plain.endswith(between):
        return None
    return plain[len(before) : len(plain) - len(between)].strip() or None


def system_remark(template: ChatTemplate, system: str | None, conversations: Iterable[Sequence[Message]]) -> list[str]:
    """One line on the system prompt that the template adds by itself.

    Args:
        system: data.system, which replaces it.
        conversations: some of the data; none of them without a system message of its own means that there is nothing to say.
    """
    if system or template.documents_only or all(turns[0].role == "system" for turns in conversations):
        return []
    added = added_system(template)
    if added is None:
        return []
    shown = added if len(added) <= _QUOTED else added[:_QUOTED] + " …"
    return [f'the template puts a system prompt before rows that have none: "{shown}" (data.system sets another)']
