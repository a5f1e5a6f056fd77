"""What must not change a training run: row size, accumulation, the batch form, recomputed activations, the reference."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.marks import quick_and_slow
from tests.numerics import EXACT, assert_same_training
from tests.tiny import save_tiny, tiny_tokenizer

from medicalgpt.config.loader import load
from medicalgpt.config.stages import STAGES
from medicalgpt.runs import figures
from medicalgpt.runs.metrics import read
from medicalgpt.training.stage import run_stage

WORDS = ["fever", "cough", "pain", "salt", "sleep", "water", "doctor", "tablet", "blood", "heart"]
FULL, LORA = {"lora.enabled": False}, {"lora.rank": 4}
METHODS = pytest.mark.parametrize("method", [FULL, LORA], ids=["full", "lora"])


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing the report's figures takes longer than training here, and has its own tests."""
    monkeypatch.setattr(figures, "draw", lambda *paths: [])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Rows of unequal length for each stage."""
    folder = tmp_path_factory.mktemp("data")

    def text(i: int, n: int) -> str:
        return " ".join(WORDS[(i * 7 + k * 3) % 10] for k in range(n))

    rows = {
        "pt": [{"text": text(i, 5 + 9 * i % 31)} for i in range(12)],
        "sft": [{"question": f"{text(i, 2 + i % 5)} {i}?", "answer": text(i + 3, 1 + 5 * i % 13)} for i in range(12)],
        "dpo": [
            {"prompt": f"{text(i, 3 + i)} {i}?", "chosen": text(i, 2 + i % 4), "rejected": text(i + 5, 1 + 3 * i % 7)}
            for i in range(8)
        ],
    }
    rows["simpo"] = rows["dpo"]
    rows["kto"] = [*rows["dpo"][:6], {"prompt": "salt?", "completion": text(2, 5), "label": True}]
    for stage, found in rows.items():
        (folder / f"{stage}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    return {stage: str(folder / f"{stage}.jsonl") for stage in rows}


class Run:
    """One stage trained to its end: its metrics lines and its weights."""

    def __init__(self, stage: str, model: Path, data: dict[str, str], folder: Path, **keys: Any) -> None:
        settings = {
            "model.base": str(model),
            "data.train": [data[stage]],
            "data.eval_fraction": 0,
            "data.max_tokens": 128,
            "train.row_tokens": 8192,  # all rows in one
            "train.tokens_per_step": 8192,
            "train.epochs": 3,
            "train.learning_rate": 1e-3,
            "train.sample_count": 0,
            "output_dir": str(folder),
            **keys,
        }
        outcome = run_stage(load(STAGES[stage], None, [f"{k}={json.dumps(v)}" for k, v in settings.items()]))
        assert outcome.status == "finished"
        lines = read(folder / "metrics.jsonl")
        self.lines = [line for line in lines if "train/loss" in line]
        self.evaluated = [line for line in lines if "eval/loss" in line]
        (path,) = (folder / "model").glob("*.safetensors")
        self.weights = load_file(path)

    def series(self, name: str) -> list[float]:
        return [line[f"train/{name}"] for line in self.lines]


@pytest.fixture
def run(model: Path, data: dict[str, str], tmp_path: Path) -> Any:
    count = iter(range(100))

    def one(stage: str, **keys: Any) -> Run:
        return Run(stage, model, data, tmp_path / str(next(count)), **keys)

    return one


def keys(method: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**method, **{f"train.{k}": v for k, v in more.items()}}


def assert_same(run: Any, stage: str, *ways: dict[str, Any], close: dict[str, float] | None = None) -> Run:
    """The same losses, norms and gradients at every step, the same weights at the end; gives the first float64 run.

    Args:
        close: further series, with what float32 may put between them.
    """
    exact, found = assert_same_training(
        [partial(run, stage, **way) for way in ways], lambda one: max(one.series("tokens")[0], len(tiny_tokenizer()))
    )
    for one in exact[1:]:
        for name in ("loss", "grad_norm", *(close or {})):
            assert one.series(name) == pytest.approx(exact[0].series(name), rel=EXACT, abs=EXACT)
        assert one.weights.keys() == exact[0].weights.keys()
        for name, weight in one.weights.items():
            torch.testing.assert_close(weight, exact[0].weights[name], rtol=0, atol=EXACT)
    for one in found:
        for name in ("loss", "grad_norm"):
            assert one.series(name) == pytest.approx(exact[0].series(name), rel=1e-5, abs=1e-7)
        for name, gap in (close or {}).items():
            assert one.series(name) == pytest.approx(exact[0].series(name), abs=gap)
    return exact[0]


@METHODS
@pytest.mark.parametrize("stage", quick_and_slow(["sft", "dpo"], ["pt", "simpo", "kto"]))
def test_row_size_and_accumulation_change_nothing(run: Any, stage: str, method: dict[str, Any]) -> None:
    """One step over the whole data, as one row and as many small ones (and padded ones)."""
    one, many, padded = (
        run(stage, **keys(method, epochs=1, row_tokens=row, batching=form))
        for row, form in ((8192, "auto"), (256, "auto"), (256, "padded"))
    )
    assert [len(r.lines) for r in (one, many, padded)] == [1, 1, 1]
    assert one.series("tokens") == many.series("tokens") == padded.series("tokens")
    for name in ("loss", "grad_norm"):
        assert many.series(name) == pytest.approx(one.series(name), rel=1e-5)
        assert padded.series(name) == pytest.approx(one.series(name), rel=1e-5)


@METHODS
@pytest.mark.parametrize("stage", quick_and_slow(["sft", "dpo"], ["pt", "simpo", "kto"]))
def test_padded_training_is_tree_training(run: Any, stage: str, method: dict[str, Any]) -> None:
    tree = assert_same(run, stage, *(keys(method, batching=form) for form in ("tree", "padded")))
    assert len(tree.lines) == 3
    assert tree.series("loss")[2] < tree.series("loss")[0]  # something was learned


@METHODS
@pytest.mark.parametrize("stage", quick_and_slow(["dpo"], ["sft"]))
def test_recomputing_activations_changes_nothing(run: Any, stage: str, method: dict[str, Any]) -> None:
    """Bit by bit, as the same sums are made in the same order."""
    stored, recomputed = (run(stage, **keys(method, gradient_checkpointing=on)) for on in (False, True))
    for name in ("loss", "grad_norm"):
        assert stored.series(name) == recomputed.series(name)
    assert all(torch.equal(w, recomputed.weights[n]) for n, w in stored.weights.items())


def test_a_second_run_is_the_same_run(run: Any) -> None:
    """Bit by bit: also with dropout, noise and several rows a step."""
    settings = keys({**LORA, "lora.dropout": 0.2}, row_tokens=128, tokens_per_step=256, neftune_alpha=5.0)
    first, second = run("sft", **settings), run("sft", **settings)
    for name in ("loss", "grad_norm", "learning_rate"):
        assert first.series(name) == second.series(name)
    assert all(torch.equal(w, second.weights[n]) for n, w in first.weights.items())
    other = run("sft", **{**settings, "train.seed": 7})
    assert other.series("loss") != first.series("loss")


def test_every_source_of_the_reference_is_the_same_reference(run: Any) -> None:
    assert_same(run, "dpo", *({**LORA, "objective.reference": r} for r in ("adapter_off", "model", "cached")))
    assert_same(run, "dpo", *({**FULL, "objective.reference": r} for r in ("model", "cached")))


@pytest.mark.parametrize("method", [FULL, LORA], ids=["full", "lora"])
def test_before_the_first_step_policy_and_reference_agree(run: Any, method: dict[str, Any]) -> None:
    first = run("dpo", **keys(method, epochs=1)).lines[0]
    assert first["train/rewards/margin"] == pytest.approx(0.0, abs=1e-6)
    assert first["train/loss"] == pytest.approx(0.6931472, abs=1e-6)
    if method is LORA:
        assert first["train/rewards/margin"] == 0.0
        assert first["train/rewards/accuracy"] == 0.5


def test_the_baseline_is_that_of_the_whole_step(run: Any, tmp_path: Path) -> None:
    """KTO against a stranger, so that the baseline is not 0: it and all that follows are blind to rows, form and cache."""
    other = {"objective.reference": "model", "objective.reference_model": str(save_tiny(tmp_path / "other", seed=3))}
    forms = ((8192, "auto"), (256, "auto"), (256, "padded"))
    runs = [run("kto", **keys({**FULL, **other}, epochs=1, row_tokens=row, batching=form)) for row, form in forms]
    assert [len(r.lines) for r in runs] == [1, 1, 1]
    assert runs[0].series("kl_baseline")[0] > 0.1
    for changed in runs[1:]:
        for name in ("kl_baseline", "loss", "grad_norm", "rewards/desirable", "rewards/accuracy"):
            assert changed.series(name) == pytest.approx(runs[0].series(name), rel=1e-5)


@pytest.mark.slow
def test_every_source_of_kto_s_reference_is_the_same_reference(run: Any) -> None:
    """Good answers outweigh bad ones, so that answers as such become likelier and the baseline rises above 0."""
    settings = {**LORA, "objective.undesirable_weight": 0.01, "train.learning_rate": 3e-3}
    sources = ({**settings, "objective.reference": r} for r in ("adapter_off", "model", "cached"))
    exact = assert_same(run, "kto", *sources, close={"kl_baseline": 1e-5})
    assert max(exact.series("kl_baseline")) > 1e-3
    assert exact.series("rewards/desirable")[0] == 0.0


def test_cached_references_belong_to_their_own_rows(run: Any) -> None:
    """Whatever changes which rows there are must not find the cache of other rows."""
    for changed in ({"data.eval_fraction": 0.3}, {"data.eval_fraction": 0.5}, {"data.max_tokens": 100}):
        found = run("dpo", **{**FULL, "train.epochs": 1, **changed})
        assert found.lines[0]["train/rewards/margin"] == pytest.approx(0.0, abs=1e-6)
        assert all(line["eval/rewards/margin"] == pytest.approx(0.0, abs=1e-6) for line in found.evaluated[:1])
