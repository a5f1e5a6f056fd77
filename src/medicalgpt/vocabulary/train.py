"""A vocabulary of its own for domain text: SentencePiece (unigram or BPE), or byte-level BPE."""

import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from medicalgpt.errors import ModelError

TokenizerKind = Literal["unigram", "bpe", "bytes"]

FILES: dict[TokenizerKind, str] = {"unigram": "tokenizer.model", "bpe": "tokenizer.model", "bytes": "tokenizer.json"}
_LINE = 4192  # bytes: SentencePiece leaves out longer sentences without a word


def train(texts: Iterable[str], target: Path, size: int, kind: TokenizerKind) -> Path:
    """Learn `size` tokens and write them into the folder `target`; returns the file.

    Raises:
        ModelError: the file exists, or the text is too small for that many tokens.
    """
    path = target / FILES[kind]
    if path.exists():
        raise ModelError(f"{path} exists already; name another folder or remove it")
    data = _bytes(texts, size) if kind == "bytes" else _sentencepiece(texts, size, kind)
    target.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _bytes(texts: Iterable[str], size: int) -> bytes:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|endoftext|>"]
    if size <= len(alphabet) + len(special):
        raise ModelError(f"--size {size} is too small: the 256 bytes and a document end are tokens themselves")
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator(texts, trainer)
    if (found := inner.get_vocab_size()) < size:
        raise ModelError(
            f"the text has enough for {found} tokens, {size} were asked for; lower --size or give more text"
        )
    return inner.to_str(pretty=True).encode("utf-8")


def _sentencepiece(texts: Iterable[str], size: int, kind: TokenizerKind) -> bytes:
    import sentencepiece

    out = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_sentences(texts),
            model_writer=out,
            model_type=kind,
            vocab_size=size,
            character_coverage=0.9995,
            byte_fallback=True,  # no character is ever unknown
            split_digits=True,
            normalization_rule_name="identity",  # what is decoded is what was read
            remove_extra_whitespaces=False,
            max_sentence_length=_LINE,
            num_threads=os.cpu_count() or 1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ModelError(
            f"SentencePiece cannot learn {size} tokens from this text: {str(error).rsplit(') ', 1)[-1][:200].strip()}"
        ) from error
    return out.getvalue()


def _sentences(texts: Iterable[str]) -> Iterator[str]:
    """Lines, and lines too long for SentencePiece in parts."""
    step = _LINE // 4  # no character takes more bytes
    for text in texts:
        for line in filter(str.strip, text.splitlines()):
            yield from (line[i : i + step] for i in range(0, len(line), step))
