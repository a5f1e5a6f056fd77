"""`medicalgpt config …`, the error handler and the speed of `--help`, through the real command."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import medicalgpt
from medicalgpt.cli import COMMANDS, GROUPS, app
from medicalgpt.config.loader import load
from medicalgpt.config.stages import SftConfig
from medicalgpt.errors import RunError

GOOD = "data:\n  train: [a.jsonl]\noutput_dir: runs/x\n"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "sft.yaml"
    path.write_text(GOOD)
    return path


def run(*words: str):
    return CliRunner().invoke(app, list(words))


def test_validate_says_ok(good: Path) -> None:
    result = run("config", "validate", "sft", str(good), "train.seed=3")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"ok: {good} is a valid sft config (3 keys set, ")


def test_validate_prints_all_problems_without_a_traceback(good: Path) -> None:
    result = run("config", "validate", "sft", str(good), "train.sed=3", "lora.rank=x")
    assert result.exit_code == 2
    assert result.stdout == ""
    first, second = result.stderr.splitlines()
    assert first.startswith("error: override 'lora.rank=x': lora.rank is")
    assert second == "       override 'train.sed=3': unknown key 'train.sed'; did you mean 'train.seed'?"


def test_resolve_prints_what_loads_back_equal(good: Path, tmp_path: Path) -> None:
    result = run("config", "resolve", "sft", str(good), "train.seed=3")
    assert result.exit_code == 0
    assert "  seed: 3  # override\n" in result.stdout
    assert f"output_dir: runs/x  # {good}:3\n" in result.stdout
    (tmp_path / "again.yaml").write_text(result.stdout)
    again = load(SftConfig, tmp_path / "again.yaml", [])
    assert again.value == load(SftConfig, good, ["train.seed=3"]).value


def test_explain_filters_by_name_and_meaning() -> None:
    lines = run("config", "explain", "dpo", "--filter", "REFERENCE").stdout.splitlines()
    assert {line.split(":")[0] for line in lines} >= {"objective.beta", "objective.reference"}
    assert not [line for line in lines if line.startswith("lora.rank")]
    assert len(run("config", "explain", "dpo").stdout.splitlines()) > len(lines)


def test_explain_with_a_filter_that_fits_nothing() -> None:
    result = run("config", "explain", "sft", "--filter", "zzz")
    assert result.exit_code == 2
    assert "no key of stage 'sft' contains 'zzz'" in result.stderr


@pytest.mark.parametrize("words", [("explain", "sftt"), ("validate", "sftt", "x"), ("resolve", "sftt", "x")])
def test_unknown_stage_suggests(words: tuple[str, ...]) -> None:
    result = run("config", *words)
    assert result.exit_code == 2
    assert (
        result.stderr
        == "error: unknown stage 'sftt'; stages are pt, sft, dpo, orpo, simpo, kto, rm, ppo, rloo, grpo, distill; did you mean 'sft'?\n"
    )


def test_unknown_command_suggests() -> None:
    result = run("confg")
    assert result.exit_code == 2
    assert "Did you mean 'config'?" in result.stderr


def failing(error: BaseException):
    """The real app with one more command, which raises."""
    outer = typer.Typer(cls=app.info.cls, pretty_exceptions_enable=False)

    @outer.command()
    def fail() -> None:
        raise error

    @outer.command()
    def other() -> None:
        """A second command makes this a group, as the real app is."""

    return CliRunner().invoke(outer, ["fail"], color=True)


def test_our_errors_are_red_and_exit_with_2() -> None:
    result = failing(RunError("first\nsecond"))
    assert result.exit_code == 2
    assert result.stderr == "\x1b[31merror: first\n       second\x1b[0m\n"


def test_ctrl_c_exits_with_130() -> None:
    result = failing(KeyboardInterrupt())
    assert result.exit_code == 130
    assert "interrupted" in result.stderr


def test_other_exceptions_are_bugs_and_stay_visible() -> None:
    error = failing(ZeroDivisionError("bug")).exception
    assert isinstance(error, ZeroDivisionError)


def test_version_is_that_of_the_project() -> None:
    pyproject = Path(__file__).resolve().parents[3] / "pyproject.toml"
    (declared,) = re.findall(r'^version = "(.+)"$', pyproject.read_text(), flags=re.M)
    assert medicalgpt.__version__ == declared
    assert run("--version").stdout == f"medicalgpt {declared}\n"


def test_help_lists_every_registered_command() -> None:
    shown = run("--help").stdout
    assert [name for name in [*GROUPS, *COMMANDS] if name not in shown] == []
    for name in GROUPS:
        assert run(name, "--help").exit_code == 0


def test_the_command_line_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from medicalgpt.cli import app\n"
        "from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "heavy = {'torch', 'transformers', 'peft', 'accelerate', 'numpy', 'pandas', 'pyarrow', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_module_runs_as_the_command_and_ends_with_the_right_code() -> None:
    words = [sys.executable, "-m", "medicalgpt", "config", "explain", "nope"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert (
        done.stderr
        == "error: unknown stage 'nope'; stages are pt, sft, dpo, orpo, simpo, kto, rm, ppo, rloo, grpo, distill\n"
    )
