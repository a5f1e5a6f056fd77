"""What the code asks of an accelerator, answered by one that this machine does not have; and that it asks nothing else."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from medicalgpt.kernels import device
from medicalgpt.kernels.free_memory import free_memory
from medicalgpt.models.load import pick_dtype
from medicalgpt.training.placing import training_device

SOURCE = Path(device.__file__).parents[1]
# Where a kind of device is named, and why.
NAMED = {
    "kernels/attention.py": "FlexAttention's kernels are compiled for CUDA and ROCm",
    "memory/estimate.py": "a word of the command line: any accelerator",
    "cli/estimate.py": "the same",
    "api/publish.py": "the same",
    "kernels/device.py": "the number type that CUDA emulates",
    "checkpoints/random_state.py": "names in transformers' files",
}


def test_no_module_names_cuda_but_where_a_kernel_is_for_cuda_only() -> None:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        code = "\n".join(line.partition("  #")[0] for line in path.read_text(encoding="utf-8").splitlines())
        if hits := re.findall(r"torch\.cuda\b(?!`)|\bis_cuda\b|\.cuda\(|[\"']cuda\b", code):
            found[str(path.relative_to(SOURCE))] = hits
    assert set(found) == set(NAMED), "ask kernels/device.py instead"
    assert not [path for path, hits in found.items() if "torch.cuda" in hits]


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Two accelerators of a kind that no code of ours names; this process uses the second."""
    seen = SimpleNamespace(number=1, put=[])
    states = [torch.tensor([n], dtype=torch.uint8) for n in (10, 11)]
    module = SimpleNamespace(
        get_device_name=lambda: "Other 9000",
        is_bf16_supported=lambda: True,
        get_rng_state_all=lambda: states,
        set_rng_state=seen.put.append,
    )
    answers: dict[str, Any] = {
        "current_accelerator": lambda check_available=False: torch.device("xpu"),
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "current_device_index": lambda: seen.number,
        "set_device_index": lambda number: setattr(seen, "number", number),
        "get_memory_info": lambda: (7 * 10**9, 8 * 10**9),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.accelerator, name, answer)
    monkeypatch.setattr(torch, "get_device_module", lambda _: module)
    return seen


def test_another_accelerator_answers(other: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.accelerator() == torch.device("xpu")
    assert device.own_device() == torch.device("xpu", 1)
    assert device.device_name() == "Other 9000"
    assert free_memory() == 7 * 10**9
    assert pick_dtype("auto") is torch.bfloat16
    assert device.backend() == "cpu:gloo,xpu:xccl"
    found = device.random_states()
    assert found is not None
    assert (found[0], len(found[1]), found[2]) == ("xpu", 2, 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    device.take_device()
    assert other.number == 0, "the third process takes the first of two again"
    device.take_random_state(found[1][1])
    assert other.put == [found[1][1]]


@pytest.mark.usefixtures("other")
def test_one_without_float64_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apple's: sums and counts are kept in float64."""
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: torch.device("mps"))
    assert device.accelerator() is None
    assert (device.own_device(), device.device_name()) == (torch.device("cpu"), "cpu")
    assert (device.free_device_memory(), device.random_states(), device.backend()) == (None, None, "gloo")
    assert not device.multiplies_bfloat16()
    assert training_device().type == "cpu"


@pytest.mark.usefixtures("other")
def test_one_that_does_not_say_that_it_multiplies_bfloat16_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_device_module", lambda _: SimpleNamespace())
    assert pick_dtype("auto") is torch.float32
    assert device.device_name() == "xpu"


def test_cuda_s_emulated_bfloat16_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    module = SimpleNamespace(
        is_bf16_supported=lambda including_emulation=True: asked.append(including_emulation) or False
    )
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: torch.device("cuda"))
    monkeypatch.setattr(torch, "get_device_module", lambda _: module)
    assert not device.multiplies_bfloat16()
    assert asked == [False]
