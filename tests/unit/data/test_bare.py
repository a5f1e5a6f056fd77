"""A row without its fields, and what was rendered without its trees, are else the same, whatever they hold."""

from dataclasses import fields, replace

from medicalgpt.data.records import Source
from medicalgpt.data.rows import Row
from medicalgpt.rendering.rows import Rendered
from medicalgpt.rendering.tree import chain


def test_nothing_else_of_a_row_is_lost() -> None:
    row = Row(7, {"text": "a"}, "a problem", "a place", 9, "a note", True, "what is allowed")
    assert all(getattr(row, one.name) != one.default for one in fields(Row))
    assert row.bare == replace(row, fields=None)


def test_nothing_else_of_what_was_rendered_is_lost() -> None:
    trees = (chain([1, 2], [0.0, 1.0], Source("f", 1)),)
    found = Rendered(trees, "dropped", "a reason", True, True)
    assert all(getattr(found, one.name) != one.default for one in fields(Rendered))
    assert found.ending == replace(found, trees=())
