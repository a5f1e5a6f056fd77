"""Tokens from a list instead of from counting: one a line, or the pieces of a tokenizer trained elsewhere."""

import json
from collections.abc import Iterable
from pathlib import Path

from medicalgpt.data.encoding import find_encoding
from medicalgpt.errors import DataError
from medicalgpt.models.vocabulary.bpe import SPACE, GrowingBpe, Spelling, is_byte_level
from medicalgpt.models.vocabulary.learn import Growing, Wanted


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
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read: {type(error).__name__}; expected a {path.suffix} of pieces") from error
    own = [piece for piece in dict.fromkeys(found) if piece and (path.suffix == ".txt" or wanted.allows(piece))]
    if not own:
        raise DataError(f"{path} holds no piece that may become a token; --ascii also takes pieces with ASCII letters")
    return own


def _lines(path: Path) -> list[str]:
    text = path.read_bytes().decode(find_encoding(path).name)
    return [line.rstrip().replace(SPACE, " ") for line in text.lstrip("\ufeff").splitlines()]


def _sentencepiece(path: Path) -> list[str]:
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise ValueError("no SentencePiece model") from error
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
    return [text for token, _ in ordered if (text := spelling.text(token)) is not None]


def add_pieces(grown: Growing, pieces: Iterable[str], size: int) -> int:
    """Make pieces tokens, short ones first, so that long ones are made of them; returns how many found no room.

    A piece of n old tokens needs up to n − 1 steps, each a token of its own.
    """
    wanted = sorted(pieces, key=len)
    for character in dict.fromkeys(c for piece in wanted for c in piece):
        steps = len(grown.old_tokens(grown.spelling.spelled(character))) - 1
        if grown.size - grown.first + max(steps, 1) <= size and not character.isspace():
            grown.character(character)
    model = grown.build().model
    left_out = 0
    for piece in wanted:
        ids = [t.id for t in model.tokenize(grown.spelling.spelled(piece))]
        ids = grown.segment(ids) if isinstance(grown, GrowingBpe) else ids
        if len(ids) < 2:
            continue
        if grown.size - grown.first + len(ids) - 1 > size or _chain(grown, ids) is None:
            left_out += 1
    return left_out


def _chain(grown: Growing, ids: list[int]) -> int | None:
    if isinstance(grown, GrowingBpe):
        return grown.chain(ids)
    made: int | None = ids[0]
    for i in ids[1:]:
        made = None if made is None else grown.join(made, i)
    return made
