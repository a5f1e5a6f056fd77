"""The SentencePiece model that lies beside some tokenizers, kept in step with them."""

import math
from pathlib import Path
from typing import Any

from medicalgpt.errors import ModelError
from medicalgpt.vocabulary.learn import Growing

NAMES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")


def find_model(folder: Path) -> Path | None:
    """The SentencePiece model of a tokenizer's folder."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def parse(path: Path) -> Any:
    """The ModelProto in a file. Raises ModelError when there is none."""
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    messages: Any = sentencepiece_model_pb2
    model = messages.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise ModelError(f"{path} is no SentencePiece model; copy it again") from error
    return model


def extend_model(source: Path, target: Path, grown: Growing) -> None:
    """Write `source` with the tokens of `grown`, under the same ids, to `target`.

    SentencePiece joins the pair whose piece scores highest: in BPE models new pieces score below all old ones, in the
    order they were added; in unigram models they keep the score they have in the tokenizer. Control tokens whose ids
    come behind the old pieces get their place in between.

    Raises:
        ModelError: the model's pieces are not those of the tokenizer.
    """
    model = parse(source)
    _check(source, model, grown)
    kinds = model.SentencePiece
    for i in range(len(model.pieces), grown.first):
        name = grown.names.get(i)
        kind = kinds.UNUSED if name is None else kinds.USER_DEFINED
        model.pieces.append(kinds(piece=name or f"<unused_{i}>", score=0.0, type=kind))
    lowest = min(p.score for p in model.pieces if p.type == kinds.NORMAL)
    for step, i in enumerate(range(grown.first, grown.size), 1):
        name = grown.names[i]
        scored = getattr(grown, "pieces", None)
        score = float(scored[i][1]) if scored else math.floor(lowest) - step
        model.pieces.append(kinds(piece=name, score=score, type=kinds.NORMAL))
    model.trainer_spec.vocab_size = len(model.pieces)
    target.write_bytes(model.SerializeToString())


def _check(source: Path, model: Any, grown: Growing) -> None:
    if len(model.pieces) > grown.first:
        raise ModelError(
            f"{source} has {len(model.pieces)} pieces, the tokenizer {grown.first} tokens: they do not belong together"
        )
    normal = model.SentencePiece.NORMAL
    for i, piece in enumerate(model.pieces):
        if piece.type == normal and grown.names.get(i) != piece.piece:
            raise ModelError(f"{source}: piece {i} is another one than in the tokenizer: they do not belong together")
