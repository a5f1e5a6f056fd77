"""English phones and numbers of people: what HIPAA Safe Harbor (45 CFR 164.514(b)(2)) names, and the same elsewhere."""

import re
from typing import Final

from medicalgpt.phi.checksums import luhn
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.rules import Rule, en_labeled

_NO: Final = r"(?<![\w])"
_END: Final = r"(?![\w])"
_VALUE: Final = r"#?(?=[A-Z/-]{0,12}\d)[A-Z\d](?:[-/.]?[A-Z\d]){3,24}"


def _long(value: str) -> bool:
    """No pair of readings such as 160-110."""
    return sum(c.isdigit() for c in value) > 6


def _coded(value: str) -> bool:
    """Not a plain word or a year."""
    return sum(c.isdigit() for c in value) >= 3 and not re.fullmatch(r"(?:19|20)\d\d", value)


_COUNTED: Final = (
    "copies|genomes?|cells?|platelets|particles|virions|organisms|bacteria|colonies|spores|CFU|IU|U|units?|m?mol|n?g|m?L|bp|base pairs|"
    "people|persons|patients|adults|children|women|men|births|deaths|cases|doses|dollars|euros|pounds|yuan|times"
)
"""What a number counts, which then is nobody's."""

RULES: Final = (
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
        en_labeled(
            r"(?:tele)?phone|cell|mobile|tel|call(?:ed)?|contact(?:ed)?(?: at| number)?|reached at|pager",
            r"[+(]?\d(?:[ ().-]{0,2}\d){6,14}(?:\s?(?:x|ext\.?)\s?\d{1,6})?",
        ),
        0.95,
    ),
    Rule("labeled fax", Kind.FAX, en_labeled(r"fax|facsimile", r"[+(]?\d(?:[ ().-]{0,2}\d){6,14}"), 0.97),
    # -- numbers of people
    Rule("ssn", Kind.NATIONAL_ID, re.compile(r"(?<![\w-])\d{3}[- ]\d{2}[- ]\d{4}(?![\w-])"), 0.86),
    Rule(
        "labeled ssn",
        Kind.NATIONAL_ID,
        en_labeled(
            r"SSN|social security(?: (?:number|no\.?|#))?|national (?:id|insurance)(?: number)?|NHS (?:number|no\.?)|(?:last|ending)(?: in| four)?(?: of)? ssn",
            r"(?:[\dX*]{1,4}[- ]?){1,4}\d{2,4}",
        ),
        0.97,
    ),
    Rule(
        "labeled record",
        Kind.RECORD,
        en_labeled(
            r"MRNs?|med(?:ical)? ?rec(?:ord)?s?|(?:health|hospital|patient|chart|hosp|pt)(?:'s)? (?:record|chart|file|id|identifier|no|number)|chart|record (?:no|number|id)|accession|specimen|encounter|visit|admission (?:no|number|id)|file (?:no|number)|case (?:no|number|id|#)|lab (?:no|number|id)|pt ?id|pid|id",
            _VALUE,
        ),
        0.94,
        wanted=_coded,
    ),
    Rule(
        "labeled insurance",
        Kind.INSURANCE,
        en_labeled(
            r"(?:health )?(?:insurance|plan|policy|member(?:ship)?|subscriber|beneficiary|medicare|medicaid|group|hmo|ppo|hicn|mbi|coverage|payer|HPBN|HPB|health ?plan(?: beneficiary)?|blue cross|BCBS|aetna|cigna|humana)(?:'s)?(?: (?:policy|plan|member|id|card|number|no|beneficiary|identification|group|claim|HMO|PPO)){0,3}|claim",
            _VALUE,
        ),
        0.95,
        wanted=_coded,
    ),
    Rule(
        "labeled account",
        Kind.ACCOUNT,
        en_labeled(
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
        en_labeled(r"(?:driver'?s? )?licen[sc]e|DL|certificate|certification|DEA|NPI|passport|permit", _VALUE),
        0.93,
        wanted=_coded,
    ),
    Rule(
        "labeled vehicle",
        Kind.VEHICLE,
        en_labeled(
            r"VIN|vehicle(?: id(?:entification)?)?|(?:license |number )?plate|registration",
            r"(?=[A-Z -]{0,8}\d)[A-Z\d](?:[- ]?[A-Z\d]){3,17}",
        ),
        0.93,
        wanted=lambda v: any(c.isdigit() for c in v),
    ),
    Rule(
        "labeled device",
        Kind.DEVICE,
        en_labeled(r"serial|device(?: id(?:entifier)?)?|IMEI|UDI|pacemaker|implant|lot|model|S/N|SN", _VALUE),
        0.9,
        wanted=_coded,
    ),
    Rule(
        "labeled other",
        Kind.OTHER_ID,
        en_labeled(
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
        wanted=lambda v: not v.startswith(("NCT", "PMC", "ISO", "COVID", "GB", "YY", "BP")),
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
    Rule(
        "long number",
        Kind.OTHER_ID,
        re.compile(
            rf"(?<![\w.,/+$€£-])(?<!PMID[ :])(?<!PMID: )\d{{7,16}}(?![\w,/-]|\.\d|\s{{1,2}}(?:{_COUNTED})\b)",
            re.IGNORECASE,
        ),
        0.6,
    ),
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
