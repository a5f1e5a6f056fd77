"""The lines of one page of a PDF as they stand there: their words and their places."""

import ctypes
import unicodedata
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from medicalgpt.errors import DataError

if TYPE_CHECKING:
    import pypdfium2

MOST_CHARACTERS: Final = 1_000_000
"""Of one page."""
_DIVIDED: Final = 2
HYPHEN: Final = chr(_DIVIDED)
"""What PDFium writes for a hyphen at which a word is divided."""
_FEW: Final = 30  # characters: of a page that is a picture, a stamp or its number
_WHOLE: Final = 0.5  # of a page's area
_MOST_OBJECTS: Final = 500
_STRANGE: Final = 0.3  # of the characters: the font says of too few what they are
_KEPT: Final = "\t"
_CELLS: Final = 2.0  # heights of a line
_SPACED: Final = 0.5


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its place in points from the lower left corner of the page; `height` is that of its letters with what hangs below.

    `tabular`: gaps as between cells part its words, where tabs stand in the text.
    """

    text: str
    left: float
    right: float
    y: float
    height: float
    tabular: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its number from 1, its size in points, its lines in the order of their writing.

    `picture`: it shows something, and what it shows is no text. `unreadable`: it has text of which the font does not say what it is.
    """

    number: int
    width: float
    height: float
    lines: list[Line] = field(default_factory=list)
    picture: bool = False
    unreadable: bool = False


def page_of(document: "pypdfium2.PdfDocument", index: int, path: str) -> Page:
    """Read one page. Raises DataError for one without bounds; PdfiumError for a damaged one."""
    page = document[index]
    try:
        text = page.get_textpage()
        try:
            lines = _lines(text.raw, f"{path}:{index + 1}")
        finally:
            text.close()
        width, height = page.get_size()
        characters = [c for line in lines for c in line.text if not c.isspace()]
        strange = sum(unicodedata.category(c) in ("Co", "Cn") or c == "\ufffd" for c in characters)
        if characters and strange > _STRANGE * len(characters):
            return Page(index + 1, width, height, unreadable=True)
        shown = len(characters) < _FEW and _shows(page, bool(characters))
        return Page(index + 1, width, height, lines, picture=shown)
    finally:
        page.close()


def _shows(page: "pypdfium2.PdfPage", some: bool) -> bool:
    """Whether a page without text shows anything; one with `some` text, a picture of more than half its size."""
    import pypdfium2.raw as pdfium

    count = pdfium.FPDFPage_CountObjects(page.raw)
    if not some:
        return bool(count > 0)
    area = page.get_width() * page.get_height() or 1.0
    for number, found in enumerate(page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=2)):
        left, bottom, right, top = found.get_bounds()
        if abs((right - left) * (top - bottom)) > _WHOLE * area:
            return True
        if number > _MOST_OBJECTS:
            break
    return False


def _lines(text: object, place: str) -> list[Line]:
    """The lines of a text page (an FPDF_TEXTPAGE)."""
    import pypdfium2.raw as pdfium

    count = pdfium.FPDFText_CountChars(text)
    if count > MOST_CHARACTERS:
        raise DataError(
            f"{place}: a page of more than {MOST_CHARACTERS:,} characters; see whether the file is what it seems"
        )
    found: list[Line] = []
    begin = 0
    codes = [pdfium.FPDFText_GetUnicode(text, number) for number in range(max(0, count))]
    for number, code in enumerate([*codes, 10]):
        divided = code == _DIVIDED  # PDFium joins the line that follows without a break
        if code in (10, 13) or divided:
            if number > begin and (line := _line(text, codes, begin, number + divided)) is not None:
                found.append(line)
            begin = number + 1
    return found


def _line(text: object, codes: list[int], begin: int, end: int) -> Line | None:
    seen = [number for number in range(begin, end) if codes[number] > 32]
    if not seen:
        return None
    parted = [(before, after) for before, after in pairwise(seen) if after - before > 1]
    ends = {
        seen[0],
        seen[-1],
        *(end for pair in parted for end in pair),
    }  # of words: places of the others are not asked for
    places = {number: _box(text, number) for number in ends}
    boxes = list(places.values())
    height = median(box[3] - box[2] for box in boxes)
    spaces = {
        after: _space(text, codes, (before, after), (places[after][0] - places[before][1]) / max(height, 0.1))
        for before, after in parted
    }
    words = [spaces.get(number, "") + _character(codes[number]) for number in seen]
    return Line(
        text=_clean("".join(words) + (HYPHEN if codes[end - 1] == _DIVIDED else "")),
        left=min(box[0] for box in boxes),
        right=max(box[1] for box in boxes),
        y=median(box[2] for box in boxes),
        height=height,
        tabular=_KEPT in spaces.values(),
    )


def _character(code: int) -> str:
    return chr(code) if code < 0x110000 else "\ufffd"


def _box(text: object, number: int) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of a character's cell."""
    import pypdfium2.raw as pdfium

    box = pdfium.FS_RECTF()
    pdfium.FPDFText_GetLooseCharBox(text, number, ctypes.byref(box))
    return min(box.left, box.right), max(box.left, box.right), min(box.top, box.bottom), max(box.top, box.bottom)


def _space(text: object, codes: list[int], ends: tuple[int, int], gap: float) -> str:
    """What stands between two characters that white space parts, with a gap of so many heights of a line: a tab in a table; nothing
    between ideographs of a line that is spaced out, where PDFium has read the space out of their distance."""
    import pypdfium2.raw as pdfium

    first, second = ends
    if gap > _CELLS:
        return _KEPT
    spaced_out = gap < _SPACED and is_ideograph(codes[first]) and is_ideograph(codes[second])
    return "" if spaced_out and pdfium.FPDFText_IsGenerated(text, first + 1) == 1 else " "


def is_ideograph(code: int) -> bool:
    """Whether a character is an ideograph, or the punctuation and full-width forms that stand among them."""
    return 0x3000 <= code < 0xA000 or 0xF900 <= code < 0xFB00 or 0xFF00 <= code < 0xFFF0 or 0x20000 <= code < 0x32000


def _clean(text: str) -> str:
    """Pairs of surrogates as one character, characters that are no text left out."""
    if any("\ud800" <= c <= "\udfff" for c in text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return "".join(c for c in text if c >= " " or c in (HYPHEN, _KEPT)).replace("\ufeff", "").replace("\xad", HYPHEN)
