"""A saved model is compared with the one in memory, tensor by tensor; what differs is refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tests.tiny import tiny_model
from tests.zoo import zoo_model

from medicalgpt.errors import ModelError
from medicalgpt.export.read_back import check_saved
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.quantized import quantize_for_cpu

Weights = dict[str, torch.Tensor]


def adapted(**options: Any) -> Any:
    """A tiny model with two adapters, of which the second one is the active one."""
    settings: dict[str, Any] = {"r": 2, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM", **options}
    model = get_peft_model(tiny_model(), LoraConfig(**settings), adapter_name="critic")
    model.add_adapter("policy", LoraConfig(**settings))
    model.set_adapter("policy")
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) / 10)  # no tensor is as another one
    return model


def save(model: Any, folder: Path) -> Path:
    chosen = {"selected_adapters": ["policy"]} if hasattr(model, "peft_config") else {}
    model.save_pretrained(folder, **chosen)
    return folder / "policy" if chosen else folder


def change(folder: Path, act: Callable[[Weights], Any]) -> None:
    """Write the folder's one file again, otherwise."""
    (file,) = folder.glob("*.safetensors")
    found = load_file(file)
    act(found)
    save_file(found, file, {"format": "pt"})


def quantized() -> Any:
    model = tiny_model()
    quantize_for_cpu(model, "cpu-int8")
    return model


MODELS: dict[str, Callable[[], Any]] = {
    "full": tiny_model,
    "tied": lambda: tiny_model(tie_word_embeddings=True),
    "bfloat16": lambda: tiny_model().to(torch.bfloat16),
    "experts under published names": lambda: zoo_model("mixtral"),
    "tied under other names": lambda: zoo_model("gemma3"),
    "quantized": quantized,
    "adapter": adapted,
    "dora": lambda: adapted(use_dora=True),
    "adapter and head": lambda: adapted(modules_to_save=["lm_head"]),
    "adapter and rows of the embedding": lambda: adapted(trainable_token_indices={"embed_tokens": [3, 5]}),
}


@pytest.mark.parametrize("kind", MODELS)
def test_what_was_saved_well_passes_and_any_other_number_does_not(kind: str, tmp_path: Path) -> None:
    model = MODELS[kind]()
    folder = save(model, tmp_path)
    check_saved(folder, model)
    state = unwrap(model).state_dict() if kind == "quantized" else dict(model.named_parameters())
    other = next(
        value for name, value in state.items() if "critic" not in name and (kind == "quantized" or value.requires_grad)
    )
    with torch.no_grad():
        other.view(-1)[0] += 1
    with pytest.raises(ModelError, match=r"of another content|missing"):
        check_saved(folder, model)


def drop(name: str) -> Callable[[Weights], Any]:
    return lambda weights: weights.pop(next(key for key in weights if name in key))


def replace(name: str, by: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Weights], Any]:
    def act(weights: Weights) -> None:
        key = next(key for key in weights if name in key)
        weights[key] = by(weights[key])

    return act


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (drop("lora_A"), r"missing: base_model\.\S+lora_A\.weight\)"),
        (replace("lora_B", lambda t: t[:0].clone()), r"\(empty: base_model\.\S+lora_B\.weight\)"),
        (replace("lora_B", lambda t: t[1:].clone()), r"of another shape or type: \S+lora_B"),
        (replace("lora_B", lambda t: t.half()), r"of another shape or type: \S+lora_B"),
        (replace("lora_B", torch.zeros_like), r"of another content: \S+lora_B"),
        (lambda weights: [weights.pop(key) for key in list(weights)[1:]], r"missing: .* and 3 more\)"),
    ],
)
def test_what_is_wrong_with_an_adapter_is_said(act: Callable[[Weights], Any], said: str, tmp_path: Path) -> None:
    model = adapted()
    folder = save(model, tmp_path)
    change(folder, act)
    with pytest.raises(ModelError, match=said):
        check_saved(folder, model)


def test_a_head_that_was_left_out(tmp_path: Path) -> None:
    model = adapted(modules_to_save=["lm_head"])
    folder = save(model, tmp_path)
    change(folder, drop("lm_head"))
    with pytest.raises(ModelError, match=r"missing: base_model\.model\.lm_head\.weight"):
        check_saved(folder, model)


def test_an_expert_that_was_left_out(tmp_path: Path) -> None:
    model = zoo_model("mixtral")
    save(model, tmp_path)
    change(tmp_path, drop("experts.1."))
    with pytest.raises(ModelError, match=r"missing: model\.layers\.0\.\S*experts"):
        check_saved(tmp_path, model)


def test_a_tensor_that_is_not_in_memory(tmp_path: Path) -> None:
    model = tiny_model()
    save(model, tmp_path)
    model.model.norm.to("meta")
    with pytest.raises(ModelError, match=r"empty: model\.norm\.weight"):
        check_saved(tmp_path, model)


def test_a_file_that_was_cut_short(tmp_path: Path) -> None:
    model = tiny_model()
    save(model, tmp_path)
    with (tmp_path / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        check_saved(tmp_path, model)


def test_numbers_that_are_none_are_compared_as_well(tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    save(model, tmp_path)
    check_saved(tmp_path, model)
