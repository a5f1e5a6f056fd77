"""Weights as their files hold them: mapped, not read, and widened only as far as a process keeps them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from tests.tiny import save_tiny, tiny_model, tiny_tokenizer
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from torch.testing._internal.distributed.fake_pg import FakeStore

from medicalgpt.config.sections import ModelConfig
from medicalgpt.models.load import load
from medicalgpt.models.locate import locate
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.shard import Sharding
from medicalgpt.models.stored import shorter_type
from medicalgpt.objectives.language import SupervisedFineTuning
from medicalgpt.training.supervised.module import StageModule

WANTED = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@pytest.fixture
def two() -> Iterator[None]:
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    yield
    dist.destroy_process_group()


def stored(folder: Path, dtype: torch.dtype, **options: object) -> Path:
    tiny_model().to(dtype).save_pretrained(folder, **options)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def mapped_from(weight: torch.Tensor) -> Path | None:
    """The file that a tensor's bytes are mapped from."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        span, _, _, _, _, *name = line.split(maxsplit=5)
        first, end = (int(one, 16) for one in span.split("-"))
        if first <= weight.data_ptr() < end:
            return Path(*name) if name else None
    return None


@pytest.mark.parametrize("dtype", WANTED.values(), ids=WANTED)
def test_the_type_is_the_files_not_what_a_config_says(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = stored(tmp_path, dtype, max_shard_size="20KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    config = folder / "config.json"
    config.write_text(config.read_text().replace(str(dtype).removeprefix("torch."), "float32"))
    assert shorter_type(locate(str(folder)), torch.float32) is dtype
    assert shorter_type(locate(str(folder)), dtype) is None
    other = next(one for one in WANTED.values() if one is not dtype)
    assert shorter_type(locate(str(folder)), other) is None, "its values are not all of that type"


def test_files_of_several_types_are_loaded_in_the_wanted_one(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    stored(tmp_path, torch.bfloat16)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if "norm" in name)
    save_file(tensors | {name: tensors[name].float()}, file, {"format": "pt"})
    assert shorter_type(locate(str(tmp_path)), torch.float32) is None
    save_tiny(tmp_path / "float32")
    assert shorter_type(locate(str(tmp_path / "float32")), torch.float32) is None


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="tells what is mapped by Linux's list")
def test_what_is_loaded_as_stored_is_mapped_and_its_part_widened(tmp_path: Path, two: None) -> None:
    config = ModelConfig(base=str(stored(tmp_path, torch.bfloat16)), dtype="float32")
    whole = {name: weight.detach() for name, weight in load(config).model.named_parameters()}
    loaded = load(config, as_stored=True)
    assert loaded.widen is torch.float32
    for name, weight in loaded.model.named_parameters():
        assert weight.dtype is torch.bfloat16
        assert mapped_from(weight) == tmp_path / "model.safetensors", name
    buffers = {name: buffer.dtype for name, buffer in loaded.model.named_buffers()}
    module = StageModule(CausalPolicy(loaded.model), SupervisedFineTuning())
    module.divide(Sharding(init_device_mesh("cpu", (2,))), loaded.widen)
    for name, weight in loaded.model.named_parameters():
        assert isinstance(weight.data, DTensor)
        mine = weight.to_local()
        assert mine.dtype is torch.float32
        assert torch.equal(mine, whole[name][: len(mine)])
        assert 2 * len(mine) >= len(whole[name]) > len(mine)
    assert {name: buffer.dtype for name, buffer in loaded.model.named_buffers()} == buffers


def test_a_score_head_that_is_made_up_has_the_wanted_type_at_once(tmp_path: Path) -> None:
    config = ModelConfig(base=str(stored(tmp_path, torch.bfloat16)), dtype="float32")
    loaded = load(config, head="score", as_stored=True)
    assert loaded.widen is None
    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.float32}
