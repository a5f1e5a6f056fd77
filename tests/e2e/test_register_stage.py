"""A stage from a file in a user's folder: trained, explained, interrupted and resumed, and one of a pipeline's stages."""

import json
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests import rl
from tests.e2e.test_resume import during
from tests.stages import SMALL, Bench, column, largest_gap, manifest, preferences, stages_as_before, weights, write
from typer.testing import CliRunner, Result

from medicalgpt.cli import app
from medicalgpt.config.stages import STAGES as CONFIGS
from medicalgpt.config.stages import RlooConfig
from medicalgpt.errors import ConfigError
from medicalgpt.objectives.rloo import LeaveOneOut
from medicalgpt.runs.hashes import hash_file
from medicalgpt.training.plugins import load_plugins
from medicalgpt.training.stages import STAGES, register_stage, unregister_stage

SLIC = Path(__file__).resolve().parents[2] / "examples" / "plugins" / "slic.py"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    with stages_as_before():
        yield
    for name in [name for name in sys.modules if name.startswith("medicalgpt_plugin_")]:
        del sys.modules[name]


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    return Path(shutil.copy(SLIC, folder / "slic.py"))


def words(bench: Bench, out: Path, *overrides: str) -> list[str]:
    _, *rest = bench.words("dpo", out, "train.max_steps=3", "train.save_every=1", "train.warmup=0", *overrides)
    return ["slic", *rest]


def invoke(*parts: object) -> Result:
    return CliRunner().invoke(app, [str(part) for part in parts])


def test_it_is_unknown_before_its_file_is_named(bench: Bench, tmp_path: Path) -> None:
    done = invoke("train", *words(bench, tmp_path / "run"))
    assert done.exit_code == 2
    assert "unknown stage 'slic'; stages are pt, sft" in done.stderr


def test_it_is_explained_and_checked_as_any_stage(plugin: Path, tmp_path: Path) -> None:
    done = invoke("config", "explain", "slic", "--plugin", plugin)
    assert done.exit_code == 0, done.output
    assert "objective.margin: number (≥ 0), default 1.0." in done.stdout
    file = write(tmp_path / "slic.yaml", [])
    file.write_text("data: {train: [a]}\noutput_dir: o\nobjective: {margni: 2}\n", encoding="utf-8")
    done = invoke("config", "validate", "slic", file, "--plugin", plugin)
    assert done.exit_code == 2
    assert "slic.yaml:3: unknown key 'objective.margni'; did you mean 'objective.margin'?" in done.stderr.replace(
        "\n       ", " "
    )


def test_it_learns_and_its_file_is_part_of_the_record(bench: Bench, plugin: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = invoke("train", *words(bench, run, "train.learning_rate=0.01"), "--plugin", plugin)
    assert done.exit_code == 0, done.output
    losses = column(run, "train/loss")
    assert len(losses) == 3
    assert column(run, "eval/loss")[-1] < column(run, "eval/loss")[0]
    assert manifest(run)["stage"] == "slic"
    assert manifest(run)["hashes"]["plugins"] == {"plugin slic.py": hash_file(plugin)}
    assert (
        "finished already" in invoke("train", *words(bench, run, "train.learning_rate=0.01"), "--plugin", plugin).stderr
    )


def test_another_text_of_the_file_is_another_run(bench: Bench, plugin: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert invoke("train", *words(bench, run), "--plugin", plugin).exit_code == 0
    key = manifest(run)["config_key"]
    unregister_stage("slic")
    for name in [name for name in sys.modules if name.startswith("medicalgpt_plugin_")]:
        del sys.modules[name]
    plugin.write_text(plugin.read_text(encoding="utf-8").replace("torch.relu(", "2 * torch.relu("), encoding="utf-8")
    done = invoke("train", *words(bench, run), "--plugin", plugin)
    assert done.exit_code == 2, done.output
    assert invoke("train", *words(bench, tmp_path / "other"), "--plugin", plugin).exit_code == 0
    assert manifest(tmp_path / "other")["config_key"] != key


@pytest.mark.slow
def test_an_interrupted_run_goes_on(bench: Bench, plugin: Path, tmp_path: Path) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert invoke("train", *words(bench, whole), "--plugin", plugin).exit_code == 0
    with pytest.MonkeyPatch.context() as patch:
        during(patch, 2, lambda: signal.raise_signal(signal.SIGINT))
        stopped = invoke("train", *words(bench, run), "--plugin", plugin)
    assert stopped.exit_code == 128 + signal.SIGINT, stopped.output
    assert not (run / "manifest.json").exists()
    done = invoke("train", *words(bench, run), "--plugin", plugin)
    assert done.exit_code == 0, done.output
    assert "resuming from" in done.stderr
    assert largest_gap(weights(run), weights(whole)) == 0.0
    assert column(run, "train/loss") == column(whole, "train/loss")


def test_it_is_one_of_a_pipelines_stages(bench: Bench, plugin: Path, tmp_path: Path) -> None:
    held_out = write(tmp_path / "held-out.jsonl", preferences(4, first=60))
    stage = {
        "name": "mine",
        "stage": "slic",
        "set": dict(w.split("=") for w in SMALL) | {"data.train": [f"{bench.folder}/dpo.jsonl"]},
    }
    stage["set"] = {k: yaml.safe_load(v) if isinstance(v, str) else v for k, v in stage["set"].items()}  # type: ignore[attr-defined]
    content = {
        "plugins": [f"{plugin.parent.name}/slic.py"],  # relative to the pipeline's file
        "output_dir": str(tmp_path / "runs"),
        "base": str(bench.base),
        "stages": [stage],
        "compare": {"preferences": [str(held_out)], "stop_prompts": 0},
    }
    file = tmp_path / "pipeline.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    done = invoke("pipeline", "run", file)
    assert done.exit_code == 0, done.output
    assert list(json.loads((tmp_path / "runs" / "summary.json").read_text())) == ["base", "mine"]
    assert manifest(tmp_path / "runs" / "mine")["stage"] == "slic"
    again = invoke("pipeline", "run", file)
    assert "nothing to do" in again.output + again.stderr


def test_a_stage_on_the_models_own_answers(bench: Bench, tmp_path: Path) -> None:
    """Its advantages come from its objective: RLOO's, registered under another name, trains what RLOO trains."""

    class Mine(RlooConfig):
        pass

    register_stage("mine", Mine, lambda config: LeaveOneOut(config.objective.clip, config.objective.clip))
    for stage in ("mine", "rloo"):
        rl.train(bench, stage, tmp_path / stage, "train.learning_rate=0.01")
    assert largest_gap(weights(tmp_path / "mine"), weights(tmp_path / "rloo")) == 0.0
    assert column(tmp_path / "mine", "train/policy_loss") == column(tmp_path / "rloo", "train/policy_loss")
    assert any(column(tmp_path / "mine", "train/policy_loss"))


# -- what is refused ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "registers no stage; call medicalgpt.extend.register_stage"),
        ("raise RuntimeError('boom')\n", "cannot be imported: RuntimeError: boom"),
        ("import nothing_of_that_name\n", "cannot be imported: ModuleNotFoundError"),
        (
            "from medicalgpt.training.stages import STAGES, register_stage\n"
            "class Mine(STAGES['dpo'].config): ...\n"
            "register_stage('dpo', Mine, STAGES['dpo'].objective)\n",
            r"stage 'dpo' exists already \(DpoConfig\); choose another name than pt, sft",
        ),
        (
            "from medicalgpt.training.stages import STAGES, register_stage\n"
            "class Mine(STAGES['dpo'].config): ...\n"
            "register_stage('mine', Mine, STAGES['dpo'].objective)\n"
            "register_stage('mine', Mine, STAGES['dpo'].objective)\n",
            r"stage 'mine' exists already \(Mine\)",
        ),
    ],
)
def test_a_file_that_is_no_plugin(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text(text, encoding="utf-8")
    known = list(STAGES)
    with pytest.raises(ConfigError, match=message):
        load_plugins([file])
    assert list(STAGES) == list(CONFIGS) == known, "nothing is left behind"


@pytest.mark.parametrize("name", ["nowhere.py", "slic.txt"])
def test_a_file_that_is_not_there(name: str, tmp_path: Path) -> None:
    (tmp_path / "slic.txt").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"plugin .*{name}: there is no such \.py file"):
        load_plugins([tmp_path / name])


def test_wrong_parts_of_a_stage() -> None:
    stage = STAGES["dpo"]
    with pytest.raises(ConfigError, match="stage name 'My Stage': write small letters"):
        register_stage("My Stage", stage.config, stage.objective)
    with pytest.raises(ConfigError, match="belongs to stage 'dpo'; write a subclass"):
        register_stage("mine", stage.config, stage.objective)
    with pytest.raises(ConfigError, match="is no config class; write a subclass of"):
        register_stage("mine", dict, stage.objective)  # type: ignore[type-var]
    with pytest.raises(ConfigError, match="is no function from a config to its objective"):
        register_stage("mine", type("Mine", (stage.config,), {}), None)  # type: ignore[arg-type]


def test_a_factory_that_returns_something_else(bench: Bench, tmp_path: Path) -> None:
    register_stage("mine", type("Mine", (STAGES["dpo"].config,), {}), lambda config: "a loss")  # type: ignore[arg-type, return-value]
    _, *rest = bench.words("dpo", tmp_path / "run")
    done = invoke("train", "mine", *rest)
    assert done.exit_code == 2
    assert "its factory returned str" in done.stderr
