"""The protocol of rollout servers against vLLM itself, on this machine's processor; tests/vllm_server.py stands in for it elsewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.test_rl_resume import lines
from tests.e2e.test_rollout_servers import LEARNS, asks
from tests.real_vllm import needs_vllm, serving
from tests.rl import train
from tests.stages import Bench
from tests.tiny import save_tiny

from medicalgpt.errors import MedicalGPTError

pytestmark = [pytest.mark.slow, needs_vllm]

LORA = ("--enable-lora", "--max-lora-rank", "16")


@pytest.fixture
def wide_bench(bench: Bench, tmp_path: Path) -> Bench:
    """The bench with a base whose heads are as wide as vLLM's kernels for processors want them (32)."""
    return Bench.set_up(tmp_path, hidden_size=128)


@pytest.fixture
def server(wide_bench: Bench, tmp_path: Path) -> Iterator[str]:
    with serving(wide_bench.base, tmp_path / "vllm.log", *LORA) as url:
        yield url


@pytest.mark.parametrize("stage", ["grpo", "ppo"])
def test_answers_that_vllm_draws(stage: str, wide_bench: Bench, server: str, tmp_path: Path, no_figures: None) -> None:
    options = LEARNS if stage == "grpo" else LEARNS[:-1]
    train(wide_bench, stage, tmp_path / "run", *options, *asks(server))
    train(wide_bench, stage, tmp_path / "own", *options)
    found = [line for line in lines(tmp_path / "run") if "train/score" in line]
    assert len(found) == 3
    # Both compute in float32: what is left of the difference is the order of sums, far below what one update changes.
    assert max(line["train/logprob_gap_p99"] for line in found) < 1e-3
    first, own = (next(line for line in lines(tmp_path / name) if "eval/score" in line) for name in ("run", "own"))
    assert first["eval/score"] == pytest.approx(own["eval/score"], abs=1e-3)
    if stage == "grpo":
        kl = [line["train/kl"] for line in found]
        assert kl[0] == pytest.approx(0, abs=1e-3)
        assert abs(kl[2]) > 1e-2, "the adapter of later updates is what vLLM draws from"


def test_a_server_that_goes_away_and_another_that_takes_over(
    wide_bench: Bench, tmp_path: Path, no_figures: None
) -> None:
    options = (*LEARNS, "train.save_every=1", "health.max_logprob_gap=0.01")
    with serving(wide_bench.base, tmp_path / "first.log", *LORA) as first:
        train(wide_bench, "grpo", tmp_path / "run", *options, *asks(first), "train.max_steps=1")
    with pytest.raises(MedicalGPTError, match="cannot be reached"):
        train(wide_bench, "grpo", tmp_path / "run", *options, *asks(first))
    with serving(wide_bench.base, tmp_path / "second.log", *LORA) as second:
        train(wide_bench, "grpo", tmp_path / "run", *options, *asks(second))
    assert [line["step"] for line in lines(tmp_path / "run") if "train/score" in line] == [1, 2, 3]


def test_a_server_without_adapters(wide_bench: Bench, tmp_path: Path, no_figures: None) -> None:
    with (
        serving(wide_bench.base, tmp_path / "vllm.log") as url,
        pytest.raises(MedicalGPTError, match="--enable-lora"),
    ):
        train(wide_bench, "grpo", tmp_path / "run", *LEARNS, *asks(url))


def test_a_server_of_another_base(wide_bench: Bench, tmp_path: Path, no_figures: None) -> None:
    other = save_tiny(tmp_path / "other", hidden_size=128, initializer_range=0.2)
    with (
        serving(other, tmp_path / "vllm.log", *LORA) as url,
        pytest.raises(MedicalGPTError, match=r"not come from the adapter|the answers come from another model"),
    ):
        train(wide_bench, "grpo", tmp_path / "run", *LEARNS, *asks(url), "health.max_logprob_gap=0.01")
