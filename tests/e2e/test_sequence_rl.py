"""Updates whose rows are shared by processes are those of one process, to the last digits of float64."""

from pathlib import Path

import pytest
from tests.numerics import EXACT
from tests.ranks import Done, Job, run
from tests.rl import words
from tests.stages import Bench, largest_gap, metrics, weights
from tests.tiny import save_tiny

FULL, CHECKPOINTED = "lora.enabled=false", "train.gradient_checkpointing=true"
FAST = "train.learning_rate=1e-2"

WAYS: dict[str, tuple[str, ...]] = {
    "ppo": ("ppo",),
    "ppo-full": ("ppo", FULL, CHECKPOINTED),
    "grpo": ("grpo", "objective.minibatches=2"),
    "rloo": ("rloo",),
    "distill": ("distill",),
}
SHARED = [(way, 2) for way in WAYS] + [("ppo", 4), ("grpo", 4)]  # four: two groups of two
BOTH = ["ppo", "ppo-full", "grpo", "distill"]  # the processes that share a row hold parts of the model as well
CLOCK = ("seconds", "rollout_share", "tokens_per_second")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared-updates")


@pytest.fixture(scope="module")
def done(_bench: Bench, folder: Path) -> dict[str, Done]:
    """All runs, one after another in one process that forks."""
    teacher = save_tiny(folder / "teacher", "qwen3")

    def job(way: str, world: int, *parts: str) -> Job:
        stage, *more = WAYS[way]
        name, shared = " ".join((way, str(world), *parts)), f"distributed.sequence={min(world, 2)}"
        divided = [f"distributed.{part}" for part in parts]
        asked = words(_bench, stage, folder / name, FAST, *more, shared, *divided)
        if stage == "distill":
            asked = [word for word in asked if not word.startswith("reward.")] + [f"objective.teacher={teacher}"]
        return Job(name, world, asked, env={"MEDICALGPT_CACHE": str(folder / "cache")})

    jobs = [job(way, world) for way, world in [(way, 1) for way in WAYS] + SHARED]
    jobs += [job(way, 2, "shard=full") for way in BOTH]
    jobs += [job("ppo", 4, "shard=full"), job("ppo-full", 4, "shard=hybrid", "replicate=2")]
    return run(jobs)


@pytest.mark.slow
@pytest.mark.parametrize(("way", "world"), SHARED)
def test_updates_with_shared_rows_are_those_of_one_process(
    done: dict[str, Done], folder: Path, way: str, world: int
) -> None:
    assert_same(done, folder, f"{way} {world}", f"{way} 1")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [*(f"{way} 2 shard=full" for way in BOTH), "ppo 4 shard=full", "ppo-full 4 shard=hybrid replicate=2"]
)
def test_processes_that_share_rows_may_divide_the_model_as_well(done: dict[str, Done], folder: Path, name: str) -> None:
    assert "sharded: each process holds 1/" in done[name].said[0], done[name].said
    assert_same(done, folder, name, f"{name.split()[0]} 1")


def assert_same(done: dict[str, Done], folder: Path, name: str, single: str) -> None:
    world = len(done[name].codes)
    assert (done[single].codes, done[name].codes) == ([0], [0] * world), done[name].said
    assert "each row of an update on 2 processes" in done[name].said[0]
    for mine, theirs in zip(metrics(folder / name), metrics(folder / single), strict=True):
        assert mine.keys() == theirs.keys()
        same = [key for key in mine if not key.endswith(CLOCK)]
        assert {k: mine[k] for k in same} == pytest.approx({k: theirs[k] for k in same}, rel=EXACT, abs=EXACT)
    assert largest_gap(weights(folder / name), weights(folder / single)) < EXACT
