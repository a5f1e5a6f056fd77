"""Emergency numbers: which one is right depends on where the reader is, so the user says it and nothing is guessed.

A language is no place: 119 is the ambulance in Taiwan and the fire brigade in mainland China. Without a choice the texts
therefore name the numbers of several regions.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from medicalgpt.config.near_names import did_you_mean
from medicalgpt.errors import ConfigError
from medicalgpt.language import Language

ENV: Final = "MEDICALGPT_EMERGENCY"
"""Environment variable that says what `--emergency` says."""

_NUMBER = re.compile(r"\d{2,8}")


@dataclass(frozen=True, slots=True)
class Emergency:
    """The number that people are told to call, and what its region is called; without names it is the user's own."""

    number: str
    names: Mapping[str, str] = field(default_factory=dict)


def _region(number: str, *names: str) -> Emergency:
    return Emergency(number, dict(zip(("en", "zh-TW", "zh-CN"), names)))


# Ambulances. Where a country has several numbers, the one that its health service or government names for them.
REGIONS: Final[Mapping[str, Emergency]] = {
    "CN": _region("120", "mainland China", "中國大陸", "中国大陆"),
    "TW": _region("119", "Taiwan", "台灣", "台湾"),
    "HK": _region("999", "Hong Kong", "香港", "香港"),
    "MO": _region("999", "Macau", "澳門", "澳门"),
    "SG": _region("995", "Singapore", "新加坡", "新加坡"),
    "MY": _region("999", "Malaysia", "馬來西亞", "马来西亚"),
    "JP": _region("119", "Japan", "日本", "日本"),
    "KR": _region("119", "South Korea", "韓國", "韩国"),
    "US": _region("911", "United States", "美國", "美国"),
    "CA": _region("911", "Canada", "加拿大", "加拿大"),
    "GB": _region("999", "United Kingdom", "英國", "英国"),
    "EU": _region("112", "European Union", "歐盟", "欧盟"),
    "IN": _region("112", "India", "印度", "印度"),
    "AU": _region("000", "Australia", "澳洲", "澳大利亚"),
    "NZ": _region("111", "New Zealand", "紐西蘭", "新西兰"),
}

# Everybody must find their own at a glance, so not all of them.
_SEVERAL: Final[Mapping[str, str]] = {
    "en": "mainland China 120, Taiwan 119, Hong Kong and Macau 999, US and Canada 911, EU 112, UK 999",
    "zh-TW": "中國大陸 120、台灣 119、香港與澳門 999、美國與加拿大 911、歐盟 112、英國 999",
    "zh-CN": "中国大陆 120、台湾 119、香港和澳门 999、美国和加拿大 911、欧盟 112、英国 999",
}
_CHOSEN: Final[Mapping[str, str]] = {
    "en": "In an emergency call {number}{region} now.",
    "zh-TW": "緊急情況請立即撥打 {number}{region}；",
    "zh-CN": "紧急情况请立即拨打 {number}{region}；",
}
_NOT_CHOSEN: Final[Mapping[str, str]] = {
    "en": "In an emergency call the emergency number of the place where you are now ({several}).",
    "zh-TW": "緊急情況請立即撥打所在地的急救電話（{several}）；",
    "zh-CN": "紧急情况请立即拨打所在地的急救电话（{several}）；",
}


def find(text: str) -> Emergency:
    """A region by its code, or the number itself.

    Raises:
        ConfigError: it is neither; the message says which regions are known.
    """
    found = REGIONS.get(text.strip().upper())
    if found is None and _NUMBER.fullmatch(text.strip()):
        found = Emergency(text.strip())
    if found is None:
        shown = text if len(text) <= 20 else text[:20] + "…"
        raise ConfigError(
            f"emergency is {shown!r}; allowed: {', '.join(REGIONS)}, or the number itself (2 to 8 digits)"
            + did_you_mean(text, REGIONS)
        )
    return found


def chosen(choice: str | None) -> Emergency | None:
    """What the user chose, as `find` reads it; where nothing is given, what MEDICALGPT_EMERGENCY says. Raises ConfigError."""
    text = (choice or os.environ.get(ENV, "")).strip()
    return find(text) if text else None


def code(choice: Emergency | None) -> str:
    """What `find` takes to give this choice; "" for none."""
    if choice is None:
        return ""
    return next((name for name, region in REGIONS.items() if region == choice), choice.number)


def sentence(language: Language, choice: Emergency | None) -> str:
    """Whom to call, in one sentence (in Chinese the first half of one)."""
    if choice is None:
        return _NOT_CHOSEN[language].format(several=_SEVERAL[language])
    name = choice.names.get(language, "")
    region = "" if not name else f" ({name})" if language == "en" else f"（{name}）"
    return _CHOSEN[language].format(number=choice.number, region=region)


def numbers(language: Language) -> str:
    """The numbers of several regions, for texts that stand in files and know of no choice."""
    return _SEVERAL[language]
