"""An adapter finds its base from every working directory, and after both have moved together."""

import json
import os
import shutil
from pathlib import Path

import pytest
from tests.tiny import NO_WEIGHTS

from medicalgpt.errors import ModelError
from medicalgpt.hub.address import Address, Hub
from medicalgpt.models.adapter_config import BESIDE, base_name, down_to_base, write_base
from medicalgpt.models.hub import HubModel
from medicalgpt.models.locate import Located, locate


def model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_bytes(NO_WEIGHTS)
    return folder


def adapter(folder: Path, base: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base, "r": 8}))
    (folder / "adapter_model.safetensors").write_bytes(NO_WEIGHTS)
    return folder


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another working directory than the one where training was started."""
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    return tmp_path / "away"


def found(place: Path) -> Path:
    return Path(os.path.realpath(down_to_base(locate(str(place)))[1].folder))


def test_what_is_written_holds_everywhere_and_moves_along(
    tmp_path: Path, away: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where training is started
    model(tmp_path / "project" / "runs" / "pt" / "model")
    run = adapter(tmp_path / "project" / "runs" / "sft" / "model", "project/runs/pt/model")
    write_base(run, Located("project/runs/pt/model", "model"))
    assert json.loads((run / "adapter_config.json").read_text()) == {
        "base_model_name_or_path": str(tmp_path / "project/runs/pt/model"),
        "r": 8,
    }
    assert json.loads((run / BESIDE).read_text()) == {"base": "../../pt/model"}
    monkeypatch.chdir(away)
    assert found(run) == tmp_path / "project/runs/pt/model"
    shutil.copytree(tmp_path / "project", tmp_path / "copied")
    assert found(tmp_path / "copied/runs/sft/model") == tmp_path / "copied/runs/pt/model", "the one it was copied with"
    shutil.rmtree(tmp_path / "project")
    assert found(tmp_path / "copied/runs/sft/model") == tmp_path / "copied/runs/pt/model"
    # The adapter alone was moved: its base is where it was.
    write_base(tmp_path / "copied/runs/sft/model", Located(str(tmp_path / "copied/runs/pt/model"), "model"))
    shutil.move(tmp_path / "copied/runs/sft/model", tmp_path / "alone")
    assert found(tmp_path / "alone") == tmp_path / "copied/runs/pt/model"


def test_nothing_but_the_home_folder_in_common(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    base, run = model(tmp_path / ".cache" / "base"), adapter(tmp_path / "runs" / "sft" / "model", "x")
    write_base(run, Located(str(base), "model"))
    assert not (run / BESIDE).exists()
    assert found(run) == base


@pytest.mark.parametrize(("hub", "name"), [("hf", "org/name"), ("ms", "ms://org/name")])
def test_a_hub_model_keeps_its_name_and_commit(hub: Hub, name: str, tmp_path: Path) -> None:
    run, commit = adapter(tmp_path / "run", "/home/user/.cache/folder"), "a" * 40
    write_base(run, Located("folder", "model", HubModel(Address(hub, "org/name", commit, kind="model"), ())))
    written = json.loads((run / "adapter_config.json").read_text())
    assert (written["base_model_name_or_path"], written["revision"]) == (name, commit)
    assert base_name(Located(str(run), "adapter")) == f"{hub}://org/name@{commit}"
    assert not (run / BESIDE).exists()


@pytest.mark.parametrize("name", ["runs/pt/model", "./runs/pt/model", "base"])
def test_an_older_name_is_found_above_the_adapter(name: str, tmp_path: Path, away: Path) -> None:
    base = model(tmp_path / "project" / name)
    assert found(adapter(tmp_path / "project" / "runs" / "sft" / "model", name)) == base


def test_an_older_name_is_found_from_where_training_was_started(
    tmp_path: Path, away: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, run = model(tmp_path / "work" / "base"), adapter(tmp_path / "elsewhere" / "sft" / "model", "base")
    monkeypatch.chdir(tmp_path / "work")
    assert found(run) == base


def test_an_older_name_that_may_mean_two_folders(tmp_path: Path, away: Path) -> None:
    model(away / "base")
    run = adapter(tmp_path / "runs" / "sft", "base")
    assert found(run) == away / "base"
    model(tmp_path / "runs" / "base")
    with pytest.raises(ModelError, match=r"names its base 'base' without saying from where.*set model\.base"):
        found(run)


def test_the_cache_of_another_machine(tmp_path: Path) -> None:
    place = "/home/nobody/.cache/medicalgpt/models/smollm2-135m"
    assert base_name(Located(str(adapter(tmp_path / "run", place)), "adapter")) == "smollm2-135m"


@pytest.mark.parametrize("text", ["[]", '{"base": 5}', '{"base": ""}', '{"base": "../gone"}', "{}"])
def test_a_note_that_helps_nothing(text: str, tmp_path: Path) -> None:
    base, run = model(tmp_path / "base"), adapter(tmp_path / "run", str(tmp_path / "base"))
    (run / BESIDE).write_text(text)
    if text == "[]":
        with pytest.raises(ModelError, match="must hold a JSON object"):
            found(run)
    else:
        assert found(run) == base
