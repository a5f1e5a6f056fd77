"""Names in English text: by titles and labels, by lists of given names and surnames, by initials."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lists import words
from medicalgpt.phi.rules import Rule
from medicalgpt.phi.spans import Span

FIRST: Final = words("en/first_names")
LAST: Final = words("en/last_names")
COMMON: Final = words("en/common_words")
_UP: Final = r"A-ZÀ-ÖØ-ÞĀ-Ž"
_LOW: Final = r"a-zß-öø-ÿā-ž"
_WORD: Final = (
    rf"(?:(?:Mc|Mac|O'|D'|De|Di|La|Le|Van|Al-|El-)?[{_UP}][{_LOW}]{{1,20}}(?:[-'][{_UP}]?[{_LOW}]{{1,20}}){{0,2}})"
)
_INITIAL: Final = rf"(?:[{_UP}](?:\.|(?='s))?(?![\w-]|'(?!s\b)))"
_LINK: Final = r"(?:(?:de|del|della|van|von|der|den|la|le|bin|ibn|al|el|da|dos|di|y)[ ]){0,3}"
_REST: Final = rf"(?:[ ]{_LINK}(?:{_WORD}|{_INITIAL}))"
_SUFFIX: Final = r"(?:,?[ ](?:Jr|Sr|II|III|IV)\b\.?)?"
_FULL: Final = rf"(?:{_WORD}|{_INITIAL}){_REST}{{0,3}}{_SUFFIX}"
_TITLE: Final = r"(?=[A-Za-z])(?:Mr|Mrs|Ms|Miss|Mx|Dr|Drs|Prof|Doctor|Professor|Nurse|Rev|Sgt|Capt|Lt|Judge|Sir|Madam|MR|MRS|MS|DR|mr|mrs|ms|dr|Aunt|Uncle|Grandma|Grandpa)\b\.?"
_FILED: Final = (
    r"(?:(?:[Nn]ame|NAME|[Ss]igned(?: by)?|[Cc]ontact|[Nn]ext of kin|NOK|[Rr]eferred by|[Dd]ictated by|[Aa]uthor|[Cc]c|CC|[Aa]ttn|[Dd]ear|"
    r"[Ee]mployer)(?: [Nn]ame)?)"
)
_PEOPLE: Final = (
    r"(?:[Pp]atient|PATIENT|[Pp]t|PT|[Aa]ttending|[Pp]hysician|[Pp]rovider|[Ss]urgeon|[Dd]octor|[Gg]uardian|[Nn]urse|[Pp]arent|[Mm]other|"
    r"[Ff]ather|[Ss]pouse)"
)
_NAME: Final = rf"(?P<v>{_WORD},[ ]?{_WORD}(?:[ ]{_INITIAL})?|{_FULL}|[A-Z]{{2,20}}(?:,?[ ][A-Z]{{1,20}}){{1,2}})"
_ANNOUNCES: Final = (
    r"(?=[A-Za-z])(?:[Nn]amed|[Cc]alled|[Nn]ame is|[Dd]ear|[Hh]i|[Hh]ello|[Rr]egards|[Ss]incerely|[Pp]atient|PATIENT|[Pp]ts?|PT|[Cc]lient|[Cc]ase of|[Rr]egarding|[Rr]e|[Ff]or|[Ll]ike|[Aa]bout|[Ww]ith|[Bb]y|[Ff]rom|[Ss]ee|[Pp]er|[Mm]other|[Ff]ather|[Ww]ife|[Hh]usband|[Ss]on|[Dd]aughter|[Ss]ister|[Bb]rother|[Ff]riend|[Cc]aregiver|[Ss]pouse|"
    r"[Ff]emale|[Mm]ale|[Ww]oman|[Mm]an|[Bb]oy|[Gg]irl|[Cc]hild|[Ii]nfant|[Ii]ndividual|[Pp]erson|yo|y/o|yo[MF]|[MF])"
)
_AFTER_NAME: Final = re.compile(
    r"'?s?[ -](?:disease|syndrome|sign|test|palsy|disorder|phenomenon|reflex|criteria|score|scale|index|lymphoma|sarcoma|tumou?r|catheter|cyst|fracture|dystrophy|ataxia|chorea|dementia|thyroiditis|anemia|cell|cells|body|bodies|method|procedure|maneuver|manoeuvre|"
    r"esophagus|oesophagus|contracture|node|nodes|spot|spots|line|lines|ring|rings|triad|law|equation|formula|classification|stage|grade|duct|gland|virus|fever|nevus|cirrhosis|encephalopathy|nephropathy|neuropathy|purpura|arteritis|atrophy|anomaly|malformation|deformity|hernia|operation|position|stain|plot|curve|model|trial|inventory|questionnaire|"
    r"[Dd]isease|[Ss]yndrome|[Dd]isorder|Foundation|Institute|Society|Association|Center|Hospital|Clinic|Medical|University|College|Memorial|Act|Guidelines?)\b"
    r"|[' ]?s? ?(?:氏|征|徵|試驗|试验|综合征|綜合徵|综合症|病|症|反射|定律|方程|公式|评分|評分|分级|分級|分期|分型|分类|骨折|手术|手術|三角|细胞|細胞|小体|小體|瘤|指数|指數|量表|染色|培养基|手法|骨牵引|支架|夹板|线|管|环|斑|窦|束|孔|腺|麻痹|瘫|疝|囊肿|切口|操作|标准|疗法)"
)


def _tokens(value: str) -> list[str]:
    return re.findall(r"[^\W\d_][\w'-]*", value)


def _first(value: str) -> bool:
    token = value.casefold()
    return token in FIRST or token.partition("-")[0] in FIRST


def _titled(value: str) -> bool:
    """After a title anything may be a surname, but for words that go on with the sentence."""
    first = next((token for token in _tokens(value) if token[0].isupper()), "the")
    return len(first) == 1 or first.casefold() in LAST or first.casefold() not in COMMON


def _no_speech(value: str) -> bool:
    """After "Patient:" or "Doctor:" stands a name, or what the person says: "Patient: Good, thank you"."""
    tokens = _tokens(value)
    said = len(tokens) == 1 and (tokens[0].casefold() in COMMON or value in ("I", "A"))
    return not said and _titled(value)


def _likely(value: str) -> bool:
    """A given name of the list and something that may follow it; or two words of which the second is a surname of the list."""
    tokens = _tokens(value)
    if not tokens or (tokens[0].casefold() in COMMON and tokens[0].casefold() not in FIRST):
        return False
    if len(tokens) == 1:
        return _first(tokens[0]) and tokens[0].casefold() not in COMMON
    if any(token.casefold() in _NO_SURNAME for token in tokens[1:]):
        return False
    return _first(tokens[0]) or tokens[-1].casefold() in LAST


def _initialed(value: str) -> bool:
    """Initials and a surname, and no abbreviation of a country before what it has: "U.S. Food"."""
    last = _tokens(value)[-1].casefold()
    return not re.match(r"(?:U\. ?S|U\. ?K|E\. ?U|D\. ?C|U\. ?N)\.|[EHSCK]\. [a-z]", value) and (
        last in LAST or last not in COMMON
    )


def _no_option(match: re.Match[str]) -> bool:
    """Whether an initial is no letter of an answer: "B. Broca" at the beginning of a line of Chinese (`latin` has a mark for an
    ideograph), or beside lines "A. " or "C. "."""
    text, start = match.string, match.start("v")
    if text[start] > "F" or (start and text[start - 1] not in "\n。"):
        return True
    letter = ord(text[start])
    others = [f"\n{chr(letter + step)}." for step in (-1, 1)]
    return "、" not in text and not any(other in text or text.startswith(other[1:]) for other in others)


_NO_SURNAME: Final = frozenset(
    [
        "disease",
        "syndrome",
        "hospital",
        "clinic",
        "medical",
        "center",
        "centre",
        "health",
        "general",
        "memorial",
        "university",
        "college",
        "street",
        "st",
        "avenue",
        "road",
        "drive",
        "county",
        "city",
        "school",
        "institute",
        "foundation",
        "association",
        "diet",
        "type",
        "stage",
        "grade",
        "score",
        "test",
        "scale",
        "criteria",
        "inc",
        "llc",
        "corp",
        "company",
        "beach",
        "park",
        "valley",
        "lake",
        "springs",
        "island",
        "heights",
        "hills",
        "river",
    ]
)


RULES: Final = (
    Rule(
        "titled name",
        Kind.NAME,
        re.compile(rf"(?<![\w'-]){_TITLE}[ ]{{1,2}}(?P<v>{_LINK}{_FULL})"),
        0.93,
        wanted=_titled,
    ),
    Rule(
        "titled small name",
        Kind.NAME,
        re.compile(r"(?<![\w'-])(?:mr|mrs|ms|dr)\.?[ ](?P<v>[a-z][a-z'-]{2,20}(?:[ ][a-z]\.)?)"),
        0.8,
        wanted=lambda v: v.casefold() in LAST or v.split()[0] in FIRST,
    ),
    Rule(
        "labeled name",
        Kind.NAME,
        re.compile(rf"\b(?:{_FILED}|{_PEOPLE} [Nn]ame)\s?[:=]\s{{0,4}}{_NAME}"),
        0.92,
        wanted=_titled,
    ),
    Rule(
        "said name",
        Kind.NAME,
        re.compile(
            rf"(?<!\w)(?:[Nn]ame(?:'s| is| was|\?)|[Cc]alls? (?:me|him|her)|[Nn]amed (?:him|her)|[Cc]alled (?:him|her))[ ]{{1,2}}(?P<v>{_WORD}{_REST}{{0,3}}{_SUFFIX})"
        ),
        0.85,
        wanted=_titled,
    ),
    Rule("labeled person", Kind.NAME, re.compile(rf"\b{_PEOPLE}\s?[:=]\s{{0,4}}{_NAME}"), 0.92, wanted=_no_speech),
    Rule(
        "announced name",
        Kind.NAME,
        re.compile(rf"(?<![\w'-]){_ANNOUNCES}[ ,:(]{{1,3}}(?P<v>{_WORD}{_REST}{{1,3}}{_SUFFIX})"),
        0.8,
        wanted=lambda v: (
            _likely(v)
            or (
                len(_tokens(v)) == 2
                and all(t.casefold() not in COMMON and t.casefold() not in _NO_SURNAME for t in _tokens(v))
                and len(_tokens(v)[-1]) == 1
            )
        ),
    ),
    Rule(
        "announced given name",
        Kind.NAME,
        re.compile(rf"(?<![\w'-]){_ANNOUNCES}[ ,:(]{{1,3}}(?P<v>{_WORD})(?![\w-])"),
        0.75,
        wanted=lambda v: _first(v) and v.casefold() not in COMMON,
    ),
    Rule(
        "announced small name",
        Kind.NAME,
        re.compile(
            r"(?<![\w'-])(?:pt|patient|named?|called|yo [mf]|male|female|[mf]),?[ ](?P<v>[a-z]{3,15}[ ](?:[a-z]{3,15}|[a-z]\.|[a-z](?=[,. ])))(?![\w'-])"
        ),
        0.75,
        wanted=lambda v: (
            v.split()[0] in FIRST
            and v.split()[0] not in COMMON
            and (v.split()[1] in LAST or len(v.split()[1].rstrip(".")) == 1)
        ),
    ),
    Rule(
        "given name first",
        Kind.NAME,
        re.compile(rf"(?<![\w'-])(?P<v>{_WORD}{_REST}{{1,3}}{_SUFFIX})"),
        0.75,
        wanted=_likely,
    ),
    Rule(
        "word and initial",
        Kind.NAME,
        re.compile(rf"(?<![\w'-])(?P<v>{_WORD}[ ][{_UP}]\.)(?=[\s,;:)'?]|$)"),
        0.72,
        wanted=lambda v: v.split()[0].casefold() not in COMMON or _first(v.split()[0]),
    ),
    Rule(
        "initials and surname",
        Kind.NAME,
        re.compile(rf"(?<![\w'.-])(?P<v>(?:[{_UP}]\.[ ]?){{1,3}}{_WORD})(?![\w-])"),
        0.72,
        wanted=_initialed,
        fits=_no_option,
    ),
    Rule(
        "announced initials",
        Kind.NAME,
        re.compile(
            rf"(?<![\w'-])(?:[Pp]atient|[Pp]t|[Nn]amed|[Cc]lient|[Cc]alled|initials|[Ff]emale|[Mm]ale|[Mm]an|[Ww]oman)[ ,:(]{{1,3}}(?P<v>(?:[{_UP}]\.){{2,3}}|[{_UP}]\.[ ][{_UP}]\.)"
        ),
        0.85,
    ),
    Rule(
        "surname first",
        Kind.NAME,
        re.compile(rf"(?<![\w'-])(?P<v>{_WORD},[ ]{_WORD}(?:[ ]{_INITIAL})?)(?![\w-])"),
        0.7,
        wanted=lambda v: (
            _tokens(v)[0].casefold() in LAST
            and _first(_tokens(v)[1])
            and _tokens(v)[1].casefold() not in COMMON
            and _tokens(v)[0].casefold() not in COMMON
        ),
    ),
    Rule(
        "capital name",
        Kind.NAME,
        re.compile(r"(?<![\w'-])(?P<v>[A-Z]{3,15}(?:[ ][A-Z]\.?)?,?[ ][A-Z]{2,15})(?![\w'-])"),
        0.7,
        wanted=lambda v: (
            len({_tokens(v)[0].casefold() in FIRST, _tokens(v)[-1].casefold() in FIRST} & {True}) == 1
            and (_tokens(v)[-1].casefold() in LAST or _tokens(v)[0].casefold() in LAST)
            and _tokens(v)[0].casefold() not in COMMON
        ),
    ),
)


def by_lists(folded: str) -> list[Span]:
    """Given names of the list that stand alone, where they are no common word."""
    return [
        Span(m.start(), m.end(), Kind.NAME, "list:given name", 0.62)
        for m in _ALONE.finditer(folded)
        if m.group().casefold() in FIRST and m.group().casefold() not in COMMON
    ]


_ALONE: Final = re.compile(rf"(?<![\w'-])[{_UP}][{_LOW}]{{2,15}}(?![\w-])")


_AFTER_HAN: Final = re.compile(
    r"氏|[征徵](?=[阳陽阴陰(,。;、:+-])|(?:综合|綜合)[征徵症]|病(?![人理历歷案房床情史因室区區友患号號危重程例])|反射|定律|方程|公式|小[体體]|细胞|細胞|[试試][验驗]"
)
"""The same behind a name in Chinese characters, which much may follow: 王建国手术, 李秀英病理."""


def eponym(folded: str, span: Span) -> bool:
    """Whether a name is followed by what is called after it: "Alexander disease"."""
    after = _AFTER_HAN if "\u3400" <= folded[span.end - 1] <= "\u9fff" else _AFTER_NAME
    return bool(after.match(folded, span.end))
