"""8- and 4-bit weights on the CPU against references computed by hand; saving, loading, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.stages import Bench
from tests.tiny import save_tiny, tiny_model, tiny_tokenizer
from torch import nn

from medicalgpt.config.sections import LoraConfig, ModelConfig
from medicalgpt.errors import ModelError
from medicalgpt.export.logprobs import language_logprobs
from medicalgpt.kernels import quantized_linear as layers
from medicalgpt.models.load import load
from medicalgpt.models.locate import locate
from medicalgpt.models.merge import find_chain
from medicalgpt.models.quantized import located_kind, quantize_for_cpu, quantized_kind
from medicalgpt.training.policy import load_trained

IDS = torch.arange(5, 45).tolist()
METHODS = ("cpu-int8", "cpu-int4")


def test_int8_weights_and_scales_are_those_derived_by_hand() -> None:
    weight, scale = layers.to_int8(torch.tensor([[1.0, -0.5, 0.26], [0.0, 0.0, 0.0]]))
    assert weight.tolist() == [[127, -64, 33], [0, 0, 0]]
    assert scale[0] == pytest.approx(1 / 127)


def test_int4_weights_meet_their_grid() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(64, 32)
    found = layers.Int4Linear.of(layer)
    groups = layer.weight.unflatten(1, (-1, layers.GROUP))
    step = (groups.amax(-1) - groups.amin(-1)) / 15
    gap = (found.dequantized() - layer.weight).abs().unflatten(1, (-1, layers.GROUP)).amax(-1)
    # Half a step, and what rounding scale and zero to bfloat16 adds at the ends.
    assert bool((gap <= 0.6 * step + 0.01 * groups.abs().amax(-1)).all())
    low, high = found.weight & 15, found.weight >> 4  # type: ignore[operator]
    assert int(low.max()) <= 15
    assert int(high.max()) <= 15


@pytest.mark.parametrize("rows", [(1,), (2, 3), (40,)])
@pytest.mark.parametrize("inputs", [32, 96])
def test_the_8_bit_product_is_that_of_the_rounded_weights(rows: tuple[int, ...], inputs: int) -> None:
    torch.manual_seed(0)
    layer = layers.Int8Linear.of(nn.Linear(inputs, 33))
    x = torch.randn(*rows, inputs) * 3
    expected = F.linear(x.double(), layer.dequantized().double(), layer.bias.double())  # type: ignore[operator,union-attr]
    found = layer(x)
    assert found.shape == (*rows, 33)
    assert float((found - expected).abs().max() / expected.abs().max()) < 3e-4


def test_the_8_bit_product_of_a_row_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(0)
    layer, x = layers.Int8Linear.of(nn.Linear(64, 48)), torch.randn(9, 64)
    assert torch.equal(layer(x), torch.cat([layer(row[None]) for row in x]))


@pytest.mark.parametrize("inputs", [33, 1040, 1041, 2500])
def test_integers_added_in_fp32_give_the_same_bits(inputs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(5, inputs), torch.randint(-127, 128, (70, inputs), dtype=torch.int8)
    x[0], weight[0] = 3.0, 127  # the largest sums there are
    scale, found = torch.rand(70), []
    monkeypatch.setattr(layers, "_AT_ONCE", 30 * inputs)  # three pieces of the weight
    for units in (True, False):
        monkeypatch.setattr(layers, "_int8_units", lambda units=units: units)
        found.append(layers.int8_product(x, weight, scale))
    assert torch.equal(*found)


def test_the_8_bit_product_keeps_a_nan() -> None:
    layer = layers.Int8Linear.of(nn.Linear(32, 16))
    assert bool(layer(torch.full((1, 32), torch.nan)).isnan().all())


def test_without_the_kernels_the_rounded_weights_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    dense, x = nn.Linear(64, 32), torch.randn(3, 64)
    eight, four = layers.Int8Linear.of(dense), layers.Int4Linear.of(dense)
    monkeypatch.setattr(layers, "_int8_works", lambda: False)
    monkeypatch.setattr(layers, "_int4_works", lambda group: False)
    four.pack()
    assert not four.packed
    for layer in (eight, four):
        expected = F.linear(x, layer.dequantized(), dense.bias)
        assert torch.allclose(layer(x), expected, atol=1e-6)


def test_the_4_bit_kernel_is_near_the_rounded_weights() -> None:
    torch.manual_seed(0)
    layer, x = layers.Int4Linear.of(nn.Linear(128, 64)), torch.randn(5, 128)
    expected = layer(x)
    layer.pack()
    if not layer.packed:
        pytest.skip("this build of torch has no 4-bit kernel")
    assert float((layer(x) - expected).abs().max() / expected.abs().max()) < 0.02  # bfloat16 inside


def _by_hand(model: Any, method: str) -> Any:
    """The same model in fp32 with every weight rounded as the method says."""
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                if method == "cpu-int4" and isinstance(module, nn.Linear) and not name.endswith("lm_head"):
                    module.weight.copy_(layers.Int4Linear.of(module).dequantized())
                elif not (name.endswith("lm_head") and model.config.tie_word_embeddings):
                    weight, scale = layers.to_int8(module.weight)
                    module.weight.copy_(weight.float() * scale[:, None])
    return model


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("kind", "tied"), [("llama", True), ("llama", False), ("qwen2", True), ("gemma3", True)])
def test_a_model_says_what_its_rounded_weights_say_and_survives_saving(
    kind: str, tied: bool, method: Any, tmp_path: Path
) -> None:
    expected = language_logprobs(_by_hand(tiny_model(kind, tie_word_embeddings=tied), method))(IDS)
    model = tiny_model(kind, tie_word_embeddings=tied)
    quantize_for_cpu(model, method)
    assert float((language_logprobs(model)(IDS) - expected).abs().max()) < 2e-2
    model.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    again = load(ModelConfig(base=str(tmp_path))).model
    assert quantized_kind(again) == located_kind(locate(str(tmp_path))) == method
    gap = float((language_logprobs(again)(IDS) - expected).abs().max())
    assert gap < (2e-2 if method == "cpu-int8" else 0.1)
    names = json.loads((tmp_path / "config.json").read_text())["quantization_config"]
    assert names == {"quant_method": "medicalgpt-cpu", "method": method, "group": 32, "tied": tied}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("quantized")
    model = tiny_model()
    quantize_for_cpu(model, "cpu-int8")
    model.save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    return path


def test_quantized_weights_are_not_trained_merged_or_quantized_again(folder: Path, tmp_path: Path) -> None:
    config = ModelConfig(base=str(folder))
    with pytest.raises(ModelError, match=r"quantized weights \(cpu-int8\) and cannot be trained"):
        load(config, lora=LoraConfig())
    bench = Bench(tmp_path)
    full = bench.config("sft", tmp_path / "run", f"model.base={folder}", "lora.enabled=false").value
    with pytest.raises(ModelError, match="cannot be trained"):
        load_trained(full)
    with pytest.raises(ModelError, match=r"quantized weights already \(cpu-int8\); leave quantization=nf4 out"):
        load(config, "nf4")
    with pytest.raises(ModelError, match="quantized already"):
        quantize_for_cpu(load(config).model, "cpu-int4")
    adapter = _adapter(tmp_path / "adapter", folder)
    with pytest.raises(ModelError, match="cannot be merged into"):
        find_chain(str(adapter))
    with pytest.raises(ModelError, match="cannot be given the adapter"):
        load(ModelConfig(base=str(adapter)))


def _adapter(target: Path, base: Path) -> Path:
    from peft import LoraConfig as PeftLora
    from peft import get_peft_model

    get_peft_model(tiny_model(), PeftLora(target_modules=["q_proj"], task_type="CAUSAL_LM")).save_pretrained(target)
    config = json.loads((target / "adapter_config.json").read_text())
    (target / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(base)}))
    return target


# -- half folders -------------------------------------------------------------------------------------------------------
def test_a_cut_off_weight_file_is_named(tmp_path: Path) -> None:
    weights = save_tiny(tmp_path) / "model.safetensors"
    whole = weights.read_bytes()
    for cut in (5, 200, len(whole) // 2, len(whole) - 1):
        weights.write_bytes(whole[:cut])
        with pytest.raises(ModelError, match=r"model\.safetensors is damaged .*copy or download the model again"):
            load(ModelConfig(base=str(tmp_path)))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path, max_shard_size="40KB")
    tiny_tokenizer().save_pretrained(tmp_path)
    load(ModelConfig(base=str(tmp_path)))
    gone = sorted(tmp_path.glob("model-*.safetensors"))[1]
    gone.unlink()
    with pytest.raises(ModelError, match=rf"only half there: .* lists {gone.name}, which is missing"):
        load(ModelConfig(base=str(tmp_path)))


def test_a_weight_that_no_file_holds_is_not_made_up(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = save_tiny(tmp_path) / "model.safetensors"
    held = load_file(weights)
    held.pop("model.layers.1.mlp.up_proj.weight")
    save_file(held, weights, {"format": "pt"})
    with pytest.raises(ModelError, match=r"half there: 1 weights .* among them model\.layers\.1\.mlp\.up_proj\.weight"):
        load(ModelConfig(base=str(tmp_path)))
