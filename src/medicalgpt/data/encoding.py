"""Text encodings: found from a sample, decoded strictly, errors placed on a line."""

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TextIO

from medicalgpt.config.sections import Encodings
from medicalgpt.data.charset import judge
from medicalgpt.data.storage import ExpandsTooFar, open_bytes, read_errors
from medicalgpt.errors import DataError

SAMPLE_BYTES = 64 << 10
SEARCH_BYTES = 16 << 20  # how far a sample is looked for in a file that begins with plain ASCII

LONGEST_LINE: Final = 64 << 20
"""Characters of a line, or of a cell: one without an end must not fill the memory."""

# Longest marks first: the UTF-32 mark begins with the UTF-16 one.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-bom", "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32", "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "utf-16"),
)
_PACKED = (
    (b"\x1f\x8b", "gzip-compressed", ".gz"),
    (b"BZh", "bzip2-compressed", ".bz2"),
    (b"\xfd7zXZ\0", "xz-compressed", ".xz"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed", ".zst"),
    (b"PK\x03\x04", "a zip archive or an office document", ".zip, .xlsx or .docx, as it is"),
    (
        b"\xd0\xcf\x11\xe0",
        "of Office before 2007, or has a password",
        ".xlsx or .docx once it is saved so, without a password",
    ),
    (b"%PDF-", "a PDF", ".pdf"),
)
_ESCAPED = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of such bytes
# What people call an encoding → what Python decodes it with; for both, the Chinese standards with their extensions.
_CODECS = {"gbk": "gb18030", "big5": "cp950", "big5-hkscs": "big5hkscs"}
_NAMES = {"cp950": "big5", "big5hkscs": "big5-hkscs"}


@dataclass(frozen=True, slots=True)
class Encoding:
    """`name` is what people call it, `codec` what Python decodes it with."""

    name: str
    codec: str


def find_encoding(path: Path, given: Encodings = "auto", tolerant: bool = False) -> Encoding:
    """Find the encoding from a sample that begins at the first non-ASCII byte.

    Args:
        given: what a file is in that has no byte order mark and is no UTF-8; "auto": found.
        tolerant: what is no encoding that we know is damaged UTF-8.

    Raises:
        DataError: the bytes are binary, compressed, or no encoding that we know.
    """
    with read_errors(path), open_bytes(path) as raw:
        head = raw.read(SAMPLE_BYTES)
        for mark, name, codec in _MARKS:
            if head.startswith(mark):
                return Encoding(name, codec)
        for magic, what, ending in _PACKED:
            if head.startswith(magic):
                raise DataError(f"{path}: the content is {what}; give the file a name that ends in {ending}")
        sample, line, seen = head, 1, len(head)
        while sample.isascii() and b"\0" not in sample and seen < SEARCH_BYTES:
            block = raw.read(SAMPLE_BYTES)
            if not block:
                break
            line += sample.count(b"\n")
            sample, seen = block, seen + len(block)
        if not sample.isascii():
            start = next(i for i, byte in enumerate(sample) if byte > 0x7F)
            line += sample.count(b"\n", 0, start)
            sample = sample[start:] + raw.read(SAMPLE_BYTES)
    if given.startswith("utf-16"):
        return Encoding(given, given)
    if b"\0" in head or b"\0" in sample:
        raise DataError(
            f"{path}: the content is binary or UTF-16 without a byte order mark; save it as UTF-8, or say "
            "data.encoding=utf-16-le (or utf-16-be)"
        )
    return _judged(sample, path, line, given, tolerant)


def _judged(sample: bytes, path: Path, line: int, given: Encodings, tolerant: bool) -> Encoding:
    try:
        codecs.getincrementaldecoder("utf-8")("strict").decode(sample)
    except UnicodeDecodeError as error:
        line += sample.count(b"\n", 0, error.start)
    else:
        return Encoding("utf-8", "utf-8")
    if given != "auto":
        return Encoding(given, _CODECS.get(given, given))
    if codec := judge(sample):
        return Encoding(_NAMES.get(codec, codec), codec)
    if tolerant:
        return Encoding("utf-8", "utf-8")
    raise DataError(
        f"{path}:{line}: the text is not valid UTF-8 here, and reads as neither GB18030 nor Big5 beyond doubt; say "
        "what it is with data.encoding=gb18030 (or big5, cp1252 …: `medicalgpt config explain`), or save it as UTF-8"
    )


@contextmanager
def open_text(
    path: Path, *, newline: str | None, encoding: Encodings = "auto", tolerant: bool = False
) -> Iterator[TextIO]:
    """Open as text in the encoding found, or given as for `find_encoding`; `newline` as for `open`.

    `tolerant`: bytes that do not decode are no error; `is_damaged` knows the lines they are in.

    Raises:
        DataError: with the line when a byte does not decode, or the file expands too far; a damaged compressed file; a
            file that cannot be read.
    """
    found = find_encoding(path, encoding, tolerant)
    errors = "surrogateescape" if tolerant else "strict"
    try:
        with read_errors(path), io.TextIOWrapper(open_bytes(path), found.codec, errors, newline) as text:
            yield text
    except UnicodeDecodeError:
        # `from None` everywhere: a decoding error carries the bytes around it.
        raise DataError(
            f"{path}:{line_of_fault(path, found.codec)}: the text is not valid {found.name} here"
            + (
                f"; data.encoding={encoding} says that it is"
                if encoding == found.name
                else ", though the file begins so; save the whole file in one encoding, best UTF-8"
            )
        ) from None
    except ExpandsTooFar as error:
        problem = str(error).removeprefix(f"{path}: ")
        raise ExpandsTooFar(f"{path}:{line_of_fault(path, found.codec)}: {problem}") from None


def bounded_lines(text: TextIO, path: Path) -> Iterator[str]:
    """The lines of a text, none of them longer than LONGEST_LINE characters.

    Raises:
        DataError: a line is longer, with its number.
    """
    longest = LONGEST_LINE
    for number, line in enumerate(iter(partial(text.readline, longest + 1), ""), 1):
        if len(line) > longest:
            raise DataError(
                f"{path}:{number}: the line is longer than {longest >> 20} million characters; break it up, or see whether "
                "the file is what its name says"
            )
        yield line


def numbered_lines(
    path: Path, *, newline: str | None, encoding: Encodings = "auto", tolerant: bool = False
) -> Iterator[tuple[int, str]]:
    """The lines of a file that hold something, with their numbers from 1; arguments as of `open_text`.

    Raises:
        DataError: while iterating, as `open_text` and `bounded_lines`.
    """
    with open_text(path, newline=newline, encoding=encoding, tolerant=tolerant) as text:
        for number, line in enumerate(bounded_lines(text, path), 1):
            if line.strip():
                yield number, line


def is_damaged(line: str) -> bool:
    """Whether a line of a file opened `tolerant` has bytes that did not decode."""
    return bool(_ESCAPED.search(line))


def line_of_fault(path: Path, codec: str) -> int:
    """A second pass, only after an error: the reader decodes ahead and no longer knows where it was."""
    decoder = codecs.getincrementaldecoder(codec)("strict")
    line = 1
    with open_bytes(path) as raw, suppress(ExpandsTooFar):
        while block := raw.read(SAMPLE_BYTES):
            state = decoder.getstate()
            try:
                line += decoder.decode(block).count("\n")
            except UnicodeDecodeError:
                decoder.setstate(state)
                for i in range(len(block)):
                    try:
                        line += decoder.decode(block[i : i + 1]).count("\n")
                    except UnicodeDecodeError:
                        return line
    return line  # the last character is cut off, or the file expands too far
