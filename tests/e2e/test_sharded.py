"""A run whose model is divided over processes (FSDP2 over gloo) is the run of one process, to the last digits of float64."""

import json
from pathlib import Path

import pytest
from tests.numerics import EXACT
from tests.ranks import Done, Job, assert_gone_on, run
from tests.stages import Bench, assert_no_other_run, column, largest_gap, metrics, weights

OPTIONS = ("train.tokens_per_step=256", "train.max_steps=4", "train.save_every=1", "train.keep_checkpoints=4")
EIGHT = "train.tokens_per_step=512"  # two rows a step on each of four processes
FULL, SHARD = "lora.enabled=false", "distributed.shard=full"
FAST = "train.learning_rate=1e-2"  # so that the policy leaves its reference
SAMPLES = ("train.sample_count=2", "train.sample_every=2", "train.sample_tokens=4")

WAYS: dict[str, tuple[str, ...]] = {
    "pt": ("pt", FULL),
    "sft": ("sft", *SAMPLES),
    "sft-full": ("sft", FULL),
    "dpo": ("dpo", FAST),
    "dpo-model": ("dpo", FAST, FULL, "objective.reference=model"),
    "dpo-cached": ("dpo", FAST, FULL, "objective.reference=cached"),
    "kto": ("kto", FAST),
    "kto-full": ("kto", FAST, FULL),
    "orpo": ("orpo",),
    "simpo": ("simpo",),
    "rm": ("rm", FULL),
    "padded": ("sft", "train.batching=padded"),
    "best": ("sft", FAST, "train.eval_every=1", "train.keep_best=eval/loss"),
}
# Two processes, with other ways of dividing.
OTHERS: dict[str, tuple[str, ...]] = {
    "kept layers": ("sft-full", "distributed.reshard=false"),
    "one sum a step": ("sft-full", "distributed.reduce=step"),
    "parts in main memory": ("sft-full", "distributed.offload=cpu"),
    "waits for checkpoints": ("sft-full", "distributed.async_save=false"),
    "both": ("kto-full", "distributed.reshard=false", "distributed.reduce=step"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sharded")


def _in_bfloat16(bench: Bench, folder: Path) -> Path:
    """The bench's model in a file of half the size."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = folder / "short"
    AutoModelForCausalLM.from_pretrained(bench.base, dtype="bfloat16").save_pretrained(place)
    AutoTokenizer.from_pretrained(bench.base).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def done(_bench: Bench, folder: Path) -> dict[str, Done]:
    """All runs of the slow tests, one after another in one process that forks."""

    def job(name: str, way: str, world: int, *more: str, out: str | None = None, **settings: object) -> Job:
        stage, *words = WAYS[way]
        sharded = (SHARD,) if world > 1 else ()
        place = folder / (out or name)
        settings.setdefault("env", {"MEDICALGPT_CACHE": str(folder / f"cache-{out or name}")})
        return Job(name, world, _bench.words(stage, place, *OPTIONS, *words, *sharded, *more), **settings)  # type: ignore[arg-type]

    jobs = [job(f"{way} {world}", way, world) for way in WAYS for world in (1, 2)]
    jobs += [job(name, way, 2, *more) for name, (way, *more) in OTHERS.items()]
    jobs += [
        job("eight rows", "sft-full", 1, EIGHT),
        job("hybrid", "sft-full", 4, EIGHT, "distributed.shard=hybrid", "distributed.replicate=2"),
        job("four", "dpo", 4),
        job("held", "sft-full", 2, probe="held"),
        job("turns", "sft", 2, probe="turns"),
        job("auto", "sft", 2, "distributed.shard=auto", probe="too_large"),
        job("small", "sft", 2, "distributed.shard=auto"),
        job("no room", "sft", 2, probe="no_room_for_samples"),
        *(
            job(f"{kind}-{world}", "sft", world, *SAMPLES, "model.dtype=float32", *more, wide=False)
            for kind, more in {
                "nf4": ("quantization=nf4",),
                "checkpointed": (FULL, "train.gradient_checkpointing=true"),
                "stored": (FULL, f"model.base={_in_bfloat16(_bench, folder)}"),
            }.items()
            for world in (1, 2)
        ),
        job("bf16-1", "sft-full", 1, "model.dtype=auto", wide=False, probe="bf16_on_this_machine"),
        job("bf16-2", "sft-full", 2, "model.dtype=auto", wide=False, probe="bf16_on_this_machine"),
    ]
    for world in (1, 2, 4):  # killed with two processes, gone on with others
        jobs += [job(f"dies {world}", "dpo", 2, out=f"again {world}", die_at=2)]
        jobs += [job(f"goes on {world}", "dpo", world, out=f"again {world}")]
    jobs += [
        job("mapped", "sft-full", 2, probe="little_main_memory"),
        job("dies while writing", "sft-full", 2, out="half written", probe="dies_writing_step_3"),
        job("after that", "sft-full", 2, out="half written"),
        job("disk full", "sft-full", 2, probe="second_disk_is_full"),
        job("whole dies", "sft-full", 1, out="divided later", die_at=2),
        job("divided later", "sft-full", 2),
        job("three dies", "dpo", 3, "train.tokens_per_step=192", out="not by two", die_at=2),
        job("two of three", "dpo", 2, "train.tokens_per_step=192", out="not by two"),
    ]
    return run(jobs)


def assert_same(found: Path, wanted: Path, gap: float = EXACT) -> None:
    assert len(metrics(found)) == len(metrics(wanted))
    for name in ("train/loss", "train/grad_norm", "eval/loss", "train/tokens"):
        assert column(found, name) == pytest.approx(column(wanted, name), rel=gap, abs=gap), name
    assert largest_gap(weights(found), weights(wanted)) < gap


def test_full_training_on_two_ranks_is_that_of_one(bench: Bench, folder: Path) -> None:
    jobs = [
        Job(f"quick {n}", n, bench.words("sft", folder / f"quick {n}", *OPTIONS, FULL, *((SHARD,) if n > 1 else ())))
        for n in (1, 2)
    ]
    found = run(jobs)
    assert [found[job.name].codes for job in jobs] == [[0], [0, 0]], found
    assert "sharded: each process holds 1/2 of it" in found["quick 2"].said[0]
    assert_same(folder / "quick 2", folder / "quick 1")


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_two_ranks_are_one(done: dict[str, Done], folder: Path, way: str) -> None:
    assert (done[f"{way} 1"].codes, done[f"{way} 2"].codes) == ([0], [0, 0]), done[f"{way} 2"].said
    assert "sharded: each process holds 1/2 of it" in done[f"{way} 2"].said[0]
    assert_same(folder / f"{way} 2", folder / f"{way} 1")
    assert_no_other_run(folder / f"{way} 2", folder / f"{way} 1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "single"), [(name, f"{way} 1") for name, (way, *_) in OTHERS.items()] + [("hybrid", "eight rows")]
)
def test_other_ways_of_dividing_are_one_process_too(
    done: dict[str, Done], folder: Path, name: str, single: str
) -> None:
    assert set(done[name].codes) == {0}, done[name].said
    assert_same(folder / name, folder / single)


@pytest.mark.slow
def test_four_ranks_are_one(done: dict[str, Done], folder: Path) -> None:
    assert done["four"].codes == [0] * 4, done["four"].said
    assert_same(folder / "four", folder / "dpo 1")


@pytest.mark.slow
def test_each_rank_holds_half_and_nothing_is_whole_at_the_step(done: dict[str, Done]) -> None:
    """Among it the rule that the root is freed after the evaluation before step 1: the optimizer would hold whole copies."""
    assert done["held"].codes == [0, 0], done["held"].said
    lines = [
        [json.loads(line.removeprefix("HELD ")) for line in said.splitlines() if line.startswith("HELD ")]
        for said in done["held"].said
    ]
    assert [len(one) for one in lines] == [4, 4]
    for a, b in zip(*lines, strict=True):
        assert a["trained"] == a["all"]
        for rank in (a, b):
            assert (rank["weights"], rank["gradients"], rank["moments"]) == (a["all"] / 2, a["all"] / 2, a["all"])


@pytest.mark.slow
def test_one_process_of_a_machine_loads_at_a_time(done: dict[str, Done]) -> None:
    assert done["turns"].codes == [0, 0], done["turns"].said
    (first, second) = (
        json.loads(line.removeprefix("TURN "))
        for said in done["turns"].said
        for line in said.splitlines()
        if line.startswith("TURN ")
    )
    assert first[0] < first[1] <= second[0] < second[1]


@pytest.mark.slow
@pytest.mark.parametrize("world", [1, 2, 4])
def test_killed_on_two_ranks_and_gone_on_with(done: dict[str, Done], folder: Path, world: int) -> None:
    assert_gone_on(done, world)
    assert_same(folder / f"again {world}", folder / "dpo 1")


@pytest.mark.slow
def test_a_checkpoint_has_a_part_of_each_process(done: dict[str, Done], folder: Path) -> None:
    place = folder / "sft-full 2" / "checkpoints" / "step-4"
    assert json.loads((place / "checkpoint.json").read_text())["format_version"] == 2
    parts = sorted(path.stat().st_size for path in (place / "parts").iterdir())
    assert len(parts) == 2
    assert parts[0] > 0.9 * parts[1]
    assert not (place / "trainable.safetensors").exists()
    assert not any(path.name.startswith(".") for path in place.parent.iterdir())


@pytest.mark.slow
def test_a_half_written_checkpoint_is_none(done: dict[str, Done], folder: Path) -> None:
    assert done["dies while writing"].codes == [9, 9], done["dies while writing"].said
    assert set(done["after that"].codes) == {0}, done["after that"].said
    said = " ".join(done["after that"].said[0].split())
    assert "checkpoints/step-2 " in said, "the third was never there"
    assert_same(folder / "half written", folder / "sft-full 1")


@pytest.mark.slow
def test_what_another_process_could_not_write_ends_the_run_with_the_reason(done: dict[str, Done], folder: Path) -> None:
    found = done["disk full"]
    assert found.codes == [1, 1], found.said
    assert "the checkpoint of step 2 could not be saved: the disk is full" in found.said[0]
    assert "step-1 is intact" in found.said[0]
    assert [path.name for path in (folder / "disk full" / "checkpoints").iterdir()] == ["step-1"]


@pytest.mark.slow
def test_a_model_that_main_memory_does_not_hold_is_saved_from_files(done: dict[str, Done], folder: Path) -> None:
    from safetensors.torch import load_file

    assert done["mapped"].codes == [0, 0], done["mapped"].said
    place = folder / "mapped" / "model"
    files = sorted(place.glob("*.safetensors"))
    assert len(files) > 1
    index = json.loads((place / "model.safetensors.index.json").read_text())["weight_map"]
    saved = {name: tensor for file in files for name, tensor in load_file(file).items()}
    assert index.keys() == saved.keys()
    assert largest_gap(saved, weights(folder / "sft-full 1")) < EXACT
    assert not list((folder / "mapped").glob(".whole-*"))


@pytest.mark.slow
def test_a_run_that_began_whole_goes_on_divided(done: dict[str, Done], folder: Path) -> None:
    assert (done["whole dies"].codes, done["divided later"].codes) == ([9], [0, 0]), done["divided later"].said
    assert_same(folder / "divided later", folder / "sft-full 1")


@pytest.mark.slow
def test_a_number_of_processes_that_would_change_the_plan_is_refused(done: dict[str, Done]) -> None:
    assert done["three dies"].codes == [9] * 3, done["three dies"].said
    assert set(done["two of three"].codes) == {1}
    wanted = (
        "this run takes 3 rows a step, which 2 processes cannot share; go on with 1, 3 processes (it was saved by 3)"
    )
    assert wanted in done["two of three"].said[0]


@pytest.mark.slow
def test_auto_divides_what_does_not_fit_and_nothing_else(done: dict[str, Done], folder: Path) -> None:
    assert "sharded: each process holds 1/2" in done["auto"].said[0]
    assert "sharded: " not in done["small"].said[0]
    for name in ("auto", "small"):
        assert_same(folder / name, folder / "sft 1")


@pytest.mark.slow
def test_without_room_for_the_whole_model_there_are_no_samples_and_it_is_said(
    done: dict[str, Done], folder: Path
) -> None:
    assert done["no room"].codes == [0, 0], done["no room"].said
    assert "no sample answers: they need the whole model on one device" in done["no room"].said[0]
    assert not (folder / "no room" / "samples.jsonl").exists() or not (folder / "no room" / "samples.jsonl").read_text()
    assert largest_gap(weights(folder / "no room"), weights(folder / "sft 1")) < EXACT


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gap"), [("nf4", 2e-6), ("checkpointed", 2e-6), ("stored", 2e-6), ("bf16", 0.05)])
def test_shorter_types_start_alike(done: dict[str, Done], folder: Path, kind: str, gap: float) -> None:
    """Numbers of the first step: what AdamW makes of rounding after that is no measure (tests/numerics.py).

    bf16: fp32 weights gathered in bfloat16, where autocast casts them one product at a time. stored: a file of bfloat16, of
    which two processes widen what they keep.
    """
    assert (done[f"{kind}-1"].codes, done[f"{kind}-2"].codes) == ([0], [0, 0]), done[f"{kind}-2"].said
    for name in ("train/loss", "train/grad_norm", "eval/loss"):
        pair, single = (column(folder / f"{kind}-{n}", name) for n in (2, 1))
        assert pair[0] == pytest.approx(single[0], rel=gap), name
    assert weights(folder / f"{kind}-2").keys() == weights(folder / f"{kind}-1").keys()
    kinds = {str(w.dtype) for w in weights(folder / f"{kind}-2").values()}
    assert kinds == {"torch.float32"}
