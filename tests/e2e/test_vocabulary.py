"""Training with an extended vocabulary on a tiny model: rows are trained, stored, and found again from the folder alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from tests.marks import quick_and_slow
from tests.stages import Bench, column, manifest, weights
from tests.tiny import save_tiny, tiny_tokenizer
from tests.vocabularies import CHINESE, encode, extended
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.config.loader import load as load_config
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.sections import ModelConfig
from medicalgpt.data.records import Message
from medicalgpt.errors import ConfigError, ModelError
from medicalgpt.export.merge import merge_adapters, merge_run
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.memory.estimate import estimate_stage
from medicalgpt.models.load import Loaded, load, load_tokenizer
from medicalgpt.models.token_map import TokenMap

pytestmark = pytest.mark.usefixtures("no_figures")

NEW = 40
FAST = ("train.learning_rate=0.02",)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An extension of the tiny tokenizer by 40 tokens, rows in 64s; its data is Chinese."""
    root = tmp_path_factory.mktemp("grown")
    tiny_tokenizer().save_pretrained(root / "base")
    extended(root / "base", root / "tokenizer", NEW, pad_to=64)
    rows = "".join(json.dumps({"text": text[:120]}, ensure_ascii=False) + "\n" for text in CHINESE)
    (root / "pt.jsonl").write_text(rows, encoding="utf-8")
    return root


def words(grown: Path, *more: str) -> list[str]:
    return [f"model.tokenizer={grown / 'tokenizer'}", f"data.train={grown / 'pt.jsonl'}", *FAST, *more]


def logits(model: Any) -> torch.Tensor:
    """Logits behind a fixed text in old and new tokens."""
    ids = torch.arange(380, 380 + 20 + NEW)[None]
    with torch.no_grad():
        return model.eval()(input_ids=ids).logits  # type: ignore[no-any-return]


def rows_of(loaded: Loaded) -> torch.Tensor:
    return loaded.model.get_input_embeddings().weight.detach()


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_a_step_is_saved_loaded_and_merged_with_the_same_numbers(
    tied: bool, bench: Bench, grown: Path, tmp_path: Path
) -> None:
    base = save_tiny(tmp_path / "base", tie_word_embeddings=tied)
    run = tmp_path / "run"
    bench.train("pt", run, f"model.base={base}", *words(grown, "train.save_every=1"))
    kept = load_file(next(run.glob("checkpoints/step-*")) / "trainable.safetensors")
    assert sum("trainable_tokens" in name for name in kept) == (1 if tied else 2)  # resuming finds them
    stored = weights(run)
    rows = [t for name, t in stored.items() if "trainable_tokens" in name]
    assert [tuple(t.shape) for t in rows] == [(NEW, 32)] * (1 if tied else 2)
    assert all("lora" in name or "trainable_tokens" in name for name in stored)  # no whole matrix
    assert (run / "model" / "token_map.json").read_bytes() == (grown / "tokenizer" / "token_map.json").read_bytes()

    start = load(ModelConfig(base=str(base), tokenizer=str(grown / "tokenizer")))
    trained = load(ModelConfig(base=str(run)))
    assert trained.token_map == TokenMap.read(grown / "tokenizer")
    assert rows_of(trained).shape == (448, 32)
    assert torch.equal(rows_of(trained)[:400], rows_of(start)[:400])
    moved = (rows_of(trained)[400:440] - rows_of(start)[400:440]).abs().amax(1) > 1e-4
    assert moved.any()
    assert torch.equal(rows_of(trained)[440:], rows_of(start)[440:])

    merge_run(run, Console(quiet=True))
    merged = load(ModelConfig(base=str(run / "merged")))
    assert merged.token_map is None
    assert merged.model.config.vocab_size == 448
    assert encode(merged.tokenizer, CHINESE[0]) == encode(load_tokenizer(str(grown / "tokenizer")), CHINESE[0])
    torch.testing.assert_close(logits(merged.model), logits(trained.model), atol=1e-4, rtol=1e-4)
    assert (logits(trained.model) - logits(start.model)).abs().max() > 0.01


def test_the_end_of_training_is_the_start_of_what_is_loaded(bench: Bench, grown: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    bench.train("pt", run, *words(grown, "data.eval_fraction=0.3"))
    again = tmp_path / "again"
    more = [f"model.base={run}", f"data.train={grown / 'pt.jsonl'}", "data.eval_fraction=0.3", *FAST]
    bench.train("pt", again, *more)  # goes on from the adapter, which brings its tokenizer
    assert manifest(again)["before"]["eval/loss"] == pytest.approx(manifest(run)["after"]["eval/loss"], abs=1e-5)
    assert (again / "model" / "token_map.json").is_file()


def test_full_training_leaves_a_plain_model_of_the_new_size(bench: Bench, grown: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    bench.train("pt", run, *words(grown, "lora.enabled=false"))
    assert not (run / "model" / "token_map.json").exists()
    found = load(ModelConfig(base=str(run)))
    assert (found.model.config.vocab_size, len(found.tokenizer)) == (448, 440)
    # The next stage may still name the tokenizer; the base has its vocabulary by now.
    more = load(ModelConfig(base=str(run), tokenizer=str(grown / "tokenizer")))
    assert more.token_map is None
    assert torch.equal(rows_of(found), rows_of(more))


@pytest.mark.parametrize("stage", quick_and_slow(["sft", "rm"], ["dpo", "orpo", "kto"]))
def test_the_other_stages_train_with_it_too(stage: str, bench: Bench, grown: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    bench.train(stage, run, f"model.tokenizer={grown / 'tokenizer'}")
    if stage == "dpo":  # the reference is the base with adapter and trained rows off: what training started from
        assert column(run, "eval/rewards/margin")[0] == pytest.approx(0, abs=1e-6)
    found = load(ModelConfig(base=str(run)), head="score" if stage == "rm" else "language")
    assert rows_of(found).shape == (448, 32)
    merge_run(run, Console(quiet=True))


def test_a_head_with_a_bias_keeps_it(bench: Bench, grown: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, PhiConfig

    torch.manual_seed(0)
    config = PhiConfig(
        vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, eos_token_id=2
    )
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        model.lm_head.bias.normal_()
    model.save_pretrained(tmp_path / "base")
    tiny_tokenizer().save_pretrained(tmp_path / "base")
    run = tmp_path / "run"
    bench.train("pt", run, f"model.base={tmp_path / 'base'}", *words(grown))
    merge_run(run, Console(quiet=True))
    trained, merged = load(ModelConfig(base=str(run))), load(ModelConfig(base=str(run / "merged")))
    torch.testing.assert_close(logits(merged.model), logits(trained.model), atol=1e-4, rtol=1e-4)
    bias = merged.model.get_output_embeddings().bias.detach()
    assert (bias[:400] - model.lm_head.bias.detach()).abs().max() < 0.2


def test_new_rows_are_learned_in_fp32_whatever_the_base_is(bench: Bench, grown: Path, tmp_path: Path) -> None:
    from medicalgpt.models.adapters import trainable

    setting = load_config(stage_schema("pt"), None, bench.words("pt", tmp_path, "model.dtype=bfloat16")[1:]).value
    model = ModelConfig(base=str(bench.base), tokenizer=str(grown / "tokenizer"), dtype="bfloat16")
    loaded = load(model, lora=setting.lora)
    assert {p.dtype for p in trainable(loaded.model).values()} == {torch.float32}
    assert any("trainable_tokens" in name for name in trainable(loaded.model))


def test_answers_are_written_in_the_new_tokens(bench: Bench, grown: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    bench.train("sft", run, f"model.tokenizer={grown / 'tokenizer'}")
    engine = Engine.open(str(run))
    question = [Message("user", CHINESE[0][:60])]
    assert max(engine.prepare(question, Sampling(max_new_tokens=1)).ids) >= 400
    (answer,) = engine.generate([question], Sampling(max_new_tokens=4))
    assert len(answer.token_ids) >= 1


# -- book-keeping -------------------------------------------------------------------------------------------------------
def test_rows_are_rendered_and_stored_anew_for_another_tokenizer(bench: Bench, grown: Path, tmp_path: Path) -> None:
    plain, more = tmp_path / "plain", tmp_path / "more"
    bench.train("pt", plain, f"data.train={grown / 'pt.jsonl'}")
    bench.train("pt", more, *words(grown))
    hashes = [manifest(run)["hashes"] for run in (plain, more)]
    assert hashes[0]["tokenizer"] != hashes[1]["tokenizer"]
    assert hashes[0]["data"] == hashes[1]["data"]


def test_the_memory_estimate_counts_the_new_rows(bench: Bench, grown: Path, tmp_path: Path) -> None:
    plain = estimate_stage(bench.config("pt", tmp_path).value)
    more = estimate_stage(bench.config("pt", tmp_path, *words(grown)).value)
    assert more.trained_parameters - plain.trained_parameters == 2 * NEW * 32
    assert more.weights > plain.weights
    assert more.head > plain.head


# -- what does not fit --------------------------------------------------------------------------------------------------
def test_an_adapter_of_another_vocabulary_is_refused_with_both_sizes(bench: Bench, grown: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    bench.train("pt", run, *words(grown))
    (run / "model" / "token_map.json").unlink()
    with pytest.raises(
        ModelError,
        match=r"the tokenizer has 40 tokens that the model has no embedding for \(it has 400\), .* no token_map",
    ):
        load(ModelConfig(base=str(run)))


def test_an_adapter_whose_ids_mean_other_tokens_is_refused(bench: Bench, tmp_path: Path) -> None:
    from tests.texts import byte_level

    run = tmp_path / "run"
    bench.train("pt", run)
    byte_level().save_pretrained(run / "model")
    with pytest.raises(ModelError, match=rf"a tokenizer of {len(byte_level())} tokens, the base .* another one of 400"):
        load(ModelConfig(base=str(run)))


def test_a_token_map_of_another_base_is_refused(bench: Bench, grown: Path, tmp_path: Path) -> None:
    from tests.texts import byte_level

    base = save_tiny(tmp_path / "base")
    byte_level().save_pretrained(base)
    with pytest.raises(
        ModelError, match=rf"extends a vocabulary of 400 tokens to 440, .* another one of {len(byte_level())}"
    ):
        load(ModelConfig(base=str(base), tokenizer=str(grown / "tokenizer")))


def test_an_adapter_keeps_its_own_tokenizer(bench: Bench, grown: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    bench.train("pt", run)
    asked = ModelConfig(base=str(run), tokenizer=str(grown / "tokenizer"))
    with pytest.raises(ModelError, match=r"has 440 tokens, but the adapter .* its own of 400"):
        load(asked)


def test_a_map_beside_a_tokenizer_grows_the_base_unasked(bench: Bench, grown: Path) -> None:
    place = str(grown / "tokenizer")
    trained = load(ModelConfig(base=str(bench.base), tokenizer=place))
    for resizes in (False, True):
        said: list[str] = []
        found = load(ModelConfig(base=str(bench.base)), tokenizer=place, resize_embeddings=resizes, say=said.append)
        assert torch.equal(rows_of(found), rows_of(trained))
        assert said == []


def test_an_adapter_with_new_tokens_answers_with_its_own_tokenizer_only(
    bench: Bench, grown: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    bench.train("pt", run, *words(grown))
    same = load(ModelConfig(base=str(run)), tokenizer=str(grown / "tokenizer"))
    assert torch.equal(rows_of(same), rows_of(load(ModelConfig(base=str(run)))))
    with pytest.raises(ModelError, match=r"tokenizer .* has 400 tokens, but the adapter .* its own of 440"):
        load(ModelConfig(base=str(run)), tokenizer=str(bench.base))


def test_a_chain_is_merged_whose_second_adapter_extends_the_vocabulary(
    bench: Bench, grown: Path, tmp_path: Path
) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    bench.train("pt", first)
    merge_run(first, Console(quiet=True))
    bench.train("pt", second, *words(grown), f"model.base={first / 'merged'}")
    merge_run(second, Console(quiet=True))
    bench.train("sft", third, f"model.base={second / 'merged'}")
    merged = merge_adapters(str(first), [str(second), str(third)], tmp_path / "whole", dtype="float32")
    assert merged.checks[1:] == ["base is the adapter below, merged"] * 2
    assert [c.difference.positions > 0 for c in merged.certificate.comparisons] == [True] * 3
    assert merged.certificate.worst.max_abs_delta < 1e-3
    found, trained = load(ModelConfig(base=str(tmp_path / "whole"))), load(ModelConfig(base=str(third)))
    assert len(found.tokenizer) == 440
    assert (tmp_path / "whole" / "token_map.json").exists() is False
    torch.testing.assert_close(logits(found.model), logits(trained.model), atol=1e-4, rtol=1e-4)


def test_a_chain_with_another_vocabulary_and_no_map_is_refused(bench: Bench, grown: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    bench.train("pt", first)
    merge_run(first, Console(quiet=True))
    bench.train("pt", second, *words(grown), f"model.base={first / 'merged'}")
    (second / "model" / "token_map.json").unlink()
    with pytest.raises(ModelError, match=r"another tokenizer \(440 tokens\) than the adapters before it \(400\)"):
        merge_adapters(str(first), [str(second)], tmp_path / "whole")


def test_a_folder_without_tokenizer_is_named(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is no tokenizer folder.*vocab extend"):
        load(ModelConfig(base=str(bench.base), tokenizer=str(tmp_path)))


def test_reinforcement_learning_wants_the_tokens_trained_before(bench: Bench, grown: Path, tmp_path: Path) -> None:
    more = ["reward.model=runs/rm", f"model.tokenizer={grown / 'tokenizer'}"]
    given = [f"model.base={bench.base}", f"data.train={bench.folder / 'sft.jsonl'}", f"output_dir={tmp_path}", *more]
    with pytest.raises(ConfigError, match=r"train them with PT or SFT first"):
        load_config(stage_schema("ppo"), None, given)


# -- the commands -------------------------------------------------------------------------------------------------------
def test_the_commands_from_text_to_report(bench: Bench, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in CHINESE), encoding="utf-8")

    def run(*given: str) -> str:
        result = CliRunner().invoke(app, ["vocab", *given])
        assert result.exit_code == 0, result.output
        return result.output

    def model(*given: str) -> tuple[str, ...]:
        return (*given, "--model", str(bench.base))

    assert "1200 tokens →" in run("train", "--corpus", str(corpus), "--size", "1200", "--output", str(tmp_path / "own"))
    pieces = str(tmp_path / "own" / "tokenizer.model")
    said = run(*model("extend", "--pieces", pieces, "--size", "30", "--output", str(tmp_path / "a")))
    assert "400 → 4" in said
    assert "left out" in said
    said = run(
        *model("extend", "--corpus", str(corpus), "--size", "30", "--pad-to", "8", "--output", str(tmp_path / "b"))
    )
    assert "432 embedding rows" in said
    said = run(*model("report", "--tokenizer", str(tmp_path / "b"), "--text", str(corpus)))
    assert "400 → 4" in said
    assert "zh-Hant" in said
    refused = CliRunner().invoke(app, ["vocab", *model("extend", "--output", str(tmp_path / "c"))])
    assert refused.exit_code == 2
    assert "--corpus FILES" in refused.output
    shutil.rmtree(tmp_path / "own")
