"""The front door: which names there are, what importing them costs, and what old names become."""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import medicalgpt
from medicalgpt import _moved

ROOT = Path(__file__).resolve().parents[2]
SURFACE = [
    "BusyError",
    "Comparison",
    "Completion",
    "ConfigError",
    "Constraint",
    "ContextError",
    "Corpus",
    "DataError",
    "Detector",
    "Dialogue",
    "Engine",
    "Evaluation",
    "GrammarError",
    "Leakage",
    "LostError",
    "MedicalGPTError",
    "Message",
    "Metrics",
    "ModelError",
    "Objective",
    "Operator",
    "Pipeline",
    "RenderError",
    "Run",
    "RunError",
    "RunInfo",
    "Sampling",
    "ServeError",
    "Span",
    "compare_runs",
    "curate",
    "delete_run",
    "estimate",
    "evaluate",
    "export_gguf",
    "export_run",
    "inspect",
    "leakage",
    "list_runs",
    "load_config",
    "merge",
    "plant",
    "quantize",
    "read",
    "register_stage",
    "render",
    "report",
    "train",
]


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def test_the_public_surface_is_exactly_this() -> None:
    assert medicalgpt.__all__ == SURFACE
    assert dir(medicalgpt) == sorted([*SURFACE, "__version__"])


def test_importing_it_loads_nothing_heavy() -> None:
    """Cheap means few modules: what takes time on a user's machine is not what takes time here."""
    heavy = "{'torch', 'transformers', 'numpy', 'pydantic', 'yaml', 'jinja2', 'rich', 'typer'}"
    out = _python(
        f"import sys, medicalgpt; print({heavy} & set(sys.modules), [m for m in sys.modules if 'medicalgpt' in m])"
    )
    assert out.strip() == "set() ['medicalgpt._moved', 'medicalgpt']"


def test_messages_and_errors_cost_no_model() -> None:
    out = _python("import sys; from medicalgpt import Message, Sampling, DataError; print('torch' in sys.modules)")
    assert out.strip() == "False"


@pytest.mark.parametrize("name", SURFACE)
def test_every_name_is_what_it_says_and_is_explained(name: str) -> None:
    value = getattr(medicalgpt, name)
    assert inspect.isclass(value) or inspect.isfunction(value), "a room of the same name must not take its place"
    assert value.__name__ == name
    assert inspect.getdoc(value)


def test_a_name_that_is_not_there_is_an_attribute_error_that_names_the_others() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'Enginee'.*Engine"):
        medicalgpt.Enginee  # noqa: B018
    assert not hasattr(medicalgpt, "trainer")


def test_functions_stay_functions_whatever_is_imported_besides() -> None:
    code = "import medicalgpt.cli, medicalgpt.pipeline.run, medicalgpt.api.data, medicalgpt, inspect\n"
    code += "print([n for n in medicalgpt.__all__ if inspect.ismodule(getattr(medicalgpt, n))])"
    assert _python(code).splitlines()[0] == "[]"


@pytest.mark.parametrize("old", sorted(_moved.MOVED))
def test_old_names_work_with_a_warning(old: str) -> None:
    out = _python(f"import {old} as found; print(sorted(vars(found))[:0], found.__name__)")
    assert old in out
    assert f"DeprecationWarning: {old} is {_moved.MOVED[old]} now" in out


def test_old_notebooks_and_model_cards_run_as_they_were_printed() -> None:
    out = _python(
        "from medicalgpt.data.records import Message\n"
        "from medicalgpt.generate.engine import Engine\n"
        "from medicalgpt.generate.sampling import Sampling\n"
        "from medicalgpt.config.sections import DataConfig\n"
        "from medicalgpt.data import Ledger, read\n"
        "from medicalgpt.models.quiet import quiet\n"
        "from medicalgpt.pipeline.run import Pipeline\n"
        "from medicalgpt.runs import metrics\n"
        "from medicalgpt.train.inspect import inspect\n"
        "from medicalgpt.train import reward\n"
        "quiet(); print(metrics.read, inspect.__name__, reward.read_report.__name__, reward.lines.__name__)\n"
        "import medicalgpt; print(callable(medicalgpt.train))"
    )
    assert "inspect read_report lines" in out
    assert "\nTrue\n" in out


def test_what_we_print_for_users_names_the_front_door_only() -> None:
    texts = [p.read_text(encoding="utf-8") for p in [*ROOT.glob("README*.md"), *ROOT.glob("docs/*.md")]]
    texts += [
        "".join("".join(cell["source"]) for cell in json.loads(p.read_text(encoding="utf-8"))["cells"])
        for p in ROOT.glob("notebooks/*.ipynb")
    ]
    texts.append(
        (ROOT / "src/medicalgpt/export/model_card.py").read_text(encoding="utf-8").partition("_LOAD_TEXT = ")[2]
    )
    printed = [
        line for text in texts for line in re.findall(r"^(?:from|import) medicalgpt[\w.]* ?.*", text, re.MULTILINE)
    ]
    assert len(printed) > 5
    assert [line for line in printed if re.match(r"(from|import) medicalgpt\.(?!extend )", line)] == []
