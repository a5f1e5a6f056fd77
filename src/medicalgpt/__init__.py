"""MedicalGPT: a base language model and medical text in; a medical assistant, measured and served, out.

The names below are the public API; each is imported when it is first used, so `import medicalgpt` costs nothing.
"""

from importlib import import_module

from medicalgpt import _moved

__version__ = "0.1.0"

TYPE_CHECKING = False  # as typing's, without the time that importing it takes
if TYPE_CHECKING:  # for type checkers and editors; at run time `__getattr__` below imports a name when it is asked for
    from medicalgpt.api.curation import curate
    from medicalgpt.api.data import inspect, read, render
    from medicalgpt.api.evaluation import evaluate
    from medicalgpt.api.leakage import leakage, plant
    from medicalgpt.api.publish import estimate, export_gguf, merge, quantize
    from medicalgpt.api.report import report
    from medicalgpt.api.runs import compare_runs, delete_run, export_run, list_runs
    from medicalgpt.api.training import load_config, train
    from medicalgpt.browse.compare import Comparison
    from medicalgpt.browse.info import RunInfo
    from medicalgpt.curation.corpus import Corpus
    from medicalgpt.data.records import Dialogue, Message
    from medicalgpt.errors import (
        BusyError,
        ConfigError,
        ContextError,
        DataError,
        GrammarError,
        LostError,
        MedicalGPTError,
        ModelError,
        RenderError,
        RunError,
        ServeError,
    )
    from medicalgpt.evaluation.finished import Evaluation
    from medicalgpt.evaluation.leakage.told import Leakage
    from medicalgpt.generate.engine import Completion, Engine
    from medicalgpt.generate.sampling import Sampling
    from medicalgpt.objectives.base import Objective
    from medicalgpt.phi import Detector, Operator, Span
    from medicalgpt.pipeline.run import Pipeline
    from medicalgpt.runs.run import Metrics, Run
    from medicalgpt.structured.constraint import Constraint
    from medicalgpt.training.stages import register_stage

_HOMES = {
    "medicalgpt.api.curation": ("curate",),
    "medicalgpt.curation.corpus": ("Corpus",),
    "medicalgpt.api.data": ("inspect", "read", "render"),
    "medicalgpt.api.evaluation": ("evaluate",),
    "medicalgpt.api.leakage": ("leakage", "plant"),
    "medicalgpt.evaluation.leakage.told": ("Leakage",),
    "medicalgpt.evaluation.finished": ("Evaluation",),
    "medicalgpt.api.publish": ("estimate", "export_gguf", "merge", "quantize"),
    "medicalgpt.api.report": ("report",),
    "medicalgpt.api.runs": ("compare_runs", "delete_run", "export_run", "list_runs"),
    "medicalgpt.browse.compare": ("Comparison",),
    "medicalgpt.browse.info": ("RunInfo",),
    "medicalgpt.runs.run": ("Metrics", "Run"),
    "medicalgpt.api.training": ("load_config", "train"),
    "medicalgpt.data.records": ("Dialogue", "Message"),
    "medicalgpt.errors": (
        "BusyError",
        "ConfigError",
        "ContextError",
        "DataError",
        "GrammarError",
        "LostError",
        "MedicalGPTError",
        "ModelError",
        "RenderError",
        "RunError",
        "ServeError",
    ),
    "medicalgpt.generate.engine": ("Completion", "Engine"),
    "medicalgpt.generate.sampling": ("Sampling",),
    "medicalgpt.structured.constraint": ("Constraint",),
    "medicalgpt.objectives.base": ("Objective",),
    "medicalgpt.phi": ("Detector", "Operator", "Span"),
    "medicalgpt.pipeline.run": ("Pipeline",),
    "medicalgpt.training.stages": ("register_stage",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
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


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'medicalgpt' has no attribute {name!r}; it offers {', '.join(__all__)}")
    value = getattr(import_module(home), name)
    # A name like `train` is also a room; importing the room would otherwise take the function's place.
    globals()[name] = value
    return value


_moved.install()


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__"})
