"""PT → SFT → DPO on a tiny model: merged between stages, compared at the end, skipped and continued when run again."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from peft import AutoPeftModelForCausalLM
from tests.marks import quick_and_slow
from tests.stages import SMALL, Bench, Killed, dialogues, documents, manifest, metrics, preferences, probe_logps, write
from transformers import AutoModelForCausalLM, TrainerCallback
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ConfigError, RunError
from medicalgpt.models import load as loading
from medicalgpt.pipeline import run as pipeline
from medicalgpt.training.supervised import trainer

STAGES = ("pt", "sft", "dpo")
KINDS = {"pt": ("documents", documents), "sft": ("dialogues", dialogues), "dpo": ("preferences", preferences)}


def plan(bench: Bench, folder: Path, **changes: Any) -> Path:
    """A pipeline file, its held-out sets and one config that its stages share."""
    small = yaml.safe_load("{" + ", ".join(f"{w.partition('=')[0]}: {w.partition('=')[2]}" for w in SMALL) + "}")
    sections: dict[str, dict[str, Any]] = {}
    for key, value in small.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, {})[name] = value
    (folder / "small.yaml").write_text(yaml.safe_dump(sections))
    held_out = {name: [str(write(folder / f"held-{name}.jsonl", make(4, first=60)))] for name, make in KINDS.values()}
    content = {
        "output_dir": str(folder / "runs"),
        "base": str(bench.base),
        "stages": [
            {
                "name": stage,
                "stage": stage,
                "config": "small.yaml",
                "set": {"data.train": [f"{bench.folder / stage}.jsonl"], "train.save_every": 1, "train.max_steps": 3},
            }
            for stage in STAGES
        ],
        "compare": {**held_out, "stop_prompts": 2, "stop_tokens": 3, "questions": ["What is a fever?"]},
    }
    file = folder / "pipeline.yaml"
    file.write_text(yaml.safe_dump({**content, **changes}, sort_keys=False))
    return file


@pytest.fixture(scope="module")
def chain(_bench: Bench, _cache: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """One finished pipeline: its file and what it printed."""
    file = plan(_bench, tmp_path_factory.mktemp("pipeline"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDICALGPT_CACHE", _cache)
        done = CliRunner().invoke(app, ["pipeline", "run", str(file)])
        assert done.exit_code == 0, done.output
        yield file, done.output


def test_the_summary_compares_every_model(chain: tuple[Path, str]) -> None:
    file, said = chain
    runs = file.parent / "runs"
    results = json.loads((runs / "summary.json").read_text(encoding="utf-8"))
    assert list(results) == ["base", *STAGES]
    wanted = {"document perplexity", "answer loss", "preference accuracy", "preference margin", "stop rate"}
    for name, found in results.items():
        assert set(found["numbers"]) == wanted, name
        assert len(found["answers"]) == 1
        for estimate in found["numbers"].values():
            assert estimate["low"] <= estimate["value"] <= estimate["high"]
    assert results["base"]["numbers"]["answer loss"] != results["sft"]["numbers"]["answer loss"]
    text = (runs / "summary.md").read_text(encoding="utf-8")
    assert "| | base | pt | sft | dpo |" in text
    assert "## What is a fever?" in text
    assert (runs / "loss.png").read_bytes()[:4] == b"\x89PNG"
    assert "before → after each stage" in said
    assert said.strip().endswith(str(runs / "summary.md"))


@pytest.mark.parametrize("stage", STAGES)
def test_merging_changes_no_answer(stage: str, chain: tuple[Path, str]) -> None:
    run = chain[0].parent / "runs" / stage
    certificate = json.loads((run / "merged" / "certificate.json").read_text(encoding="utf-8"))
    assert certificate["max_abs_delta"] <= certificate["tolerance"]["max_abs_delta"]
    adapter = probe_logps(AutoPeftModelForCausalLM.from_pretrained(run / "model"))
    merged = probe_logps(AutoModelForCausalLM.from_pretrained(run / "merged"))
    assert float((adapter - merged).abs().max()) < 1e-4


def test_each_stage_takes_the_one_before(chain: tuple[Path, str], bench: Bench) -> None:
    runs = chain[0].parent / "runs"
    bases = [manifest(runs / stage)["base"] for stage in STAGES]
    assert bases == [str(bench.base), str(runs / "pt" / "merged"), str(runs / "sft" / "merged")]
    parents = [[p["path"] for p in manifest(runs / stage)["parents"]] for stage in STAGES]
    assert parents == [[], ["../pt"], ["../sft"]]


def test_stages_can_be_run_one_by_one(chain: tuple[Path, str], bench: Bench, tmp_path: Path) -> None:
    file = plan(bench, tmp_path)
    one_by_one = pipeline.Pipeline(str(file))
    assert one_by_one.names == list(STAGES)
    with pytest.raises(RunError, match="sft comes after pt, which is not finished; train pt first"):
        one_by_one.train("sft")
    assert not (tmp_path / "runs").exists()
    folder = one_by_one.train("pt")
    assert folder == one_by_one.folder("pt") == tmp_path / "runs" / "pt"
    assert metrics(folder) == metrics(chain[0].parent / "runs" / "pt")
    assert (folder / "merged" / "certificate.json").is_file()
    assert not one_by_one.folder("sft").exists()


def test_comparing_leaves_the_callers_plots_alone_and_is_silent_on_request(
    chain: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("matplotlib.use", lambda *_, **__: pytest.fail("the backend was changed"))
    summary = pipeline.Pipeline(str(chain[0])).compare(show=False)
    assert "| | base | pt | sft | dpo |" in summary.read_text(encoding="utf-8")
    assert "before → after each stage" not in capsys.readouterr().out


def test_a_second_call_trains_and_merges_nothing(
    chain: tuple[Path, str], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a finished stage was touched")

    monkeypatch.setattr(trainer.StageTrainer, "__init__", never)
    monkeypatch.setattr("medicalgpt.export.merge.merge_adapter", never)
    monkeypatch.setattr("medicalgpt.evaluation.compare.score", never)
    monkeypatch.setattr("medicalgpt.models.load.load", never)
    monkeypatch.setattr("medicalgpt.models.load.load_base", never)
    file, _ = chain
    before = (file.parent / "runs" / "summary.json").read_text()
    again = CliRunner().invoke(app, ["pipeline", "run", str(file)])
    assert again.exit_code == 0, again.output
    assert again.stderr.count("is finished already; nothing to do") == 3
    assert (file.parent / "runs" / "summary.json").read_text() == before


def test_the_table_loads_only_the_model_whose_score_is_missing(
    chain: tuple[Path, str], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    load = loading.load

    def counting(model: ModelConfig, *args: Any, **kwargs: Any) -> loading.Loaded:
        loaded.append(model.base)
        return load(model, *args, **kwargs)

    monkeypatch.setattr("medicalgpt.models.load.load", counting)
    runs = chain[0].parent / "runs"
    before = (runs / "summary.json").read_text()
    pipeline.Pipeline(str(chain[0])).compare(show=False)
    assert loaded == []
    score = runs / "scores" / "sft.json"
    score.write_text(score.read_text().replace('"key": "', '"key": "of other weights '))
    pipeline.Pipeline(str(chain[0])).compare(show=False)
    assert loaded == [str(runs / "sft" / "merged")]
    assert (runs / "summary.json").read_text() == before


@pytest.mark.parametrize("end", quick_and_slow(["SIGTERM"], ["killed"]))
def test_a_stage_that_was_stopped_goes_on(
    end: str, chain: tuple[Path, str], bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, runs = plan(bench, tmp_path), tmp_path / "runs"
    words = ["pipeline", "run", str(file)]

    class Stop(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if Path(args.output_dir).name == "sft" and state.global_step == 2:
                if end == "killed":
                    raise Killed
                signal.raise_signal(signal.SIGTERM)

    init = trainer.StageTrainer.__init__

    def stopping(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self.add_callback(Stop())

    with monkeypatch.context() as patch:
        patch.setattr(trainer.StageTrainer, "__init__", stopping)
        if end == "killed":
            with pytest.raises(Killed):
                CliRunner().invoke(app, words, catch_exceptions=False)
        else:  # the signal comes during the last step, which leaves nothing to interrupt: one step more
            stopped = CliRunner().invoke(app, [*words, "sft.train.max_steps=4"])
            assert stopped.exit_code == 128 + signal.SIGTERM, stopped.output
            assert "sft was interrupted and saved (SIGTERM); the same command goes on" in stopped.stderr
            words.append("sft.train.max_steps=4")
    assert (runs / "pt" / "manifest.json").is_file()
    assert not (runs / "sft" / "manifest.json").exists()
    assert not (runs / "dpo").exists()
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert f"{runs / 'pt'} is finished already" in done.stderr
    assert "resuming from" in done.stderr
    if end == "killed":
        for stage in STAGES:
            assert metrics(runs / stage) == metrics(chain[0].parent / "runs" / stage)


# -- overrides and mistakes ---------------------------------------------------------------------------------------------
def stages_of(file: Path, *overrides: str) -> dict[str, Any]:
    """The stages' configs as the pipeline would run them."""
    resolved, per_stage = pipeline.split_overrides(str(file), overrides)
    places = {"base": resolved.value.base}
    return {
        entry.name: pipeline._stage_config(entry, str(file), resolved.value, per_stage[entry.name], places).value
        for entry in resolved.value.stages
    }


def test_overrides_reach_the_pipeline_and_its_stages(bench: Bench, tmp_path: Path) -> None:
    file = plan(bench, tmp_path)
    stages = stages_of(
        file, "sft.train.max_steps=7", "output_dir=elsewhere", "base=gemma3-270m", "dpo.lora.enabled=false"
    )
    assert {name: s.train.max_steps for name, s in stages.items()} == {"pt": 3, "sft": 7, "dpo": 3}
    assert [s.output_dir for s in stages.values()] == [str(Path("elsewhere", name)) for name in STAGES]
    assert [s.model.base for s in stages.values()] == ["gemma3-270m", "elsewhere/pt/merged", "elsewhere/sft/merged"]
    skipped = stages_of(file, "dpo.model.base=${pt}")
    assert skipped["dpo"].model.base == str(tmp_path / "runs" / "pt" / "merged")
    full = stages_of(file, "pt.lora.enabled=false")
    assert full["sft"].model.base == str(tmp_path / "runs" / "pt" / "model"), "a fully trained stage needs no merging"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sft.model.base=${sfft}", r"stage sft: \$\{sfft\} is not known here; known are base, pt"),
        ("sft.train.max_step=3", "did you mean 'train.max_steps'"),
        ("sfft.train.max_steps=3", "sfft"),
        ("compare.row=3", "did you mean 'compare.rows'"),
    ],
)
def test_a_wrong_override_is_refused_before_any_training(
    override: str, message: str, bench: Bench, tmp_path: Path
) -> None:
    file = plan(bench, tmp_path)
    result = CliRunner().invoke(app, ["pipeline", "run", str(file), override])
    assert result.exit_code == 2, result.output
    with pytest.raises(ConfigError, match=message):
        raise ConfigError(" ".join(result.stderr.split()))
    assert not (tmp_path / "runs").exists()


def test_an_unknown_model_in_the_file_names_those_that_exist(bench: Bench, tmp_path: Path) -> None:
    stages = [
        {"name": "one", "stage": "sft", "set": {"data.train": ["a.jsonl"], "model.base": "${two}"}},
        {"name": "two", "stage": "sft", "set": {"data.train": ["a.jsonl"]}},
    ]
    with pytest.raises(ConfigError, match=r"stage one: \$\{two\} is not known here; known are base \(only earlier"):
        pipeline.run_pipeline(str(plan(bench, tmp_path, stages=stages)))
    twice = [stages[1], stages[1]]
    with pytest.raises(ConfigError, match=r"distinct.*two"):
        pipeline.run_pipeline(str(plan(bench, tmp_path, stages=twice)))
