"""The process in which documents are parsed: told of one file after another, it answers in lines of JSON until its input ends.

What it parses is anybody's. Its memory has a bound, and whoever started it ends it where it does not answer in time; a damaged file
that ends this process ends no other.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import BinaryIO, Final

from medicalgpt.config.sections import Encodings
from medicalgpt.data.child import channel
from medicalgpt.data.documents.block import Block
from medicalgpt.data.documents.docx import docx_blocks
from medicalgpt.data.documents.html_text import html_blocks
from medicalgpt.data.documents.pdf import pdf_blocks
from medicalgpt.data.documents.xml_text import xml_blocks
from medicalgpt.data.files import file_type
from medicalgpt.errors import DataError

MOST_MEMORY: Final = 4 << 30
"""Bytes of address space, where the system bounds it."""
DONE: Final = "done"
REFUSED: Final = "refused"
"""What is wrong is wrong with the file."""
FAILED: Final = "failed"
"""It cannot be opened."""
_TICK: Final = 5.0  # seconds


def blocks(path: Path, encoding: Encodings) -> Iterator[Block]:
    """The text of a document, by its type. Raises DataError, OSError."""
    kind = file_type(path)
    if kind == ".pdf":
        return pdf_blocks(path)
    if kind == ".docx":
        return docx_blocks(path)
    return xml_blocks(path, encoding) if kind == ".xml" else html_blocks(path, encoding)


def main() -> None:
    """Serve the process that started this one; what libraries print goes to standard error."""
    answers = channel()
    _bound_memory()
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with suppress(BrokenPipeError):
        serve(sys.stdin.buffer, answers)
    os._exit(0)  # nobody is there for what is left in buffers


def _end_with(parent: int) -> None:
    """End this process when the one that started it has ended, also in the midst of a file that keeps it busy."""
    while os.getppid() == parent:
        time.sleep(_TICK)
    os._exit(1)


def _bound_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    except (ImportError, ValueError, OSError):  # a system without such bounds, or with a lower one
        pass


def serve(asked: BinaryIO, answers: BinaryIO) -> None:
    """Answer each file with its blocks and a last line: that this is all, or why there is no more."""
    for line in asked:
        path, encoding = json.loads(line)
        last: list[object] = [DONE]
        try:
            for block in blocks(Path(path), encoding):
                _answer(answers, list(block))
        except DataError as error:
            last = [REFUSED, str(error)]
        except OSError as error:
            last = [FAILED, f"{path}: cannot be read ({error.strerror}); check the file and its permissions"]
        except MemoryError:
            last = [REFUSED, f"{path}: reading it takes more than {MOST_MEMORY >> 30} GiB of memory; divide the file"]
        except (
            Exception
        ) as error:  # parsers of others' files raise what they like; their words may hold some of the text
            last = [
                REFUSED,
                f"{path}: not a readable {file_type(Path(path))} ({type(error).__name__}); open and save it again",
            ]
        _answer(answers, last)


def _answer(answers: BinaryIO, value: list[object]) -> None:
    answers.write(json.dumps(value).encode("ascii") + b"\n")
    answers.flush()
