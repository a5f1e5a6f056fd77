"""Tokens from a list instead of from counting, or the pieces of a tokenizer trained elsewhere."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from medicalgpt.config.sections import Encodings
from medicalgpt.errors import DataError, ModelError
from medicalgpt.vocabulary.bpe import SPACE, GrowingBpe, Spelling, is_byte_level
from medicalgpt.vocabulary.learn import Growing, Wanted
from medicalgpt.vocabulary.piece_list import read_list
from medicalgpt.vocabulary.sentencepiece import parse


def read_pieces(
    path: Path, wanted: Wanted, say: Callable[[str], None] = lambda line: None, encoding: Encodings = "auto"
) -> list[str]:
    """Texts of a piece list (.txt, .vocab), a SentencePiece model (.model) or a tokenizer (.json), the most important first.

    A list is taken as it is (`▁` stands for a space), without a second column and control tokens; of a trained tokenizer,
    what `wanted` allows.

    Args:
        say: gets a line about what was left out of a list.
        encoding: of a list that has no byte order mark and is no UTF-8.

    Raises:
        DataError: no such file, another type, or one that cannot be read.
    """
    listed = path.suffix in (".txt", ".vocab")
    if not listed and path.suffix not in (".model", ".json"):
        raise DataError(
            f"{path}: pieces come from a .txt or .vocab (one a line), a SentencePiece .model or a tokenizer.json"
        )
    if not path.is_file():
        raise DataError(f"{path} is no file")
    try:
        if listed:
            found = [line.replace(SPACE, " ") for line in read_list(path, say, encoding)]
        else:
            found = _sentencepiece(path) if path.suffix == ".model" else _tokenizer_json(path)
    except (OSError, ValueError, KeyError, TypeError, ModelError) as error:
        raise DataError(f"{path} cannot be read: {type(error).__name__}; expected a {path.suffix} of pieces") from error
    own = [piece for piece in dict.fromkeys(found) if piece and (listed or wanted.allows(piece))]
    if not own:
        raise DataError(f"{path} holds no piece that may become a token; --ascii also takes pieces with ASCII letters")
    return own


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
