"""`medicalgpt merge` and `quantize` as a user runs them, on tiny runs and, slowly, on the embedded model."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console
from tests.marks import quick_and_slow
from tests.stages import Bench, dialogues, largest_gap, probe_logps
from tests.tiny import save_tiny
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
from typer.testing import CliRunner, Result

from medicalgpt.cli import app
from medicalgpt.export import merge as merged
from medicalgpt.export.merge import merge_run
from medicalgpt.generate.backends.decoder.backend import Decoder
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.models.locate import locate
from medicalgpt.models.merge import merge_adapter
from medicalgpt.runs.bases import place_hash

OUTPUTS = {
    "README.md",
    "certificate.json",
    "lineage.json",
    "config.json",
    "generation_config.json",
    "chat_template.jinja",
}


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def certificate(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "certificate.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def chain(_bench: Bench, _cache: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two runs, the second trained on the first one, merged; and one trained on the base alone."""
    folder = tmp_path_factory.mktemp("chain")
    strong = ("train.learning_rate=0.02", "train.max_steps=3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDICALGPT_CACHE", _cache)
        patch.setattr("medicalgpt.runs.report.write", lambda folder, record: None)
        _bench.train("sft", folder / "first", *strong)
        merge_run(folder / "first", Console(quiet=True))
        _bench.train("sft", folder / "second", *strong, f"model.base={folder / 'first' / 'merged'}", "train.seed=7")
        merge_run(folder / "second", Console(quiet=True))
        _bench.train("sft", folder / "alone", *strong, "train.seed=9")
    return {"base": _bench.base} | {name: folder / name for name in ("first", "second", "alone")}


def test_one_adapter_becomes_a_model_of_its_own(chain: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "whole"
    done = run("merge", "--model", chain["first"], "--output", out)
    assert done.exit_code == 0, done.output
    assert "adapter 1: base hash equals the manifest's" in done.output
    assert {p.name for p in out.iterdir()} >= OUTPUTS
    assert largest_gap(weights(out), weights(chain["first"] / "merged")) == 0
    assert largest_gap(weights(out), weights(chain["base"])) > 1e-3
    stops = json.loads((out / "generation_config.json").read_text())["eos_token_id"]
    assert stops == Engine.open(str(chain["first"])).template.stop_ids
    found = certificate(out)
    assert (found["step"], found["verdict"]) == ("merge-float32", "within tolerance")
    assert found["prompts"] == 7
    assert found["max_abs_delta"] < 1e-4


def test_a_chain_is_its_adapters_one_after_the_other(chain: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "whole"
    done = run("merge", "--model", chain["first"], "--adapter", chain["second"], "--output", out)
    assert done.exit_code == 0, done.output
    assert "adapter 2: base is the adapter below, merged" in done.output
    assert largest_gap(weights(out), weights(chain["second"] / "merged")) < 1e-6
    named = run(
        "merge",
        "--model",
        chain["base"],
        "--adapter",
        chain["first"],
        "--adapter",
        chain["second"],
        "--output",
        out / "2",
    )
    assert named.exit_code == 0, named.output
    assert largest_gap(weights(out), weights(out / "2")) == 0
    pairs = [(c["first"], c["second"]) for c in certificate(out)["comparisons"]]
    assert pairs == [
        ("adapter 1 on its base", "adapter 1 merged"),
        ("adapter 2 on its base", "merged weights as saved"),
    ]
    assert [s["stage"] for s in json.loads((out / "lineage.json").read_text())["stages"]] == ["sft", "sft"]


def test_an_adapter_of_another_base_is_refused_with_both_hashes(chain: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(chain["base"], other)
    model = AutoModelForCausalLM.from_pretrained(other)
    with torch.no_grad():
        model.get_input_embeddings().weight[0] += 1
    model.save_pretrained(other)
    done = run("merge", "--model", other, "--adapter", chain["first"], "--output", tmp_path / "out")
    assert done.exit_code == 2
    for place in (chain["base"], other):
        assert place_hash(locate(str(place))) in done.output
    assert "was trained on another base" in done.output
    assert not (tmp_path / "out").exists()


def test_adapters_that_were_not_trained_on_each_other_are_not_mixed(chain: dict[str, Path], tmp_path: Path) -> None:
    done = run("merge", "--model", chain["first"], "--adapter", chain["alone"], "--output", tmp_path / "out")
    assert done.exit_code == 2
    assert "alone (base hash" in done.output
    assert "would mix two models" in done.output
    swapped = run("merge", "--model", chain["alone"], "--adapter", chain["second"], "--output", tmp_path / "out")
    assert swapped.exit_code == 2
    assert "give the adapters in the order they were trained" in swapped.output


def wrong_fold(model: Any) -> Any:
    """A merge that makes one matrix ten per cent too large."""
    found = merge_adapter(model)
    with torch.no_grad():
        found.get_decoder().layers[0].mlp.up_proj.weight *= 1.1
    return found


def test_a_wrong_merge_is_caught_and_not_published(
    chain: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merged, "merge_adapter", wrong_fold)
    out = tmp_path / "whole"
    done = run("merge", "--model", chain["first"], "--output", out)
    assert done.exit_code == 2
    assert "differs from the model before by more than this step may change: max |Δ log-probability|" in done.output
    assert list(tmp_path.iterdir()) == [], "neither the model nor a half-written one is left"
    drifted = run("merge", "--model", chain["first"], "--output", out, "--allow-drift")
    assert drifted.exit_code == 0, drifted.output
    assert "DRIFT beyond the tolerance, allowed" in drifted.output
    assert certificate(out)["verdict"] == "drift allowed"
    assert "drift allowed: max" in (out / "README.md").read_text(encoding="utf-8")


def test_bfloat16_is_written_when_asked_for(chain: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "half"
    done = run("merge", "--model", chain["first"], "--output", out, "--dtype", "bfloat16", "--allow-drift")
    assert done.exit_code == 0, done.output
    assert {t.dtype for t in weights(out).values()} == {torch.bfloat16}
    exact = weights(chain["first"] / "merged")
    assert all(torch.equal(t, exact[name].bfloat16()) for name, t in weights(out).items()), "rounded once"
    assert certificate(out)["step"] == "merge-bfloat16"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "{base}"], "has no adapter to merge"),
        (["--model", "{base}", "--adapter", "{base}"], "is not an adapter"),
        (["--model", "{first}", "--adapter", "{half}"], "adapter_model.safetensors is damaged"),
    ],
)
def test_what_cannot_be_merged_is_said(words: list[str], message: str, chain: dict[str, Path], tmp_path: Path) -> None:
    half = tmp_path / "half"
    shutil.copytree(chain["alone"] / "model", half)
    file = half / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    places = chain | {"half": half}
    done = run("merge", *(w.format(**places) for w in words), "--output", tmp_path / "out")
    assert done.exit_code == 2
    assert message in done.output.replace("\n       ", " ")


def test_an_output_that_is_there_is_left_alone(chain: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    for words in (["merge", "--model", chain["first"]], ["quantize", "--model", chain["base"], "--method", "cpu-int8"]):
        done = run(*words, "--output", tmp_path)
        assert done.exit_code == 2
        assert "exists already; name another --output or remove it" in done.output
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_reward_model_is_merged_by_its_scores(bench: Bench, no_figures: None, tmp_path: Path) -> None:
    bench.train("rm", tmp_path / "rm", "train.learning_rate=0.02")
    out = tmp_path / "whole"
    done = run("merge", "--model", tmp_path / "rm", "--output", out)
    assert done.exit_code == 0, done.output
    found = certificate(out)
    assert (found["unit"], found["mean_kl"]) == ("score", None)
    assert found["max_abs_delta"] < 1e-4
    model = AutoModelForSequenceClassification.from_pretrained(out)
    assert model.score.weight.shape[0] == 1
    assert (out / "reward.json").is_file() == (tmp_path / "rm" / "model" / "reward.json").is_file()
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "medicalgpt score --model whole" in card
    assert 'pipeline_tag: "text-classification"' in card
    refused = run("quantize", "--model", out, "--method", "cpu-int8", "--output", tmp_path / "q")
    assert refused.exit_code == 2
    assert "is a reward model" in refused.output


# -- quantize -----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "sample.txt"
    path.write_text("A temperature of 38 degrees or more is a fever. 請諮詢醫師。" * 4, encoding="utf-8")
    return path


@pytest.mark.parametrize("method", quick_and_slow(["cpu-int8", "nf4"], ["cpu-int4", "int8"]))
def test_every_method_saves_a_model_that_opens_and_says_what_it_costs(
    method: str, chain: dict[str, Path], text: Path, tmp_path: Path
) -> None:
    if method in ("int8", "nf4"):
        pytest.importorskip("bitsandbytes")
    out = tmp_path / "small"
    base = chain["first"] / "merged"
    if method == "nf4":  # its blocks of 64 need wider matrices
        base = save_tiny(tmp_path / "wide", hidden_size=64, intermediate_size=128)
    # Tiny random models are all but linear; their 4 bits are not those of a trained one.
    words = ("quantize", "--model", base, "--method", method, "--output", out, "--text", text)
    done = run(*words, "--allow-drift")
    assert done.exit_code == 0, done.output
    assert "perplexity" in done.output
    engine = Engine.open(str(out), dtype="float32")
    assert engine.origin["quantization"] == method
    assert isinstance(engine.backend, Decoder), "quantized models are decoded as fast as others"
    ((answer,),) = engine.complete([[5, 6, 7]], Sampling(max_new_tokens=4, temperature=0.0))
    assert answer
    found = certificate(out)
    assert found["step"] == method
    before, after = found["measured"]["before"], found["measured"]["after"]
    assert before.keys() == after.keys() == {"perplexity", "megabytes", "tokens_per_second"}
    assert after["megabytes"] == pytest.approx((out / "model.safetensors").stat().st_size / 1e6)
    assert after["megabytes"] < before["megabytes"]
    assert after["perplexity"] != before["perplexity"]
    steps = json.loads((out / "lineage.json").read_text())["steps"]
    assert [s["step"] for s in steps] == ([method] if method == "nf4" else ["merge-float32", method])


def test_perplexity_is_that_of_transformers_own_loss(chain: dict[str, Path], text: Path) -> None:
    from medicalgpt.export.cost import perplexity

    engine = Engine.open(str(chain["base"]), dtype="float32")
    ids = engine.tokenizer(text.read_text(encoding="utf-8"))["input_ids"]
    batch = torch.tensor([ids])
    model = AutoModelForCausalLM.from_pretrained(chain["base"]).eval()
    with torch.no_grad():
        expected = model(input_ids=batch, labels=batch).loss.exp()
    assert perplexity(engine, ids) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "{first}"], "is an adapter; merge it into its base first"),
        (["--model", "{base}", "--text", "{base}/nothing.txt"], "cannot be read"),
    ],
)
def test_what_cannot_be_quantized_is_said(
    words: list[str], message: str, chain: dict[str, Path], tmp_path: Path
) -> None:
    places = {name: str(path) for name, path in chain.items()}
    done = run("quantize", *(w.format(**places) for w in words), "--method", "cpu-int8", "--output", tmp_path / "q")
    assert done.exit_code == 2
    assert message in done.output


# -- the card -----------------------------------------------------------------------------------------------------------
def test_the_card_is_ready_to_publish_and_names_nobody(chain: dict[str, Path], text: Path, tmp_path: Path) -> None:
    whole, small = tmp_path / "whole", tmp_path / "assistant-int8"
    assert run("merge", "--model", chain["first"], "--adapter", chain["second"], "--output", whole).exit_code == 0
    words = ("quantize", "--model", whole, "--method", "cpu-int8", "--text", text, "--allow-drift")
    assert run(*words, "--output", small).exit_code == 0
    card = (small / "README.md").read_text(encoding="utf-8")
    _, header, body = card.split("---\n", 2)
    values = yaml.safe_load(header)
    assert values["license"] == "other"
    assert {"medical", "medicalgpt", "sft"} <= set(values["tags"])
    assert values["pipeline_tag"] == "text-generation"
    assert values["library_name"] == "medicalgpt", "transformers alone would take the 8-bit weights for floats"
    assert 'library_name: "transformers"' in (whole / "README.md").read_text(encoding="utf-8")
    manifest = json.loads((chain["second"] / "manifest.json").read_text())
    for wanted in (
        "# assistant-int8",
        "**Training:** SFT → SFT",
        "**License:** not known to MedicalGPT: state it before you publish",
        f"`{manifest['hashes']['data'][:16]}…`",
        f"| sft | loss | {manifest['before']['eval/loss']:.4g} | {manifest['after']['eval/loss']:.4g} |",
        "| merge-float32 |",
        "| cpu-int8 |",
        "tokens per second",
        "Not a medical device",
        'Engine.open("assistant-int8")',
        "不是醫療器材",
    ):
        assert wanted in body, wanted
    for name in ("README.md", "certificate.json", "lineage.json"):
        said = (small / name).read_text(encoding="utf-8")
        for private in (str(tmp_path), str(chain["first"]), str(Path.home()), "sft.jsonl", "sample.txt", "/tmp"):
            assert private not in said, (name, private)
        for row in dialogues():
            assert row["messages"][0]["content"] not in said


@pytest.mark.slow
def test_the_embedded_model_in_8_and_4_bits(tmp_path: Path) -> None:
    before = Engine.open("smollm2-135m", dtype="float32")
    for method, megabytes in (("cpu-int8", 136), ("cpu-int4", 96)):
        out = tmp_path / method
        done = run("quantize", "--model", "smollm2-135m", "--method", method, "--output", out)
        assert done.exit_code == 0, done.output
        found = certificate(out)
        measured = found["measured"]
        assert found["verdict"] == "within tolerance"
        assert measured["after"]["megabytes"] < megabytes
        assert measured["before"]["megabytes"] > 530
        assert measured["after"]["perplexity"] / measured["before"]["perplexity"] == pytest.approx(1, abs=0.05)
        assert (out / "README.md").read_text(encoding="utf-8").startswith('---\nlicense: "apache-2.0"')
        assert float((probe_logps(Engine.open(str(out)).model) - probe_logps(before.model)).abs().mean()) < 0.5
