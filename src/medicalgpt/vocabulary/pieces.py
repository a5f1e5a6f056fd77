"""Tokens from a list instead of from counting: one a line, or the pieces of a tokenizer trained elsewhere."""

import json
from collections.abc import Iterable
from pathlib import Path

from medicalgpt.data.encoding import find_encoding
from medicalgpt.errors import DataError, ModelError
from medicalgpt.vocabulary.bpe import SPACE, GrowingBpe, Spelling, is_byte_level
from medicalgpt.vocabulary.learn import Growing, Wanted
from medicalgpt.vocabulary.sentencepiece import parse


def read_pieces(path: Path, wanted: Wanted) -> list[str]:
    """Texts of a piece list (.txt), a SentencePiece model (.model) or a tokenizer (.json), the most important first.

    A list is taken as it is (`▁` stands for a space); of a trained tokenizer, what `wanted` allows.

    Raises:
        DataError: no such file, another type, or one that cannot be read.
    """
    readers = {".txt": _lines, ".model": _sentencepiece, ".json": _tokenizer_json}
    if path.suffix not in readers:
        raise DataError(f"{path}: pieces come from a .txt (one a line), a SentencePiece .model or a tokenizer.json")
    if not path.is_file():
        raise DataError(f"{path} is no file")
    try:
        found = readers[path.suffix](path)
    except (OSError, ValueError, KeyError, TypeError, ModelError) as error:
        raise DataError(f"{path} cannot be read: {type(error).__name__}; expected a {path.suffix} of pieces") from error
    own = [piece for piece in dict.fromkeys(found) if piece and (path.suffix == ".txt" or wanted.allows(piece))]
    if not own:
        raise DataError(f"{path} holds no piece that may become a token; --ascii also takes pieces with ASCII letters")
    return own


def _lines(path: Path) -> list[str]:
    text = path.read_bytes().decode(find_encoding(path).name)
    return [line.rstrip().replace(SPACE, " ") for line in text.lstrip("\ufeff").splitlines()]


def _sentencepiece(path: Path) -> list[str]:
    model = parse(path)
    normal = model.SentencePiece.NORMAL
    ordered = sorted((p for p in model.pieces if p.type == normal), key=lambda p: -p.score)
    return [piece.piece.replace(SPACE, " ") for piece in ordered]


def _tokenizer_json(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    data = json.loads(text)
    if data["model"]["type"] != "BPE":
        raise ValueError("no BPE tokenizer")
    spelling = Spelling(is_byte_level(text))
    ordered = sorted(data["model"]["vocab"].items(), key=lambda entry: entry[1])
    return [piece for token, _ in ordered if (piece := spelling.text(token)) is not None]


def add_pieces(grown: Growing, pieces: Iterable[str], size: int) -> int:
    """Make pieces tokens in the order given; returns how many found no room, or the text of an old token in their way.

    A piece is built from left to right out of the tokens there are, so that one of n tokens takes up to n − 1 steps, each
    a token of its own.
    """
    left_out = 0
    for piece in pieces:
        spelled = grown.spelling.spelled(piece)
        for character in dict.fromkeys(piece):
            steps = max(1, len(grown.old_tokens(grown.spelling.spelled(character))) - 1)
            if not character.isascii() and grown.size - grown.first + steps <= size:
                grown.character(character)
        ids = grown.encode(spelled)
        if len(ids) < 2:
            continue
        steps = len(ids) - 1 if isinstance(grown, GrowingBpe) else 1
        if grown.size - grown.first + steps > size or grown.chain(ids) is None:
            left_out += 1
    return left_out
