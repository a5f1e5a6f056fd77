"""GGUF files of tiny models of every family: llama.cpp's log-probabilities against the model's own, types, refusals."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.llamacpp import tiny_gguf
from tests.tiny import save_tiny, tiny_model, tiny_tokenizer

from medicalgpt.errors import ModelError
from medicalgpt.export import gguf_writer as gguf_write
from medicalgpt.export.gguf_families import FAMILIES
from medicalgpt.export.gguf_writer import Exported, write_gguf
from medicalgpt.gguf.file import GgufFile
from medicalgpt.runs.hashes import hash_file

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
    "rope_theta": 10000.0,
}
LINEAR = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}
GEMMA = {"full_attention": LINEAR, "sliding_attention": {"rope_type": "default", "rope_theta": 500.0}}
# ggml computes gelu from a table in half precision.
SHAPES: dict[str, tuple[str, dict[str, Any], float]] = {
    "llama": ("llama", {}, 1e-5),
    "llama, tied": ("llama", {"tie_word_embeddings": True}, 1e-5),
    "llama, biases": ("llama", {"attention_bias": True, "mlp_bias": True}, 1e-5),
    "llama 3.1": ("llama", {"rope_parameters": LLAMA3}, 1e-5),
    "llama, linear": ("llama", {"rope_parameters": LINEAR}, 1e-5),
    "mistral": ("mistral", {"sliding_window": None}, 1e-5),
    "qwen2": ("qwen2", {}, 1e-5),
    "qwen3": ("qwen3", {}, 1e-5),
    "gemma3": ("gemma3", {}, 2e-3),
    "gemma3, linear, queries scaled": ("gemma3", {"rope_parameters": GEMMA, "query_pre_attn_scalar": 20}, 2e-3),
    "gemma3, capped": ("gemma3", {"final_logit_softcapping": 2.0}, 2e-3),
}


def uneven(kind: str, **extra: Any) -> Any:
    """A tiny model whose norms and biases matter."""
    model = tiny_model(kind, **extra)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def write(model: Any, path: Path, kind: Any = "f32", **settings: Any) -> Exported:
    tokenizer = tiny_tokenizer()
    settings = {"stop_ids": [2, 0], "template": tokenizer.chat_template, "name": "tiny"} | settings
    return write_gguf(model, tokenizer, path, kind, **settings)


def tensor_types(path: Path) -> dict[str, str]:
    return {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors}


@pytest.mark.parametrize("name", SHAPES)
def test_llama_cpp_says_what_the_model_says(name: str, tmp_path: Path) -> None:
    kind, extra, tolerance = SHAPES[name]
    model = uneven(kind, **extra)
    write(model, tmp_path / "m.gguf")
    assert gap(model, tmp_path / "m.gguf") < tolerance


def test_a_head_trained_apart_from_the_embedding_is_written(tmp_path: Path) -> None:
    model = uneven("llama", tie_word_embeddings=True)
    head = model.lm_head.weight.detach()
    noise = torch.randn(head.shape, generator=torch.Generator().manual_seed(2))
    model.lm_head.weight = torch.nn.Parameter(head + 0.1 * noise)
    write(model, tmp_path / "m.gguf")
    assert "output.weight" in tensor_types(tmp_path / "m.gguf")
    assert gap(model, tmp_path / "m.gguf") < 1e-5


@pytest.mark.parametrize(
    ("kind", "limit"), [("f16", 0.01), ("bf16", 0.05), ("q8_0", 0.05), ("q5_0", 0.3), ("q4_0", 0.6)]
)
def test_fewer_bits_drift_within_limits(kind: Any, limit: float, tmp_path: Path) -> None:
    model = uneven("llama")
    write(model, tmp_path / "m.gguf", kind)
    assert 0 < gap(model, tmp_path / "m.gguf") < limit


def gap(model: Any, path: Path) -> float:
    """Largest difference in log-probability over the whole vocabulary between llama.cpp and the model."""
    pytest.importorskip("xllamacpp")
    from medicalgpt.generate.backends.llamacpp_server import gguf_logprobs

    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(4, model.config.vocab_size, (24,), generator=generator).tolist()
    with torch.no_grad():
        expected = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0], -1).numpy()
    found = gguf_logprobs(GgufFile.read(path)).logps(ids, 20)
    return float(np.abs(found - expected[19:]).max())


def test_every_family_is_among_the_proven() -> None:
    assert {tiny_model(kind).config.model_type for kind, _, _ in SHAPES.values()} == set(FAMILIES)


@pytest.mark.parametrize("kind", ["f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"])
def test_matrices_take_the_type_and_vectors_stay_exact(kind: Any, tmp_path: Path) -> None:
    write(uneven("llama"), tmp_path / "m.gguf", kind)
    types = tensor_types(tmp_path / "m.gguf")
    assert types["blk.1.ffn_down.weight"] == kind.upper()
    assert types["output_norm.weight"] == types["blk.0.attn_norm.weight"] == "F32"
    small = kind[0] == "q"
    assert types["token_embd.weight"] == types["output.weight"] == ("Q8_0" if small else kind.upper())
    assert GgufFile.read(tmp_path / "m.gguf").types == set(types.values())


def test_rows_that_do_not_divide_into_blocks_are_written_in_half_precision(tmp_path: Path) -> None:
    written = write(uneven("llama", intermediate_size=48), tmp_path / "m.gguf", "q8_0")
    types = tensor_types(tmp_path / "m.gguf")
    assert types["blk.0.ffn_down.weight"] == "F16"
    assert types["blk.0.ffn_up.weight"] == "Q8_0"
    assert written.types == {"f32": 5, "f16": 2, "q8_0": 14}
    assert written.notes == [
        "2 tensors are f16, as their rows do not divide into blocks of q8_0: blk.0.ffn_down.weight, blk.1.ffn_down.weight"
    ]


def test_a_sliding_window_that_llama_cpp_does_not_compute_bounds_the_context(tmp_path: Path) -> None:
    written = write(uneven("mistral", sliding_window=64), tmp_path / "m.gguf")
    assert GgufFile.read(tmp_path / "m.gguf").context == 64
    assert "the context is 64 tokens" in written.notes[0]
    assert GgufFile.read(_made(tmp_path, "gemma3")).context == 512


def _made(folder: Path, kind: str) -> Path:
    write(uneven(kind), folder / f"{kind}.gguf")
    return folder / f"{kind}.gguf"


def test_stop_tokens_template_and_name_are_in_the_file(tmp_path: Path) -> None:
    tiny_gguf(tmp_path / "m.gguf")
    file = GgufFile.read(tmp_path / "m.gguf")
    assert file.stop_ids == [2, 0]
    assert file.metadata["tokenizer.chat_template"] == tiny_tokenizer().chat_template
    ids = {key: file.metadata.get(f"tokenizer.ggml.{key}_token_id") for key in ("eos", "eot", "eom", "padding", "bos")}
    assert ids == {"eos": 2, "eot": 2, "eom": 0, "padding": 3, "bos": None}
    assert file.metadata["general.name"] == "tiny"


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("bloom", {}, "type bloom cannot be exported to GGUF; supported: llama, mistral, qwen2, qwen3, gemma3_text"),
    ("llama", {"hidden_act": "relu"}, "hidden_act=relu"),
    ("qwen3", {"rope_parameters": LLAMA3}, "rope_type=llama3"),
    ("gemma3", {"layer_types": ["full_attention", "sliding_attention"]}, "layer_types"),
    ("gemma3", {"attn_logit_softcapping": 5.0}, "attn_logit_softcapping"),
]


@pytest.mark.parametrize(("kind", "extra", "message"), REFUSED)
def test_what_llama_cpp_would_compute_otherwise_is_refused(
    kind: str, extra: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        write(tiny_model(kind, **extra), tmp_path / "m.gguf")
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_is_refused_until_it_is_merged(tmp_path: Path) -> None:
    model = get_peft_model(tiny_model(), LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    with pytest.raises(ModelError, match="merge it first"):
        write(model, tmp_path / "m.gguf")


def test_numbers_that_a_type_cannot_hold_are_named_and_nothing_is_left_behind(tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0, 0] = 1e5
    with pytest.raises(ModelError, match=r"blk\.1\.ffn_up\.weight holds numbers that f16 cannot"):
        write(model, tmp_path / "m.gguf", "f16")
    assert list(tmp_path.iterdir()) == []
    write(model, tmp_path / "m.gguf", "bf16")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0, 0] = float("nan")
    with pytest.raises(ModelError, match="NaN"):
        write(model, tmp_path / "m2.gguf", "q8_0")


def test_a_file_that_is_there_stays_until_the_new_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.gguf"
    write(tiny_model(), path)
    before = path.read_bytes()
    with pytest.raises(ModelError, match="is there already"):
        write(tiny_model(), path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(gguf_write, "_encoded", full)
        with pytest.raises(ModelError, match="No space left"):
            write(tiny_model(seed=1), path, overwrite=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    write(tiny_model(seed=1), path, overwrite=True)
    assert path.read_bytes() != before


def test_a_wrong_name_or_type_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"must end in \.gguf"):
        write(None, tmp_path / "m.bin")
    with pytest.raises(ModelError, match="'q6_k' is not known; allowed: f32, f16"):
        write(None, tmp_path / "m.gguf", "q6_k")


def test_a_quantized_model_is_refused(tmp_path: Path) -> None:
    model = tiny_model()
    model.is_quantized = True
    with pytest.raises(ModelError, match="quantized already"):
        write(model, tmp_path / "m.gguf")


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_transformers_reads_the_file_as_the_same_model(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = uneven(kind)
    write(model, tmp_path / "m.gguf")
    again = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="m.gguf", dtype=torch.float32)
    ids = torch.tensor([[5, 77, 300, 12]])
    with torch.no_grad():
        torch.testing.assert_close(again(input_ids=ids).logits, model(input_ids=ids).logits, atol=1e-5, rtol=0)


def test_the_command_merges_an_adapter_and_tells_what_it_wrote(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from medicalgpt.cli import app

    base = save_tiny(tmp_path / "base")
    model = get_peft_model(tiny_model(), LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    model.peft_config["default"].base_model_name_or_path = str(base)
    model.save_pretrained(tmp_path / "adapter")
    words = ["export", "gguf", "--model", str(tmp_path / "adapter"), "--output", str(tmp_path / "out" / "m.gguf")]
    result = CliRunner().invoke(app, [*words, "--type", "f32"])
    assert result.exit_code == 0, result.output
    assert "tensors: 21 × f32" in result.stdout
    assert "the adapter was merged first: max |Δ log-probability|" in result.stdout
    merged = model.merge_and_unload().state_dict()
    written = {tensor.name: tensor.data for tensor in gguf.GGUFReader(tmp_path / "out" / "m.gguf").tensors}
    expected = merged["model.layers.0.mlp.down_proj.weight"].numpy()
    np.testing.assert_allclose(written["blk.0.ffn_down.weight"], expected, atol=1e-6)
    assert "compared with the model: max |Δ log-probability|" in result.stdout
    proof = json.loads((tmp_path / "out" / "m.certificate.json").read_text(encoding="utf-8"))
    assert (proof["step"], proof["verdict"], proof["greedy_agreement"]) == ("gguf-F32", "within tolerance", 1.0)
    assert proof["comparisons"][0]["second_sha256"] == hash_file(tmp_path / "out" / "m.gguf")
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 2
    assert "is there already" in again.stderr


def test_a_file_that_says_something_else_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medicalgpt.config.sections import ModelConfig
    from medicalgpt.export import gguf

    base, path = save_tiny(tmp_path / "base"), tmp_path / "out" / "m.gguf"
    wrong = SimpleNamespace(likely=lambda ids: [{5: -0.1, 6: -9.0}] * len(ids))
    monkeypatch.setattr(gguf, "gguf_logprobs", lambda file: wrong)
    monkeypatch.setattr(gguf, "find_spec", lambda name: True)
    with pytest.raises(ModelError, match=r"gguf-F16: .* Nothing was published"):
        gguf.export_gguf(ModelConfig(base=str(base)), path, "f16")
    assert list(path.parent.iterdir()) == []
    written = gguf.export_gguf(ModelConfig(base=str(base)), path, "f16", allow_drift=True)
    assert "DRIFT" in written.notes[-1]
    assert {p.name for p in path.parent.iterdir()} == {"m.gguf", "m.certificate.json"}
    monkeypatch.setattr(gguf, "find_spec", lambda name: None)
    written = gguf.export_gguf(ModelConfig(base=str(base)), path, "f16", overwrite=True)
    assert "llama.cpp is not installed" in written.notes[-1]
    assert [p.name for p in path.parent.iterdir()] == ["m.gguf"], "the certificate was the other file's"


def test_a_base_model_is_exported_without_a_template(tmp_path: Path) -> None:
    from medicalgpt.config.sections import ModelConfig
    from medicalgpt.export.gguf import export_gguf

    base = save_tiny(tmp_path / "base")
    (base / "chat_template.jinja").unlink()
    written = export_gguf(ModelConfig(base=str(base)), tmp_path / "m.gguf", "f16")
    assert "no chat template" in written.notes[0]
    file = GgufFile.read(tmp_path / "m.gguf")
    assert "tokenizer.chat_template" not in file.metadata
    assert file.stop_ids == [2]
    export_gguf(ModelConfig(base=str(base)), tmp_path / "n.gguf", "f16", template="chatml")
    assert "im_start" in GgufFile.read(tmp_path / "n.gguf").metadata["tokenizer.chat_template"]


def test_a_tokenizer_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medicalgpt.config.sections import ModelConfig
    from medicalgpt.export import gguf

    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer.eos_token, tokenizer.chat_template = None, None
    loaded = SimpleNamespace(model=tiny_model(), tokenizer=tokenizer)
    monkeypatch.setattr(gguf, "load", lambda config: loaded)
    with pytest.raises(ModelError, match="no eos token"):
        gguf.export_gguf(ModelConfig(), tmp_path / "m.gguf", "f16")
