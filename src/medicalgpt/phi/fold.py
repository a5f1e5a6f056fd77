"""Text as detectors read it: the same characters at the same places, in one width."""

import re
from typing import Final

from medicalgpt.phi.lists import words

_WIDE: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_DASHES: Final = dict.fromkeys(map(ord, "‐‑‒–—―−－﹣"), ord("-"))
_SPACES: Final = dict.fromkeys(
    [0x3000, 0xA0, 0x2002, 0x2003, 0x2009, 0x202F, 0x200B, 0x200C, 0x200D, 0xFEFF, 0x00AD], ord(" ")
)
_QUOTES: Final = {ord("’"): ord("'"), ord("‘"): ord("'"), ord("“"): ord('"'), ord("”"): ord('"')}
_TABLE: Final = _WIDE | _DASHES | _SPACES | _QUOTES


def fold(text: str) -> str:
    """Full-width letters, digits and marks in their plain form, all dashes as "-", all spaces (also of no width) as " ".

    Never changes the number of characters, so that places in the folded text are places in the given one.
    """
    return text.translate(_TABLE)


_SIMPLIFIED: Final = {ord(pair[0]): pair[1] for pair in words("zh/simplified")}


def simplified(text: str) -> str:
    """Traditional characters in their simplified form, at the same places; what LAC reads is converted by phrases (`lac`)."""
    return text.translate(_SIMPLIFIED)


_RANGES: Final = r"\u2e80-\u2fff\u3005-\u3007\u3040-\u30ff\u3100-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U000323af"
_IDEOGRAPHS: Final = re.compile(f"[{_RANGES}]")
_LETTER: Final = re.compile(rf"[^{_RANGES}\W\d_]")


def latin(folded: str) -> str:
    """Text in which every ideograph (kana, hangul …) is a mark, at the same place: "邮箱wang@163.com" has a border before "wang".

    Python counts ideographs among the letters, so to a pattern "箱wang" would be one word.
    """
    return _IDEOGRAPHS.sub("、", folded)


def lettered(folded: str) -> bool:
    """Whether a text holds a letter that is no ideograph, so that `latin` leaves one."""
    return _LETTER.search(folded) is not None
