"""Two versions of the package and one run folder: words may change between them, numbers of an unfinished run may not."""

import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.stages import Bench, child, command, dialogues, largest_gap, manifest, metrics, weights, write
from transformers import TrainerCallback

import medicalgpt
from medicalgpt.pipeline.run import run_pipeline
from medicalgpt.training.supervised import trainer

pytestmark = pytest.mark.slow  # four runs in processes of their own


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Copies of the package: one with other words and another version number, one with another number in a loss."""
    folder = tmp_path_factory.mktemp("versions")
    changes = {
        "words": [("serve/web/texts.py", r"Every word on the page", "Each word on the page"),
                  ("__init__.py", r'__version__ = "[^"]+"', '__version__ = "0.99.1"')],
        "numbers": [("objectives/language.py", r"batch\.weights\.sum\(\)", "(batch.weights.sum() * 1.5)"),
                    ("__init__.py", r'__version__ = "[^"]+"', '__version__ = "0.99.2"')],
    }  # fmt: skip
    for name, edits in changes.items():
        copy = folder / name / "medicalgpt"
        source = Path(medicalgpt.__file__).parent
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        for file, old, new in edits:
            text, count = re.subn(old, new, (copy / file).read_text(encoding="utf-8"))
            assert count == 1, f"{file} has no {old} any more; change another place"
            (copy / file).write_text(text, encoding="utf-8")
    return {name: folder / name for name in changes}


def run(version: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """A command of that version, in a process of its own."""
    env = child(PYTHONPATH=str(version), PYTHONDONTWRITEBYTECODE="1")
    return subprocess.run(command(*words), env=env, capture_output=True, text=True, timeout=240)


def interrupt(bench: Bench, out: Path) -> None:
    """A run of this version that Ctrl-C stops during its second step of three."""

    class Stop(TrainerCallback):
        def on_step_begin(self, args: object, state: object, control: object, **_: object) -> None:
            if getattr(state, "global_step") == 1:  # noqa: B009 - transformers' state has no type
                signal.raise_signal(signal.SIGINT)

    init = trainer.StageTrainer.__init__

    def stopping(self: trainer.StageTrainer, *args: object, **kwargs: object) -> None:
        init(self, *args, **kwargs)  # type: ignore[arg-type]
        self.add_callback(Stop())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.StageTrainer, "__init__", stopping)
        assert bench.train("sft", out, "train.max_steps=3").status == "interrupted"


def test_other_words_continue_a_run_and_other_numbers_do_not(
    bench: Bench, tmp_path: Path, versions: dict[str, Path], no_figures: None
) -> None:
    bench.train("sft", tmp_path / "straight", "train.max_steps=3")
    interrupt(bench, tmp_path / "run")
    begun = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir() if p.is_file() and p.name != ".lock"}
    words = bench.words("sft", tmp_path / "run", "train.max_steps=3")

    refused = run(versions["numbers"], "train", *words)
    assert refused.returncode == 2, refused.stderr
    said = " ".join(refused.stderr.split())
    assert f"medicalgpt {medicalgpt.__version__} began it and the code that makes the numbers" in said
    assert "Finish it with that version, choose another output_dir, or remove the folder" in said
    assert begun == {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir() if p.is_file() and p.name != ".lock"}

    done = run(versions["words"], "train", *words)
    assert done.returncode == 0, done.stderr
    assert "resuming from" in done.stderr
    assert manifest(tmp_path / "run")["versions"]["medicalgpt"] == "0.99.1"
    assert largest_gap(weights(tmp_path / "run"), weights(tmp_path / "straight")) == 0.0
    assert metrics(tmp_path / "run") == metrics(tmp_path / "straight")


def test_a_finished_pipeline_stays_finished(
    bench: Bench, tmp_path: Path, versions: dict[str, Path], no_figures: None
) -> None:
    held_out = write(tmp_path / "held.jsonl", dialogues(4, first=60))
    values = {"data.train": [f"{bench.folder / 'sft'}.jsonl"], "train.max_steps": 1, "train.sample_count": 0}
    values |= {"data.max_tokens": 64, "train.row_tokens": 64, "train.tokens_per_step": 64, "model.dtype": "float32"}
    content = {
        "output_dir": str(tmp_path / "runs"),
        "base": str(bench.base),
        "stages": [{"name": "sft", "stage": "sft", "set": values}],
        "compare": {"dialogues": [str(held_out)], "stop_prompts": 1, "stop_tokens": 2, "questions": []},
    }
    file = tmp_path / "pipeline.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    run_pipeline(str(file))
    finished = (tmp_path / "runs" / "sft" / "manifest.json").read_bytes()
    summary = (tmp_path / "runs" / "summary.json").read_bytes()

    for name, note in (("words", False), ("numbers", True)):
        again = run(versions[name], "pipeline", "run", str(file))
        assert again.returncode == 0, again.stderr
        assert again.stderr.count("is finished already; nothing to do") == 1
        assert again.stderr.count("whose code for the numbers is another") == note
        assert (tmp_path / "runs" / "sft" / "manifest.json").read_bytes() == finished
        assert (tmp_path / "runs" / "summary.json").read_bytes() == summary
