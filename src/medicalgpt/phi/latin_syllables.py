"""Of what Chinese names in Latin letters are made: surnames, given names, and syllables of pinyin, Wade-Giles and Hong Kong."""

import re
from typing import Final

from medicalgpt.phi.lists import words

SURNAMES: Final = frozenset(words("zh/surnames_latin"))
RARE: Final = frozenset(words("zh/surnames_latin_rare")) | SURNAMES
ENGLISH_GIVEN: Final = frozenset(words("zh/given_latin")).union(words("en/first_names"))
"""English given names, also those that Chinese alone go by."""
MEDICINES: Final = frozenset(["tang", "san", "pian", "jiao", "decoction", "powder", "pill", "capsule", "granule"])
"""How remedies of Chinese medicine end."""
_PINYIN: Final = re.compile(
    r"(?:zh|ch|sh|r)(?:i|u|ua|uo|uai|ui|uan|un|uang|a|e|ai|ei|ao|ou|an|en|ang|eng|ong)|[zcs](?:i|u|uo|ui|uan|un|a|e|ai|ei|ao|ou|an|en|ang|eng|ong)|"
    r"[jqx](?:i|ia|ie|iao|iu|ian|in|iang|ing|iong|u|ue|uan|un)|y(?:i|a|e|ao|ou|an|in|ang|ing|ong|u|ue|uan|un)|w(?:u|a|o|ai|ei|an|en|ang|eng)|"
    r"[bpm](?:a|o|ai|ei|ao|ou|an|en|ang|eng|i|ie|iao|ian|in|ing|iu|u)|f(?:a|o|ei|ou|an|en|ang|eng|u)|"
    r"[dtnl](?:a|e|ai|ei|ao|ou|an|en|ang|eng|ong|i|ia|ie|iao|iu|ian|in|iang|ing|u|uo|ui|uan|un|v|ü|ue|üe|ve)|[gkh](?:a|e|ai|ei|ao|ou|an|en|ang|eng|ong|u|ua|uo|uai|ui|uan|un|uang)|a|ai|an|ang|ao|e|en|er|ou"
)
_WADE: Final = re.compile(
    r"(?:ch'?|hs)(?:ia|ieh|iao|iu|ien|in|iang|ing|iung|i|ü|u|üeh|ueh|üan|uan|ün|un|ih|a|e|eh|ai|ao|ou|an|en|ang|eng|ung|o|uo|ui|uang)|(?:ts'?|tz'?|ss?z?)(?:u|ŭ|a|e|eh|ai|ao|ou|an|en|ang|eng|ung|o|ui|uan|un)|j(?:ih|u|e|eh|ao|ou|an|en|ang|eng|ung|o|ui|uan|un)|sh(?:ih|u|a|e|eh|ai|ao|ou|an|en|ang|eng|ua|uo|ui|uan|un|uang)|"
    r"y(?:i|a|eh|ao|u|ü|en|in|ang|ing|ung|üeh|ueh|üan|uan|ün|un)|(?:[ptk]'?|[mnlfhw])(?:a|o|ai|ei|ao|ou|an|en|ang|eng|ung|i|ieh|iao|ien|in|iang|ing|iu|u|ua|uo|uai|ui|uei|uan|un|uen|uang|ü|üeh)"
)
_CANTON: Final = re.compile(
    r"(?:ng|gw|kw|ch|ts|tz|sh|[bpmfdtnlgkhwjsyz])?(?:aai|aau|aam|aan|aang|aap|aat|aak|ai|au|am|an|ang|ap|at|ak|aw|ay|a|ee|ei|ek|eng|eung|euk|eong|eok|eoi|eon|ew|en|em|et|e|iu|im|in|ing|ip|it|ik|ick|ie|i|oi|oy|on|ong|ot|ok|ook|oon|ou|ow|oo|o|ui|uk|un|ung|ut|um|up|ue|uen|uet|u)|ng|tsz|tze|sz|sze|tse|chz"
)

_RUN_ON: Final = re.compile(rf"(?:{_PINYIN.pattern})(?:(?![aeo])(?:{_PINYIN.pattern})){{1,2}}")


def syllable(word: str) -> bool:
    """Whether a word in small letters is one syllable of a Chinese name."""
    return bool(_PINYIN.fullmatch(word) or _CANTON.fullmatch(word) or _WADE.fullmatch(word))


def run_on(word: str) -> bool:
    """Whether it is two or three syllables of pinyin, one after the other; behind the first none begins with a vowel (xi'an)."""
    return bool(_RUN_ON.fullmatch(word))


def hyphenated(word: str) -> bool:
    """Whether it is two syllables with a hyphen between them: mei-ling."""
    parts = word.split("-")
    return len(parts) == 2 and all(map(syllable, parts))
