"""`medicalgpt train pt | sft | dpo` on a tiny model: every stage, every way of training, every option of the objectives."""

import json
import math
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.numerics import EPS, EXACT, assert_same_training
from tests.stages import (
    Bench,
    column,
    dialogues,
    feedback,
    largest_gap,
    manifest,
    preferences,
    probe_logps,
    weights,
    write,
)
from tests.tiny import save_tiny, tiny_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ConfigError, ModelError
from medicalgpt.models.load import load_base
from medicalgpt.models.locate import locate
from medicalgpt.training import publish

LN2 = math.log(2)
# Where policy and reference are one model, only rounding is between them: of two answers of some 16 tokens, each
# log-probability (about log 400) is rounded at some eight places on its way; β/2 is the slope of the loss at log 2.
AT_START = pytest.approx(LN2, abs=0.1 / 2 * 32 * math.log(400) * 8 * EPS)
COMPLETE = ["checkpoints", "config.resolved.yaml", "figures", "manifest.json", "metrics.jsonl", "model", "report.html"]


# -- the three stages ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("stage", ["pt", "sft", "dpo", "orpo", "simpo", "kto"])
def test_the_command_leaves_a_complete_run_that_others_can_load(stage: str, bench: Bench, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", *bench.words(stage, run, "train.sample_count=1", "train.sample_tokens=4")]
    first = CliRunner().invoke(app, words)
    assert first.exit_code == 0, first.output
    assert f"finished: {run}" in first.stdout
    found = sorted(p.name for p in run.iterdir() if not p.name.startswith("."))
    assert found == sorted([*COMPLETE, *(["samples.jsonl"] if stage != "pt" else [])])
    record = manifest(run)
    ledger = record["ledger"]
    assert record["stage"] == stage
    assert ledger["rows"] == {"pt": 6, "sft": 20, "dpo": 12, "orpo": 12, "simpo": 12, "kto": 18}[stage]
    assert ledger["rows"] == sum(ledger[k] for k in ("kept", "truncated", "split", "dropped"))
    assert set(record["before"]) == set(record["after"]) > {"eval/loss"}
    _others_can_load(run / "model", bench.base)

    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 0, again.output
    assert f"already finished: {run}" in again.stdout
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*")} == before


def _others_can_load(folder: Path, base: Path) -> None:
    """Adapter, tokenizer, chat template and stop tokens as transformers and peft read them."""
    from peft import AutoPeftModelForCausalLM

    model = AutoPeftModelForCausalLM.from_pretrained(folder)
    tokenizer, original = AutoTokenizer.from_pretrained(folder), AutoTokenizer.from_pretrained(base)
    assert tokenizer.chat_template == original.chat_template
    stops = [original.convert_tokens_to_ids(t) for t in ("<|im_end|>", "<|endoftext|>")]
    assert GenerationConfig.from_pretrained(folder).eos_token_id == stops
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Fever?"}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    assert model.generate(**asked, max_new_tokens=2, do_sample=False).shape[1] <= asked["input_ids"].shape[1] + 2


def test_a_finished_run_is_the_base_of_the_next(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    bench.train("sft", tmp_path / "one")
    outcome = bench.train("sft", tmp_path / "two", f"model.base={tmp_path / 'one'}", "train.max_steps=1")
    assert outcome.before["eval/loss"] == pytest.approx(manifest(tmp_path / "one")["after"]["eval/loss"], abs=1e-5)


def test_pretraining_mixes_in_the_stated_share_of_replay(bench: Bench, tmp_path: Path, no_figures: None, capfd) -> None:  # type: ignore[no-untyped-def]
    general = write(tmp_path / "general.jsonl", [{"text": f"Ships and trains {i}."} for i in range(9)])
    options = (f"data.replay=[{general}]", "data.replay_share=0.5", "data.eval_fraction=0", "train.max_steps=null")
    bench.train("pt", tmp_path / "plain", *options[2:])
    bench.train("pt", tmp_path / "mixed", *options)
    plain, mixed = (manifest(tmp_path / name) for name in ("plain", "mixed"))
    assert mixed["ledger"]["rows"] == plain["ledger"]["rows"] + 9
    assert 0.5 <= 1 - plain["tokens"] / mixed["tokens"] < 0.6  # the last document taken may overshoot


# -- ways of training ---------------------------------------------------------------------------------------------------
Words = tuple[str, ...]


def assert_same(bench: Bench, folder: Path, stage: str, *ways: Words, narrow: Sequence[Words] = ()) -> list[Path]:
    """The same losses and gradients at every step, the same weights at the end; gives the float32 runs.

    Args:
        narrow: further ways, whose kernels know no float64: of these the weights are not compared.
    """

    def train(words: Words) -> Path:
        run = folder / f"run-{len(list(folder.iterdir()))}"
        bench.train(stage, run, *words)
        return run

    exact, found = assert_same_training(
        [partial(train, words) for words in ways],
        lambda run: max(column(run, "train/tokens")[0], len(tiny_tokenizer())),
        [partial(train, words) for words in narrow],
    )
    losses = column(exact[0], "train/loss")
    for run in exact[1:]:
        assert column(run, "train/loss") == pytest.approx(losses, abs=EXACT)
        assert largest_gap(weights(run), weights(exact[0])) < EXACT
    for run in found:
        assert column(run, "train/loss") == pytest.approx(losses, abs=1e-5)
    return found


@pytest.fixture
def at_the_end(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Log-probabilities of the model in memory at the moment it is saved."""
    seen: list[torch.Tensor] = []
    save = publish.save_model

    def spy(folder: Path, loaded: Any, template: Any) -> None:
        seen.append(probe_logps(loaded.model))
        save(folder, loaded, template)

    monkeypatch.setattr(publish, "save_model", spy)
    return seen


@pytest.mark.parametrize("variant", ["lora", "rslora", "dora", "pissa"])
def test_an_adapter_says_the_same_when_it_is_loaded_again(
    variant: str, bench: Bench, tmp_path: Path, at_the_end: list[torch.Tensor], no_figures: None
) -> None:
    from peft import AutoPeftModelForCausalLM

    options = (f"lora.variant={variant}", "lora.rank=4", "lora.alpha=8", "train.learning_rate=1e-2")
    bench.train("sft", tmp_path / "run", *options)
    untrained = probe_logps(AutoModelForCausalLM.from_pretrained(bench.base))
    again = probe_logps(AutoPeftModelForCausalLM.from_pretrained(tmp_path / "run" / "model"))
    assert float((again - at_the_end[0]).abs().max()) < 1e-4
    assert float((again - untrained).abs().max()) > 1e-2
    ours = bench.train("sft", tmp_path / "next", f"model.base={tmp_path / 'run'}", "train.max_steps=1")
    assert ours.before["eval/loss"] == pytest.approx(manifest(tmp_path / "run")["after"]["eval/loss"], abs=1e-5)


def test_an_adapter_is_scaled_as_its_variant_says(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    for variant in ("lora", "rslora", "dora", "pissa"):
        bench.train("sft", tmp_path / variant, f"lora.variant={variant}", "lora.rank=4", "train.max_steps=1")
    configs = {
        p.name: json.loads((p / "model" / "adapter_config.json").read_text(encoding="utf-8"))
        for p in tmp_path.iterdir()
    }
    assert {n: (c["use_rslora"], c["use_dora"]) for n, c in configs.items()} == {
        "lora": (False, False),
        "rslora": (True, False),
        "dora": (False, True),
        "pissa": (False, False),
    }
    assert any("magnitude" in name for name in weights(tmp_path / "dora"))


def test_full_training_writes_a_whole_model(
    bench: Bench, tmp_path: Path, at_the_end: list[torch.Tensor], no_figures: None
) -> None:
    bench.train("sft", tmp_path / "run", "lora.enabled=false")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "model")
    assert float((probe_logps(model) - at_the_end[0]).abs().max()) < 1e-5
    trained = dict(model.named_parameters())
    original = dict(AutoModelForCausalLM.from_pretrained(bench.base).named_parameters())
    assert not [name for name in trained if torch.equal(trained[name], original[name])], "weights that did not move"


def test_training_goes_on_from_an_adapter(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    bench.train("sft", tmp_path / "one")
    bench.train("sft", tmp_path / "two", f"model.adapter={tmp_path / 'one'}", "train.learning_rate=1e-9")
    assert largest_gap(weights(tmp_path / "one"), weights(tmp_path / "two")) < 1e-6


def test_unknown_target_modules_are_refused_with_those_that_exist(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"q_projection.*down_proj, gate_proj, k_proj"):
        bench.train("sft", tmp_path / "run", "lora.target_modules=[q_projection]")


def test_neftune_makes_noise_while_training_only(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    quiet = bench.train("sft", tmp_path / "quiet")
    noisy = bench.train("sft", tmp_path / "noisy", "train.neftune_alpha=5")
    assert noisy.before == quiet.before
    assert column(tmp_path / "noisy", "train/loss")[0] != column(tmp_path / "quiet", "train/loss")[0]
    bench.train("sft", tmp_path / "again", "train.neftune_alpha=5")
    assert largest_gap(weights(tmp_path / "noisy"), weights(tmp_path / "again")) == 0.0


def test_gradient_checkpointing_changes_nothing(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    for name in ("true", "false"):
        bench.train("sft", tmp_path / name, f"train.gradient_checkpointing={name}")
    assert largest_gap(weights(tmp_path / "true"), weights(tmp_path / "false")) == 0.0


def test_padded_batches_give_the_loss_of_packed_ones(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    one_step = ("train.tokens_per_step=4096", "train.row_tokens=512", "train.max_steps=null")
    assert_same(bench, tmp_path, "sft", *((f"train.batching={name}", *one_step) for name in ("tree", "padded")))


def test_nf4_trains_as_its_dequantized_weights_do(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    """Quantization changes the base, never the gradient: the same run on the base with the rounded weights is the oracle."""
    bitsandbytes = pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    if not _works_on_cpu(bitsandbytes, "nf4"):
        pytest.skip(f"this build of bitsandbytes {bitsandbytes.__version__} has no nf4 layers for the CPU")
    base = save_tiny(tmp_path / "base", hidden_size=64, intermediate_size=128)
    config = ModelConfig(base=str(base), dtype="float32")
    plain, rounded = AutoModelForCausalLM.from_pretrained(base), load_base(locate(str(base)), config, "nf4")
    for name, module in rounded.named_modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            weight = bitsandbytes.functional.dequantize_4bit(module.weight.data, module.weight.quant_state)
            plain.get_submodule(name).weight.data.copy_(weight)
    plain.save_pretrained(tmp_path / "rounded")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "rounded")
    options = ("train.learning_rate=1e-3", "train.max_steps=3")
    whole, four_bits = (f"model.base={tmp_path / 'rounded'}",), (f"model.base={base}", "quantization=nf4")
    fp32, nf4 = assert_same(bench, tmp_path, "sft", (*whole, *options), narrow=[(*four_bits, *options)])
    assert column(nf4, "train/grad_norm") == pytest.approx(column(fp32, "train/grad_norm"), rel=1e-3)


@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_quantized_base_with_an_adapter(kind: str, bench: Bench, tmp_path: Path, no_figures: None) -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    if not _works_on_cpu(bitsandbytes, kind):
        pytest.skip(f"this build of bitsandbytes {bitsandbytes.__version__} has no {kind} layers for the CPU")
    # bitsandbytes stores 64 weights to a block, so a row of a matrix has to have that many.
    wide = f"model.base={save_tiny(tmp_path / 'base', hidden_size=64, intermediate_size=128)}"
    plain = bench.train("sft", tmp_path / "plain", wide)
    outcome = bench.train("sft", tmp_path / "run", wide, f"quantization={kind}", "train.learning_rate=1e-2")
    assert outcome.before["eval/loss"] != plain.before["eval/loss"]  # the base really lost digits
    assert outcome.before["eval/loss"] == pytest.approx(plain.before["eval/loss"], rel=0.1)  # but not its mind
    assert outcome.after["eval/loss"] < outcome.before["eval/loss"]
    assert all(float(w.abs().max()) > 0 for name, w in weights(tmp_path / "run").items() if "lora_B" in name)
    with pytest.raises(ModelError, match="quantization=none"):
        bench.train("sft", tmp_path / "pissa", wide, f"quantization={kind}", "lora.variant=pissa")


def _works_on_cpu(bitsandbytes: Any, kind: str) -> bool:
    """Whether one small layer of this kind multiplies on the CPU."""
    nn = bitsandbytes.nn
    layer = (
        nn.Linear4bit(64, 64, quant_type="nf4") if kind == "nf4" else nn.Linear8bitLt(64, 64, has_fp16_weights=False)
    )
    try:
        layer.to("cpu")
        layer(torch.ones(1, 64))
    except (RuntimeError, NotImplementedError, AttributeError):
        return False
    return True


def test_report_to_writes_tensorboard_events(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    bench.train("sft", tmp_path / "run", "report_to=[tensorboard]")
    found = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    for tag in ("train/loss", "eval/loss"):
        written = [e.value for e in found.Scalars(tag)]
        assert written == pytest.approx(column(tmp_path / "run", tag), rel=1e-6), tag


@pytest.mark.parametrize(
    ("kind", "last_third"),
    [
        ("constant", [1, 1, 1]),
        ("linear", [3 / 9, 2 / 9, 1 / 9]),
        ("cosine", [0.25, 0.5 * (1 + math.cos(math.pi * 7 / 9)), 0.5 * (1 + math.cos(math.pi * 8 / 9))]),
        ("wsd", [1, 1, 0.5]),  # the last fifth of ten steps: the full rate, then half of it
    ],
)
def test_the_learning_rate_follows_the_schedule(
    kind: str, last_third: list[float], bench: Bench, tmp_path: Path, no_figures: None
) -> None:
    options = (f"train.schedule={kind}", "train.warmup=1", "train.max_steps=10", "train.learning_rate=1e-3")
    bench.train("sft", tmp_path / "run", *options)
    rates = column(tmp_path / "run", "train/learning_rate")
    assert len(rates) == 10
    assert [r / 1e-3 for r in (*rates[:2], *rates[-3:])] == pytest.approx([0.5, 1, *last_third])


# -- what is trained ----------------------------------------------------------------------------------------------------
def test_train_on_decides_which_turns_carry_loss(bench: Bench, tmp_path: Path, no_figures: None, capfd) -> None:  # type: ignore[no-untyped-def]
    tokenizer = AutoTokenizer.from_pretrained(bench.base)
    conversations = [row["messages"] for row in dialogues()]
    answers = [[len(tokenizer(m["content"] + "<|im_end|>").input_ids) for m in c[1::2]] for c in conversations]
    whole = [
        len(tokenizer(tokenizer.apply_chat_template(c, tokenize=False).removesuffix("\n")).input_ids)
        for c in conversations
    ]
    expected = {
        "assistant": sum(map(sum, answers)),
        "last": sum(a[-1] for a in answers),
        "all": sum(whole) - len(whole),  # nothing stands before the first token to predict it
    }
    for train_on, count in expected.items():
        options = (f"objective.train_on={train_on}", "data.eval_fraction=0", "train.max_steps=1", "data.max_tokens=128")
        bench.train("sft", tmp_path / train_on, *options)
        assert f"{count} trained tokens" in capfd.readouterr().err, train_on


def test_over_length_rows_end_as_the_policy_says(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    turns = [
        {"role": r, "content": f"{r} says a few words, number {i}."} for i in range(4) for r in ("user", "assistant")
    ]
    long = {"messages": turns}
    hopeless = {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "word " * 90}]}
    short = [{"messages": row["messages"][:2]} for row in dialogues(6)]
    file = write(tmp_path / "long.jsonl", [*short, long, hopeless])
    ends = {}
    for policy in ("truncate", "split", "drop"):
        words = (f"data.train={file}", f"data.over_length={policy}", "data.eval_fraction=0", "train.max_steps=1")
        bench.train("sft", tmp_path / policy, *words)
        ledger = manifest(tmp_path / policy)["ledger"]
        ends[policy] = tuple(ledger[k] for k in ("kept", "truncated", "split", "dropped"))
    assert ends == {"truncate": (6, 1, 0, 1), "split": (6, 0, 1, 1), "drop": (6, 0, 0, 2)}


# -- DPO ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "at_zero"),
    [
        ({}, LN2),
        ({"loss": "hinge"}, 1.0),
        ({"loss": "ipo"}, 25.0),  # (0 − 1/(2·0.1))²
        ({"label_smoothing": 0.2}, LN2),
        ({"length_normalized": True}, LN2),
        ({"beta": 0.5}, LN2),
        ({"sft_weight": 0.3}, None),
    ],
    ids=lambda value: "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_dpo_minimizes_the_formula_it_names(
    options: dict[str, Any], at_zero: float | None, bench: Bench, tmp_path: Path, no_figures: None
) -> None:
    pairs = preferences(4, first=50)
    held_out = write(tmp_path / "pairs.jsonl", pairs)
    words = [f"objective.{k}={str(v).lower()}" for k, v in options.items()]
    outcome = bench.train(
        "dpo", tmp_path / "run", f"data.eval=[{held_out}]", "data.max_tokens=128", "train.learning_rate=1e-2", *words
    )
    if at_zero is not None:
        assert outcome.before["eval/loss"] == pytest.approx(at_zero, abs=1e-6)
    assert outcome.before["eval/rewards/margin"] == 0.0
    expected = _dpo_by_hand(tmp_path / "run" / "model", pairs, **options)
    assert outcome.after["eval/loss"] == pytest.approx(expected, rel=1e-4)
    assert abs(outcome.after["eval/rewards/margin"]) > 1e-3


def _dpo_by_hand(
    adapter: Path,
    pairs: list[dict[str, Any]],
    loss: str = "sigmoid",
    beta: float = 0.1,
    label_smoothing: float = 0.0,
    length_normalized: bool = False,
    sft_weight: float = 0.0,
) -> float:
    """The mean loss from log-probabilities of plain transformers and peft, one text at a time."""
    from peft import AutoPeftModelForCausalLM

    model, tokenizer = AutoPeftModelForCausalLM.from_pretrained(adapter).eval(), AutoTokenizer.from_pretrained(adapter)
    total = 0.0
    for pair in pairs:
        ratios, policy = [], []
        for answer in (pair["chosen"], pair["rejected"]):
            now, length = _answer_logp(model, tokenizer, pair["prompt"], answer)
            with model.disable_adapter():
                before, _ = _answer_logp(model, tokenizer, pair["prompt"], answer)
            ratios.append((now - before) / (length if length_normalized or loss == "ipo" else 1))
            policy.append(now / length)
        delta = ratios[0] - ratios[1]
        if loss == "hinge":
            total += max(0.0, 1 - beta * delta)
        elif loss == "ipo":
            total += (delta - 1 / (2 * beta)) ** 2
        else:
            total += (1 - label_smoothing) * math.log1p(math.exp(-beta * delta))
            total += label_smoothing * math.log1p(math.exp(beta * delta))
        total -= sft_weight * policy[0]
    return total / len(pairs)


# -- KTO ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "options",
    [{}, {"beta": 0.5}, {"desirable_weight": 2.0, "undesirable_weight": 0.01}],
    ids=["plain", "beta", "weights"],
)
def test_kto_minimizes_the_formula_it_names(
    options: dict[str, float], bench: Bench, tmp_path: Path, no_figures: None
) -> None:
    rows = [feedback(6)[0], feedback(6)[4]]  # two prompts, so that each gets the answer of the other
    held_out = write(tmp_path / "rows.jsonl", rows)
    words = [f"objective.{k}={v}" for k, v in options.items()]
    outcome = bench.train(
        "kto",
        tmp_path / "run",
        f"data.eval=[{held_out}]",
        "data.max_tokens=128",
        "train.learning_rate=1e-2",
        "train.max_steps=8",
        *words,
    )
    weights = options.get("desirable_weight", 1.0), options.get("undesirable_weight", 1.0)
    assert outcome.before["eval/loss"] == pytest.approx(sum(weights) / 4)
    assert outcome.before["eval/rewards/accuracy"] == 0.5
    own, other = (_log_ratios(tmp_path / "run" / "model", rows, answers) for answers in (rows, rows[::-1]))
    baseline = max(0.0, sum(other) / 2)
    assert outcome.after["eval/kl_baseline"] == pytest.approx(baseline, rel=1e-3, abs=1e-5)
    # Where good answers outweigh bad ones, answers as such become likelier, those to other prompts too.
    assert (baseline > 0.01) == ("desirable_weight" in options)
    beta, total = options.get("beta", 0.1), 0.0
    for row, ratio in zip(rows, own):
        weight, value = (weights[0], ratio - baseline) if row["label"] else (weights[1], baseline - ratio)
        total += weight * (1 - 1 / (1 + math.exp(-beta * value)))
    assert outcome.after["eval/loss"] == pytest.approx(total / 2, rel=1e-4)
    assert outcome.after["eval/loss"] != pytest.approx(sum(weights) / 4, rel=1e-3)


def _log_ratios(adapter: Path, asked: list[dict[str, Any]], answered: list[dict[str, Any]]) -> list[float]:
    """log π − log π_ref of one row's answer to another's prompt, by plain transformers and peft."""
    from peft import AutoPeftModelForCausalLM

    model, tokenizer = AutoPeftModelForCausalLM.from_pretrained(adapter).eval(), AutoTokenizer.from_pretrained(adapter)
    found = []
    for a, b in zip(asked, answered):
        now, _ = _answer_logp(model, tokenizer, a["prompt"], b["completion"])
        with model.disable_adapter():
            found.append(now - _answer_logp(model, tokenizer, a["prompt"], b["completion"])[0])
    return found


def test_pairs_train_as_their_halves_do(bench: Bench, tmp_path: Path, no_figures: None, capfd) -> None:  # type: ignore[no-untyped-def]
    pairs = preferences(8)
    halves = [
        {"prompt": p["prompt"], "completion": p[name], "kto_tag": name == "chosen"}
        for p in pairs
        for name in ("chosen", "rejected")
    ]
    for name, rows in (("pairs", pairs), ("halves", halves)):
        file = write(tmp_path / f"{name}.jsonl", rows)
        bench.train("kto", tmp_path / name, f"data.train={file}", "train.max_steps=4", "train.learning_rate=1e-2")
    assert column(tmp_path / "pairs", "train/loss") == column(tmp_path / "halves", "train/loss")
    assert largest_gap(weights(tmp_path / "pairs"), weights(tmp_path / "halves")) == 0.0
    assert manifest(tmp_path / "pairs")["ledger"]["split"] == 8
    assert "desirable and" not in capfd.readouterr().err  # as many of one kind as of the other


def test_kinds_that_are_far_apart_are_warned_about(bench: Bench, tmp_path: Path, no_figures: None, capfd) -> None:  # type: ignore[no-untyped-def]
    options = ("data.eval_fraction=0", "train.max_steps=1")
    bench.train("kto", tmp_path / "run", *options)
    assert "12 desirable and 6 undesirable rows, weighted 2.00 to 1" in capfd.readouterr().err
    bench.train("kto", tmp_path / "weighted", *options, "objective.undesirable_weight=1.8")
    assert "desirable and" not in capfd.readouterr().err


@torch.no_grad()
def _answer_logp(model: Any, tokenizer: Any, prompt: str, answer: str) -> tuple[float, int]:
    """Σ log p of the answer with its stop token, and its length in tokens."""
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False
    )
    start, said = (tokenizer(text, return_tensors="pt").input_ids[0] for text in (asked, answer + "<|im_end|>"))
    logps = torch.log_softmax(model(torch.cat([start, said])[None]).logits[0], -1)
    return float(logps[len(start) - 1 : -1].gather(1, said[:, None]).sum()), len(said)


def test_every_kind_of_reference_gives_the_same_run(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    more = ("train.learning_rate=1e-2", "train.max_steps=3")
    kinds = ("adapter_off", "model", "cached", "auto")
    for run in assert_same(bench, tmp_path, "dpo", *((f"objective.reference={kind}", *more) for kind in kinds)):
        losses = column(run, "train/loss")
        assert losses[0] == AT_START
        assert losses[-1] != pytest.approx(LN2, abs=1e-3)


def test_full_dpo_remembers_the_model_it_started_from(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    more = ("lora.enabled=false", "train.learning_rate=1e-3")
    for run in assert_same(bench, tmp_path, "dpo", *((f"objective.reference={k}", *more) for k in ("model", "auto"))):
        assert column(run, "train/loss")[0] == AT_START


def test_another_reference_model_is_really_used(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    other = save_tiny(tmp_path / "other", seed=5)
    words = ("objective.reference=model", f"objective.reference_model={other}")
    outcome = bench.train("dpo", tmp_path / "run", *words)
    assert outcome.before["eval/rewards/margin"] != 0.0


@pytest.mark.parametrize(
    "reason",
    [["lora.variant=pissa"], ["lora.enabled=false"], ["model.adapter={finished}"], ["model.base={finished}"]],
    ids=["pissa", "full", "continued adapter", "run as base"],
)
def test_adapter_off_is_refused_where_the_base_is_not_the_start(
    reason: list[str], bench: Bench, tmp_path: Path, no_figures: None
) -> None:
    if "{" in reason[0]:
        bench.train("sft", tmp_path / "sft")
    words = [word.format(finished=tmp_path / "sft") for word in reason]
    with pytest.raises(ConfigError, match="use cached or model"):
        bench.train("dpo", tmp_path / "run", "objective.reference=adapter_off", *words)
    outcome = bench.train("dpo", tmp_path / "run", *words)  # auto finds the right one, in the same folder
    assert outcome.before["eval/loss"] == AT_START


def test_row_content_stays_out_of_the_output(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    result = CliRunner().invoke(app, ["train", *bench.words("sft", tmp_path / "run")])
    assert result.exit_code == 0, result.output
    assert "sft step 2/2" in result.stderr
    assert not re.search("fever|cough|headache|tablets|doctor|糖尿病", result.output)
