"""What the pages for people share: templates whose texts are escaped, one style, one way to write numbers."""

from pathlib import Path
from typing import TYPE_CHECKING

from medicalgpt.language import translated

if TYPE_CHECKING:  # jinja2 is imported where a page is written only
    from jinja2 import Environment


def environment(*folders: Path) -> "Environment":
    """Templates of these folders and of this one (`page.css`); a name that is not given is an error, `_` is `translated`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader([*folders, Path(__file__).parent], encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters["number"] = number
    found.globals["_"] = translated
    return found


def number(value: object) -> str:
    """Whole numbers with thousands separators, others with four significant digits, nothing as a dash."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
