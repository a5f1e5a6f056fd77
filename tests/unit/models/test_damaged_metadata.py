"""Model and adapter folders whose small files are damaged: one error that says where, never one of a library."""

import contextlib
import copy
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import save_tiny, tiny_model

from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import MedicalGPTError, ModelError
from medicalgpt.memory.shape import shape_of_model
from medicalgpt.models.context import within_context
from medicalgpt.models.load import load
from medicalgpt.models.locate import locate
from medicalgpt.models.merge import find_chain

DEEP = "[" * 100_000
ODD: list[Any] = [None, True, -1, 0, 1, 2.5, 10**12, 1e308, "", "x", "\ud800", [], [[]], {}, {"a": None}, [1, "x"]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and an adapter on it, as they should be."""
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("whole")
    save_tiny(folder / "base")
    adapted = get_peft_model(
        tiny_model(), LoraConfig(r=2, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    )
    adapted.peft_config["default"].base_model_name_or_path = "base"
    adapted.save_pretrained(folder / "adapter")
    return folder


@pytest.fixture
def place(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(base: str, adapter: str | None = None) -> str:
    """The message of a load that has to be refused."""
    with pytest.raises(MedicalGPTError) as caught:
        load(ModelConfig(base=base, adapter=adapter, dtype="float32"))
    assert len(str(caught.value)) < 3_000
    return str(caught.value)


def change(file: Path, **values: Any) -> None:
    found = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**found, **values}), encoding="utf-8")


def test_the_folders_are_whole_before(place: Path) -> None:
    load(ModelConfig(base="base", adapter="adapter", dtype="float32"))
    load(ModelConfig(base="adapter", dtype="float32"))


TEXTS = {
    "nothing": (b"", "is not readable JSON"),
    "cut off": (b'{"model_type": "lla', "is not readable JSON"),
    "a list": (b"[1, 2]", "must hold a JSON object, found list"),
    "deep": (DEEP.encode(), "is not usable JSON: it is nested too deep"),
    "not UTF-8": (b'{"model_type": "\xff"}', "is not readable JSON"),
    "zeros": (bytes(600), "is not readable JSON"),
    "endless": (b" " * (17 << 20), "has more than 16,777,216 bytes"),
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("file", ["base/config.json", "adapter/adapter_config.json"])
def test_a_config_that_is_no_json_object(text: str, file: str, place: Path) -> None:
    data, said = TEXTS[text]
    (place / file).write_bytes(data)
    assert f"{Path(file).name} {said}" in refused(Path(file).parts[0])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000; allowed: a whole number from 1 to 10,000"),
        ({"hidden_size": "many"}, "hidden_size is str; allowed: a whole number"),
        ({"vocab_size": -5}, "vocab_size is -5; allowed"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0; allowed"),
        ({"text_config": {"hidden_size": 1.5}}, "hidden_size is 1.5; allowed"),
        ({"model_type": "no-such-model"}, "base"),
        ({"model_type": ["llama"]}, "base"),
        ({"hidden_act": "no-such-function"}, "base cannot be loaded: "),
        ({"rope_parameters": {"rope_type": "no-such-rope"}}, "base cannot be loaded: "),
        ({"hidden_size": 48}, "base cannot be loaded"),
    ],
)
def test_a_value_that_no_model_can_have(values: dict[str, Any], said: str, place: Path) -> None:
    change(place / "base/config.json", **values)
    assert said in refused("base")


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"version": "1.0", "model": {"type": "BPE"}}', DEEP.encode(), bytes(300)]
)
def test_a_damaged_tokenizer(data: bytes, place: Path) -> None:
    (place / "base/tokenizer.json").write_bytes(data)
    assert "base: no usable tokenizer: " in refused("base")


@pytest.mark.parametrize("data", [b"[]", b"{", b'{"tokenizer_class": 5}', b'{"added_tokens_decoder": {"x": 1}}'])
def test_a_damaged_tokenizer_config(data: bytes, place: Path) -> None:
    (place / "base/tokenizer_config.json").write_bytes(data)
    assert "base: no usable tokenizer: " in refused("base")


@pytest.mark.parametrize(
    "values",
    [
        {"peft_type": "NO_SUCH_TYPE"},
        {"peft_type": None},
        {"r": -3},
        {"r": "eight"},
        {"target_modules": 5},
        {"target_modules": ["no_such_layer"]},
        {"task_type": 7},
        {"rank_pattern": [1]},
    ],
)
def test_a_damaged_adapter_config(values: dict[str, Any], place: Path) -> None:
    change(place / "adapter/adapter_config.json", **values)
    assert "adapter" in refused("base", "adapter")


@pytest.mark.parametrize("base", [None, "", 5, ["base"], "nowhere"])
def test_an_adapter_that_names_no_base(base: object, place: Path) -> None:
    change(place / "adapter/adapter_config.json", base_model_name_or_path=base)
    said = refused("adapter")
    assert "names no base model" in said or "no model 'nowhere'" in said


def test_an_adapter_that_is_its_own_base(place: Path) -> None:
    change(place / "adapter/adapter_config.json", base_model_name_or_path="adapter")
    refused("adapter")
    with pytest.raises(ModelError, match="names itself as its base"):
        shape_of_model("adapter")
    with pytest.raises(ModelError, match="names itself as its base"):
        within_context(64, locate("adapter"), "adapter", "data.max_tokens")
    with pytest.raises(ModelError, match="names itself as its base"):
        find_chain("adapter")


@pytest.mark.parametrize("name", ["base/model.safetensors", "adapter/adapter_model.safetensors"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:100],
        lambda data: data[:-1],
        lambda data: (2**63).to_bytes(8, "little") + data[8:],
        lambda data: data[:8] + b"[" * (len(data) - 8),
        lambda data: data[:20] + bytes(10) + data[30:],
    ],
    ids=["empty", "head only", "a byte less", "endless header", "brackets", "zeros in the header"],
)
def test_a_damaged_weight_file(name: str, damage: Callable[[bytes], bytes], place: Path) -> None:
    file = place / name
    file.write_bytes(damage(file.read_bytes()))
    assert f"{file.name} is damaged (" in refused("base", "adapter")


def test_a_folder_in_the_place_of_a_weight_file(place: Path) -> None:
    (place / "base/model.safetensors").unlink()
    (place / "base/model.safetensors").mkdir()
    assert "model.safetensors is damaged (" in refused("base")


@pytest.mark.parametrize("index", [{}, {"weight_map": {"a": 5}}, {"weight_map": {"a": ["b"]}}, {"weight_map": [1]}, []])
def test_a_damaged_index(index: Any, place: Path) -> None:
    (place / "base/model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ModelError, match="is not a readable list of weight files"):
        locate("base")


FILES = ["base/config.json", "base/tokenizer_config.json", "base/generation_config.json", "adapter/adapter_config.json"]


@pytest.mark.parametrize("seed", range(24))
def test_odd_values_anywhere_load_or_are_refused(seed: int, place: Path) -> None:
    """What a random value in a random place leads to differs by library; that it is no traceback does not."""
    draw = random.Random(seed)
    file = place / draw.choice(FILES)
    values = json.loads(file.read_text(encoding="utf-8"))
    before = copy.deepcopy(values)
    for name in draw.sample(sorted(values), k=min(2, len(values))):
        values[name] = draw.choice(ODD)
    if values == before:
        return
    file.write_text(json.dumps(values), encoding="utf-8")
    with contextlib.suppress(MedicalGPTError):
        load(ModelConfig(base="base", adapter="adapter", dtype="float32"))
        shape_of_model("base")
