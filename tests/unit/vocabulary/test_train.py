"""Vocabularies of their own, which others can open."""

from pathlib import Path

import pytest
import sentencepiece
from tests.vocabularies import CHINESE, HELD_OUT
from tokenizers import Tokenizer
from typer.testing import CliRunner

from medicalgpt.cli.vocab import app
from medicalgpt.errors import ModelError
from medicalgpt.vocabulary.learn import Wanted
from medicalgpt.vocabulary.pieces import read_pieces
from medicalgpt.vocabulary.train import TokenizerKind, train


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_sentencepiece_writes_any_text_and_reads_it_back(kind: TokenizerKind, tmp_path: Path) -> None:
    path = train(CHINESE, tmp_path / "own", 1400, kind)  # over 1,100 are bytes and the characters of the text
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    assert model.get_piece_size() == 1400
    for text in [*HELD_OUT, "鼷 ®  two spaces"]:
        for line in text.splitlines():
            assert model.decode(model.encode(line)) == line
    pieces = read_pieces(path, Wanted(0))
    assert "血壓" in pieces
    assert all(not c.isascii() for piece in pieces for c in piece)


def test_byte_level_writes_any_text_and_reads_it_back(tmp_path: Path) -> None:
    path = train(CHINESE, tmp_path / "own", 600, "bytes")
    model = Tokenizer.from_file(str(path))
    assert model.get_vocab_size() == 600
    for text in [*HELD_OUT, "鼷 ®  two spaces"]:
        assert model.decode(model.encode(text).ids) == text
    assert "血壓" in read_pieces(path, Wanted(0))


@pytest.mark.parametrize(
    ("kind", "size", "says"),
    [("bytes", 200, "too small"), ("bytes", 90_000, "has enough for"), ("unigram", 90_000, "cannot learn 90000")],
)
def test_sizes_that_the_text_cannot_give_are_refused(kind: TokenizerKind, size: int, says: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=says):
        train(CHINESE[:1], tmp_path / "own", size, kind)
    assert not (tmp_path / "own").exists()


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    train(CHINESE, tmp_path, 400, "bytes")
    with pytest.raises(ModelError, match=r"exists already"):
        train(CHINESE, tmp_path, 400, "bytes")


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "big5", "gb18030"])
def test_a_list_of_terms_is_read_in_its_encoding(codec: str, tmp_path: Path) -> None:
    terms = ["黃耆", "當歸", "麥門冬", "酸棗仁", "肉蓯蓉", "山茱萸"]
    path = tmp_path / "terms.txt"
    path.write_bytes("\n".join(terms).encode(codec))
    assert read_pieces(path, Wanted(10)) == terms


def test_the_command_says_what_a_folder_holds_beside_text(tmp_path: Path) -> None:
    ward = tmp_path / "ward"
    ward.mkdir()
    (ward / "a.txt").write_text("\n".join(CHINESE), encoding="utf-8")
    (ward / "b.rtf").write_text("x")
    result = CliRunner().invoke(
        app, ["train", "--corpus", str(ward), "--output", str(tmp_path / "own"), "--size", "600", "--kind", "bytes"]
    )
    assert result.exit_code == 0, result.output
    assert f"{ward}: 1 not read: 1 × .rtf" in result.stderr
