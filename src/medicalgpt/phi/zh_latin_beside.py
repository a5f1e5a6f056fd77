"""Names in Latin letters that a word beside them tells: Dr TM Chan, 陳Sir, Miss 陳, 拼音: wang xiaoming, CHAN^TAI MAN, helper Ana Kowal."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.latin_syllables import ENGLISH_GIVEN, RARE, SURNAMES, hyphenated, run_on, syllable
from medicalgpt.phi.lists import words
from medicalgpt.phi.rules import Rule
from medicalgpt.phi.zh_names import DOUBLE, SINGLE

_COMMON: Final = frozenset(words("en/common_words"))
_PEOPLE: Final = frozenset(words("zh/people_latin"))
_DOCTORS: Final = r"(?=[DPMNS])(?:Dr|DR|Drs|Prof|PROF|Mr|MR|Mrs|MRS|Ms|MS|Miss|MISS|Mdm|Madam|Nurse|Sister|Sr)\b\.?"
_INITIALS: Final = r"[A-Z]\.?(?:[ -]?[A-Z]\.?){0,2}"
_INITIALED: Final = rf"{_INITIALS} ?[A-Z][A-Za-z]{{1,9}}|[A-Z][A-Za-z]{{1,9}},? {_INITIALS}"
"""Initials before or behind a word."""
_TITLE: Final = r"\s?(?:姑娘|小姐|女士|先生|太太|[医醫][生师師]|大夫|[护護][士师師理]|主任|教授|同[学學]|老[师師]|[药藥][师師]|治[疗療][师師]|社工|[院校]?[长長])"
_SIGNED: Final = r"(?:[签簽][名字署章]?|[审審]核|[报報]告|[记記][录錄]|[录錄]入|[经經]手|[执執]行|操作|[医醫][生师師]|[护護]士|[护護]理?[师師]|[术術]者|主刀|助手|[麻]醉|[Bb]y|[Ss]igned|[Aa]ttending|Op)\s?[:(]\s{0,2}"


def _family(word: str) -> bool:
    low = word.casefold()
    return low in RARE or (word.isupper() and syllable(low))


def _initialed(value: str) -> bool:
    """Whether initials stand before or behind a surname."""
    return any(len(word) > 1 and word.casefold() in RARE for word in re.findall(r"[A-Za-z]+", value))


def _pinyin(value: str) -> bool:
    """A surname and a given name in small letters, apart or as one: wang xiaoming, wangxiaoming."""
    parts = re.split(r"[ _.-]", value.casefold())
    if len(parts) > 1:
        return parts[0] in SURNAMES and all(syllable(part) or run_on(part) for part in parts[1:])
    return any(value[:n] in SURNAMES and (syllable(value[n:]) or run_on(value[n:])) for n in range(2, len(value) - 1))


def _filed(value: str) -> bool:
    """Surname and given name as pictures and tickets file them, a mark between them."""
    first, *rest = re.split(r"[\^/ ]+", value.casefold())
    given = [part for part in rest if part not in _PEOPLE]
    return (
        first in RARE
        and bool(given)
        and all(syllable(one) or run_on(one) or hyphenated(one) or _two(one) for one in given)
    )


def _two(word: str) -> bool:
    return any(syllable(word[:n]) and syllable(word[n:]) for n in range(2, len(word) - 1))


def _strange(value: str) -> bool:
    """Whether no word of a run is a common one."""
    return not any(word.casefold() in _COMMON or word.casefold() in _PEOPLE for word in re.findall(r"[A-Za-z]+", value))


RULES: Final = (
    Rule(
        "surname before sir",
        Kind.NAME,
        re.compile(
            rf"(?=[\u3400-\u9fff]{{1,2}}\s?[SsMm])(?P<v>(?:{DOUBLE})|[{SINGLE}])(?=\s?(?:[Ss]ir|SIR|[Mm]iss|MISS|[Mm]adam)(?![A-Za-z]))"
        ),
        0.85,
        needs="rRsSmM",
    ),
    Rule(
        "Chinese name behind a title in letters",
        Kind.NAME,
        re.compile(
            rf"(?<![A-Za-z]){_DOCTORS}\s?(?P<v>(?:(?:{DOUBLE})|[{SINGLE}])(?:[\u3400-\u9fff]{{1,2}}(?=[^\u3400-\u9fff]|$))?)"
        ),
        0.82,
        needs="rRsSmP",
    ),
)
"""Chinese characters beside Latin letters."""

WORDS: Final = (
    Rule(
        "surname in capitals behind a title",
        Kind.NAME,
        re.compile(rf"(?<![A-Za-z]){_DOCTORS}\s?(?P<v>[A-Z]{{1,8}}(?:-[A-Z]{{2,8}})?)(?![A-Za-z'-])"),
        0.84,
        wanted=lambda v: len(v) > 1 and (_family(v) or hyphenated(v.casefold())),
    ),
    Rule(
        "initials behind a title",
        Kind.NAME,
        re.compile(rf"(?<![A-Za-z]){_DOCTORS}\s?(?P<v>{_INITIALED})(?![A-Za-z'-])"),
        0.86,
        wanted=_initialed,
    ),
    Rule(
        "initials with stops",
        Kind.NAME,
        re.compile(
            r"(?<![\w'.-])(?P<v>(?:[A-Z]\.[ -]?){2,3}[A-Z][A-Za-z]{1,9}|[A-Z][A-Za-z]{1,9},? [A-Z]\.(?:[ -]?[A-Z]\.?){1,2})(?![A-Za-z'-])"
        ),
        0.76,
        wanted=_initialed,
    ),
    Rule(
        "filed name",
        Kind.NAME,
        re.compile(
            r"(?<![\w'.^/-])(?P<v>[A-Z][A-Za-z'-]{0,11}[\^/][A-Z][A-Za-z'-]{1,14}(?:[ ^][A-Z][A-Za-z'-]{1,11}){0,2})(?![\w'^/-])"
        ),
        0.84,
        wanted=_filed,
    ),
    Rule(
        "name behind a word for a person",
        Kind.NAME,
        re.compile(
            r"(?<![\w'-])(?=[A-Za-z])(?:HCA|EN|WA|[Hh]elper|[Cc]arer|[Mm]aid|[Ii]nterpreter|[Tt]ranslator|[Ww]ife|[Hh]usband|[Ss]on|[Dd]aughter|[Mm]other|[Ff]ather|[Bb]rother|[Nn]iece|[Nn]ephew|[Nn]eighbou?r|[Ff]riend|[Ww]itness|NOK|[Ss]urgeon|[Aa]ssistant|[Cc]aregiver|[Ii]nformant)[: ]{1,2}(?P<v>[A-Z][a-z]{2,14}(?: [A-Z][a-z]{1,14}){1,2})(?![\w'-])"
        ),
        0.8,
        wanted=_strange,
        needs="、",
    ),
)
"""The same in text in which Chinese characters are marks."""

BESIDE: Final = (
    Rule(
        "initials before a title",
        Kind.NAME,
        re.compile(rf"(?<![A-Za-z\d'.-])(?P<v>{_INITIALED})(?={_TITLE})"),
        0.84,
        wanted=_initialed,
    ),
    Rule(
        "initials of who signs",
        Kind.NAME,
        re.compile(rf"(?:{_SIGNED})(?P<v>{_INITIALED})(?![A-Za-z'-])"),
        0.84,
        wanted=_initialed,
        needs=":(",
    ),
    Rule(
        "name in small letters",
        Kind.NAME,
        re.compile(
            r"(?:拼音|英文(?:姓?名|名字)?|姓名|登[录錄]名|用[户戶]名?|[账帳][号號户戶]|操作[员員]|工[号號]|[人者员員师師]|[住][院][医醫]|主治|(?<![a-z])(?:name|user|username|login|operator|patient|doctor)(?=[\"' ]{0,2}[:=]))[\"' ]{0,2}[:=]?[\"' ]{0,3}(?P<v>[a-z]{2,18}(?:[ _.-][a-z]{1,12}){0,2})(?![A-Za-z\d@])",
            re.IGNORECASE,
        ),
        0.84,
        wanted=lambda v: (v.islower() or (v.isupper() and len(v) > 5)) and _pinyin(v.casefold()),
    ),
    Rule(
        "given name in letters among family and colleagues",
        Kind.NAME,
        re.compile(
            r"(?P<v>[小老阿][A-Z][a-z]{1,9}|(?<![A-Za-z\d'-])[A-Z][a-z]{1,9}(?=\s?(?:[哥姐仔妹叔姨嫂]|[师師]傅|社工|同事|[护護][士师師理]|[药藥][师師])(?![妹]))|(?<=[仔女婦妇姐哥弟妹士工友事][ :])[A-Z][a-z]{1,9})(?![A-Za-z'-])"
        ),
        0.8,
        wanted=lambda v: v.lstrip("小老阿").casefold() not in _COMMON or v.lstrip("小老阿").casefold() in ENGLISH_GIVEN,
    ),
)
"""The same beside Chinese words."""
