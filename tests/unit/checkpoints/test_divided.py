"""Parts of a checkpoint: one process's own here; what several write, and others read, is tested in tests/e2e/test_sharded.py."""

from pathlib import Path

import pytest
import torch

from medicalgpt.checkpoints.divided import PARTS, copied, is_divided, read_parts, shapes_of_parts, write_parts
from medicalgpt.errors import RunError


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    return {
        "weight/a": torch.arange(12, dtype=torch.float64).view(3, 4),
        "optimizer/0/exp_avg": torch.randn(5).bfloat16(),
    }


@pytest.fixture
def folder(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    write_parts(tmp_path, tensors)
    return tmp_path


def test_what_was_written_is_read(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    assert is_divided(folder)
    assert not is_divided(folder / PARTS)
    assert shapes_of_parts(folder) == {"weight/a": (3, 4), "optimizer/0/exp_avg": (5,)}
    found = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    read_parts(folder, found)
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_files_are_safetensors_and_nothing_else(folder: Path) -> None:
    """DCP's own table of contents is a pickle, which may run code."""
    assert {path.suffix for path in (folder / PARTS).iterdir()} == {".safetensors"}


def test_a_copy_stays_what_it_was(tensors: dict[str, torch.Tensor]) -> None:
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    found = copied(tensors)
    for tensor in tensors.values():
        tensor.zero_()
    assert all(torch.equal(found[name], before[name]) for name in before)


@pytest.mark.parametrize("name", ["weight/b", "weight/a"])
def test_what_is_not_there_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(RunError, match="cannot be read"):
        read_parts(folder, {name: torch.zeros(2, 2)})


def test_a_damaged_file_is_refused(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    (file,) = (folder / PARTS).iterdir()
    file.write_bytes(file.read_bytes()[:40])
    for ask in (lambda: shapes_of_parts(folder), lambda: read_parts(folder, tensors)):
        with pytest.raises(RunError, match="cannot be read"):
            ask()


def test_who_cannot_write_says_so(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    (tmp_path / PARTS).write_text("a file where the folder should be")
    with pytest.raises(RunError, match="process 0 could not write its part"):
        write_parts(tmp_path, tensors)
