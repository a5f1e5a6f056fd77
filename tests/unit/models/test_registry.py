"""The table of embedded models, the cache folder and the `models` command."""

import json
import re

import pytest
from typer.testing import CliRunner

from medicalgpt.cli.models import app
from medicalgpt.disk.cache import cache_root
from medicalgpt.errors import ModelError
from medicalgpt.models.embedded.registry import (
    EMBEDDED,
    ORIGIN_FILE,
    RECIPE,
    embedded,
    is_pulled,
    model_folder,
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDICALGPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _pretend_pulled(name, **changes):
    model = EMBEDDED[name]
    model_folder(model).mkdir(parents=True)
    origin = {"gguf_sha256": model.gguf_sha256, "recipe": RECIPE} | changes
    (model_folder(model) / ORIGIN_FILE).write_text(json.dumps(origin))
    return model


def test_cache_folder_comes_from_the_environment_and_is_private(cache):
    assert cache_root() == cache
    assert cache.stat().st_mode & 0o777 == 0o700


def test_cache_folder_defaults_to_the_users_own(tmp_path, monkeypatch):
    monkeypatch.delenv("MEDICALGPT_CACHE", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "medicalgpt"


def test_a_cache_folder_that_cannot_be_made_says_what_to_set(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEDICALGPT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ModelError, match="set MEDICALGPT_CACHE"):
        cache_root()


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ModelError, match=r"'smollm'.*smollm2-135m, gemma3-270m"):
        embedded("smollm")


@pytest.mark.parametrize("model", EMBEDDED.values(), ids=str)
def test_every_entry_is_pinned_and_keeps_padding_apart_from_stopping(model):
    assert model.pad_token not in model.stop_tokens
    assert model.eos_token in model.stop_tokens
    assert model.wheels
    for wheel in model.wheels:
        assert re.fullmatch(r"[0-9a-f]{64}", wheel.sha256)
        assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+", wheel.requirement)
    assert re.fullmatch(r"[0-9a-f]{64}", model.gguf_sha256)


def test_pulled_means_this_file_by_this_recipe(cache):
    assert not is_pulled(EMBEDDED["smollm2-135m"])
    assert is_pulled(_pretend_pulled("smollm2-135m"))
    assert not is_pulled(_pretend_pulled("gemma3-270m", recipe=RECIPE - 1))


def test_a_damaged_origin_file_counts_as_not_pulled(cache):
    model = _pretend_pulled("smollm2-135m")
    (model_folder(model) / ORIGIN_FILE).write_text("{")
    assert not is_pulled(model)


def test_list_shows_license_size_parameters_and_what_is_pulled(cache):
    _pretend_pulled("smollm2-135m")
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    smollm = next(line for line in result.output.splitlines() if line.startswith("smollm2-135m"))
    gemma = next(line for line in result.output.splitlines() if line.startswith("gemma3-270m"))
    assert "Apache-2.0" in smollm
    assert "134.5 M" in smollm
    assert smollm.rstrip().endswith("yes")
    assert "Gemma Terms of Use (to accept)" in gemma
    assert "268.1 M" in gemma
    assert gemma.rstrip().endswith("not yet")
