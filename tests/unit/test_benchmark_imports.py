"""What one benchmark takes from another, or from the package, is there: seen without a type checker, which looks at the calls."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCHMARKS = {path.stem: path for path in (Path(__file__).parents[2] / "benchmarks").glob("*.py")}


def defined(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom | ast.Import):
            yield from (name.asname or name.name for name in node.names)
        else:
            yield from (n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_what_is_imported_is_defined(name: str) -> None:
    for node in ast.walk(ast.parse(BENCHMARKS[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module in BENCHMARKS:
            missing = {asked.name for asked in node.names} - set(defined(BENCHMARKS[node.module]))
            assert not missing, f"{name} imports {missing} from {node.module}"


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_what_is_imported_from_the_package_is_there(name: str) -> None:
    for node in ast.walk(ast.parse(BENCHMARKS[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medicalgpt"):
            module = importlib.import_module(str(node.module))
            for asked in node.names:
                if not hasattr(module, asked.name):
                    importlib.import_module(f"{node.module}.{asked.name}")
