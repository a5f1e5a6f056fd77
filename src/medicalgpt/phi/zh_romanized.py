"""Chinese names in Latin letters, as tables, passports and Hong Kong's papers write them: Wang Jianguo, CHAN Tai Man."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.latin_syllables import ENGLISH_GIVEN, MEDICINES
from medicalgpt.phi.lists import words
from medicalgpt.phi.rules import Rule

_SURNAMES: Final = words("zh/surnames_latin")
_SYLLABLE: Final = r"(?:(?:zh|ch|sh|[bpmfdtnlgkhjqxrzcsyw])?(?:iang|iong|uang|ang|eng|ing|ong|iao|ian|uai|uan|üan|ai|ei|ao|ou|an|en|in|un|ia|ie|iu|ua|uo|ue|üe|ui|er|a|e|i|o|u|ü|v))"
_PINYIN: Final = re.compile(rf"{_SYLLABLE}{{1,2}}", re.IGNORECASE)
_CANTON: Final = re.compile(
    r"(?:tsz?|sz|ch|sh|kw|gw|ng|ph|[bcdfghjklmnpstwyz])?(?:[aeiou]{1,3}|y)(?:ng|ck|[hkmnprtwy])?|ng|tsz|sz",
    re.IGNORECASE,
)
_WORDS: Final = words("en/common_words")
_NOT: Final = words("zh/not_names_latin")
"""Places, authors of the classics and words of Chinese medicine that look alike."""
_PLACES: Final = words("zh/places_latin")
_PEOPLE: Final = words("zh/people_latin")
_W: Final = r"(?:[A-Z][a-zü]{1,10}|[A-Z]{2,10})"


def _pinyin(word: str) -> bool:
    return bool(_PINYIN.fullmatch(word.replace("'", "").replace("-", "")))


def _pinyin_name(value: str) -> bool:
    """Wang Jianguo, Wang Jian-guo, Jianguo Wang, WANG JIANGUO: a surname and one or two syllables."""
    if value.casefold() in _NOT or value.casefold().rpartition(" ")[2] in MEDICINES:
        return False
    first, last = re.split(r",? ", value, maxsplit=1)
    if first.casefold() in _PEOPLE:
        return False
    for surname, given in ((first, last), (last, first)):
        if surname.casefold() in _SURNAMES and _pinyin(given) and given.casefold() not in _WORDS:
            return True
    return False


def _three_words(value: str) -> bool:
    """CHAN Tai Man, Chan Mei Ling, AU YEUNG Man Kit: a surname and two syllables."""
    parts = [part.casefold() for part in re.split(r",? ", value)]
    surname = "".join(parts[: len(parts) - 2])
    if surname not in _SURNAMES or parts[-1] in MEDICINES or " ".join(parts[-2:]) in _NOT or " ".join(parts) in _PLACES:
        return False
    if all(part in _WORDS for part in parts[-2:]) and len(parts) < 4:
        return False
    return all(_CANTON.fullmatch(part) or _pinyin(part) for part in parts[-2:])


_ABROAD: Final = words("zh/names_abroad")
_CAPS: Final = r"[A-Z]{2,10}"
_ANY: Final = r"[A-Z](?:[a-z'ü-]{1,14}|[A-Z'-]{1,14})"
_PARTICLE: Final = frozenset(
    [
        "de",
        "la",
        "dela",
        "del",
        "delos",
        "los",
        "dos",
        "da",
        "das",
        "di",
        "bin",
        "binti",
        "binte",
        "bte",
        "van",
        "von",
        "der",
    ]
)
"""Words in small letters between those of a name."""
_PARTS: Final = rf"{_ANY}(?:(?: (?:{'|'.join(sorted(_PARTICLE))})){{0,2}} {_ANY}){{1,3}}"


def _one_case(value: str) -> bool:
    """Whether words are written alike, or the surname alone in capitals: no LEUNG Suk Han GI."""
    parts = re.split(r",? ", value)
    capitals = [part.isupper() and len(part) > 1 for part in parts]
    return (
        all(capitals)
        or not any(capitals[1:])
        or (capitals[-1] and not any(capitals[:-1]) and parts[-1].casefold() in _SURNAMES)
    )


def _from_abroad(value: str) -> bool:
    """Nguyen Thi Hoa, Siti Rahayu: one of its words is a name of the list, and none a common word."""
    parts = [part.casefold() for part in re.split(r",? ", value)]
    if parts[-1] in MEDICINES or any(part in _WORDS and part not in _ABROAD for part in parts):
        return False
    return sum(part in _ABROAD for part in parts) >= (1 if len(parts) == 2 else 2)


def _no_words(value: str) -> bool:
    """Whether none of some words in Latin letters is a common one, and they are written alike."""
    parts = re.split(r",? ", value)
    return (
        _one_case(value)
        and not any(part in ("HK", "HKID", "ID") for part in parts)
        and not any(
            part.casefold() in _WORDS and part.casefold() not in _ABROAD and part not in _PARTICLE for part in parts
        )
    )


def _surname(value: str) -> bool:
    """A surname in capitals, alone or before a given name."""
    first = value.split(" ")[0].casefold()
    return first in _SURNAMES or " ".join(value.split(" ")[:2]).casefold().replace(" ", "") in _SURNAMES


RULES: Final = (
    Rule(
        "name in Latin letters",
        Kind.NAME,
        re.compile(rf"(?<![\w'.-])(?=(?P<v>{_W},? {_W}(?:[-'][A-Za-z][a-zü]{{0,6}})?)(?![\w'-]))"),
        0.72,
        wanted=lambda v: _one_case(v) and _pinyin_name(v),
    ),
    Rule(
        "name of three words",
        Kind.NAME,
        re.compile(rf"(?<![\w'.-])(?=(?P<v>(?:(?:AU|Au|OU|Ou|SZE|Sze) )?{_W},? {_W} {_W})(?![\w'-]))"),
        0.73,
        wanted=lambda v: _one_case(v) and _three_words(v),
    ),
    Rule(
        "name from abroad",
        Kind.NAME,
        re.compile(rf"(?<![\w'.-])(?P<v>{_PARTS})(?![\w'-])"),
        0.71,
        wanted=lambda v: _one_case(v) and _from_abroad(v),
        fits=lambda match: "、" in match.string[max(0, match.start() - 20) : match.end() + 20],  # beside Chinese
    ),
    Rule(
        "surname in capitals behind a word",
        Kind.NAME,
        re.compile(
            rf"(?<![\w'-])(?=[A-Za-z])(?:Dr|Drs|DR|Prof|Mr|Mrs|Ms|Miss|Mdm|Madam|Nurse|Sister|[Bb]y|[Pp]er|[Ww]ith|[Ff]rom|[Tt]o|[Vv]ia|[Ii]nform(?:ed)?|[Cc]all(?:ed)?|D/W|d/w|c/o|cc|[Aa]ttn|MO|HO|SMO|AC|NO|RN|APN|WM|NS|PT|OT|MSW)[.:]? {{1,2}}(?P<v>(?:(?:AU|OU|SZE) )?{_CAPS}(?: [A-Z][a-z]{{1,9}}){{0,2}})(?![\w'-])"
        ),
        0.85,
        wanted=_surname,
    ),
)
"""For text that holds Chinese characters; in English text a name is looked for by lists of English names (`en_names`). Both look ahead only, so that
what comes before a name is no part of it: Pt CHAN Tai Man."""

BESIDE: Final = (
    Rule(
        "name in letters with sex and age",
        Kind.NAME,
        re.compile(
            rf"(?<![A-Za-z\d'.-])(?P<v>{_PARTS})(?=\s?[,，(]?\s?(?:[MF男女]\s?[/,(、]\s?\d{{1,3}}|\d{{1,3}}\s?[/,]?\s?[MF](?![A-Za-z])|[(]?(?:HKID|ID|DOB)(?![A-Za-z])))"
        ),
        0.88,
        wanted=_no_words,
    ),
    Rule(
        "name in letters beside a word",
        Kind.NAME,
        re.compile(
            rf"(?:[英外拼護护][文音照]名[字称稱]?(?:是|为|為|叫)?|名[字叫为為是]|姓名|[看监監]護|[傭佣工]人|外[傭劳勞]|移工|翻[译譯]|[病患個个案][人者主患]|[丈先]夫|太太|家[属屬]|[医醫]生|[护護]士|[姑工]娘|[药藥][師师]|配[药藥]员|配藥員|[药藥]房[标標][签籤])[\s:(,是叫]{{0,3}}(?P<v>{_PARTS})(?![A-Za-z\d'-])"
        ),
        0.85,
        wanted=_no_words,
    ),
    Rule(
        "name in letters before a word",
        Kind.NAME,
        re.compile(
            rf"(?<![A-Za-z\d'.-])(?P<v>{_PARTS}|[A-Z][a-z]{{2,12}}|{_CAPS})(?=\s?(?:姑娘|小姐|女士|先生|太太|醫生|医生|護士|护士|主任|教授|[请請]假|同學|同学|老[师師]|治[疗療][师師]))"
        ),
        0.85,
        wanted=lambda v: _surname(v) if v.isupper() and " " not in v else _no_words(v) or v.casefold() in ENGLISH_GIVEN,
    ),
)
"""The same beside Chinese words, which in the others' text are marks."""
