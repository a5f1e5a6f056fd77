"""Addresses of Hong Kong in English among Chinese: Flat B, 7/F, Sunny Court, 31 Long Road, Tai Po."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.rules import Rule

_WORD: Final = r"[A-Z\d][\w'&./()-]{0,18}"
_PART: Final = rf"{_WORD}(?: (?:of |the )?{_WORD}){{0,5}}"
_UNIT: Final = r"(?:Flat|FLAT|Flt|Rm|RM|Room|ROOM|Unit|UNIT|Shop|SHOP|Blk|BLK|Block|BLOCK|Suite|House|Ste|Tower|TOWER|Twr|Phase)\.? ?[A-Z\d][\w-]{0,6}|(?:\d{1,3}|G|LG|UG)/F|\d{1,3}(?:st|nd|rd|th) (?:Floor|FLOOR|Fl)"
_ENDS: Final = r"House|Hse|Court|Crt|Ct|Est|Estate|Road|Rd|Street|St|Mansions?|Building|Bldg|Tower|Gardens?|Gdns?|Centre|Villas?|Village|Terrace|Lane|Path|Drive|Avenue|Ave|Plaza|Place|Heights|Chuen|Tsuen|Mei|Lodge|Bay|Island|HOUSE|COURT|EST|ESTATE|ROAD|RD|STREET|ST|MANSION|BUILDING|BLDG|TOWER|GARDENS?|CENTRE|VILLAGE"
_REGION: Final = r"(?:, ?(?:Kowloon|KOWLOON|KLN|Kln|New Territories|NT|N\.T\.|Hong Kong|HONG KONG|HK|H\.K\.)){0,2}"
_DISTRICT: Final = rf"(?:, (?:[A-Z][a-z]{{1,10}})(?: [A-Z][a-z]{{1,10}}){{0,3}})?{_REGION}"
RULES: Final = (
    Rule(
        "flat and building",
        Kind.ADDRESS,
        re.compile(
            rf"(?<![\w/-])(?=[FRUSBH\dGL])(?P<v>(?:{_UNIT})(?:,? (?:{_UNIT})){{0,3}}(?:,? {_PART}){{1,5}})(?![\w/])"
        ),
        0.86,
        wanted=lambda v: (
            bool(re.search(rf" (?:{_ENDS})\.?(?:,|$)", v)) or len(re.findall(rf"(?<![\w/-])(?:{_UNIT})(?=,)", v)) > 1
        ),
        needs="、",
    ),
    Rule(
        "number and street of Hong Kong",
        Kind.ADDRESS,
        re.compile(
            rf"(?<![\w/-])(?P<v>(?:No\.? ?)?\d{{1,4}}[A-Z]?(?:-\d{{1,4}})? (?:[A-Z][\w'-]{{1,14}} ){{1,4}}(?:Road|Rd|Street|St|Lane|Path|Avenue|Ave|Drive|Terrace|ROAD|RD|STREET|ST)\.?{_DISTRICT})(?![\w/])"
        ),
        0.84,
        needs="、",
    ),
    Rule(
        "estate of Hong Kong",
        Kind.ADDRESS,
        re.compile(
            rf"(?<![\w/-])(?P<v>(?:[A-Z][a-z]{{1,10}} ){{1,3}}(?:House|Hse|Court|Mansion|Lodge), (?:[A-Z][a-z]{{1,10}} ){{1,3}}(?:Est|Estate|Court|Garden|Gardens|Chuen|Tsuen|Village)\b\.?{_DISTRICT})(?![\w/])"
        ),
        0.84,
        needs="、",
    ),
)
"""In text in which ideographs are marks (`latin`)."""
