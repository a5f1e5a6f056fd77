"""GGUF files that are whole, cut off, or none at all."""

import struct
from pathlib import Path

import gguf
import pytest
from tests.llamacpp import tiny_gguf

from medicalgpt.errors import ModelError
from medicalgpt.gguf.file import GgufFile, is_gguf
from medicalgpt.gguf.header import read_header


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    tiny_gguf(path, weights="q8_0")
    return path


def test_the_header_is_what_the_format_s_own_reader_finds(whole: Path) -> None:
    header, reader = read_header(whole), gguf.GGUFReader(whole)
    fields = {name: field for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    assert header.metadata.keys() == fields.keys()
    for name, field in fields.items():
        strings = field.types[-1] == gguf.GGUFValueType.STRING and len(field.types) > 1
        assert header.metadata[name] == (len(field.data) if strings else pytest.approx(field.contents())), name
    assert header.types == {tensor.tensor_type.name for tensor in reader.tensors}
    assert header.end == max(tensor.data_offset + tensor.n_bytes for tensor in reader.tensors)


def test_numbers_of_the_architecture(whole: Path) -> None:
    file = GgufFile.read(whole)
    assert (file.architecture, file.context, file.fact("block_count")) == ("llama", 512, 2)
    assert file.numbers_per_token == 2 * 2 * (8 + 8)  # layers, shared heads, keys and values of 8 numbers each


def test_a_file_cut_off_anywhere_is_refused(whole: Path, tmp_path: Path) -> None:
    data, path = whole.read_bytes(), tmp_path / "m.gguf"
    for length in (0, 3, 10, 30, 1000, len(data) // 8, len(data) // 2, len(data) - 40):
        path.write_bytes(data[:length])
        with pytest.raises(ModelError, match=r"cut off|no GGUF file"):
            GgufFile.read(path)
    path.write_bytes(data)
    assert GgufFile.read(path).types == {"F32", "Q8_0"}


def test_what_is_no_gguf_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    with pytest.raises(ModelError, match="is no file"):
        GgufFile.read(path)
    path.write_text("<html>not found</html>")
    with pytest.raises(ModelError, match="does not begin with the letters GGUF"):
        GgufFile.read(path)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 1, 0, 0))
    with pytest.raises(ModelError, match="GGUF version 1; allowed: 2 and 3"):
        GgufFile.read(path)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    with pytest.raises(ModelError, match="holds no model"):
        GgufFile.read(path)
    name = struct.pack("<Q", 1) + b"x"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + name + struct.pack("<IQIQ", 1, 4, 999, 0))
    with pytest.raises(ModelError, match="tensors of type 999"):
        GgufFile.read(path)


def test_a_file_is_known_by_its_name(tmp_path: Path) -> None:
    assert is_gguf("a/b.gguf")
    assert is_gguf("B.GGUF")
    assert not is_gguf("runs/x")
    (tmp_path / "folder.gguf").mkdir()
    assert not is_gguf(str(tmp_path / "folder.gguf"))


def test_training_from_a_file_says_what_to_give_instead(whole: Path) -> None:
    from medicalgpt.models.locate import locate

    with pytest.raises(ModelError, match="give the model folder it was made from"):
        locate(str(whole))
