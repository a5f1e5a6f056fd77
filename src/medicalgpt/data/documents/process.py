"""Documents through a process that parses them: in time, within memory, and without an end of this one.

A parser is started with the first document and kept for those after it. Where one does not answer, it is ended, and the file refused.
"""

import atexit
import json
import os
import selectors
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from medicalgpt.config.sections import Encodings
from medicalgpt.data.child import python_running
from medicalgpt.data.documents.block import Block, Unreadable
from medicalgpt.data.documents.parser import FAILED, REFUSED
from medicalgpt.errors import DataError

PATIENCE: Final = 60.0
"""Seconds without an answer: a page, or a piece of the text."""
MOST_SECONDS: Final = 1800.0
"""Seconds that one file may take in all, those not counted in which nobody asks for more."""
_FILES: Final = 500  # that one parser reads: what libraries do not give back is given back then
_BLOCK: Final = 64 << 10


class _Parser:
    """A process, and what it has answered."""

    def __init__(self) -> None:
        command = python_running("medicalgpt.data.documents.parser", "main")
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asked, self._answers = self._process.stdin, self._process.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._answers, selectors.EVENT_READ)
        self._held = bytearray()
        self.files = 0
        self.free = True  # it waits for a file

    def blocks(self, path: Path, encoding: Encodings) -> Iterator[Block]:
        """Raises DataError: the file cannot be opened. Unreadable: it is damaged, takes too long, or has ended the process."""
        self.files += 1
        self.free = False
        left = MOST_SECONDS
        place = 1
        try:
            self._asked.write(json.dumps([str(path), encoding]).encode("ascii") + b"\n")
            while True:
                began = time.monotonic()
                found = json.loads(self._line(min(PATIENCE, left)))
                left -= time.monotonic() - began
                if len(found) < len(Block._fields):
                    self.free = True
                    break
                block = Block(*found)
                place = block.place
                yield block
        except TimeoutError:
            raise Unreadable(
                str(path),
                f"{path}:{place}: reading on from here takes longer than {PATIENCE:g} s, or the file {MOST_SECONDS:g} s; it is damaged "
                "or made to be so: save it anew, divide it, or leave it out",
            ) from None
        except (OSError, EOFError):
            raise Unreadable(
                str(path),
                f"{path}:{place}: the process that reads documents ended behind this place; the file is damaged, or takes more memory "
                "than there is: save it anew, divide it, or leave it out",
            ) from None
        if found[0] == FAILED:
            raise DataError(found[1])
        if found[0] == REFUSED:
            raise Unreadable(str(path), found[1])

    def _line(self, seconds: float) -> bytes:
        """The next answer. Raises TimeoutError, EOFError."""
        deadline = time.monotonic() + seconds
        at = self._held.find(b"\n")
        while at < 0:
            if not self._selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            if not (block := os.read(self._answers.fileno(), _BLOCK)):
                raise EOFError
            start = len(self._held)
            self._held += block
            at = self._held.find(b"\n", start)
        line = bytes(self._held[:at])
        del self._held[: at + 1]
        return line

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._selector.close()
        for stream in (self._asked, self._answers):
            with suppress(OSError):
                stream.close()


_idle: list[_Parser] = []


def parse(path: Path, encoding: Encodings = "auto") -> Iterator[Block]:
    """The blocks of a document (.docx, .pdf, .html, .htm, .xml), in order.

    Raises:
        DataError: it cannot be opened. Unreadable: it is damaged, with the page or paragraph behind which it went wrong.
    """
    try:
        parser = _idle.pop()
    except IndexError:
        parser = _Parser()
    try:
        yield from parser.blocks(path, encoding)
    finally:
        if parser.free and parser.files < _FILES:
            _idle.append(parser)
        else:
            parser.close()


@atexit.register
def _close_idle() -> None:
    while _idle:
        _idle.pop().close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # the parsers are those of the process that was forked
