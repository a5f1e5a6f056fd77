"""The table of model families against transformers itself, and what loading makes of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tiny import NO_WEIGHTS, save_tiny, tiny_config, tiny_model
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.config.sections import LoraConfig, ModelConfig
from medicalgpt.errors import ModelError
from medicalgpt.models.adapters import attach, linear_names
from medicalgpt.models.families import FAMILIES, Architecture, family_of, identify, native_class
from medicalgpt.models.load import load
from medicalgpt.models.locate import locate
from medicalgpt.rendering.template_header import named_templates

EVERY = [pytest.param(name, a, id=f"{name}-{a.model_type}") for name, f in FAMILIES.items() for a in f.architectures]
# Named templates that the table counts on; those that this tree does not have yet are left out when one is chosen.
TEMPLATES = {
    *("vicuna", "alpaca", "plain", "baichuan", "baichuan2", "chatglm", "chatglm2", "chatglm3", "glm4", "internlm"),
    *("internlm2", "llama2", "llama3", "mistral", "xverse", "chatml", "deepseek", "deepseek3", "yi", "orion", "cohere"),
    *("qwen", "qwen3", "gemma", "smollm"),
}


def test_the_families_are_those_that_are_promised() -> None:
    promised = (
        "llama bloom chatglm baichuan qwen internlm mistral gemma cohere deepseek yi xverse orion minimax kimi hunyuan "
        "ernie seed ling minicpm granite phi gpt-oss olmo smollm exaone nemotron lfm falcon auto"
    )
    assert list(FAMILIES) == promised.split()


@pytest.mark.parametrize(("name", "architecture"), EVERY)
def test_own_code_is_needed_exactly_where_transformers_has_no_port(name: str, architecture: Architecture) -> None:
    assert architecture.remote_code != (native_class(architecture.model_type) is not None)
    assert set(architecture.templates) <= TEMPLATES | set(named_templates())


@pytest.mark.parametrize(("name", "architecture"), EVERY)
def test_every_line_is_found_by_its_config(name: str, architecture: Architecture) -> None:
    config: dict[str, Any] = {"model_type": architecture.model_type}
    if architecture.mark:
        config[architecture.mark[0]] = architecture.mark[1]
    assert identify(config, name) is architecture
    assert architecture.model_type in FAMILIES[family_of(identify(config))].model_types


# Families whose linear layers the table leaves alone for a reason: routers and gates.
ROUTERS = {"router", "shared_expert_gate", "in_proj_a", "in_proj_b", "in_proj_ba"}
SKETCHED = (
    "llama bloom glm glm4 glm4_moe glm4_moe_lite qwen2 qwen2_moe qwen3 qwen3_moe qwen3_next qwen3_5_text internlm3 "
    + (
        "mistral mixtral ministral3 gemma gemma2 gemma3_text cohere cohere2 cohere2_moe deepseek_v2 deepseek_v3 llama4_text"
    )
)


@pytest.mark.parametrize("model_type", SKETCHED.split())
def test_the_targets_are_all_linear_layers_but_routers(model_type: str) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(model_type)
    for key in ("layer_types", "mlp_layer_types", "no_rope_layers"):
        if getattr(config, key, None):
            setattr(config, key, getattr(config, key)[:4])
    config.num_hidden_layers = 4
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    targets = set(identify({"model_type": model_type}).lora_targets)
    assert set(linear_names(model)) - ROUTERS <= targets
    assert targets & set(linear_names(model))


def test_lora_of_the_family_adapts_the_listed_layers_that_are_there() -> None:
    adapted = attach(tiny_model("bloom"), LoraConfig(target_modules="family"), None, quantized=False)
    assert adapted.peft_config["default"].target_modules == set(FAMILIES["bloom"].architectures[0].lora_targets)
    glm = attach(tiny_model("glm4"), LoraConfig(target_modules="family"), None, quantized=False)
    assert "gate_up_proj" in glm.peft_config["default"].target_modules


def test_a_wrong_family_is_told_what_the_model_is(tmp_path: Path) -> None:
    base = str(save_tiny(tmp_path / "base"))
    with pytest.raises(
        ModelError, match=r"is no bloom model: .*'llama', which is llama or deepseek or yi; bloom takes bloom"
    ):
        load(ModelConfig(base=base), family="bloom")
    with pytest.raises(ModelError, match="did you mean 'llama'"):
        load(ModelConfig(base=base), family="lama")
    assert load(ModelConfig(base=base), family="yi").architecture.templates[0] == "yi"
    assert load(ModelConfig(base=base)).architecture.templates[-1] == "vicuna"


def test_a_model_of_no_family_is_no_family() -> None:
    config = tiny_config("mamba").to_dict()
    assert identify(config) == Architecture("mamba", ("vicuna",), "all-linear")
    with pytest.raises(ModelError, match="a model_type of no family in the table"):
        identify(config, "llama")


def _folder(path: Path, **config: Any) -> str:
    path.mkdir()
    (path / "model.safetensors").write_bytes(NO_WEIGHTS)
    (path / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "x.Y"}, **config}))
    return str(path)


def test_own_code_is_refused_only_where_it_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no port of model_type 'chatglm'.*--trust-remote-code.*glm-4-9b-chat-hf"):
        locate(_folder(tmp_path / "a", model_type="chatglm"))
    with pytest.raises(ModelError, match="no port of model_type 'house'"):
        locate(_folder(tmp_path / "b", model_type="house"))
    assert locate(_folder(tmp_path / "c", model_type="deepseek_v3")).kind == "model"
    assert locate(_folder(tmp_path / "d", model_type="phi3")).kind == "model"  # in no family, but in transformers


OWN_CODE = """
import torch
from torch import nn
from transformers import GenerationMixin, LlamaConfig, LlamaForCausalLM, PretrainedConfig

class HouseConfig(LlamaConfig):
    model_type = "chatglm"

class HouseModel(LlamaForCausalLM):
    config_class = HouseConfig
"""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model like the first ChatGLM: code of its own, which only AutoModel knows."""
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    folder = save_tiny(tmp_path / "house")
    (folder / "modeling_house.py").write_text(OWN_CODE)
    config = json.loads((folder / "config.json").read_text())
    names = {"AutoConfig": "modeling_house.HouseConfig", "AutoModel": "modeling_house.HouseModel"}
    config |= {
        "model_type": "chatglm",
        "position_encoding_2d": True,
        "auto_map": names,
        "architectures": ["HouseModel"],
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_the_first_chatglm_is_loaded_by_automodel_and_answers(house: Path) -> None:
    from medicalgpt.data.records import Message
    from medicalgpt.generate.engine import Engine
    from medicalgpt.generate.sampling import Sampling

    with pytest.raises(ModelError, match="ships Python code of its own"):
        Engine.open(str(house), family="chatglm")
    engine = Engine.open(str(house), family="chatglm", trust_remote_code=True)
    assert type(engine.model).__name__ == "HouseModel"
    plain = Engine(tiny_model(), engine.tokenizer, engine.template)
    turn = [Message("user", "What is a fever?")]
    assert engine.generate([turn], Sampling(8)) == plain.generate([turn], Sampling(8))


def test_the_command_prints_the_table() -> None:
    result = CliRunner().invoke(app, ["models", "families"])
    assert result.exit_code == 0
    for name, family in FAMILIES.items():
        assert name in result.stdout
        assert all(a.model_type in result.stdout and a.loads in result.stdout for a in family.architectures)
