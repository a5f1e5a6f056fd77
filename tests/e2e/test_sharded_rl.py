"""Stages with rollouts whose models are divided over processes are those of one process, to the last digits of float64."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.numerics import EXACT
from tests.ranks import Done, Job, assert_gone_on, run
from tests.rl import words
from tests.stages import Bench, largest_gap, weights

FULL, SHARD = "lora.enabled=false", "distributed.shard=full"
# Rows so short that the two processes' answers make different numbers of them; a minibatch may leave one process none.
OPTIONS = (
    "train.row_tokens=48",
    "train.max_steps=3",
    "train.save_every=1",
    "train.keep_checkpoints=4",
    "train.eval_every=2",
    "train.learning_rate=3e-3",
    "data.eval_fraction=0.2",
    "rollout.completions=2",
)
PPO = ("objective.entropy=0.01", "objective.critic_warmup=1")
CLOCK = ("seconds", "per_second", "rollout_share")


def ways(folder: Path, base: Path) -> dict[str, tuple[str, ...]]:
    scorer = (f"reward.model={folder / 'rm'}", "reward.allow_weak_model=true")
    teacher = f"objective.teacher={base}"
    return {
        "ppo": ("ppo", *PPO, *scorer),
        "ppo-full": ("ppo", FULL, *PPO, *scorer, "objective.critic_init=reward"),
        "rloo": ("rloo",),
        "rloo-full": ("rloo", FULL),
        "grpo": ("grpo", "rollout.dynamic_sampling=refill"),
        "grpo-full": ("grpo", FULL, "train.batching=padded"),
        "distill": ("distill", teacher),
        "distill-full": ("distill", FULL, teacher, "train.keep_best=eval/score", "train.eval_every=1"),
    }


OTHERS: dict[str, tuple[str, ...]] = {
    "kept layers": ("ppo", "distributed.reshard=false"),
    "one sum an update": ("ppo-full", "distributed.reduce=step"),
}
# Numbers of the first update, in float32: what AdamW makes of rounding after that is no measure (tests/numerics.py).
NARROW: dict[str, tuple[str, ...]] = {
    "nf4": ("ppo", "quantization=nf4"),
    "checkpointed": ("ppo", "train.gradient_checkpointing=true"),
    "checkpointed-full": ("distill-full", "train.gradient_checkpointing=true"),
}
NAMES = tuple(ways(Path(), Path()))


def lines(run: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what depends on the clock."""
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.endswith(CLOCK)} for line in found]


def assert_same(found: Path, wanted: Path) -> None:
    ours, theirs = lines(found), lines(wanted)
    assert [line.keys() for line in ours] == [line.keys() for line in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(other, rel=EXACT, abs=EXACT)
    assert largest_gap(weights(found), weights(wanted)) < EXACT
    told, meant = (
        [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()] for folder in (found, wanted)
    )
    for mine, other in zip(told, meant, strict=True):
        assert mine.pop("score", 0.0) == pytest.approx(other.pop("score", 0.0), rel=EXACT, abs=EXACT)
        assert mine == other


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sharded")


@pytest.fixture(scope="module")
def done(_bench: Bench, folder: Path) -> dict[str, Done]:
    """All runs of the slow tests, one after another in one process that forks."""
    known = ways(folder, _bench.base)
    env = {"MEDICALGPT_CACHE": str(folder / "cache")}

    def job(name: str, way: str, world: int, *more: str, out: str | None = None, **settings: Any) -> Job:
        stage, *own = known[way]
        sharded = (SHARD,) if world > 1 else ()
        settings.setdefault("env", env)
        return Job(
            name,
            world,
            words(_bench, stage, folder / (out or name), *OPTIONS, *own, *sharded, *more),
            **settings,
        )

    jobs = [Job("rm", 1, _bench.words("rm", folder / "rm", "train.max_steps=4"), env=env)]
    jobs += [job(f"{way} {world}", way, world) for way in known for world in (1, 2)]
    jobs += [job(name, way, 2, *more) for name, (way, *more) in OTHERS.items()]
    jobs += [
        job(f"{kind}-{world}", way, world, *more, wide=False)
        for kind, (way, *more) in NARROW.items()
        for world in (1, 2)
    ]
    for world in (1, 2):  # killed with two processes, gone on with others
        jobs += [job(f"dies {world}", "ppo", 2, out=f"again {world}", die_at=2)]
        jobs += [job(f"goes on {world}", "ppo", world, out=f"again {world}")]
    jobs += [job("no room", "grpo", 2, probe="no_room")]
    jobs += [job("auto", "grpo", 2, "distributed.shard=auto", probe="too_large")]
    return run(jobs)


@pytest.mark.slow
@pytest.mark.parametrize("way", NAMES)
def test_two_ranks_are_one(done: dict[str, Done], folder: Path, way: str) -> None:
    assert (done[f"{way} 1"].codes, done[f"{way} 2"].codes) == ([0], [0, 0]), (
        done[f"{way} 1"].said,
        done[f"{way} 2"].said,
    )
    assert "sharded: each process holds 1/2 of it" in done[f"{way} 2"].said[0]
    assert_same(folder / f"{way} 2", folder / f"{way} 1")


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_other_ways_of_dividing_are_one_process_too(done: dict[str, Done], folder: Path, name: str) -> None:
    assert done[name].codes == [0, 0], done[name].said
    assert_same(folder / name, folder / f"{OTHERS[name][0]} 1")


@pytest.mark.slow
@pytest.mark.parametrize("kind", NARROW)
def test_shorter_types_start_alike(done: dict[str, Done], folder: Path, kind: str) -> None:
    pair, single = done[f"{kind}-2"], done[f"{kind}-1"]
    assert (single.codes, pair.codes) == ([0], [0, 0]), (single.said, pair.said)
    ours, theirs = (lines(folder / f"{kind}-{world}")[:2] for world in (2, 1))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(other, rel=2e-4, abs=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("world", [1, 2])
def test_killed_on_two_ranks_and_gone_on_with(done: dict[str, Done], folder: Path, world: int) -> None:
    assert_gone_on(done, world)
    assert_same(folder / f"again {world}", folder / "ppo 1")


@pytest.mark.slow
def test_auto_divides_what_does_not_fit(done: dict[str, Done], folder: Path) -> None:
    assert done["auto"].codes == [0, 0], done["auto"].said
    assert "sharded: each process holds 1/2" in done["auto"].said[0]
    assert_same(folder / "auto", folder / "grpo 1")


@pytest.mark.slow
def test_who_has_no_room_for_rollouts_is_told_of_servers(done: dict[str, Done]) -> None:
    assert done["no room"].codes == [1, 1], done["no room"].said
    assert "rollout.backend=own needs the whole model on every device" in done["no room"].said[0]
    assert "rollout.backend=vllm" in done["no room"].said[0]
