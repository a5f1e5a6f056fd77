"""Text encodings: found from a sample, decoded strictly, errors placed on a line.

UTF-8 is proved by strict decoding. GB18030 and Big5 share almost all byte pairs, so both decode most Chinese files;
what tells them apart is how ordinary the decoded characters are. (charset-normalizer 3.5 mistook 8 to 18 % of our
GB18030 samples of 20 to 1000 characters; the score below mistook none of 400.)
"""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from medicalgpt.data.files import is_gzip, open_bytes
from medicalgpt.errors import DataError

SAMPLE_BYTES = 64 << 10
SEARCH_BYTES = 16 << 20  # how far a sample is looked for in a file that begins with plain ASCII

# Longest marks first: the UTF-32 mark begins with the UTF-16 one.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-bom", "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32", "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "utf-16"),
)
_ESCAPED = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of such bytes
_FREQUENT = (
    "，。、：；？！（）《》「」“”的一是不了在有人我他这這中大来來上个個国國和也子时時道到你地就出要以会會可那生说說年为為后後自"
    "用于於天多过過作对對行方能下发發成家心前日法学學前无無其所者之治病药藥症患服血热熱痛气氣"
)
_PAIRS: dict[str, re.Pattern[bytes]] = {
    "gb18030": re.compile(rb"[\x81-\xfe][0-9][\x81-\xfe][0-9]|[\x81-\xfe][\x40-\xfe]|[\x00-\x7f]", re.S),
    "cp950": re.compile(rb"[\x81-\xfe][\x40-\x7e\xa1-\xfe]|[\x00-\x7f]", re.S),
}
# Lead bytes of the standards' punctuation and frequent-character planes (GB2312 level 1, Big5 level 1).
_COMMON_LEADS = {"gb18030": ((0xA1, 0xA3), (0xB0, 0xD7)), "cp950": ((0xA1, 0xC6),)}


@dataclass(frozen=True, slots=True)
class Encoding:
    """`name` is what people call it, `codec` what Python decodes it with."""

    name: str
    codec: str


def find_encoding(path: Path, tolerant: bool = False) -> Encoding:
    """Find the encoding from a sample that begins at the first non-ASCII byte.

    `tolerant`: what is no encoding that we know is damaged UTF-8.

    Raises:
        DataError: the bytes are binary, compressed, or no encoding that we know.
    """
    with _reading(path), open_bytes(path) as raw:
        head = raw.read(SAMPLE_BYTES)
        for mark, name, codec in _MARKS:
            if head.startswith(mark):
                return Encoding(name, codec)
        if head.startswith(b"\x1f\x8b"):
            raise DataError(f"{path}: the content is gzip-compressed; give the file a name that ends in .gz")
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
    if b"\0" in head or b"\0" in sample:
        raise DataError(f"{path}: the content is binary or UTF-16 without a byte order mark; save it as UTF-8")
    return _judge(sample, path, line, tolerant)


def _judge(sample: bytes, path: Path, line: int, tolerant: bool) -> Encoding:
    try:
        codecs.getincrementaldecoder("utf-8")("strict").decode(sample)
    except UnicodeDecodeError as error:
        line += sample.count(b"\n", 0, error.start)
    else:
        return Encoding("utf-8", "utf-8")
    # Strict decoding alone proves little here, and one damaged byte should not hide the encoding: a small bonus.
    scores = {codec: _score(sample, codec) + (0.25 if _decodes(sample, codec) else 0.0) for codec in _PAIRS}
    best = max(scores, key=lambda codec: scores[codec])
    if not scores[best] >= 1.0:
        if tolerant:
            return Encoding("utf-8", "utf-8")
        raise DataError(
            f"{path}:{line}: the text is not valid UTF-8 here, and reads as neither GB18030 nor Big5; "
            "allowed: UTF-8, UTF-16 with a byte order mark, GB18030, Big5; save the file as UTF-8"
        )
    if best == "gb18030":
        return Encoding("gb18030", "gb18030")
    if not _decodes(sample, "cp950") and _decodes(sample, "big5hkscs"):
        return Encoding("big5-hkscs", "big5hkscs")
    return Encoding("big5", "cp950")


def _decodes(sample: bytes, codec: str) -> bool:
    try:
        codecs.getincrementaldecoder(codec)("strict").decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def _score(sample: bytes, codec: str) -> float:
    """How ordinary the two-byte characters are: at least 0.75 for text in this encoding, 0 when it cannot be.

    Real prose has 0.75 to 1 of its characters in the common planes and 0.2 to 0.4 among the hundred most frequent;
    other encodings read as this one stay below 0.1 of the latter, which counts once there are enough characters.
    """
    units = [u for u in _PAIRS[codec].findall(sample) if len(u) > 1]
    if not units:
        return 0.0
    frequent_set = {c for c in (ch.encode(codec, "ignore") for ch in _FREQUENT) if c}
    ranges = _COMMON_LEADS[codec]
    low = 0xA1 if codec == "gb18030" else 0x40
    common: float = sum(len(u) == 2 and u[1] >= low and any(a <= u[0] <= b for a, b in ranges) for u in units) / len(
        units
    )
    frequent: float = sum(u in frequent_set for u in units) / len(units)
    if frequent >= 0.12:
        return max(common, 0.75) + frequent
    return common + frequent if len(units) < 40 and common >= 0.75 else 0.0


@contextmanager
def open_text(path: Path, *, newline: str | None, tolerant: bool = False) -> Iterator[TextIO]:
    """Open as text in the encoding found; `newline` as for `open`.

    `tolerant`: bytes that do not decode are no error; `is_damaged` knows the lines they are in.

    Raises:
        DataError: with the line when a byte does not decode; a damaged gzip file; a file that cannot be read.
    """
    encoding = find_encoding(path, tolerant)
    errors = "surrogateescape" if tolerant else "strict"
    try:
        with _reading(path), io.TextIOWrapper(open_bytes(path), encoding.codec, errors, newline) as text:
            yield text
    except UnicodeDecodeError:
        # `from None` everywhere: a decoding error carries the bytes around it.
        line = _first_bad_line(path, encoding.codec)
        raise DataError(
            f"{path}:{line}: the text is not valid {encoding.name} here, though the file begins so; "
            "save the whole file in one encoding, best UTF-8"
        ) from None


def is_damaged(line: str) -> bool:
    """Whether a line of a file opened `tolerant` has bytes that did not decode."""
    return bool(_ESCAPED.search(line))


def _first_bad_line(path: Path, codec: str) -> int:
    """A second pass, only after an error: the reader decodes ahead and no longer knows where it was."""
    decoder = codecs.getincrementaldecoder(codec)("strict")
    line = 1
    with open_bytes(path) as raw:
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
    return line  # the last character is cut off


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error):
        state = "is not gzip data or is damaged" if is_gzip(path) else "is damaged"
        raise DataError(f"{path}: the file {state}; fetch or compress it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from None
