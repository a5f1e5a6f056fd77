"""Which language: what was asked for, else what the environment says, else English."""

import os
import sys
from typing import Final, Literal, get_args

from medicalgpt.errors import ConfigError

Language = Literal["en", "zh-TW", "zh-CN"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)

ENV: Final = "MEDICALGPT_LANG"
"""Environment variable that says what `--lang` says."""

_LOCALE: Final = ("LC_ALL", "LC_MESSAGES", "LANG")  # the first that is set counts, as for other programs
_TRADITIONAL: Final = ("tw", "hk", "mo", "hant")

_chosen: Language | None = None


def choose(name: str | None) -> None:
    """Let this process speak a language; None: what the environment says.

    Raises:
        ConfigError: it is none of ours, or MEDICALGPT_LANG is none where that counts.
    """
    global _chosen
    wanted, what = (os.environ.get(ENV, ""), ENV) if name is None else (name, "--lang")
    found = of_locale(wanted)
    if found is None and (wanted.strip() or name is not None):
        shown = wanted if len(wanted) <= 20 else wanted[:20] + "…"
        raise ConfigError(f"{what} is {shown!r}; allowed: {', '.join(LANGUAGES)}")
    _chosen = None if name is None else found


def chosen() -> Language:
    """The language of this process. The command line refuses a wrong MEDICALGPT_LANG; elsewhere it means English."""
    return _chosen or of_environment()


def of_environment() -> Language:
    """MEDICALGPT_LANG, else the locale if the terminal can write its characters, else English."""
    if asked := os.environ.get(ENV, "").strip():
        return of_locale(asked) or "en"
    locale = next((value for name in _LOCALE if (value := os.environ.get(name))), "")
    language = of_locale(locale) or "en"
    return language if _writable(language) else "en"


def of_locale(name: str) -> Language | None:
    """The language of a locale or language tag: zh_CN.UTF-8, zh-Hant-HK, en_US …; None where it is none of ours."""
    words = name.strip().partition(".")[0].partition("@")[0].replace("_", "-").lower().split("-")
    if words[0] == "en":
        return "en"
    if words[0] != "zh":
        return None
    if "hans" in words:
        return "zh-CN"
    return "zh-TW" if set(words) & set(_TRADITIONAL) else "zh-CN"


def _writable(language: Language) -> bool:
    """Whether the characters of a language reach the terminal: a locale may say zh_CN and write in an old encoding."""
    sample = {"en": "", "zh-CN": "数据", "zh-TW": "資料"}[language]
    for stream in (sys.stdout, sys.stderr):
        try:
            sample.encode(getattr(stream, "encoding", None) or "utf-8")
        except (UnicodeError, LookupError):
            return False
    return True
