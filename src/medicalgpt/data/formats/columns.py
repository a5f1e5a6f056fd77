"""A row under folded names that remembers what was read of it, so that nothing is left out without a word."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

NOT_SHOWN: Final = "(a name too long or odd to show)"


class Columns(Mapping[str, Any]):
    """The columns of one row. Whoever takes a value has read it; `in` and `peek` only look.

    Args:
        fields: values under the names by which they are read.
        folded: the row as it came; without it, `fields`.
        origins: the folded name in the file of every column that is read under another one.
    """

    def __init__(
        self,
        fields: Mapping[str, Any],
        folded: Mapping[str, Any] | None = None,
        origins: Mapping[str, str] | None = None,
    ) -> None:
        self.fields, self.folded, self.origins = fields, fields if folded is None else folded, origins or {}
        self.taken: set[str] = set()
        self.turn_keys: set[str] = set()
        """Keys of turns that nothing reads."""

    def __getitem__(self, name: str) -> Any:
        value = self.fields[name]
        self.taken.add(name)
        return value

    def __contains__(self, name: object) -> bool:
        return name in self.fields

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def instead(self, fields: Mapping[str, object]) -> "Columns":
        """The same row with some values in place of its own; what is read of either, both know."""
        other = Columns({**self.fields, **fields}, self.folded, self.origins)
        other.taken, other.turn_keys = self.taken, self.turn_keys
        return other

    def left(self) -> tuple[str, ...]:
        """Names of columns that hold something and were not read, and of such keys of turns."""
        taken = {self.origins.get(name, name) for name in self.taken}
        names = [name for name, value in self.folded.items() if name not in taken and holds(value)]
        return (*map(shown, names), *(f"{shown(key)} (of turns)" for key in sorted(self.turn_keys)))


def peek(row: Mapping[str, Any], name: str) -> Any:
    """A column's value, or None, without reading it."""
    return (row.fields if isinstance(row, Columns) else row).get(name)


def mark_read(row: Mapping[str, Any], *names: str) -> None:
    """Note that columns were read whose values came from `peek`."""
    if isinstance(row, Columns):
        row.taken.update(names)


def holds(value: object) -> bool:
    """Whether there is anything in a value."""
    return bool(value.strip()) if isinstance(value, str) else value is not None and value != [] and value != {}


def shown(name: str) -> str:
    """A column's name for messages: anything long could be text in the wrong place."""
    return name if name and len(name) <= 40 and name.isprintable() else NOT_SHOWN


_SQUASH = str.maketrans("", "", "_- ")
_MEDIA = re.compile(
    r"(image|img|picture|photo|audio|video|dicom)s?(path|url|uri|file|filename|name|id|bytes|data|base64)?s?"
    r"|(figure|fig|pic|wav|speech|sound|frame|scan)s?(path|url|uri|file|filename|bytes|base64)s?|pixelvalues|waveforms?"
    r"|(图片|圖片|图像|圖像|影像|照片|音频|音頻|录音|錄音|视频|視頻|影片)(路径|路徑|地址|链接|連結|文件|檔案|url|path)?"
)


@lru_cache(maxsize=1024)
def is_media(name: str) -> bool:
    """Whether a folded name is one under which data sets keep pictures, sound or films."""
    return bool(_MEDIA.fullmatch(name.translate(_SQUASH)))


OPTIONS: Final = ("options", "option", "choices", "choice", "answer_choices", "endings", "选项", "選項")
"""Columns that hold all options of a multiple-choice question."""
_OPTION: Final = re.compile(r"(option|opt|op|choice|ending|选项|選項)[ _.-]?([a-z]|[0-9]{1,2})|([a-j])")


@lru_cache(maxsize=1024)
def option_place(name: str) -> tuple[str, str] | None:
    """What a folded column name has in front of its option's letter or number, and that; None for any other name."""
    found = _OPTION.fullmatch(name) if name not in OPTIONS else None
    return None if found is None else (found[1] or "", found[2] or found[3])


def is_option(name: str) -> bool:
    """Whether a folded column name is one under which options, or one of them, may stand."""
    return name in OPTIONS or option_place(name) is not None
