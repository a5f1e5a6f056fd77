"""English places smaller than a state, and institutions."""

import re
from typing import Final

from medicalgpt.phi.en_streets import CAP, STARTS, STATE
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lists import words
from medicalgpt.phi.rules import Rule, one_of
from medicalgpt.phi.spans import Span

_CITIES: Final = frozenset(city.casefold() for city in words("en/cities"))
_HOSPITALS: Final = one_of(words("en/hospitals"))
_COMMON: Final = words("en/common_words")
_SPECIALTIES: Final = words("en/specialties")
_HEAD: Final = (
    r"(?:[Hh]ospitals?|[Hh]osp|[Cc]linics?|[Cc]linical [Cc]enter|(?:[Mm]edical|[Mm]ed\.?|[Hh]ealth|[Cc]ancer|[Hh]eart|[Oo]ncology|[Ss]urgical|[Ss]urgery|[Ww]ellness|[Rr]ehab(?:ilitation)?|[Tt]rauma|[Dd]ialysis|[Bb]irth|[Cc]are|[Ee]ye|[Hh]ospital)\s?(?:[Cc]enters?|[Cc]entres?|[Cc]tr|[Cc]ntr|[Ss]ystem|[Gg]roup|[Cc]are|[Ii]nstitute|[Ff]acility|[Oo]ffice|[Aa]ssociates)|"
    r"HealthCenter|HealthCare|Healthcare|Infirmary|Hospice|Nursing Home|Sanatorium|Family Practice|Pharmacy|Medicine|Medical|General|Gen|Memorial|Med|Health|University|College|School|Institute|facility|office|Practice)"
)
_WORDS: Final = rf"(?:(?:St|Mt|Ft)\.?[ ])?{CAP}(?:[ ](?:&[ ]|and[ ]|of[ ](?:the[ ])?)?{CAP}){{0,4}}?"
_AFTER: Final = rf"(?:,?[ ](?:in|of)[ ]{CAP}(?:[ ]{CAP}){{0,2}})?(?:,[ ](?:{STATE})\b)?"
_GENERIC: Final = frozenset(
    [
        "medical",
        "health",
        "general",
        "memorial",
        "university",
        "college",
        "school",
        "institute",
        "clinic",
        "hospital",
        "center",
        "centre",
        "facility",
        "office",
        "practice",
        "pharmacy",
        "hospice",
        "medicine",
        "med",
        "gen",
        "hosp",
        "healthcare",
        "care",
        "cancer",
        "heart",
    ]
)
_TOKEN: Final = re.compile(r"(?<![\w'-])[A-Z][\w'-]{0,20}\.?(?:[A-Z](?![\w]))?")
_THEN_STATE: Final = re.compile(rf",[ ]?(?:{STATE})\b")


def _tells_which(value: str) -> bool:
    """Whether an institution's name holds a word that is not common: "Elm Clinic", not "The Clinic" nor "Digestive Clinic"."""
    tokens = re.findall(r"[\w&]+(?:'\w+)?", value.casefold())
    return (
        any(
            token.removesuffix("'s") not in _COMMON
            and token not in _GENERIC
            and token not in _SPECIALTIES
            and not token.isdigit()
            for token in tokens
        )
        or value.casefold() in _CITIES
    )


_JOURNAL: Final = re.compile(
    r"(?:.* )?J\.? (?:.* )?(?:Med|Health|Gen|General|Clinic|Medicine)\.?|(?:.* )?(?:(?:Ann|Intern|Arch|Am|Br|Eur|Int|Nat|Crit|Care|Acad|Emerg|Acute|Sports|Sci|Transl|Clin|Exp|Mol|Fam|Prev|Nucl|Pain|Lab|Palliat|Chin|Zhonghua|JAMA|BMC|BMJ|PLoS|Cell|Lancet|Rep|Mil|Travel|Trop|Occup|Environ|Glob|Public|Aust|Can|Indian|Korean|Saudi|Swiss)\.? ){1,5}(?:Med|Health)\.?"
)
"""Titles of journals as references shorten them: N Engl J Med, Ann Intern Med."""


def _institution(value: str) -> bool:
    return not _JOURNAL.fullmatch(value) and _tells_which(value)


def _visited(value: str) -> bool:
    """Whether somebody was seen there: no abbreviation, no doctor, and a name of its own or one written like a name."""
    if value.isupper() or re.match(r"(?:Dr|Mr|Mrs|Ms|Prof)s?\b", value):
        return False
    return _tells_which(value) or bool(re.search(r" (?:Hospital|Clinic|General|Memorial)$", value))


def _is_city(value: str) -> bool:
    return re.sub(r"\s+", " ", value).casefold() in _CITIES


RULES: Final = (
    Rule(
        "city and state",
        Kind.ADDRESS,
        re.compile(
            rf"(?<![\w-])(?P<v>(?:[A-Z][a-z.'-]{{1,20}}[ ]){{0,2}}[A-Z][a-z'-]{{1,20}},[ ]?(?:{STATE}))\b(?!\.[A-Z])"
        ),
        0.8,
        wanted=lambda v: v.split(",")[0].split()[-1].casefold() not in _COMMON or _is_city(v.split(",")[0]),
    ),
    Rule(
        "place of living",
        Kind.ADDRESS,
        re.compile(
            rf"\b(?:lives?|living|resid(?:es?|ing|ent)|moved|relocated|native|born|from|hometown|based|homeless)\b(?: is| in| to| at| of| near| from){{1,2}}[ ](?P<v>(?!(?:{STARTS})\b){CAP}(?:[ ]{CAP}){{0,3}}(?:,[ ](?:{STATE}|{CAP}))?)"
        ),
        0.7,
        wanted=_tells_which,
    ),
    Rule(
        "institution",
        Kind.ORGANIZATION,
        re.compile(rf"(?<![\w'-]){_WORDS}(?:[ ]|-){_HEAD}(?:[ ]{_HEAD}){{0,2}}(?![\w-]){_AFTER}"),
        0.8,
        wanted=_institution,
    ),
    Rule(
        "institution of",
        Kind.ORGANIZATION,
        re.compile(
            rf"(?<![\w'-])(?:[A-Z][\w']{{1,20}}[ ]){{0,2}}(?:Hospital|Clinic|Center|Centre|University|Institute|College|Infirmary)[ ](?:of|for|in|at)[ ](?:the[ ])?{CAP}(?:[ ](?:and[ ]|of[ ])?{CAP}){{0,3}}"
        ),
        0.75,
        wanted=_tells_which,
    ),
    Rule(
        "known hospital",
        Kind.ORGANIZATION,
        re.compile(rf"(?<![\w'-])(?!、)(?:{_HOSPITALS})(?![\w-])(?:[ ](?:{_HEAD}|{CAP})){{0,3}}{_AFTER}"),
        0.78,
    ),
    Rule(
        "saint",
        Kind.ORGANIZATION,
        re.compile(r"(?<![\w'-])(?:St|Saint)s?\.?[ ][A-Z][a-z]{2,15}(?:'s|s')?(?![\w'-])"),
        0.72,
        wanted=lambda v: not re.search(r"(?i)john'?s$", v) or True,
    ),
    Rule(
        "seen at",
        Kind.ORGANIZATION,
        re.compile(
            rf"\b(?:at|from|to|by|in|@|visited|with)[ ](?:the[ ]|our[ ])?(?P<v>{_WORDS})(?=[ ](?:on|in|since|last|for|dated|between|during|back|this|around|after|yesterday|today|under|and was)\b|[ ]?[,(]?[ ]?(?:MRN|ID|DOB|SSN|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|\d{{1,2}}[/-]\d))"
        ),
        0.66,
        wanted=_visited,
    ),
)


def by_list(folded: str) -> list[Span]:
    """Cities of the shipped list, and what follows a comma where it is a state."""
    found, tokens = [], list(_TOKEN.finditer(folded))
    at = 0
    while at < len(tokens):
        size = next((n for n in range(4, 0, -1) if _is_city(_phrase(folded, tokens, at, n))), 0)
        if size:
            end = tokens[at + size - 1].end()
            state = _THEN_STATE.match(folded, end)
            found.append(Span(tokens[at].start(), state.end() if state else end, Kind.ADDRESS, "list:city", 0.7))
        at += max(size, 1)
    return found


def _phrase(folded: str, tokens: list[re.Match[str]], at: int, size: int) -> str:
    """`size` tokens from `at` on, as they stand in the text; nothing where they do not stand side by side."""
    if at + size > len(tokens) or tokens[at + size - 1].end() - tokens[at].start() > 24:
        return ""
    return folded[tokens[at].start() : tokens[at + size - 1].end()]
