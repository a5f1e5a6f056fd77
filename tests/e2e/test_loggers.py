"""SwanLab and MLflow, whose packages are not among those of the tests: stand-in modules record what they are told."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.stages import Bench, column

from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.errors import ConfigError
from medicalgpt.training.stage import run_stage

SWANLAB = '''
"""As much of swanlab as transformers and accelerate call."""
logged, config, started = [], {}, []
def get_run():
    return run if started else None
class Run:
    def log(self, values, step=None, **_):
        log(values, step=step)
    def finish(self):
        pass
class Config(dict):
    def update(self, values, **_):
        super().update(values)
config, run = Config(), Run()
def init(**given):
    started.append(given)
    return run
def log(values, step=None, **_):
    logged.append((step, dict(values)))
def finish():
    pass
'''
MLFLOW = '''
"""As much of mlflow as transformers calls."""
from types import SimpleNamespace
__version__ = "3.0.0"
logged, params, started = [], {}, []
utils = SimpleNamespace(validation=SimpleNamespace(MAX_PARAM_VAL_LENGTH=6000, MAX_PARAMS_TAGS_PER_BATCH=100))
def is_tracking_uri_set():
    return True
def get_tracking_uri():
    return "folder"
def set_tracking_uri(uri): ...
def set_experiment(name): ...
def active_run():
    return SimpleNamespace(info=SimpleNamespace(run_id="1")) if started else None
def start_run(**given):
    started.append(given)
    return active_run()
def end_run(*_):
    started.clear()
def log_params(values, **_):
    params.update(values)
def set_tags(values): ...
def log_metrics(metrics, step=None, **_):
    logged.append((step, dict(metrics)))
'''


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("swanlab", SWANLAB), ("mlflow", MLFLOW)):
        (tmp_path / "modules").mkdir(exist_ok=True)
        (tmp_path / "modules" / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path / "modules")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["swanlab", "mlflow"])
def test_they_are_told_the_numbers_of_metrics_jsonl(
    name: str, stand_ins: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: Any = importlib.import_module(name)
    bench = Bench.set_up(tmp_path)
    bench.train("sft", tmp_path / "run", f"report_to=[{name}]", "data.eval_fraction=0.2")
    for tag, plain in (("train/loss", "loss"), ("eval/loss", "eval_loss")):
        key = plain if name == "mlflow" else tag  # transformers gives its own names to MLflow
        told = [float(values[key]) for _, values in found.logged if key in values]
        assert told == pytest.approx(column(tmp_path / "run", tag), rel=1e-6), tag
    rows = (tmp_path / "sft.jsonl").read_text(encoding="utf-8")
    assert "What helps with fever" in rows
    assert "What helps with" not in repr((found.logged, getattr(found, "config", {}), getattr(found, "params", {})))


def test_one_that_is_not_installed_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medicalgpt.training.loggers.find_spec", lambda name: None if name == "swanlab" else object())
    words = ["data.train=[nowhere.jsonl]", f"output_dir={tmp_path}/run", "report_to=[tensorboard, swanlab]"]
    with pytest.raises(ConfigError, match="report_to: swanlab is not installed; pip install swanlab, or leave it out"):
        run_stage(load(stage_schema("sft"), None, words))
    assert not (tmp_path / "run").exists()
