"""Pages of mapped files are given back, and nothing that is not on the disk."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tests.tiny import tiny_model

from medicalgpt.kernels.mapped import release_pages
from medicalgpt.kernels.onednn import keep_onednn_weights, onednn_weights

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not tell of pages")

NUMBERS = 1 << 20


def held(tensor: torch.Tensor) -> int:
    """Whole pages of a tensor that this process holds."""
    first, end = -(-tensor.data_ptr() // 4096), (tensor.data_ptr() + tensor.nbytes) // 4096
    with Path("/proc/self/pagemap").open("rb") as file:
        file.seek(first * 8)
        return int((np.frombuffer(file.read((end - first) * 8), "<u8") >> np.uint64(63)).sum())


def mapped(path: Path, tensor: torch.Tensor) -> torch.Tensor:
    save_file({"weight": tensor}, path)
    with safe_open(path, "pt") as file:
        return file.get_tensor("weight")


@pytest.fixture
def weight(tmp_path: Path) -> torch.Tensor:
    """In a mapped file, all of it read."""
    found = mapped(tmp_path / "w.safetensors", torch.arange(NUMBERS, dtype=torch.float32).view(1024, -1))
    assert found.sum() > 0
    return found


def test_pages_of_a_file_are_given_back_and_read_again(weight: torch.Tensor) -> None:
    assert held(weight) > 1000
    assert release_pages(weight) > 0.99 * weight.nbytes
    assert held(weight) == 0
    assert torch.equal(weight.flatten(), torch.arange(NUMBERS, dtype=torch.float32))
    assert release_pages(weight[100:200]) > 0, "a part of it, too"
    assert release_pages(weight[:, 3:5]) == 0, "but not what lies between the pages of others"


def test_what_was_written_stays(weight: torch.Tensor) -> None:
    weight[700, 7] = -1.5
    assert release_pages(weight) == 0
    assert weight[700, 7] == -1.5
    assert release_pages(weight[:500]) > 0
    assert weight[700, 7] == -1.5
    assert weight[3, 5] == 3 * 1024 + 5


def test_memory_of_the_process_stays() -> None:
    own = torch.arange(NUMBERS, dtype=torch.float32)
    assert release_pages(own) == 0
    assert torch.equal(own, torch.arange(NUMBERS, dtype=torch.float32))
    assert release_pages(own[:3]) == 0
    assert release_pages(torch.empty(0)) == 0


def test_where_the_system_does_not_tell(weight: torch.Tensor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("medicalgpt.kernels.mapped._PAGEMAP", tmp_path / "none")
        assert release_pages(weight) == 0
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "darwin")
        assert release_pages(weight) == 0


@pytest.mark.parametrize("kept", [False, True])
def test_a_model_does_not_hold_a_mapped_weight_beside_its_copy(kept: bool, tmp_path: Path) -> None:
    model = tiny_model(hidden_size=256, intermediate_size=512).eval()
    layer = model.model.layers[0].mlp.up_proj
    ids = torch.arange(3, 12)[None]
    with torch.no_grad():
        before = model(ids).logits
        original = mapped(tmp_path / "w.safetensors", layer.weight.detach().clone())
        layer.weight.data = original
        assert torch.equal(model(ids).logits, before)
        assert held(original) > 0
        if kept:
            keep_onednn_weights(model)
            found = model(ids).logits
        else:
            with onednn_weights(model) as count:
                assert count > 0
                found = model(ids).logits
                assert held(original) == 0
            assert torch.equal(model(ids).logits, before)
    torch.testing.assert_close(found, before)
    if kept:
        assert held(original) == 0
