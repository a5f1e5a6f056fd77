"""Words of figures: in the reader's language where fonts of this machine draw all of their characters, else in English; never boxes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Final

from medicalgpt.language import chosen, translated

_LATIN: Final = "DejaVu Sans"  # comes with matplotlib, so figures without Chinese look the same on every machine
_MAINLAND: Final = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC", "Microsoft YaHei"),
    *("Hiragino Sans GB", "Heiti SC", "STHeiti", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "SimHei", "SimSun"),
)
_TAIWAN: Final = (
    *("Noto Sans CJK TC", "Noto Sans TC", "Source Han Sans TC", "Source Han Sans TW", "PingFang TC"),
    *("Microsoft JhengHei", "Heiti TC", "PMingLiU", "MingLiU"),
)
_ALL: Final = (
    "Noto Sans CJK JP",
    "Droid Sans Fallback",
    "Arial Unicode MS",
)  # the first face of Noto's collection, and others


@contextmanager
def lettering() -> Iterator[None]:
    """Figures in matplotlib's own style, whatever the user's matplotlibrc says, with a Chinese font for what the first one lacks."""
    import matplotlib.style

    families = [_LATIN, *filter(None, [_chinese(_order())])]
    with _quiet(), matplotlib.style.context("default"), matplotlib.rc_context({"font.family": families}):
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Matplotlib tells of every text that a family has its only weight for; a report's reader can do nothing with it."""
    log = logging.getLogger("matplotlib.font_manager")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def lettered(text: str) -> str:
    """A text of ours for a figure: translated where every character of the translation can be drawn."""
    told = translated(text, words=True)
    return told if can_draw(told) else text


def can_draw(text: str) -> bool:
    """Whether every character has a glyph in the fonts that `lettering` sets."""
    missing = {ord(char) for char in text} - _glyphs(_LATIN)
    return not missing or ((family := _chinese(_order())) is not None and missing <= _glyphs(family))


def _order() -> tuple[str, ...]:
    own, other = (_TAIWAN, _MAINLAND) if chosen() == "zh-TW" else (_MAINLAND, _TAIWAN)
    return (*own, *_ALL, *other)


@cache
def _chinese(order: tuple[str, ...]) -> str | None:
    """The first of these families that is on this machine."""
    found = _first(order)
    if found is None:
        _add_newer()
        found = _first(order)
    return found


def _first(order: tuple[str, ...]) -> str | None:
    from matplotlib.font_manager import fontManager

    there = {font.name for font in fontManager.ttflist}
    return next((family for family in order if family in there and _glyphs(family)), None)


def _add_newer() -> None:
    """Fonts that were installed since matplotlib made its list, which it keeps for good."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    for path in sorted(set(findSystemFonts()) - {font.fname for font in fontManager.ttflist}):
        with suppress(
            OSError, RuntimeError, ValueError, NotImplementedError
        ):  # damaged, or of a kind that it does not read
            fontManager.addfont(path)


@cache
def _glyphs(family: str) -> frozenset[int]:
    """The characters that a family has, in the file that matplotlib takes for it; none where it cannot be read."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    try:
        with _quiet():
            path = findfont(FontProperties(family=[family]), fallback_to_default=False)
        return frozenset(get_font(path).get_charmap())
    except (ValueError, OSError, RuntimeError):  # not there; removed since matplotlib listed it; damaged
        return frozenset()
