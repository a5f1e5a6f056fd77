"""The hash of a user's code that defines a stage: whole files, and what was typed into a notebook."""

import linecache
import sys
import types
from collections.abc import Iterator

import pytest
from tests.stages import stages_as_before

from medicalgpt.config.base import StageConfig
from medicalgpt.training.plugins import plugin_hashes
from medicalgpt.training.stages import STAGES, unregister_stage

CELL = """
from medicalgpt.config.stages import SftConfig
from medicalgpt.extend import Objective, register_stage
from medicalgpt.objectives.language import SupervisedFineTuning


class Mine(SftConfig):
    pass


class Scaled(SupervisedFineTuning):
    factor = {factor}


def make(config):
    return Scaled()


register_stage("mine", Mine, make)
"""


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    with stages_as_before():
        yield
    sys.modules.pop("a_notebook", None)


def typed(factor: float, keep_text: bool) -> StageConfig:
    """The stage's config, its code run as a cell of a notebook is: in a module without a file."""
    if "mine" in STAGES:
        unregister_stage("mine")
    notebook = sys.modules["a_notebook"] = types.ModuleType("a_notebook")
    text, name = CELL.format(factor=factor), f"<cell {factor}>"
    if keep_text:
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), vars(notebook))
    return notebook.Mine.model_construct()


@pytest.mark.parametrize("keep_text", [True, False])
def test_code_typed_into_a_notebook_is_hashed(keep_text: bool) -> None:
    first = plugin_hashes(typed(1.0, keep_text))
    assert first
    assert all(name.startswith("plugin ") for name in first)
    assert plugin_hashes(typed(1.0, keep_text)) == first


def test_a_changed_number_of_a_class_changes_it() -> None:
    assert plugin_hashes(typed(1.0, True))["plugin Scaled"] != plugin_hashes(typed(2.0, True))["plugin Scaled"]


def test_a_changed_function_changes_it() -> None:
    notebook = sys.modules["a_notebook"] = types.ModuleType("a_notebook")
    seen = []
    for body in ("return Scaled()", "x = Scaled(); x.factor = 2.0; return x", "x = Scaled(); x.factor = 3.0; return x"):
        if "mine" in STAGES:
            unregister_stage("mine")
        exec(CELL.format(factor=1).replace("return Scaled()", body), vars(notebook))
        seen.append(plugin_hashes(notebook.Mine.model_construct())["plugin make"])
    assert len(set(seen)) == 3


def test_a_stage_of_the_package_has_none() -> None:
    assert plugin_hashes(STAGES["sft"].config.model_construct()) == {}
