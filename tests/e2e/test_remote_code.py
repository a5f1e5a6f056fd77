"""A model that ships its own code, from its folder to an answer of its merged self; and never without being asked."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import save_file
from tests.stages import SMALL, Bench, dialogues, manifest, write
from tests.tiny import tiny_tokenizer
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.data.records import Message
from medicalgpt.errors import ModelError
from medicalgpt.export.merge import merge_run
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling

CODE = Path(__file__).resolve().parents[1] / "remote_code"
FILES = ("configuration_ward.py", "modeling_ward.py")
PROMPTS = [[Message("user", text)] for text in ("fever?", "How is high blood pressure treated?")]
TRUST = "model.trust_remote_code=true"


@pytest.fixture(autouse=True)
def _own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers copies a model's code to a folder of the user's; here to one of the test's."""
    from transformers import dynamic_module_utils as dynamic

    monkeypatch.setattr(dynamic, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in [n for n in sys.modules if n.startswith("transformers_modules")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    """A model folder as such models are published: weights, tokenizer, config.json with auto_map, and two Python files."""
    folder = tmp_path / "ward"
    tiny_tokenizer().save_pretrained(folder)
    for name in FILES:
        shutil.copy(CODE / name, folder / name)
    (folder / "config.json").write_text(
        json.dumps(
            {
                "model_type": "ward",
                "architectures": ["WardForConditionalGeneration"],
                "auto_map": {
                    "AutoConfig": "configuration_ward.WardConfig",
                    "AutoModelForCausalLM": "modeling_ward.WardForConditionalGeneration",
                },
                "padded_vocab_size": len(tiny_tokenizer()),
                "eos_token_id": 2,
            }
        ),
        encoding="utf-8",
    )
    random, shapes = torch.Generator().manual_seed(0), _shapes()
    weights = {
        name: torch.randn(shape, generator=random) * 0.3 + (1.0 if name.endswith("norm.weight") else 0.0)
        for name, shape in shapes.items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _shapes() -> dict[str, tuple[int, ...]]:
    vocabulary = len(tiny_tokenizer())
    shapes: dict[str, tuple[int, ...]] = {
        "transformer.word_embeddings.weight": (vocabulary, 32),
        "transformer.final_layernorm.weight": (32,),
        "transformer.final_layernorm.bias": (32,),
        "output_layer.weight": (vocabulary, 32),
    }
    for i in range(2):
        layer = f"transformer.layers.{i}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes |= {f"{layer}{norm}.weight": (32,), f"{layer}{norm}.bias": (32,)}
        shapes |= {
            f"{layer}self_attention.query_key_value.weight": (96, 32),
            f"{layer}self_attention.query_key_value.bias": (96,),
            f"{layer}self_attention.dense.weight": (32, 32),
            f"{layer}dense_h_to_4h.weight": (64, 32),
            f"{layer}dense_4h_to_h.weight": (32, 64),
        }
    return shapes


def test_code_of_a_model_is_not_run_unless_asked_for(ward: Path, bench: Bench, tmp_path: Path) -> None:
    marker = tmp_path / "it-ran"
    with (ward / FILES[0]).open("a", encoding="utf-8") as file:
        file.write(f"\nopen({str(marker)!r}, 'w').close()\n")
    with pytest.raises(ModelError, match=r"ships Python code of its own.*trust_remote_code=true"):
        Engine.open(str(ward))
    words = bench.words("sft", tmp_path / "run", f"model.base={ward}")
    refused = CliRunner().invoke(app, ["train", *words])
    assert refused.exit_code != 0
    assert "ships Python code of its own" in " ".join(refused.output.split())
    assert not marker.exists()
    Engine.open(str(ward), trust_remote_code=True)
    assert marker.exists()


def test_from_its_folder_to_an_answer_of_its_merged_self(
    ward: Path, bench: Bench, tmp_path: Path, no_figures: None
) -> None:
    run = tmp_path / "run"
    more = ("train.learning_rate=1e-2", "train.max_steps=4", "lora.target_modules=[query_key_value,dense]", TRUST)
    trained = CliRunner().invoke(app, ["train", *bench.words("sft", run, f"model.base={ward}", *more)])
    assert trained.exit_code == 0, trained.output
    assert "batching: padded" in trained.output
    record = manifest(run)
    assert record["after"]["eval/loss"] < record["before"]["eval/loss"]

    with pytest.raises(ModelError, match="ships Python code of its own"):
        merge_run(run, Console(quiet=True))
    merge_run(run, Console(quiet=True), trust_remote_code=True)
    merged = run / "merged"
    certificate = json.loads((merged / "certificate.json").read_text(encoding="utf-8"))
    assert certificate["max_abs_delta"] < 1e-4
    for name in FILES:
        assert (merged / name).read_text(encoding="utf-8") == (CODE / name).read_text(encoding="utf-8")

    shutil.rmtree(ward)  # what is merged stands alone
    with pytest.raises(ModelError, match="ships Python code of its own"):
        Engine.open(str(merged))
    engine = Engine.open(str(merged), trust_remote_code=True)
    found = engine.generate(PROMPTS, Sampling(10))
    for prompt, answer in zip(PROMPTS, found):
        ids = engine.template.prompt_ids(prompt)
        settings = {"max_new_tokens": 10, "do_sample": False, "eos_token_id": engine.stop_ids, "pad_token_id": 3}
        out = engine.model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), **settings)
        assert answer.token_ids == out[0, len(ids) :].tolist()


@pytest.mark.slow
def test_a_pipeline_trusts_where_a_stage_does(ward: Path, bench: Bench, tmp_path: Path, no_figures: None) -> None:
    """Merging between stages and the table at the end load the model's code, too."""
    small = dict(word.split("=") for word in SMALL)
    values = {name: yaml.safe_load(value) for name, value in small.items()}
    stage = {**values, "data.train": [f"{bench.folder / 'sft.jsonl'}"], "model.trust_remote_code": True}
    held_out = [str(write(tmp_path / "held.jsonl", dialogues(4, first=60)))]
    content = {
        "output_dir": str(tmp_path / "runs"),
        "base": str(ward),
        "stages": [{"name": name, "stage": "sft", "set": stage} for name in ("one", "two")],
        "compare": {"dialogues": held_out, "stop_prompts": 1, "stop_tokens": 3},
    }
    file = tmp_path / "pipeline.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    done = CliRunner().invoke(app, ["pipeline", "run", str(file)])
    assert done.exit_code == 0, done.output
    summary = json.loads((tmp_path / "runs" / "summary.json").read_text(encoding="utf-8"))
    assert list(summary) == ["base", "one", "two"]
