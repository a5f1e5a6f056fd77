"""Several adapters behind one server, by vLLM (a stand-in): each by the name that a client asks for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tiny import save_tiny, tiny_model
from tests.vllm_core import Core, stand_in
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.errors import ModelError, ServeError
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.live.engine import BatchingEngine
from medicalgpt.serve.api.app import create_app
from medicalgpt.serve.api.service import Service

fastapi = pytest.importorskip("fastapi.testclient")
ASKED = {"messages": [{"role": "user", "content": "a"}], "max_tokens": 4}


def adapter(folder: Path, base: Path, rank: int = 8) -> Path:
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(tiny_model(), LoraConfig(r=rank, target_modules="all-linear"))
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(folder)
    return folder


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> Core:
    return stand_in(monkeypatch, Core())


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    base = save_tiny(tmp_path / "base")
    return {name: str(adapter(tmp_path / name, base, rank)) for name, rank in (("ward", 8), ("clinic", 20))}


@pytest.fixture
def client(core: Core, places: dict[str, str], tmp_path: Path) -> Iterator[Any]:
    engine = Engine.open(str(tmp_path / "base"), backend="vllm", adapters=places, tensor_parallel=2, memory_share=0.5)
    with BatchingEngine(engine) as live:
        yield fastapi.TestClient(create_app(Service(live, ("tiny",), local_only=False, adapters=tuple(places))))


def test_each_name_is_answered_by_its_adapter(client: Any, core: Core, places: dict[str, str]) -> None:
    for name, lora in (
        ("tiny", None),
        ("ward", ("ward", 1, places["ward"])),
        ("clinic", ("clinic", 2, places["clinic"])),
    ):
        for path in ("chat/completions", "completions", "responses"):
            body: dict[str, Any] = ASKED if path == "chat/completions" else {"max_tokens": 4, "prompt": "a"}
            body = {"input": "a", "max_output_tokens": 4} if path == "responses" else body
            found = client.post(f"/v1/{path}", json=body | {"model": name})
            assert found.status_code == 200, found.text
            assert found.json()["model"] == name
            assert core.given[-1][1] == lora
    assert [one["id"] for one in client.get("/v1/models").json()["data"]] == ["tiny", "ward", "clinic"]
    assert client.get("/v1/models/ward").status_code == 200
    wrong = client.post("/v1/chat/completions", json=ASKED | {"model": "other"})
    assert wrong.status_code == 404
    assert "there is tiny, ward, clinic" in wrong.json()["error"]["message"]


def test_vllm_is_told_of_gpus_memory_and_the_largest_rank(client: Any, core: Core) -> None:
    wanted = {"tensor_parallel_size": 2, "gpu_memory_utilization": 0.5, "max_lora_rank": 32, "max_loras": 2}
    assert {name: core.options[name] for name in wanted} == wanted


def test_what_only_vllm_does_is_refused_elsewhere(core: Core, places: dict[str, str], tmp_path: Path) -> None:
    base = str(tmp_path / "base")
    options: list[tuple[str, dict[str, Any]]] = [
        ("adapters", {"adapters": places}),
        ("tensor_parallel", {"tensor_parallel": 2}),
        ("memory_share", {"memory_share": 0.5}),
    ]
    for name, given in options:
        with pytest.raises(ServeError, match=f"{name}: only backend=vllm does that"):
            Engine.open(base, **given)
    with pytest.raises(ServeError, match=r"memory_share is 0.0; allowed: above 0, at most 1"):
        Engine.open(base, backend="vllm", memory_share=0.0)
    with pytest.raises(ServeError, match="is a model, not an adapter of one"):
        Engine.open(base, backend="vllm", adapters={"ward": base})
    engine = Engine.open(base, backend="vllm", adapters=places)
    with (
        BatchingEngine(engine) as live,
        pytest.raises(ServeError, match="ward is a name of the model and of an adapter"),
    ):
        Service(live, ("ward",), adapters=tuple(places))


@pytest.mark.parametrize(
    ("given", "said"),
    [(["ward"], "allowed is NAME=PATH"), (["=runs/a"], "allowed is NAME=PATH"), (["a=x", "a=y"], "the name a twice")],
)
def test_names_on_the_command_line(given: list[str], said: str, tmp_path: Path) -> None:
    words = [word for one in given for word in ("--named-adapter", one)]
    done = CliRunner().invoke(app, ["serve", "--model", str(tmp_path), "--port", "0", "--backend", "vllm", *words])
    assert done.exit_code != 0
    assert said in done.output


def test_an_adapter_that_changes_the_base_is_no_one_of_several(core: Core, places: dict[str, str]) -> None:
    config = Path(places["ward"]) / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"modules_to_save": ["lm_head"]}))
    base = str(Path(places["ward"]).parent / "base")
    with pytest.raises(ModelError, match="changes weights of the base itself"):
        Engine.open(base, backend="vllm", adapters=places)


def test_adapters_are_put_on_the_base_before_the_first_answer(core: Core, places: dict[str, str]) -> None:
    """vLLM does so with the first answer that asks for one, and its engine ends where that fails."""
    base = str(Path(places["ward"]).parent / "base")
    Engine.open(base, backend="vllm", adapters=places)
    assert core.loras == [("ward", 1, places["ward"]), ("clinic", 2, places["clinic"])]
    core.refuses = True
    with pytest.raises(
        ModelError, match="ward: vLLM cannot put this adapter on the base: Call to add_lora method failed"
    ):
        Engine.open(base, backend="vllm", adapters=places)


def test_an_adapter_of_a_model_with_other_widths(core: Core, places: dict[str, str], tmp_path: Path) -> None:
    """vLLM takes the matrices of a narrower model as a part of its layers', without a word."""
    wide = save_tiny(tmp_path / "wide", hidden_size=64)
    with pytest.raises(
        ModelError, match=r"ward is no adapter of .*wide, whose .*down_proj.weight is 64 × 64; it is for 32 × 64"
    ):
        Engine.open(str(wide), backend="vllm", adapters=places)


def test_layers_that_lie_the_other_way_round(core: Core, tmp_path: Path) -> None:
    """GPT-2 has the weights of its layers transposed."""
    from safetensors.torch import save_file

    from medicalgpt.models.adapter_fit import require_widths
    from medicalgpt.models.locate import Located

    for name in ("base", "adapter"):
        (tmp_path / name).mkdir()
    save_file({"h.0.attn.c_attn.weight": torch.zeros(8, 24)}, tmp_path / "base" / "model.safetensors")
    matrices = {"A": torch.zeros(4, 8), "B": torch.zeros(24, 4)}
    named = {f"base_model.model.h.0.attn.c_attn.lora_{side}.weight": value for side, value in matrices.items()}
    save_file(named, tmp_path / "adapter" / "adapter_model.safetensors")
    base, adapter = (Located(str(tmp_path / name), kind) for name, kind in (("base", "model"), ("adapter", "adapter")))  # type: ignore[arg-type]
    require_widths(base, adapter)
    save_file({"h.0.attn.c_attn.weight": torch.zeros(8, 32)}, tmp_path / "base" / "model.safetensors")
    with pytest.raises(ModelError, match="c_attn"):
        require_widths(base, adapter)
