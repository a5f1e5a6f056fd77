"""A weight file is refused before it is loaded, with what is wrong with it."""

import json
from pathlib import Path

import pytest

from medicalgpt.errors import ModelError
from medicalgpt.models.complete import check_complete

NAME = "model.safetensors"


def entry(shape: list[int], start: int, end: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}


def write(folder: Path, header: dict[str, object], data: bytes) -> None:
    text = json.dumps(header).encode()
    (folder / NAME).write_bytes(len(text).to_bytes(8, "little") + text + data)


def test_a_whole_file_is_let_through(tmp_path: Path) -> None:
    write(tmp_path, {"a": entry([2], 0, 8), "b": entry([2], 8, 16)}, bytes(16))
    check_complete(tmp_path, [NAME])


@pytest.mark.parametrize(
    ("header", "length", "fault"),
    [
        ({"a": entry([4], 0, 16)}, 15, "not fully covered"),
        ({"a": entry([4], 0, 16)}, 17, "not fully covered"),
        ({"a": entry([5], 0, 16)}, 16, "invalid shape"),
        ({"a": entry([2], 0, 8), "b": entry([1], 12, 16)}, 16, "invalid offset for tensor `b`"),
        ({"a": entry([3], 0, 12), "b": entry([2], 8, 16)}, 16, "invalid offset for tensor `b`"),
        ({"a": {"dtype": "F32", "shape": [4]}}, 16, "missing field `data_offsets`"),
    ],
    ids=["one byte short", "one byte more", "shape", "gap", "overlap", "no offsets"],
)
def test_a_header_that_does_not_fit_the_file(
    tmp_path: Path, header: dict[str, object], length: int, fault: str
) -> None:
    write(tmp_path, header, bytes(length))
    size = (tmp_path / NAME).stat().st_size
    with pytest.raises(ModelError, match=rf"{NAME} is damaged \({size} bytes: .*{fault}.*copy or download"):
        check_complete(tmp_path, [NAME])


@pytest.mark.parametrize(
    "content", [b"", b"12345", bytes(4096), b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n"]
)
def test_a_file_that_is_no_weight_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(ModelError, match=rf"{NAME} is damaged \({len(content)} bytes: .*copy or download"):
        check_complete(tmp_path, [NAME])
