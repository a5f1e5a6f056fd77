"""Chinese names in Latin letters, as tables, passports and Hong Kong's papers write them: Wang Jianguo, CHAN Tai Man."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lists import words
from medicalgpt.phi.rules import Rule

_SURNAMES: Final = words("zh/surnames_latin")
_SYLLABLE: Final = r"(?:(?:zh|ch|sh|[bpmfdtnlgkhjqxrzcsyw])?(?:iang|iong|uang|ang|eng|ing|ong|iao|ian|uai|uan|üan|ai|ei|ao|ou|an|en|in|un|ia|ie|iu|ua|uo|ue|üe|ui|er|a|e|i|o|u|ü|v))"
_PINYIN: Final = re.compile(rf"{_SYLLABLE}{{1,2}}", re.IGNORECASE)
_CANTON: Final = re.compile(
    r"(?:tsz?|sz|ch|sh|kw|gw|ng|ph|[bcdfghjklmnpstwyz])?(?:[aeiou]{1,3}|y)(?:ng|ck|[hkmnptwy])?|ng|tsz|sz",
    re.IGNORECASE,
)
_WORDS: Final = words("en/common_words")
_NOT: Final = words("zh/not_names_latin")
"""Places, authors of the classics and words of Chinese medicine that look alike."""
_MEDICINES: Final = frozenset(["tang", "san", "pian", "jiao", "decoction", "powder", "pill", "capsule", "granule"])
_W: Final = r"(?:[A-Z][a-zü]{1,10}|[A-Z]{2,10})"


def _pinyin(word: str) -> bool:
    return bool(_PINYIN.fullmatch(word.replace("'", "").replace("-", "")))


def _pinyin_name(value: str) -> bool:
    """Wang Jianguo, Wang Jian-guo, Jianguo Wang, WANG JIANGUO: a surname and one or two syllables."""
    if value.casefold() in _NOT or value.casefold().rpartition(" ")[2] in _MEDICINES:
        return False
    first, last = re.split(r",? ", value, maxsplit=1)
    for surname, given in ((first, last), (last, first)):
        if surname.casefold() in _SURNAMES and _pinyin(given) and given.casefold() not in _WORDS:
            return True
    return False


def _three_words(value: str) -> bool:
    """CHAN Tai Man, Chan Mei Ling, AU YEUNG Man Kit: a surname and two syllables."""
    parts = [part.casefold() for part in re.split(r",? ", value)]
    surname = "".join(parts[: len(parts) - 2])
    if surname not in _SURNAMES or parts[-1] in _MEDICINES or " ".join(parts[-2:]) in _NOT:
        return False
    if all(part in _WORDS for part in parts[-2:]) and len(parts) < 4:
        return False
    return all(_CANTON.fullmatch(part) or _pinyin(part) for part in parts[-2:])


RULES: Final = (
    Rule(
        "name in Latin letters",
        Kind.NAME,
        re.compile(rf"(?<![\w'.-])(?=(?P<v>{_W},? {_W}(?:[-'][A-Za-z][a-zü]{{0,6}})?)(?![\w'-]))"),
        0.72,
        wanted=_pinyin_name,
    ),
    Rule(
        "name of three words",
        Kind.NAME,
        re.compile(rf"(?<![\w'.-])(?=(?P<v>(?:(?:AU|Au|OU|Ou|SZE|Sze) )?{_W},? {_W} {_W})(?![\w'-]))"),
        0.73,
        wanted=_three_words,
    ),
)
"""For text that holds Chinese characters; in English text a name is looked for by lists of English names (`en_names`). Both look ahead only, so that
what comes before a name is no part of it: Pt CHAN Tai Man."""
