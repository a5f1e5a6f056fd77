"""English addresses: streets with what follows them, post boxes, ZIP."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lists import words
from medicalgpt.phi.rules import Rule, one_of

CAP: Final = r"(?:[A-Z](?:[\w'&-]|\.(?=\w)){0,20}(?:(?:(?<=\b[A-Z])|(?<=\b(?:St|Mt|Ft)))\.)?|\d{1,3}(?:st|nd|rd|th))"
"""A word with a capital. A full stop behind it belongs to it only in St., Mt., Ft. and initials: "Leeds. She" is no place."""
STATE: Final = one_of(words("en/states"))
_SURE_STREET: Final = (
    r"street|avenue|ave|road|rd|boulevard|blvd|lane|ln|crescent|terrace|parkway|pkwy|highway|hwy|turnpike|alley|rte"
)
_STREET: Final = "drive|court|circle|place|way|trail|route|square|loop|close|row|plaza|walk|grove|gardens|garden"
"""The last words of streets; those of the second list are words of sentences, too, and want a capital before or in them."""
_MONTH: Final = r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
_NO_STREET: Final = (
    rf"from|at|by|with|for|in|on|to|into|onto|and|or|but|ago|later|after|before|since|until|till|when|while|who|as|if|than|that|this|"
    rf"he|she|they|we|it|you|my|his|her|their|our|your|an?|is|was|were|are|be|been|has|had|have|did|does|went|saw|seen|"
    rf"m[gl]|mcg|[kc]?g|[cm]m|lbs?|units?|tablets?|pills?|doses?|times?|days?|weeks?|months?|years?|hours?|hrs?|minutes?|mins?|yo|patients?|visits?|"
    rf"percent|per|(?:{_MONTH})\.?,? (?:of )?\d{{2,4}}|(?:{_MONTH})\.?,? (?:from|at|by|with|d?r|st)"
)
"""What stands in no name of a street: "27 February 2025 from Dr." and "3 weeks at St. Mary's" are none."""
STARTS: Final = (
    rf"My|His|Her|Their|Our|The|He|She|They|We|I|It|This|That|There|And|But|Or|So|If|In|On|At|To|From|For|With|By|Is|Was|Are|Has|Have|Had|"
    rf"Who|What|When|Where|Why|How|Can|Could|Should|Would|Will|Do|Does|Did|Please|Phone|Tel|Telephone|Fax|E-?[Mm]ail|Mobile|Cell|DOB|MRN|SSN|ID|"
    rf"Patient|Pt|Drs?|Mrs?|Ms|Miss|Prof|Doctor|Nurse|No|Yes|Not|After|Before|Since|Although|While|Last|Next|Now|Then|Also|Today|Yesterday|Date|"
    rf"Age|Sex|Name|Allergies|History|Meds|Medications|Insurance|Employer|(?i:{_MONTH})"
)
"""What begins a sentence or a line of a form, and no city behind a street."""
_ZIP: Final = r"\d{5}(?:-\d{4})?(?!\d)"
_CITY: Final = rf"(?:(?!(?:{STARTS})\b){CAP}(?:[ ](?!(?:{STARTS})\b){CAP}){{0,2}}(?!\s?:))"
_CITY_STATE: Final = (
    rf"(?:(?-i:\.?[,\s]{{1,3}}{_CITY}[,\s]{{1,3}}(?:{STATE})\b)(?:[,\s]{{1,3}}{_ZIP})?|"
    rf"\.?[,\s]{{1,3}}[a-z.'-]{{2,20}}(?:[ ][a-z.'-]{{2,20}}){{0,2}}[,\s]{{1,3}}(?:{STATE})[,\s]{{1,3}}{_ZIP}|"
    rf"(?-i:(?:(?:,[ \n]{{0,2}}|[ ]?\n[ ]{{0,2}}){_CITY}){{1,2}})(?:[,\s]{{1,3}}{_ZIP})?|"
    rf"(?:(?-i:[,\s]{{1,3}}(?:{STATE})\b))?(?:[,\s]{{1,3}}{_ZIP})?)"
)
"""What may follow a street: a city before a state (in small letters before state and ZIP, too), behind a comma or in the next line."""
_STREET_NAME: Final = (
    rf"(?:(?:(?!(?:{_NO_STREET})\b)[A-Za-z\d][\w'.-]{{0,20}}[ ]){{1,4}}?"
    rf"(?:{_SURE_STREET}|st(?!\.?[ ][A-Z])|pl|ct|trl|(?-i:{'|'.join(map(str.title, _STREET.split('|')))}|Dr(?!\.?[ ][A-Z])))|"
    rf"(?:(?!(?:{_NO_STREET})\b)(?-i:[A-Z\d])[\w'.-]{{0,20}}[ ]){{1,4}}?(?:{_SURE_STREET}|{_STREET}|st|dr|pl|ct|ter|cir|sq))\b"
)

RULES: Final = (
    Rule(
        "street",
        Kind.ADDRESS,
        re.compile(
            rf"(?<![\w.])\d{{1,6}}[A-Za-z]?[ ](?:[NSEW]\.?[ ]|North[ ]|South[ ]|East[ ]|West[ ])?{_STREET_NAME}\.?(?:[,\s]{{1,3}}(?:apt|apartment|suite|ste|unit|floor|fl|room|rm|#)\.?\s?#?[\w-]{{1,6}}(?-i:[ ]{_CITY})?)?{_CITY_STATE}",
            re.IGNORECASE,
        ),
        0.85,
        wanted=lambda v: bool(re.search(r"[A-Z]", v)),
    ),
    Rule("post box", Kind.ADDRESS, re.compile(rf"\bP\.?\s?O\.?\s?Box\s\d{{1,6}}{_CITY_STATE}", re.IGNORECASE), 0.9),
    Rule(
        "labeled address",
        Kind.ADDRESS,
        re.compile(
            r"(?<!IP )(?<!email )\b(?:home |mailing |street |current )?address(?: is| of)?\s?[:=]?\s{1,3}(?P<v>\d{1,6}[^\n;()?]{4,80}?)(?=[\n;()?]|\.\s|$|,? (?:and|but|so|because|who|where|with|has|have|is|was|my|please)\b)",
            re.IGNORECASE,
        ),
        0.85,
    ),
    Rule(
        "zip",
        Kind.ADDRESS,
        re.compile(rf"\bzip(?:[ -]?code)?(?: is)?\s?[:=]?\s?(?P<v>{_ZIP})(?!\d)", re.IGNORECASE),
        0.95,
    ),
    Rule(
        "state and zip",
        Kind.ADDRESS,
        re.compile(rf"(?:{CAP}(?:[ ]{CAP}){{0,2}},?[ ])?\b(?:{STATE})[ ,]{{1,2}}{_ZIP}(?![\w-])"),
        0.9,
    ),
)
