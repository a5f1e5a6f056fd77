"""Message templates out of Python's syntax trees: an f-string becomes text with named places.

`f"{path}: {len(rows):,} row{'s' if n > 1 else ''} too long"` is the template `{path}: {rows} row{|s} too long`. Braces of the text
itself are doubled, as in an f-string. A choice between two wordings makes two templates; one between singular and plural a place
`{row|rows}`, which a language without them leaves out.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from string import Formatter

_MOST_VARIANTS = 12
_NUMBER_WORDS = {
    *("", "s", "es", "y", "ies", "a", "an"),
    *("is", "are", "was", "were", "has", "have", "does", "do"),
    *("it", "its", "them", "they", "their", "this", "these", "that", "those"),
}


@dataclass(frozen=True)
class Slot:
    """A place whose value is known only when the message is made; with `words` one of these."""

    name: str
    words: tuple[str, ...] = ()


Part = str | Slot
Parts = tuple[Part, ...]


def templates(node: ast.expr) -> list[str]:
    """Every wording that an expression can have, as templates; [] where it has no words of its own."""
    found = _variants(node, split=True)
    if len(found) > _MOST_VARIANTS:
        found = _variants(node, split=False)
    texts = dict.fromkeys(_text(parts) for parts in found)
    return [text for text in texts if has_words(text)]


def has_words(template: str) -> bool:
    """Whether a template says anything but its places: a word of three letters."""
    return re.search(r"[A-Za-z]{3}", re.sub(r"\{[^{}]*\}", " ", template)) is not None


def _variants(node: ast.expr, split: bool) -> list[Parts]:
    match node:
        case ast.Constant(value=str(text)):
            return [(text,)]
        case ast.JoinedStr(values=values):
            return _joined([_variants(value, split) for value in values])
        case ast.FormattedValue(value=value, format_spec=None, conversion=-1):
            return _variants(value, split)
        case ast.FormattedValue(value=value):
            return [(Slot(_name(value)),)]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _joined([_variants(left, split), _variants(right, split)])
        case ast.IfExp(body=body, orelse=other):
            return _choice(node, _variants(body, split), _variants(other, split), split)
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
            return [tuple(_fields(text))]
    return [(Slot(_name(node)),)]


def _joined(pieces: list[list[Parts]]) -> list[Parts]:
    return [tuple(part for parts in chosen for part in parts) for chosen in product(*pieces)]


def _choice(node: ast.IfExp, first: list[Parts], second: list[Parts], split: bool) -> list[Parts]:
    match node.body, node.orelse:
        case ast.Constant(value=str(one)), ast.Constant(value=str(other)) if _number_only(one, other):
            return [(Slot("", (one, other)),)]
    has_text = any(isinstance(part, str) for parts in (*first, *second) for part in parts)
    return [*first, *second] if split and has_text else [(Slot(_name(node)),)]


def _number_only(one: str, other: str) -> bool:
    """Whether two wordings differ as singular and plural do."""
    if len(one) > 16 or len(other) > 16:
        return False
    pairs = list(zip(one.split() or [""], other.split() or [""]))
    if abs(len(one.split()) - len(other.split())) > 1:
        return False
    return all(a.rstrip("s") == b.rstrip("s") or {a, b} <= _NUMBER_WORDS for a, b in pairs) and one != other


def _fields(text: str) -> Iterator[Part]:
    for literal, name, _, _ in Formatter().parse(text):
        if literal:
            yield literal
        if name is not None:
            yield Slot(re.sub(r"\W.*", "", name) or "value")


def _name(node: ast.expr) -> str:
    """A word for a place: the name, attribute or function that stands in it, or what it is counted or joined from."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.strip("_").lower() or "value"
        case ast.Call(func=ast.Attribute(attr="join"), args=[inner]):
            return _name(inner)
        case ast.Call(
            func=ast.Name(id="len" | "str" | "sorted" | "list" | "repr" | "min" | "max" | "sum" | "round"),
            args=[inner, *_],
        ):
            return _name(inner)
        case ast.Call(func=func):
            return _name(func)
        case ast.Subscript(value=value) | ast.Starred(value=value):
            return _name(value)
        case ast.BinOp(left=left):
            return _name(left)
        case ast.IfExp(body=body):
            return _name(body)
        case ast.GeneratorExp(generators=[first, *_]) | ast.ListComp(generators=[first, *_]):
            return _name(first.iter)
    return "value"


def _text(parts: Parts) -> str:
    """The template's text; a name that comes again gets a number."""
    seen: dict[str, int] = {}
    out = []
    for part in parts:
        if isinstance(part, str):
            out.append(part.replace("{", "{{").replace("}", "}}"))
        elif part.words:
            out.append("{" + "|".join(part.words) + "}")
        else:
            seen[part.name] = count = seen.get(part.name, 0) + 1
            out.append("{" + part.name + (str(count) if count > 1 else "") + "}")
    return "".join(out)
