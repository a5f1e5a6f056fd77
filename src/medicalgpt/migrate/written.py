"""A carried-over configuration as YAML of ours: every value with where it came from, and below all that is to be said."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap

from medicalgpt.config.explain import explain
from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.yaml_text import flow
from medicalgpt.language import translated
from medicalgpt.language.one_line import one_line
from medicalgpt.migrate.carry import MISSING, Carrying, is_default


def as_yaml(found: Carrying, source: str) -> str:
    """The file's text; it is loaded once before it is returned.

    Raises:
        ConfigError: it is no valid configuration of ours, which is a fault of this package.
    """
    text = "\n".join(_lines(found, source)) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "config.yaml"
        place.write_text(text, encoding="utf-8")
        load(stage_schema(found.stage), place)
    return text


def _lines(found: Carrying, source: str) -> Iterator[str]:
    yield from _comment(
        f"From {one_line(source)} ({found.given.tool}): medicalgpt train {found.stage} --config THIS-FILE"
    )
    if any(MISSING in flow(one.value) for one in found.values.values()):
        yield from _comment(
            f"{MISSING} stands where nothing could be taken from it; training does not begin before it is replaced."
        )
    yield from _keys(found)
    if found.said:
        yield ""
        for said in found.said:
            yield from _comment(said)
    if found.left:
        yield ""
        yield from _comment("Not carried over:")
        for left in found.left:
            yield from _comment(f"{left.word.text}  ({left.word.place}): {translated(left.reason)}", "- ")


def _keys(found: Carrying) -> Iterator[str]:
    above = ""
    for row in explain(stage_schema(found.stage)):
        if row.key not in found.values:
            continue
        one = found.values[row.key]
        section, _, name = row.key.rpartition(".")
        if section and section != above:
            yield f"{section}:"
        above = section
        indent = "  " if section else ""
        for note in one.notes:
            yield from (f"{indent}{line}" for line in _comment(note))
        words = ", ".join(
            f"{word.name}, {word.place}" if not is_default(word) else translated(word.place) for word in one.sources
        )
        yield f"{indent}{name}: {flow(one.value)}" + (f"  # {one_line(words)}" if words else "")


def _comment(text: str, first: str = "") -> Iterator[str]:
    """A text as comments in the chosen language, lines broken; nothing of it can become a value."""
    lines = wrap(one_line(translated(text)), 118, break_long_words=False, break_on_hyphens=False) or [""]
    for at, line in enumerate(lines):
        yield f"# {first if at == 0 else ' ' * len(first)}{line}"
