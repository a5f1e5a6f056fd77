"""A key that nobody reads is a flag that lies: every leaf key of every stage is read outside the config room.

Read means `something.key` as a value. Not counted: calls (`model.train()`, `re.compile()`), names of imported modules
(`torch.compile`), `self.key` (an object's own attribute), and assignments.
"""

import ast
from pathlib import Path

import pytest

import medicalgpt
from medicalgpt.config.curation import CURATE
from medicalgpt.config.explain import explain
from medicalgpt.config.lookup import schema_of
from medicalgpt.config.stages import STAGES

PACKAGE = Path(medicalgpt.__file__).parent


def attributes_read(source: str) -> set[str]:
    """Names of the attributes that a module reads from its own variables and results."""
    tree = ast.parse(source)
    imported = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and id(node) not in called
        and not (isinstance(node.value, ast.Name) and node.value.id in imported | {"self", "cls"})
    }


@pytest.fixture(scope="module")
def read_somewhere() -> set[str]:
    files = [file for file in PACKAGE.rglob("*.py") if PACKAGE / "config" not in file.parents]
    return set().union(*(attributes_read(file.read_text(encoding="utf-8")) for file in files))


@pytest.mark.parametrize("stage", [*STAGES, CURATE])
def test_every_key_is_read(stage: str, read_somewhere: set[str]) -> None:
    unread = [row.key for row in explain(schema_of(stage)) if row.key.rpartition(".")[2] not in read_somewhere]
    assert not unread, f"keys of stage {stage} that no code reads: {', '.join(unread)}"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("print(config.train.seed)", {"train", "seed"}),
        ("f(c.rank, *c.modules, x=c.alpha)", {"rank", "modules", "alpha"}),
        ("a.b.c()", {"b"}),
        ("import torch\nx = torch.float32", set()),
        ("from a import b as c\nc.compile", set()),
        ("self.rank + self.config.alpha", {"alpha"}),
        ("x.y = 1", set()),
        ("'config.train.seed'  # config.data", set()),
    ],
)
def test_what_counts_as_reading(source: str, names: set[str]) -> None:
    assert attributes_read(source) == names
