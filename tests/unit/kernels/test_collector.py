"""The command line collects garbage rarely until a model is there; libraries' users are left alone."""

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tiny import save_tiny

from medicalgpt import cli
from medicalgpt.config.sections import LoraConfig, ModelConfig
from medicalgpt.kernels.collector import collect_again, put_off_collecting
from medicalgpt.models import load as module
from medicalgpt.models.load import load


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    gc.unfreeze()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_was_set_comes_back() -> None:
    gc.set_threshold(800, 11, 12)
    put_off_collecting()
    put_off_collecting()
    assert gc.get_threshold()[0] > 10_000
    collect_again()
    assert gc.get_threshold() == (800, 11, 12)
    assert gc.get_freeze_count() > 10_000
    gc.unfreeze()
    collect_again()
    assert gc.get_freeze_count() == 0  # nobody had put it off


def test_loading_a_model_ends_it_and_the_model_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tiny(tmp_path)
    seen = []
    build = module.load_base
    monkeypatch.setattr(
        module, "load_base", lambda *given, **more: (seen.append(gc.get_threshold()), build(*given, **more))[1]
    )
    before = gc.get_threshold()
    load(ModelConfig(base=str(tmp_path)))
    assert gc.get_freeze_count() == 0
    put_off_collecting()
    loaded = load(ModelConfig(base=str(tmp_path)), lora=LoraConfig())
    assert seen == [before, before]  # the second time, too: what is made from there on can be freed
    assert gc.get_freeze_count() > 10_000
    weight = weakref.ref(next(iter(loaded.model.parameters())))
    del loaded
    gc.collect()
    assert weight() is None


def test_the_command_puts_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(cli, "app", lambda **_: seen.append(gc.get_threshold()[0]))
    cli.main()
    assert seen[0] > 10_000


def test_it_needs_no_torch() -> None:
    code = "import sys, medicalgpt.kernels.collector; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ, timeout=60)
