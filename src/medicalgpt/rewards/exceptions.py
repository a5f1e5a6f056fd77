"""Exceptions of a user's code in words: type, message and line, but no words of the rows it was handed."""

import re
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

_LONGEST = 300
_CJK = "\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_WORD = re.compile(rf"[^\W{_CJK}]+|[{_CJK}]")
_HIDDEN: Final = "…"

# Words of Python's own messages. They say nothing of a row, even where one stands in it.
_WORDS = """
a an and any argument arguments as at attribute base be bool bound bytes callable cannot character concatenate
convert could count decimal dict division during empty error expected float for format from func function got has
have in index indices input instance instances int integer integers invalid is item iterable iteration key keyword
lambda length list literal local many match missing module modulo must name named no none nonetype not number object
of on only open operand operands or out output pop position positional range re referenced required same sequence
set should size slice slices some str string strings subscriptable substring supported takes tensor than that the
this to too tuple type types unexpected unhashable unpack unsupported value values variable was were where which
with without you zero
"""
_PYTHON: Final = frozenset(_WORDS.split())


def described(error: BaseException, file: str | None, handed: Iterable[object]) -> str:
    """`ValueError: message (line 4 of my_reward.py, in exact)`.

    A word of the message that stands in what the code was `handed` and in neither its `file` nor Python's own messages
    is shown as "…": it may be a patient's. The line is the last one inside `file`.
    """
    message = _safe_message(error, file, handed)
    where = _place(error, file)
    return f"{type(error).__name__}{f': {message}' if message else ''}{f' ({where})' if where else ''}"


def _place(error: BaseException, file: str | None) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"line {error.lineno} of {Path(error.filename).name}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if file is not None and f.filename == file]
    return f"line {frames[-1].lineno} of {Path(frames[-1].filename).name}, in {frames[-1].name}" if frames else ""


def _safe_message(error: BaseException, file: str | None, handed: Iterable[object]) -> str:
    try:
        message = " ".join((error.msg if isinstance(error, SyntaxError) else str(error)).split())
    except Exception:  # a __str__ of the user's own
        return ""
    data = "\n".join(_texts(handed)).casefold()
    known = _PYTHON | _words(file)

    def shown(found: re.Match[str]) -> str:
        word = found.group().casefold()
        return found.group() if word in known or word not in data else _HIDDEN

    safe = _WORD.sub(shown, message[: 2 * _LONGEST]) if data else message
    safe = re.sub(rf"{_HIDDEN}(?:[\W_]*{_HIDDEN})+", _HIDDEN, safe)
    return safe if len(safe) <= _LONGEST else safe[:_LONGEST] + _HIDDEN


def _words(file: str | None) -> frozenset[str]:
    """The words of a source file."""
    try:
        text = Path(file).read_text(encoding="utf-8", errors="replace") if file is not None else ""
    except OSError:
        return frozenset()
    return frozenset(word.casefold() for word in _WORD.findall(text))


def _texts(handed: Iterable[object]) -> Iterable[str]:
    """Every text and number inside nested lists and objects, their keys left out: those are names."""
    waiting = list(handed)
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
        elif one is not None:
            yield str(one)
