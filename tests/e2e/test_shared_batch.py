"""Two processes under torchrun (gloo, CPU) answer a file as one does: same rows, same order, whoever dies in between."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.stages import child, write
from tests.tiny import save_tiny

ROOT = Path(__file__).resolve().parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
DYING = str(Path(__file__).with_name("dying_rank.py"))
ROWS = [{"id": i, "prompt": f"What helps with fever {i}? " * (1 + i % 3)} for i in range(38)]


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, env=child(), cwd=ROOT, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, a file of questions, and the answers of one process."""
    folder = tmp_path_factory.mktemp("batch")
    save_tiny(folder / "base")
    write(folder / "in.jsonl", ROWS)
    done = run(sys.executable, "inference.py", *script_words(folder, folder / "alone.jsonl", "--eval_batch_size"))
    assert done.returncode == 0, done.stderr
    return folder


def script_words(folder: Path, target: Path, batch_flag: str) -> list[str]:
    """Greedy answers, and parts of four rows."""
    model = ["--model_type", "llama", "--base_model", str(folder / "base"), "--only_cpu"]
    files = ["--data_file", str(folder / "in.jsonl"), "--output_file", str(target)]
    return [*model, *files, "--temperature", "0", "--max_new_tokens", "8", batch_flag, "1"]


def command_words(folder: Path, target: Path) -> list[str]:
    """The same by `medicalgpt generate`."""
    files = ["--input", str(folder / "in.jsonl"), "--output", str(target)]
    return ["generate", "--model", str(folder / "base"), *files, "--max-new-tokens", "8", "--batch-size", "1"]


def demo(folder: Path, target: Path) -> "subprocess.CompletedProcess[str]":
    return run(*TORCHRUN, "inference_multigpu_demo.py", *script_words(folder, target, "--batch_size"))


def test_two_processes_write_what_one_does(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    done = demo(folder, target)
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == (folder / "alone.jsonl").read_bytes()
    assert done.stdout.count("38 rows →") == 1, "one process speaks for both"
    assert done.stderr.count("shared by 2 processes") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.slow
def test_a_killed_rank_loses_and_doubles_nothing(folder: Path, tmp_path: Path) -> None:
    target, whole = tmp_path / "out.jsonl", (folder / "alone.jsonl").read_bytes()
    words = command_words(folder, target)
    done = run(*TORCHRUN, DYING, str(tmp_path / "mark"), *words)
    assert done.returncode != 0
    assert not target.exists()
    written = target.with_name("out.jsonl.partial").read_bytes()
    assert whole.startswith(written)
    assert 0 < written.count(b"\n") < 38
    done = run(*TORCHRUN, "-m", "medicalgpt", *words, "--resume")
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == whole
    assert f"({written.count(bytes([10]))} of them from an earlier call)" in done.stdout


@pytest.mark.parametrize(
    "words",
    [["--base_model", "nowhere"], ["--singletune"]],
    ids=["what all find out together", "what each finds out alone"],
)
def test_an_error_of_all_processes_is_said_once(tmp_path: Path, words: list[str]) -> None:
    output = ["--output_file", str(tmp_path / "out.jsonl")]
    done = run(*TORCHRUN, "inference_multigpu_demo.py", *words, *output)
    assert done.returncode != 0
    assert done.stderr.count("error: ") == 1


@pytest.mark.slow
def test_questions_of_ours_are_shared_as_well(folder: Path, tmp_path: Path) -> None:
    words = ["--base_model", str(folder / "base"), "--max_new_tokens", "4"]
    alone, both = tmp_path / "alone.jsonl", tmp_path / "both.jsonl"
    for start, script, target in (
        ([sys.executable], "inference.py", alone),
        (TORCHRUN, "inference_multigpu_demo.py", both),
    ):
        done = run(*start, script, *words, "--output_file", str(target))
        assert done.returncode == 0, done.stderr
    assert alone.read_bytes() == both.read_bytes()
    assert {tuple(json.loads(line)) for line in alone.read_text(encoding="utf-8").splitlines()} == {("Input", "Output")}


@pytest.mark.slow
def test_torchrun_restarts_by_itself(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    words = command_words(folder, target)
    done = run(*TORCHRUN, "--max_restarts", "1", DYING, str(tmp_path / "mark"), *words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mark").exists()
    assert "of them from an earlier call" in done.stdout
    assert target.read_bytes() == (folder / "alone.jsonl").read_bytes()


@pytest.mark.slow
def test_bad_input_is_said_once(folder: Path, tmp_path: Path) -> None:
    words = script_words(folder, tmp_path / "out.jsonl", "--batch_size")
    words[words.index("--data_file") + 1] = str(tmp_path / "gone.jsonl")
    done = run(*TORCHRUN, "inference_multigpu_demo.py", *words)
    assert done.returncode != 0
    assert done.stderr.count("gone.jsonl: no such file") == 1
    assert "[rank" not in done.stderr, "a process died with a traceback"
