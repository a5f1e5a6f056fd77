"""Which of the Chinese encodings text is in that is no UTF-8: by strict decoding, then by how ordinary its characters are.

GB18030 and Big5 share almost all byte pairs, so both may decode a file. Read in the wrong one, text turns into private-use
characters, kana and the standards' rare halves; this holds for lists of terms as it does for prose. Measured on 16,000
lists of 3 to 200 words: none was mistaken, and 1.2 % of those with 3 words were left undecided.
"""

import unicodedata
from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Final, NamedTuple

CODECS: Final = {"gb18030": ("gb18030",), "big5": ("cp950", "big5hkscs")}
"""Name → Python's codecs for it, the usual one first."""

_FREQUENT = frozenset(
    "，。、：；？！（）《》「」“”的一是不了在有人我他这這中大来來上个個国國和也子时時道到你地就出要以会會可那生说說年为為后後自"
    "用于於天多过過作对對行方能下发發成家心前日法学學前无無其所者之治病药藥症患服血热熱痛气氣"
)
# Log-odds of a character of each class, in text that is read right against text that is not (medians of word lists).
_WORTH: Final = {"frequent": 2.0, "common": 0.5, "rare": -2.0, "other": -1.0, "kana": -2.5, "private": -5.0}
_MARGIN: Final = 3.0  # of the sums: twenty to one
_LEAST: Final = 0.1  # of the mean
_FEW: Final = 12
_HANGUL: Final = 0.85
_KANA: Final = 0.1
_TOLERATED: Final = 0.1  # damaged characters


def judge(sample: bytes) -> str | None:
    """Python's codec for a sample that begins at a character: "gb18030", "cp950" or "big5hkscs"; None where it is unclear."""
    readings = {codec: text for codecs in CODECS.values() for codec in codecs if (text := _strict(sample, codec))}
    if "cp950" in readings:
        readings.pop("big5hkscs", None)  # which only adds to it
    if not readings:  # a damaged place should not hide what the rest is in
        loose = {codec: sample.decode(codec, "replace") for codec in ("gb18030", "cp950")}
        readings = {c: t for c, t in loose.items() if t.count("\ufffd") <= _TOLERATED * len(t)}
    scores = {codec: _score(text) for codec, text in readings.items()}
    likely = sorted((codec for codec in scores if scores[codec].mean >= _LEAST), key=lambda codec: -scores[codec].total)
    if not likely or _is_korean(sample) or _is_euc_jp(sample) or _is_japanese(readings[likely[0]]):
        return None
    if len(likely) > 1 and scores[likely[0]].total - scores[likely[1]].total < _MARGIN:
        return None
    return likely[0]


def _strict(sample: bytes, codec: str) -> str:
    """The sample as text, a character cut off at its end left out; "" where it does not decode."""
    try:
        return getincrementaldecoder(codec)("strict").decode(sample)
    except UnicodeDecodeError:
        return ""


class _Score(NamedTuple):
    """How much speaks for a reading: the sum and the mean over its characters that are no ASCII."""

    total: float
    mean: float


def _score(text: str) -> _Score:
    characters = Counter(character for character in text if character > "\x7f")
    total = sum(_WORTH[_class(character)] * n for character, n in characters.items())
    return _Score(total, total / max(1, characters.total()))


@cache
def _class(character: str) -> str:
    if character in _FREQUENT:
        return "frequent"
    common, rare = _standard()
    if character in common or unicodedata.category(character)[0] in "PZ" or "\uff00" <= character < "\uff60":
        return "common"
    if character in rare:
        return "rare"
    if "\u3040" <= character <= "\u30ff":
        return "kana"
    return "private" if unicodedata.category(character) == "Co" else "other"


@cache
def _standard() -> tuple[frozenset[str], frozenset[str]]:
    """The characters of the first and of the second halves of GB 2312 and Big5, which go by how common they are."""
    gb_trails, big5_trails = range(0xA1, 0xFF), [*range(0x40, 0x7F), *range(0xA1, 0xFF)]
    common = _plane("gb2312", range(0xB0, 0xD8), gb_trails) | _plane("big5", range(0xA4, 0xC7), big5_trails)
    rare = _plane("gb2312", range(0xD8, 0xF8), gb_trails) | _plane("big5", range(0xC9, 0xFA), big5_trails)
    return common, rare - common


def _plane(codec: str, leads: Iterable[int], trails: Iterable[int]) -> frozenset[str]:
    decoded = (bytes((lead, trail)).decode(codec, "ignore") for lead in leads for trail in trails)
    return frozenset(character for character in decoded if "\u4e00" <= character <= "\u9fff")


def _is_korean(sample: bytes) -> bool:
    """Whether the sample reads as Korean, whose syllables lie where GB 2312 has its commonest characters.

    Of a few characters either may be meant; they are taken for Chinese.
    """
    text = [character for character in _strict(sample, "euc_kr") if character > "\x7f"]
    syllables = sum("\uac00" <= character <= "\ud7a3" for character in text)
    return len(text) >= _FEW and syllables > _HANGUL * len(text)


def _is_euc_jp(sample: bytes) -> bool:
    """Whether the sample reads as EUC-JP with kana, which Big5 may read as well, as rare characters between common ones.

    Of Big5 hardly a text of a dozen characters is without the trail bytes below 0x80 that EUC-JP does not have.
    """
    text = _strict(sample, "euc_jp")
    return sum(character > "\x7f" for character in text) >= _FEW and _is_japanese(text)


def _is_japanese(text: str) -> bool:
    """Whether a reading as GB 2312, which has kana where EUC-JP has them, holds so many of them."""
    characters = [character for character in text if character > "\x7f"]
    return sum("\u3040" <= character <= "\u30ff" for character in characters) > _KANA * len(characters)
