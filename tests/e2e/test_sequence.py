"""A run whose rows are shared by processes (Ulysses over gloo) is the run of one process, to the last digits of float64."""

from pathlib import Path

import pytest
from tests.numerics import EXACT
from tests.ranks import Done, Job, assert_gone_on, run
from tests.stages import Bench, assert_no_other_run, column, largest_gap, manifest, metrics, weights
from tests.tiny import save_tiny

OPTIONS = ("train.tokens_per_step=256", "train.max_steps=4", "train.save_every=1", "train.keep_checkpoints=4")
FULL = "lora.enabled=false"
FAST = "train.learning_rate=1e-2"  # so that the policy leaves its reference
SAMPLES = ("train.sample_count=2", "train.sample_every=2", "train.sample_tokens=4")
CHECKPOINTED = "train.gradient_checkpointing=true"

# A model, a stage and its words. All models have 4 attention heads and 2 key heads, which 4 processes must repeat.
WAYS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "pt": ("llama", "pt", (FULL,)),
    "sft": ("qwen2", "sft", SAMPLES),
    "sft-full": ("qwen3", "sft", (FULL, CHECKPOINTED)),
    "window": ("mistral", "sft", (FULL,)),
    "cap": ("gemma2", "dpo", (FAST, CHECKPOINTED)),
    "windows": ("gemma3", "dpo", (FAST, FULL, "objective.reference=model")),
    "dpo-cached": ("qwen2", "dpo", (FAST, FULL, "objective.reference=cached")),
    "kto": ("llama", "kto", (FAST,)),
    "orpo": ("llama", "orpo", (CHECKPOINTED,)),
    "simpo": ("qwen3", "simpo", (FULL,)),
    "rm": ("llama", "rm", (FULL,)),
    "rm-lora": ("qwen2", "rm", ()),
    "pt-lora": ("llama", "pt", (CHECKPOINTED,)),
    "best": ("llama", "sft", (FAST, "train.eval_every=1", "train.keep_best=eval/loss")),
    "head": ("llama", "sft", ('lora.target_modules=["q_proj","lm_head"]',)),
}
FOUR = ("sft-full", "window", "cap", "kto", "rm-lora")  # on four processes, too
SHARED = [(way, 2) for way in WAYS] + [(way, 4) for way in FOUR]

# Beside shared rows: two groups of two, and models that are divided.
OTHERS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "two groups": ("sft-full", 4, ("distributed.sequence=2",)),
    "divided": ("sft-full", 2, ("distributed.sequence=2", "distributed.shard=full")),
    "divided dpo": ("cap", 4, ("distributed.sequence=2", "distributed.shard=full")),
    "divided reference": ("windows", 2, ("distributed.sequence=2", "distributed.shard=full")),
    "copies": (
        "sft-full",
        4,
        ("distributed.sequence=2", "distributed.shard=hybrid", "distributed.replicate=2", "distributed.reduce=step"),
    ),
    "divided rm": ("rm", 2, ("distributed.sequence=2", "distributed.shard=full")),
    "divided kto": ("kto", 4, ("distributed.sequence=2", "distributed.shard=full")),
}

# Shorter types, and how far their first numbers may be apart.
SHORT: dict[str, tuple[str, ...]] = {
    "nf4": ("quantization=nf4", CHECKPOINTED),
    "bf16": (FULL, "model.dtype=auto"),
}
GAPS = {"nf4": 2e-6, "bf16": 0.05}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared-rows")


@pytest.fixture(scope="module")
def bases(folder: Path) -> dict[str, Path]:
    return {kind: save_tiny(folder / kind, kind) for kind in ("llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3")}


@pytest.fixture(scope="module")
def done(_bench: Bench, folder: Path, bases: dict[str, Path]) -> dict[str, Done]:
    """All runs of the slow tests, one after another in one process that forks."""

    def job(name: str, way: str, world: int, *more: str, out: str | None = None, **settings: object) -> Job:
        kind, stage, words = WAYS[way]
        place = folder / "runs" / (out or name)
        settings.setdefault("env", {"MEDICALGPT_CACHE": str(folder / f"cache-{out or name}")})
        base = f"model.base={bases[kind]}"
        return Job(name, world, _bench.words(stage, place, *OPTIONS, base, *words, *more), **settings)  # type: ignore[arg-type]

    jobs = [job(f"{way} 1", way, 1) for way in WAYS]
    jobs += [job(f"{way} {n}", way, n, f"distributed.sequence={n}") for way, n in SHARED]
    jobs += [job(name, way, world, *more) for name, (way, world, more) in OTHERS.items()]
    for world, n in ((1, 1), (2, 2), (4, 2)):  # killed with shared rows, gone on with others
        jobs += [job(f"dies {world}", "cap", 2, "distributed.sequence=2", out=f"again {world}", die_at=2)]
        jobs += [job(f"goes on {world}", "cap", world, f"distributed.sequence={n}", out=f"again {world}")]
    for kind, more in SHORT.items():
        for n in (1, 2):
            words = ("model.dtype=float32", *more, f"distributed.sequence={n}")
            probe = "bf16_on_this_machine" if kind == "bf16" else None
            jobs += [job(f"{kind} {n}", "pt-lora", n, *words, wide=False, probe=probe)]
    return run(jobs)


def assert_same(found: Path, wanted: Path, gap: float = EXACT) -> None:
    assert len(metrics(found)) == len(metrics(wanted))
    for mine, theirs in zip(metrics(found), metrics(wanted), strict=True):
        assert mine == pytest.approx(theirs, rel=gap, abs=gap)
    assert column(found, "train/tokens") == column(wanted, "train/tokens") != []
    assert largest_gap(weights(found), weights(wanted)) < gap


def test_two_processes_that_share_rows_are_one(bench: Bench, folder: Path) -> None:
    shared = ("distributed.sequence=2",)
    jobs = [
        Job(f"quick {n}", n, bench.words("sft", folder / f"quick {n}", *OPTIONS, FULL, *(shared if n > 1 else ())))
        for n in (1, 2)
    ]
    found = run(jobs)
    assert [found[job.name].codes for job in jobs] == [[0], [0, 0]], found
    assert "batching: tree; each row on 2 processes" in found["quick 2"].said[0]
    assert_same(folder / "quick 2", folder / "quick 1")


@pytest.mark.slow
@pytest.mark.parametrize(("way", "world"), SHARED)
def test_shared_rows_are_one_process(done: dict[str, Done], folder: Path, way: str, world: int) -> None:
    name, single = f"{way} {world}", f"{way} 1"
    assert (done[single].codes, done[name].codes) == ([0], [0] * world), done[name].said
    assert f"each row on {world} processes" in done[name].said[0]
    runs = folder / "runs"
    assert_same(runs / name, runs / single)
    assert_no_other_run(runs / name, runs / single)
    assert manifest(runs / name).get("reward") == pytest.approx(manifest(runs / single).get("reward"))


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_shared_rows_beside_copies_and_parts_of_the_model(done: dict[str, Done], folder: Path, name: str) -> None:
    way, world, words = OTHERS[name]
    assert done[name].codes == [0] * world, done[name].said
    assert "each row on 2 processes" in done[name].said[0]
    assert ("sharded: " in done[name].said[0]) == (len(words) > 1)
    assert_same(folder / "runs" / name, folder / "runs" / f"{way} 1")


@pytest.mark.slow
@pytest.mark.parametrize("world", [1, 2, 4])
def test_killed_with_shared_rows_and_gone_on_with(done: dict[str, Done], folder: Path, world: int) -> None:
    assert_gone_on(done, world)
    assert_same(folder / "runs" / f"again {world}", folder / "runs" / "cap 1")


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHORT)
def test_shared_rows_in_shorter_types_start_alike(done: dict[str, Done], folder: Path, kind: str) -> None:
    """Numbers of the first step: what AdamW makes of rounding after that is no measure (tests/numerics.py)."""
    assert (done[f"{kind} 1"].codes, done[f"{kind} 2"].codes) == ([0], [0, 0]), done[f"{kind} 2"].said
    for name in ("train/loss", "train/grad_norm", "eval/loss"):
        pair, single = (column(folder / "runs" / f"{kind} {n}", name) for n in (2, 1))
        assert pair[0] == pytest.approx(single[0], rel=GAPS[kind]), name
