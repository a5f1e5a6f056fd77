"""Proof from a chat template's syntax that it writes the words of a conversation as they are, whatever they say.

Every expression gets a kind: what it may carry of the conversation. Words may be written out, joined to other text and stripped of
white space at their ends; what is done with them must not depend on what they say. So a template that compares, searches, counts,
splits or replaces words is not proven. That words are not blank, and that turns have a role and words and nothing else, is the
caller's promise: whether words are there, or a turn has calls, is then no question of what the words say.
"""

from collections.abc import Iterable
from typing import Final, Literal

from jinja2 import TemplateError, nodes
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

Kind = Literal["other", "nothing", "words", "turn", "turns", "namespace"]
"""`nothing`: certainly false, and free of words as `other` is; `words`: text with words in it as they are, or without any."""

_FREE: Final = ("other", "nothing")
_STRIPS: Final = ("strip", "lstrip", "rstrip")
_CALLS: Final = ("raise_exception", "range")
_GLOBAL: Final = (*_CALLS, "namespace", "dict", "lipsum", "cycler", "joiner", "strftime_now")
_TYPES: Final = (
    "defined",
    "undefined",
    "none",
    "string",
    "mapping",
    "sequence",
    "iterable",
    "number",
    "boolean",
    "true",
    "false",
)


class _UnprovenError(Exception):
    """The template does something with words that is not known to leave them alone."""


def writes_verbatim(source: str, given: Iterable[str] = ()) -> bool:
    """Whether the text of a conversation is a function of its roles, but for its words, which stand in it as they are or without
    white space at an end.

    Args:
        given: names of what the template is given beside messages and add_generation_prompt; any other name has no value.
    """
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    try:
        tree = environment.parse(source)
        names: dict[str, Kind] = dict.fromkeys((*given, "add_generation_prompt"), "other")
        names |= {"messages": "turns", "tools": "nothing", "documents": "nothing"}
        before: dict[str, Kind] | None = None
        while before != names:  # an assignment below may be read above, in a loop
            before = dict(names)
            _Reading(names).all(tree.body)
    except (_UnprovenError, TemplateError, RecursionError):
        return False
    return True


def _either(one: Kind, other: Kind) -> Kind:
    """The kind of what is one or the other, by what is no word."""
    if one == other:
        return one
    if {one, other} <= {*_FREE, "words"}:
        return "words" if "words" in (one, other) else "other"
    raise _UnprovenError


class _Reading:
    """One reading of a template. `names` are the kinds of its variables, by name alone: of all that have it."""

    def __init__(self, names: dict[str, Kind]) -> None:
        self.names = names

    def all(self, body: list[nodes.Node]) -> None:
        for node in body:
            self._statement(node)

    def _statement(self, node: nodes.Node) -> None:
        match node:
            case nodes.Output():
                for part in node.nodes:
                    if not isinstance(part, nodes.TemplateData):
                        self._text(part)
            case nodes.If():
                branches = [node, *node.elif_]
                for branch in branches:
                    if self._asked(branch.test) != "nothing":
                        self.all(branch.body)
                self.all(node.else_)
            case nodes.For():
                self._loop(node)
            case nodes.Assign(
                target=nodes.Name(name=name), node=nodes.Call(node=nodes.Name(name="namespace"), args=[]) as call
            ):
                if call.dyn_args is not None or call.dyn_kwargs is not None or "namespace" in self.names:
                    raise _UnprovenError
                self._assign(name, "namespace")
                for keyword in call.kwargs:
                    self._assign(f"{name}.{keyword.key}", self.kind(keyword.value))
            case nodes.Assign(target=nodes.Name(name=name)):
                self._assign(name, self._value(node.node))
            case nodes.Assign(target=nodes.NSRef(name=name, attr=attr)):
                self._assign(f"{name}.{attr}", self._value(node.node))
            case nodes.AssignBlock(target=nodes.Name(name=name), filter=None):
                self.all(node.body)
                self._assign(name, "words")
            case nodes.Macro(name=name):
                self._assign(name, "other")  # a call of it is not proven
            case nodes.Break() | nodes.Continue():
                pass
            case _:
                raise _UnprovenError

    def _loop(self, node: nodes.For) -> None:
        if node.recursive:
            raise _UnprovenError
        over = self.kind(node.iter)
        targets = list(node.target.find_all(nodes.Name)) if isinstance(node.target, nodes.Tuple) else [node.target]
        if over == "turns" and len(targets) == 1:
            each: Kind = "turn"
        elif over in _FREE:
            each = "other"
        else:
            raise _UnprovenError
        for target in targets:
            if not isinstance(target, nodes.Name):
                raise _UnprovenError
            self._assign(target.name, each)
        if node.test is not None:
            self._asked(node.test)
        if over != "nothing":
            self.all(node.body)
        self.all(node.else_)

    def _assign(self, name: str, kind: Kind) -> None:
        self.names[name] = _either(self.names[name], kind) if name in self.names else kind

    def _value(self, node: nodes.Node) -> Kind:
        """The kind of what gets a name. A namespace has one only, by which its parts are known."""
        kind = self.kind(node)
        if kind == "namespace":
            raise _UnprovenError
        return kind

    def _asked(self, node: nodes.Node) -> Kind:
        """`nothing` where a condition is certainly false. Whether words and turns are there depends on no words."""
        match node:
            case nodes.Not(node=inner):
                self._asked(inner)
                return "other"
            case nodes.And(left=left, right=right):
                return "nothing" if "nothing" in (self._asked(left), self._asked(right)) else "other"
            case nodes.Or(left=left, right=right):
                return "nothing" if self._asked(left) == self._asked(right) == "nothing" else "other"
            case _:
                return "nothing" if self._value(node) == "nothing" else "other"

    def _text(self, node: nodes.Node) -> Kind:
        """The kind of what is written, or joined to text."""
        kind = self.kind(node)
        if kind not in (*_FREE, "words"):
            raise _UnprovenError
        return kind

    def _free(self, *found: nodes.Node) -> Kind:
        if any(self.kind(node) not in _FREE for node in found):
            raise _UnprovenError
        return "other"

    def kind(self, node: nodes.Node) -> Kind:
        """The kind of an expression."""
        match node:
            case nodes.Const(value=value):
                return "nothing" if not value else "other"
            case nodes.Name(name=name):
                if name in ("self", "loop", "caller", "varargs", "kwargs"):
                    raise _UnprovenError
                return self.names.get(name, "other" if name in _GLOBAL else "nothing")
            case nodes.Add(left=left, right=right):
                return self._joined([left, right])
            case nodes.Concat(nodes=parts):
                return self._joined(parts)
            case nodes.Not():
                return self._asked(node)
            case nodes.And(left=left, right=right):
                if self._asked(node) == "nothing":
                    return "nothing"
                return _either(self.kind(left), self.kind(right))
            case nodes.Or(left=left, right=right):
                first, second = self.kind(left), self.kind(right)
                return second if first == "nothing" else _either(first, second)
            case nodes.CondExpr(test=test, expr1=one, expr2=other):
                second = self.kind(other) if other is not None else "nothing"
                return second if self._asked(test) == "nothing" else _either(self.kind(one), second)
            case nodes.Getattr(node=inner, attr=attr):
                return self._part(inner, nodes.Const(attr))
            case nodes.Getitem(node=inner, arg=arg):
                return self._part(inner, arg)
            case _:
                return self._applied(node)

    def _joined(self, parts: list[nodes.Expr]) -> Kind:
        kinds = {self._text(part) for part in parts}
        return "words" if "words" in kinds else "other"

    def _part(self, inner: nodes.Node, at: nodes.Node) -> Kind:
        """A part of a value, by name or place."""
        if isinstance(inner, nodes.Name) and inner.name == "loop":
            if not isinstance(at, nodes.Const) or at.value in ("previtem", "nextitem"):
                raise _UnprovenError
            return "other"
        kind = self.kind(inner)
        if isinstance(at, nodes.Slice):
            self._free(*at.iter_child_nodes())
            return kind if kind == "turns" else self._free(inner)
        self._free(at)
        name = at.value if isinstance(at, nodes.Const) else None
        if kind == "turns" and not isinstance(name, str):
            return "turn"
        if kind == "turn" and isinstance(name, str):
            return {"role": "other", "content": "words"}.get(name, "nothing")  # type: ignore[return-value]
        if kind == "namespace" and isinstance(inner, nodes.Name) and isinstance(name, str):
            return self.names.get(f"{inner.name}.{name}", "nothing")
        self._free(inner)
        return "other"

    def _applied(self, node: nodes.Node) -> Kind:
        """Filters, tests, comparisons and calls."""
        match node:
            case nodes.Filter(
                node=nodes.Expr() as inner, name="trim", args=[], kwargs=[], dyn_args=None, dyn_kwargs=None
            ):
                return "words" if self._text(inner) == "words" else "other"
            case nodes.Filter(node=nodes.Expr() as inner, name="length" | "count") if self.kind(inner) == "turns":
                return "other"
            case nodes.Filter(name="random"):
                raise _UnprovenError
            case nodes.Test(node=nodes.Name(name=of), name="defined") if of not in self.names and of not in (
                *_GLOBAL,
                "loop",
            ):
                return "nothing"
            case nodes.Test(node=inner, name=name, args=[]) if name in _TYPES and self.kind(inner) != "namespace":
                return "other"
            case nodes.Compare(expr=nodes.Const(value=str()), ops=[nodes.Operand(op="in" | "notin", expr=inner)]):
                return "other" if self.kind(inner) == "turn" else self._free(inner)
            case nodes.Call():
                return self._call(node)
            case nodes.Filter() | nodes.Test() | nodes.Compare() | nodes.Operand() | nodes.Keyword() | nodes.Pair():
                return self._free(*node.iter_child_nodes())
            case nodes.BinExpr() | nodes.UnaryExpr() | nodes.List() | nodes.Tuple() | nodes.Dict():
                return self._free(*node.iter_child_nodes())
            case _:
                raise _UnprovenError

    def _call(self, node: nodes.Call) -> Kind:
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            raise _UnprovenError
        match node.node:
            case nodes.Getattr(node=inner, attr=attr) if attr in _STRIPS and not node.args and not node.kwargs:
                return "words" if self._text(inner) == "words" else "other"
            case nodes.Name(name=name) if name in _CALLS and name not in self.names:
                return self._free(*node.args)
            case nodes.Getattr(node=inner):
                return self._free(inner, *node.args, *node.kwargs)
            case _:
                raise _UnprovenError
