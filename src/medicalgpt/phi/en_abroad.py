"""Addresses of other countries in English text: streets of many languages with a number behind them, flats, military mail."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.rules import Rule

_W: Final = r"[^\W\d_][\w'.-]{0,24}"
_UP: Final = r"[A-ZÀ-ÖØ-ÞĀ-Ž][\w'.-]{1,24}"
_FLAT: Final = r"(?:Apt|Apartment|Suite|Ste|Flat|Unit|Floor|Rm|Room)\b\.?\s?(?:No\.?\s?|#)?\d{1,5}[A-Za-z]?"
_GAP: Final = r"[ \t]{0,4}[,\n]?[ \t>?]{0,6}"
_REST: Final = rf"(?:{_GAP}{_FLAT})?(?:{_GAP}\d{{4,6}}(?![\d-]))?"
_ENDS: Final = (
    r"(?:gade|vej|vejen|gatan|gata|gränd|vägen|veien|vegen|strasse|straße|str\.|gasse|weg|platz|allee|laan|straat|plein|kade|hof|tie|katu|"
    r"kuja|polku|põik|tee|mnt|ulica|utca|tér|út|nám\.|braut|vegur|stígur)"
)
_BEGINS: Final = (
    r"(?:[Rr]ue|[Aa]venue|[Aa]venida|[Aa]v\.|[Bb]oulevard|[Vv]ia|[Vv]iale|[Cc]orso|[Pp]iazza|[Pp]iazzetta|[Pp]laza|[Cc]alle|[Cc]arrer|[Cc]/|"
    r"[Rr]úa|[Rr]ua|[Pp]raça|[Tt]ravessa|[Cc]hemin|[Ii]mpasse|[Uu]l\.|[Uu]lica|[Aa]l\.|[Oo]s\.|[Ss]trada)"
)
_LIVES: Final = (
    r"(?:[Aa]ddress(?: of [^\n.:]{1,30}?)?(?: is|:)|[Ll]ives? (?:at|in|on)|[Ll]ived (?:at|in)|[Ll]ocated (?:at|in)|[Mm]oved to|[Mm]eet (?:me|you) at|[Ss]en[dt] (?:it )?to|"
    r"[Rr]eturn to|[Aa]rrived at|[Tt]axi to)"
)

RULES: Final = (
    Rule(
        "flat",
        Kind.ADDRESS,
        re.compile(r"(?<![\w-])(?:Apt|Apartment|Suite|Ste|Flat)\b\.?\s?(?:No\.?\s?|#)?\d{1,5}[A-Za-z]?(?!\w)"),
        0.75,
    ),
    Rule(
        "street before its number",
        Kind.ADDRESS,
        re.compile(
            rf"(?<![\w-])(?:\d{{1,5}} )?(?:{_UP} )?(?:[A-ZÀ-ÖØ-ÞĀ-Ž][\w'.-]{{1,24}}?{_ENDS}|{_UP} {_ENDS}) \d{{1,4}}[A-Za-z]?(?!\w){_REST}"
        ),
        0.75,
    ),
    Rule(
        "street of a Romance or Slavic name",
        Kind.ADDRESS,
        re.compile(
            rf"(?!、)(?<![\w-])(?<!et )(?:\d{{1,5}}[, ]{{1,2}})?{_BEGINS} (?:{_W} ){{1,4}}\d{{1,4}}[A-Za-z]?(?!\w){_REST}"
        ),
        0.75,
    ),
    Rule(
        "number behind a word for living",
        Kind.ADDRESS,
        re.compile(
            rf"(?<!\w){_LIVES}[ \t]{{1,3}}\n?(?P<v>\d{{1,5}}(?: \d{{1,4}})? {_W}(?: {_W}){{0,4}}?(?: \d{{1,4}}[A-Za-z]?)?(?=[,.?\n]|$| {_FLAT}){_REST})"
        ),
        0.75,
    ),
    Rule(
        "military mail",
        Kind.ADDRESS,
        re.compile(
            rf"(?<!\w)(?:(?:PSC|Unit|CMR) \d{{1,5}},? Box \d{{1,5}}|USNS {_UP}|USS {_UP}),?\s{{1,3}}(?:APO|FPO|DPO) (?:AA|AE|AP) \d{{5}}(?!\d)",
            re.IGNORECASE,
        ),
        0.9,
    ),
    Rule(
        "corner",
        Kind.ADDRESS,
        re.compile(
            rf"(?<!\w)corner of (?P<v>(?:\d{{1,6}} )?(?:{_W} ){{1,4}}?(?:\d{{1,4}} (?:{_W} )?)?and (?:{_UP})(?: {_UP}){{0,3}})"
        ),
        0.75,
    ),
)
