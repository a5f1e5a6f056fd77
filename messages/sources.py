"""Where messages stand in the source: errors that are raised, lines that are printed, help of commands, meanings of keys, pages.

From there names are followed: a variable to what is assigned to it in the same function, a constant to its text, a function to what
it returns. So the parts that a message is put together from are found with it.
"""

import ast
import inspect
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment

from messages.by_hand import BY_HAND, NOT_SHOWN
from messages.templates import templates

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "medicalgpt"

# Functions whose first argument people read, by the last word of their name.
_SPEAKERS = {"say", "print_error", "translated", "lettered", "_notice", "_print", "warn", "tell", "_tell", "_comment"}
# Further calls whose arguments at these places people read: what a phase does, what was proven, why a row ended as it did.
_ARGUMENTS = {
    "during": (1,),
    "over": (1,),
    "Proof": (0, 1),
    "Rendered": (2,),
    "_too_long": (0,),
    "_share_line": (2,),
    "Probe": (2,),
    "Standing": (1,),
    "refusal": (0, 1),
    "Row": (2,),
    "leave": (1,),
}
# Exceptions outside of our tree whose words reach people inside of one of ours. A server's answers (ApiError) stay English.
_MORE_ERRORS = {"ValueError": 0, "BadRow": 0, "YamlError": 1, "PydanticCustomError": 1}
_HELP = {
    "Option": "help",
    "Argument": "help",
    "Typer": "help",
    "Field": "description",
    "put": "note",
    "put_as_meant": "note",
    "model_command": "seed_help",
}
# All that functions of these files return or assign is shown.
_ALL_SHOWN = {
    "cli/closing.py",
    "cli/foreign_options.py",
    "cli/help_texts.py",
    "config/lookup.py",
    "config/problems.py",
    "config/words.py",
    "disk/failures.py",
    "kernels/attention.py",
    "models/probe.py",
    "models/shard.py",
    "models/trial.py",
    "objectives/kto.py",
    "runs/bases.py",
    "runs/headline.py",
    "runs/settings.py",
    "serve/chat.py",
    "training/policy.py",
}
# What functions of these files append to a list is shown.
_APPENDED = {
    "config/layers.py",
    "migrate/carry.py",
    "migrate/rules.py",
    "migrate/rules_data.py",
    "migrate/rules_objective.py",
    "rewards/reward_model.py",
    "training/rl/opening.py",
}
# Answers of the API stay English; the disclaimer is shown in every language at once.
_ENGLISH = ("src/medicalgpt/serve/api/", "src/medicalgpt/serve/disclaimer.py")
_DEEPEST = 3


@dataclass(frozen=True)
class Message:
    """A template and the file it stands in, relative to the root."""

    text: str
    file: str

    @property
    def room(self) -> str:
        """The room whose catalogue holds it; "package" for files in none."""
        parts = Path(self.file).parts
        return parts[2] if len(parts) > 3 else "package"


@dataclass
class _File:
    """One source file: what its names stand for."""

    name: str
    tree: ast.Module
    functions: dict[str, list[ast.FunctionDef]]
    constants: dict[str, ast.expr]


@cache
def _files() -> list[_File]:
    return [_parsed(path) for path in sorted(PACKAGE.rglob("*.py"))]


def _parsed(path: Path) -> _File:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions: dict[str, list[ast.FunctionDef]] = defaultdict(list)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            functions[node.name].append(node)
    constants = {name: value for node in tree.body for name, value in _assigned(node)}
    return _File(path.relative_to(PACKAGE).as_posix(), tree, functions, constants)


def messages() -> list[Message]:
    """What people may be shown, each once per room, in the order of files."""
    found: dict[tuple[str, str], Message] = {}
    for file in _files():
        for scope, expression, whole in _shown_in(file):
            for text, place in _closure(expression, file, scope, whole, 0):
                message = Message(text, f"src/medicalgpt/{place}")
                found.setdefault((message.room, text), message)
    for path in sorted(PACKAGE.rglob("*.jinja")):
        for text in _of_page(path):
            message = Message(text, path.relative_to(ROOT).as_posix())
            found.setdefault((message.room, text), message)
    for text, place in BY_HAND:
        message = Message(text, place)
        found.setdefault((message.room, text), message)
    return [
        message for message in found.values() if not message.file.startswith(_ENGLISH) and message.text not in NOT_SHOWN
    ]


@cache
def wordings() -> frozenset[str]:
    """Every template and text of the source: a catalogue may hold these, too."""
    kinds = (ast.Constant, ast.JoinedStr, ast.BinOp, ast.IfExp, ast.Call)
    nodes = (node for file in _files() for node in ast.walk(file.tree) if isinstance(node, kinds))
    return frozenset(text for node in nodes for text in templates(node))


@cache
def _errors() -> frozenset[str]:
    """The names of our exception tree, also of those that stand in rooms."""
    classes = [node for file in _files() for node in ast.walk(file.tree) if isinstance(node, ast.ClassDef)]
    found = {"MedicalGPTError"}
    while more := {c.name for c in classes if {ast.unparse(base) for base in c.bases} & found} - found:
        found |= more
    return frozenset(found)


@cache
def _elsewhere(name: str) -> tuple[_File, ast.expr | ast.FunctionDef] | None:
    """A constant or function of that name, if there is only one in all files."""
    found: list[tuple[_File, ast.expr | ast.FunctionDef]] = []
    for file in _files():
        found += [(file, file.constants[name])] if name in file.constants else []
        found += [(file, function) for function in file.functions.get(name, [])]
    return found[0] if len(found) == 1 else None


def _shown_in(file: _File) -> Iterator[tuple[ast.AST, ast.expr, bool]]:
    """Expressions that people read, the function they stand in, and whether they are sure to be a whole message."""
    for scope in [file.tree, *(one for same in file.functions.values() for one in same)]:
        for node in _own_nodes(scope):
            for expression in _shown(node):
                yield scope, expression, True
            if file.name in _APPENDED and isinstance(node, ast.Call) and _called(node) == "append":
                yield scope, node.args[0], True
            if file.name in _ALL_SHOWN and isinstance(node, (ast.Return, ast.Yield, ast.Assign)) and node.value:
                whole = isinstance(node, ast.Yield) and isinstance(
                    node.value, ast.Tuple
                )  # a heading and what stands under it
                yield from (
                    (scope, one, whole)
                    for one in (node.value.elts if isinstance(node.value, ast.Tuple) and whole else [node.value])
                )
        if file.name.startswith("cli/") and isinstance(scope, ast.FunctionDef) and _is_command(scope):
            yield scope, ast.Constant(inspect.cleandoc(ast.get_docstring(scope) or "")), True


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a function or module without those of functions inside it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef):
            yield child
            yield from _own_nodes(child)


def _shown(node: ast.AST) -> Iterator[ast.expr]:
    if not isinstance(node, ast.Call):
        return
    name = _called(node)
    first = name in _errors() or name in _SPEAKERS
    places = (0,) if first else (_MORE_ERRORS[name],) if name in _MORE_ERRORS else _ARGUMENTS.get(name, ())
    yield from (node.args[at] for at in places if at < len(node.args))
    if name in _HELP:
        yield from (word.value for word in node.keywords if word.arg == _HELP[name])


def _closure(node: ast.expr, file: _File, scope: ast.AST, whole: bool, depth: int) -> Iterator[tuple[str, str]]:
    """Templates of an expression, and of all that its names stand for, with the file each stands in."""
    if isinstance(node, (ast.Tuple, ast.List)) and not isinstance(scope, ast.Module):  # there they are tables of names
        for element in node.elts:
            yield from _closure(element, file, scope, whole, depth)
        return
    yield from ((text, file.name) for text in templates(node) if whole or _is_phrase(text))
    if depth < _DEEPEST:
        for at, where, inner in _named_in(node, file, scope):
            yield from _closure(inner, at, where, False, depth + 1)


def _named_in(node: ast.expr, file: _File, scope: ast.AST) -> Iterator[tuple[_File, ast.AST, ast.expr]]:
    """What the names and calls inside an expression stand for."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield from _values(part.id, file, scope)
        elif isinstance(part, ast.Call):
            yield from _returned(_called(part), file)
        elif isinstance(part, ast.Dict):
            yield from ((file, scope, value) for value in part.values)


def _values(name: str, file: _File, scope: ast.AST) -> Iterator[tuple[_File, ast.AST, ast.expr]]:
    """What is assigned to a name in its function, else in its module, else, for a constant, wherever there is one."""
    local = list(_assignments(scope).get(name, ()))
    if isinstance(scope, ast.FunctionDef):
        with_default = scope.args.args[len(scope.args.args) - len(scope.args.defaults) :]
        local += [value for arg, value in zip(with_default, scope.args.defaults) if arg.arg == name]
    if local:
        yield from ((file, scope, value) for value in local)
    elif name in file.constants:
        yield file, file.tree, file.constants[name]
    elif name.isupper() and (far := _elsewhere(name)) and isinstance(far[1], ast.expr):
        yield far[0], far[0].tree, far[1]


def _returned(name: str, file: _File) -> Iterator[tuple[_File, ast.AST, ast.expr]]:
    """What a function of this file, or the only one of that name, returns."""
    far = None if name in file.functions else _elsewhere(name)
    for at, function in [(file, one) for one in file.functions.get(name, [])] or ([far] if far else []):
        for one in _own_nodes(function) if isinstance(function, ast.FunctionDef) else ():
            if isinstance(one, (ast.Return, ast.Yield, ast.YieldFrom)) and one.value:
                yield at, function, one.value


@cache
def _assignments(scope: ast.AST) -> dict[str, list[ast.expr]]:
    """What is assigned to each name of a function or module."""
    found: dict[str, list[ast.expr]] = defaultdict(list)
    for node in ast.walk(scope):
        for name, value in _assigned(node):
            found[name].append(value)
    return found


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.NamedExpr(target=ast.Name(id=name), value=value)
        ):
            yield name, value
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value
        case ast.AugAssign(target=ast.Name(id=name), value=value):
            yield name, value
        case ast.For(target=ast.Name(id=name), iter=value) | ast.comprehension(target=ast.Name(id=name), iter=value):
            yield name, value
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append" | "extend"), args=[value]):
            yield name, value
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
            yield from ((n.id, v) for n, v in zip(names, values) if isinstance(n, ast.Name))


def _is_phrase(text: str) -> bool:
    """Whether a part is more than a name: two words, or a clause to be appended."""
    bare = re.sub(r"\{[^{}]*\}", "x", text)
    return re.search(r"[A-Za-z]{2,},? [A-Za-z]{2,}", bare) is not None or bare.lstrip(" ;,(").count(" ") > 0


def _is_command(node: ast.FunctionDef) -> bool:
    decorated = any("command" in ast.unparse(one) or "callback" in ast.unparse(one) for one in node.decorator_list)
    return decorated or "Annotated" in ast.unparse(node.args)


def _called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _of_page(path: Path) -> Iterator[str]:
    environment = Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    for _, _, text in environment.extract_translations(path.read_text(encoding="utf-8")):
        if isinstance(text, str):
            yield text
