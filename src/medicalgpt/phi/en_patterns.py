"""English numbers, dates and addresses of the net: what HIPAA Safe Harbor (45 CFR 164.514(b)(2)) names, and the same elsewhere."""

import re
from typing import Final

from medicalgpt.phi.checksums import luhn
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.rules import Rule

_NO: Final = r"(?<![\w])"
_END: Final = r"(?![\w])"
_MONTH: Final = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
_DAY: Final = r"(?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?"
_YEAR: Final = r"(?:'?\d{2}|(?:18|19|20)\d{2})(?!\d)"
_IS: Final = r"(?:\s{0,2}(?:is|was|of|no\.?|num(?:ber)?|#|:|=|-|\(|id)){0,4}\s{0,3}"
"""What may stand between a label and its value."""
_VALUE: Final = r"#?(?=[A-Z/-]{0,12}\d)[A-Z\d](?:[-/.]?[A-Z\d]){3,24}"


def _labeled(labels: str, value: str) -> re.Pattern[str]:
    return re.compile(rf"{_NO}(?:{labels}){_IS}(?P<v>{value})", re.IGNORECASE)


def _address(value: str) -> bool:
    """No list of small numbers such as 2.3.4.5."""
    return any(int(part) > 9 for part in value.split("."))


def _long(value: str) -> bool:
    """No pair of readings such as 160-110."""
    return sum(c.isdigit() for c in value) > 6


def _coded(value: str) -> bool:
    """Not a plain word or a year."""
    return sum(c.isdigit() for c in value) >= 3 and not re.fullmatch(r"(?:19|20)\d\d", value)


NET: Final = (
    Rule(
        "email",
        Kind.EMAIL,
        re.compile(r"(?<![\w.+-])[A-Za-z\d_.+-]{1,64}@[A-Za-z\d-]{1,63}(?:\.[A-Za-z\d-]{1,63}){1,4}"),
        0.99,
    ),
    Rule(
        "url",
        Kind.URL,
        re.compile(r"(?:https?://|ftp://|(?<![\w.@-])www\.)[^\s<>\"'\u3000-\u9fff，。；)]{2,300}", re.IGNORECASE),
        0.97,
    ),
    Rule(
        "social page",
        Kind.URL,
        re.compile(
            r"(?<![\w.@-])(?:facebook|twitter|x|instagram|linkedin|weibo|zhihu|youtube|t)\.(?:com|cn|me)/[\w./@?=-]{2,100}",
            re.IGNORECASE,
        ),
        0.9,
    ),
    Rule(
        "ip",
        Kind.IP,
        re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.]\d|\d)"),
        0.9,
        wanted=_address,
    ),
    Rule(
        "ip version 6",
        Kind.IP,
        re.compile(
            r"(?<![\w:])(?:[\da-f]{1,4}:){7}[\da-f]{1,4}(?![\w:])|(?<![\w:])(?:[\da-f]{1,4}:){1,6}:(?:[\da-f]{1,4}:){0,5}[\da-f]{1,4}(?![\w:])",
            re.IGNORECASE,
        ),
        0.9,
    ),
    Rule(
        "mac",
        Kind.DEVICE,
        re.compile(r"(?<![\w:-])[\da-f]{2}(?:([:-])[\da-f]{2})(?:\1[\da-f]{2}){4}(?![\w:-])", re.IGNORECASE),
        0.9,
    ),
)
RULES: Final = (
    *NET,
    # -- dates and ages
    Rule(
        "month day year",
        Kind.DATE,
        re.compile(rf"{_NO}{_MONTH}\s{{0,2}}{_DAY}(?:(?:\s?,\s?|\s{{1,2}}|\s?/\s?){_YEAR})?{_END}", re.IGNORECASE),
        0.9,
    ),
    Rule(
        "day month year",
        Kind.DATE,
        re.compile(
            rf"{_NO}(?:the\s)?{_DAY}[\s-]{{1,2}}(?:of\s)?{_MONTH}(?:[\s,-]{{1,2}}{_YEAR})?{_END}", re.IGNORECASE
        ),
        0.9,
    ),
    Rule(
        "month year",
        Kind.DATE,
        re.compile(rf"{_NO}{_MONTH},?\s(?:of\s)?(?:18|19|20)\d{{2}}{_END}", re.IGNORECASE),
        0.88,
    ),
    Rule(
        "numeric date",
        Kind.DATE,
        re.compile(
            r"(?<![\w./-])(?:1[0-2]|0?[1-9])([/-])(?:3[01]|[12]\d|0?[1-9])\1(?:'?\d{2}|(?:18|19|20)\d{2})(?![\w/-])"
        ),
        0.9,
    ),
    Rule(
        "european date",
        Kind.DATE,
        re.compile(r"(?<![\w./-])(?:3[01]|[12]\d|0?[1-9])([/.-])(?:1[0-2]|0?[1-9])\1(?:18|19|20)\d{2}(?![\w/-])"),
        0.9,
    ),
    Rule(
        "iso date",
        Kind.DATE,
        re.compile(r"(?<![\w./-])(?:18|19|20)\d{2}([-/.])(?:1[0-2]|0?[1-9])\1(?:3[01]|[12]\d|0?[1-9])(?![\d/-])"),
        0.9,
    ),
    Rule(
        "day of a month",
        Kind.DATE,
        re.compile(
            r"(?:\bon|\bsince|\buntil|\bdated|\bseen|\badmit(?:ted)?|\bDOB:?)\s{1,2}(?P<v>(?:1[0-2]|0?[1-9])/(?:3[01]|[12]\d|0?[1-9]))(?![\w/%])",
            re.IGNORECASE,
        ),
        0.8,
    ),
    Rule(
        "labeled date",
        Kind.DATE,
        _labeled(
            r"DOB|D\.O\.B\.?|date of birth|birth ?date|born(?: on)?|date of (?:admission|discharge|death|service)",
            r"\d{1,4}[-/. ]\d{1,2}(?:[-/. ]\d{2,4})?|\d{8}",
        ),
        0.95,
    ),
    Rule(
        "age over 89",
        Kind.AGE,
        re.compile(
            r"(?<![\w.])(?:9\d|1[01]\d)(?=(?:\s|-)?(?:years?|yrs?|y)?(?:\s|-|/)?(?:old|of age|yo\b|y/?o\b|[MF]\b))",
            re.IGNORECASE,
        ),
        0.9,
    ),
    Rule(
        "labeled age over 89",
        Kind.AGE,
        re.compile(r"(?:\bage[d:]?|\bturned|\bturning)\s{0,2}(?P<v>9\d|1[01]\d)(?![\d%./-])", re.IGNORECASE),
        0.85,
    ),
    Rule(
        "written age over 89",
        Kind.AGE,
        re.compile(
            r"\b(?P<v>ninety(?:[ -](?:one|two|three|four|five|six|seven|eight|nine))?|(?:one|a) hundred(?: and (?:one|two|three|four|five))?)(?=[ -]years?[ -]old)",
            re.IGNORECASE,
        ),
        0.85,
    ),
    # -- phones
    Rule(
        "phone",
        Kind.PHONE,
        re.compile(
            r"(?<![\w.-])(?:\+?1[ .-]?)?(?:\(\d{3}\)[ .-]{0,2}|\d{3}[ .-])\d{3}[ .-]\d{4}(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?![\w-])",
            re.IGNORECASE,
        ),
        0.87,
    ),
    Rule(
        "international phone",
        Kind.PHONE,
        re.compile(r"(?<![\w.+])\+\d{1,3}(?:[ .()-]{1,2}\d{1,5}){2,5}(?![\w-])|(?<![\w.+])\+\d{9,14}(?!\d)"),
        0.87,
    ),
    Rule("short phone", Kind.PHONE, re.compile(r"(?<![\w.-])[2-9]\d{2}-\d{4}(?![\w-])"), 0.6),
    Rule(
        "labeled phone",
        Kind.PHONE,
        _labeled(
            r"(?:tele)?phone|cell|mobile|tel|call(?:ed)?|contact(?:ed)?(?: at| number)?|reached at|pager",
            r"[+(]?\d(?:[ ().-]{0,2}\d){6,14}(?:\s?(?:x|ext\.?)\s?\d{1,6})?",
        ),
        0.95,
    ),
    Rule("labeled fax", Kind.FAX, _labeled(r"fax|facsimile", r"[+(]?\d(?:[ ().-]{0,2}\d){6,14}"), 0.97),
    # -- numbers of people
    Rule("ssn", Kind.NATIONAL_ID, re.compile(r"(?<![\w-])\d{3}[- ]\d{2}[- ]\d{4}(?![\w-])"), 0.86),
    Rule(
        "labeled ssn",
        Kind.NATIONAL_ID,
        _labeled(
            r"SSN|social security(?: (?:number|no\.?|#))?|national (?:id|insurance)(?: number)?|NHS (?:number|no\.?)|(?:last|ending)(?: in| four)?(?: of)? ssn",
            r"(?:[\dX*]{1,4}[- ]?){1,4}\d{2,4}",
        ),
        0.97,
    ),
    Rule(
        "labeled record",
        Kind.RECORD,
        _labeled(
            r"MRNs?|med(?:ical)? ?rec(?:ord)?s?|(?:health|hospital|patient|chart|hosp|pt)(?:'s)? (?:record|chart|file|id|identifier|no|number)|chart|record (?:no|number|id)|accession|specimen|encounter|visit|admission (?:no|number|id)|file (?:no|number)|case (?:no|number|id|#)|lab (?:no|number|id)|pt ?id|pid|id",
            _VALUE,
        ),
        0.94,
        wanted=_coded,
    ),
    Rule(
        "labeled insurance",
        Kind.INSURANCE,
        _labeled(
            r"(?:health )?(?:insurance|plan|policy|member(?:ship)?|subscriber|beneficiary|medicare|medicaid|group|hmo|ppo|hicn|mbi|coverage|payer|HPBN|HPB|health ?plan(?: beneficiary)?|blue cross|BCBS|aetna|cigna|humana)(?:'s)?(?: (?:policy|plan|member|id|card|number|no|beneficiary|identification|group|claim|HMO|PPO)){0,3}|claim",
            _VALUE,
        ),
        0.95,
        wanted=_coded,
    ),
    Rule(
        "labeled account",
        Kind.ACCOUNT,
        _labeled(
            r"acc(?:oun)?t(?:s)?(?: (?:no|number|id))?|bank(?: account)?|billing(?: (?:account|id|number))?|iban|routing|(?:credit|debit) card|card(?: ending)?(?: in)?|invoice",
            _VALUE,
        ),
        0.94,
        luhn,
        wanted=_coded,
    ),
    Rule(
        "labeled license",
        Kind.LICENSE,
        _labeled(r"(?:driver'?s? )?licen[sc]e|DL|certificate|certification|DEA|NPI|passport|permit", _VALUE),
        0.93,
        wanted=_coded,
    ),
    Rule(
        "labeled vehicle",
        Kind.VEHICLE,
        _labeled(
            r"VIN|vehicle(?: id(?:entification)?)?|(?:license |number )?plate|registration",
            r"(?=[A-Z -]{0,8}\d)[A-Z\d](?:[- ]?[A-Z\d]){3,17}",
        ),
        0.93,
        wanted=lambda v: any(c.isdigit() for c in v),
    ),
    Rule(
        "labeled device",
        Kind.DEVICE,
        _labeled(r"serial|device(?: id(?:entifier)?)?|IMEI|UDI|pacemaker|implant|lot|model|S/N|SN", _VALUE),
        0.9,
        wanted=_coded,
    ),
    Rule(
        "labeled other",
        Kind.OTHER_ID,
        _labeled(
            r"(?:site|study|subject|participant|employee|student|user|case|ref(?:erence)?|confirmation|order|prescription|RX|ticket|biometric|fingerprint)",
            rf"{_VALUE}",
        ),
        0.9,
        wanted=_coded,
    ),
    Rule(
        "prefixed number",
        Kind.OTHER_ID,
        re.compile(
            r"(?<![\w./-])#?[A-Z]{1,5}-?\d{2,4}-\d{3,10}(?![\w-])|(?<![\w./-])#?[A-Z]{1,5}-\d{4,12}[A-Z]{0,3}(?![\w-])|(?<![\w./-])#?[A-Z]{1,4}\d{5,12}(?![\w-])"
        ),
        0.75,
        wanted=lambda v: not v.startswith(("NCT", "PMC", "ISO", "COVID", "GB", "YY")),
    ),
    Rule(
        "suffixed number",
        Kind.OTHER_ID,
        re.compile(r"(?<![\w./-])#?\d{4,12}-?[A-Z]{2,4}(?![\w-])"),
        0.7,
        wanted=lambda v: not v.endswith(("MG", "ML", "KG", "IU", "MCG", "HZ", "CC", "MM", "CM")),
    ),
    Rule("number sign", Kind.OTHER_ID, re.compile(r"(?<!\w)#[A-Z]{0,5}-?\d{4,12}(?![\w-])"), 0.8),
    Rule(
        "grouped number",
        Kind.OTHER_ID,
        re.compile(r"(?<![\w.,/+-])\d{3,6}(?:-\d{3,6}){1,3}(?![\w.-]\d|\w)"),
        0.65,
        wanted=_long,
    ),
    Rule("long number", Kind.OTHER_ID, re.compile(r"(?<![\w.,/+-])\d{7,16}(?![\w,/-]|\.\d)"), 0.6),
    Rule(
        "card",
        Kind.ACCOUNT,
        re.compile(
            r"(?<![\w.-])[3-6]\d{3}(?:[ -]?\d{4}){3}(?:[ -]?\d{1,3})?(?![\w-])|(?<![\w.-])3[47]\d{2}[ -]?\d{6}[ -]?\d{5}(?![\w-])"
        ),
        0.75,
        luhn,
    ),
    Rule(
        "iban",
        Kind.ACCOUNT,
        re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z\d]{4}){3,7}(?: ?[A-Z\d]{1,3})?(?!\w)"),
        0.8,
        wanted=lambda v: sum(c.isdigit() for c in v) > 8,
    ),
    Rule(
        "vin", Kind.VEHICLE, re.compile(r"(?<!\w)(?=[A-Z]{0,16}\d)(?=\d{0,16}[A-Z])[A-HJ-NPR-Z\d]{11}\d{6}(?!\w)"), 0.8
    ),
)
