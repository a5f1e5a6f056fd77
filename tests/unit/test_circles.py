"""No import circle between any two modules of the package no import that hides one, and no attic.

import-linter checks the rooms; here each module counts, and so do imports inside functions and under TYPE_CHECKING.
"""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "medicalgpt"
SOURCE = Path(__file__).resolve().parents[2] / "src" / PACKAGE
MARK = "# lazy:"
LARGEST_ROOM = 0.12
LARGEST_FLOOR = 0.12

# Front ends import late so that `medicalgpt --help` and bad options answer before torch is loaded.
LAZY_ROOMS = ("__init__.py", "api", "cli", "config", "data", "serve")


@dataclass(frozen=True)
class Import:
    """One import of a module of our own: where it stands, and whether it is not at the top of its file."""

    module: str
    line: int
    hidden: bool
    marked: bool


def modules(source: Path) -> dict[str, Path]:
    """Dotted names of all modules below a folder that is a package."""
    found = {}
    for path in sorted(source.rglob("*.py")):
        parts = [source.name, *path.relative_to(source).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: Mapping[str, Path]) -> list[Import]:
    """Imports of modules in `known`, wherever they stand in the file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found: list[Import] = []

    def visit(node: ast.AST, hidden: bool, marked: bool) -> None:
        for child in ast.iter_child_nodes(node):
            guard = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            inner = hidden or guard or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            told = marked or (guard and MARK in lines[child.lineno - 1])  # type: ignore[attr-defined]
            if isinstance(child, ast.Import | ast.ImportFrom):
                here = told or MARK in "\n".join(lines[child.lineno - 1 : child.end_lineno])
                found.extend(
                    Import(name, child.lineno, hidden, here) for name in _targets(child, known) if name in known
                )
            visit(child, inner, told)

    visit(ast.parse("\n".join(lines)), hidden=False, marked=False)
    return found


def _targets(node: ast.Import | ast.ImportFrom, known: Mapping[str, Path]) -> Iterator[str]:
    """What a statement asks for: `from a.b import c` is a.b.c where that is a module, else a.b."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    assert node.level == 0, "relative import"
    for alias in node.names:
        inner = f"{node.module}.{alias.name}"
        yield inner if inner in known else str(node.module)


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import one another, directly or over others (strongly connected, by Tarjan's algorithm)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for target in sorted(graph[node]):
            if target not in order:
                visit(target)
            if target in stack:
                low[node] = min(low[node], low[target])
        if low[node] == order[node]:
            at = stack.index(node)
            group = stack[at:]
            del stack[at:]
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in order:
            visit(node)
    return found


def graph_of(source: Path) -> dict[str, set[str]]:
    """Which modules each module imports.

    The package's own `__init__` is left out: it is the front door above all rooms, which loads its names when they are
    asked for, and modules import it only for the place where the package lies.
    """
    known = {name: path for name, path in modules(source).items() if name != source.name}
    return {name: {i.module for i in imports(path, known)} - {name} for name, path in known.items()}


def test_no_modules_import_one_another() -> None:
    groups = circles(graph_of(SOURCE))
    told = "; ".join(" <-> ".join(group) for group in groups)
    assert not groups, (
        f"import circle: {told}. Imports inside functions and under TYPE_CHECKING count too. Take what both need into a "
        "module below them, or hand the value in as an argument."
    )


def test_no_import_is_hidden_without_a_reason() -> None:
    known = modules(SOURCE)
    hidden = [
        f"{path.relative_to(SOURCE)}:{found.line} imports {found.module}"
        for path in known.values()
        if path.relative_to(SOURCE).parts[0] not in LAZY_ROOMS
        for found in imports(path, known)
        if found.hidden and not found.marked and found.module != PACKAGE
    ]
    assert not hidden, (
        f"{'; '.join(hidden)}: an import inside a function or under TYPE_CHECKING. Put it at the top of the file; if that "
        f"would load something slow that is seldom needed, leave it and end its line with `{MARK} heavy` or another reason."
    )


def test_no_room_is_an_attic() -> None:
    """A room is a package: its own modules, those of packages inside it are rooms of their own."""
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCE.rglob("*.py")}
    own, whole = Counter[str](), Counter[str]()
    for path, count in lines.items():
        place = path.relative_to(SOURCE)
        own[str(place.parent)] += count
        whole[place.parts[0]] += count
    total = sum(lines.values())
    crowded = {room: f"{n / total:.1%}" for room, n in own.items() if n > LARGEST_ROOM * total}
    crowded |= {room: f"{n / total:.1%}" for room, n in whole.items() if n > LARGEST_FLOOR * total}
    assert not crowded, (
        f"{crowded} of the {total} lines in src; allowed: {LARGEST_ROOM:.0%} in one package, {LARGEST_FLOOR:.0%} with the "
        "packages inside it. See whether a subject in it stands on its own and can be a room, or belongs to one below."
    )


# -- the checks themselves -----------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path) -> Path:
    source = tmp_path / "house"
    source.mkdir()
    for name, text in {
        "__init__.py": "",
        "top.py": "from house.middle import x\nfrom house import below\n",
        "middle.py": "def f():\n    from house import top\n    import house.below  # lazy: heavy\n",
        "below.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:  # lazy: types of a heavy module\n    import house.far\n",
        "far.py": "x = 1\n",
    }.items():
        (source / name).write_text(text, encoding="utf-8")
    return source


def test_an_import_inside_a_function_closes_a_circle(package: Path) -> None:
    assert circles(graph_of(package)) == [["house.middle", "house.top"]]
    (package / "far.py").write_text("import house.below\n", encoding="utf-8")
    assert sorted(circles(graph_of(package))) == [["house.below", "house.far"], ["house.middle", "house.top"]]
    (package / "far.py").write_text("import house.top\n", encoding="utf-8")
    assert circles(graph_of(package)) == [["house.below", "house.far", "house.middle", "house.top"]]


def test_a_mark_is_seen_on_the_import_or_on_its_block(package: Path) -> None:
    known = modules(package)
    found = {(i.module, i.hidden, i.marked) for name in known for i in imports(known[name], known)}
    assert {("house.top", True, False), ("house.below", True, True), ("house.far", True, True)} <= found
    assert ("house.middle", False, False) in found
