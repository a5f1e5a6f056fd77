"""Tokenizers to extend, of every kind that can be, and the text that asks for new tokens."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sentencepiece import SentencePieceProcessor
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from medicalgpt.data.texts import texts
from medicalgpt.models.load import load_tokenizer
from medicalgpt.models.locate import Located
from medicalgpt.vocabulary.extend import Extension, extend
from medicalgpt.vocabulary.learn import Wanted
from medicalgpt.vocabulary.train import train
from tests.texts import metaspace
from tests.tiny import CHATML, CORPUS, tiny_tokenizer

DATA = Path(__file__).resolve().parents[1] / "examples" / "data"
CHINESE, HELD_OUT, ENGLISH = (
    list(texts([DATA / name])) for name in ("documents/zh-Hant", "documents-heldout/zh-Hant", "documents-heldout/en")
)
KINDS = ("byte-level", "control tokens behind", "whole words first", "metaspace", "sentencepiece bpe", "unigram")


def tokenizer_folder(kind: str, folder: Path) -> Path:
    """A folder with a tokenizer of one of KINDS."""
    folder.mkdir(parents=True)
    if kind == "byte-level":
        tiny_tokenizer().save_pretrained(folder)
    elif kind == "metaspace":
        metaspace().save_pretrained(folder)
    elif kind in ("sentencepiece bpe", "unigram"):
        _sentencepiece(kind, folder)
    else:
        _control_tokens_behind(folder, ignore_merges=kind == "whole words first")
    return folder


def _control_tokens_behind(folder: Path, ignore_merges: bool) -> None:
    """As Qwen (and, with `ignore_merges`, Llama 3) has it: control tokens are no part of the model's own list."""
    inner = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=[], initial_alphabet=alphabet, show_progress=False)
    inner.train_from_iterator(CORPUS * 5, trainer)
    inner.add_special_tokens([AddedToken(t, special=True) for t in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")])
    inner.add_tokens([AddedToken("<tool_call>", special=False)])
    inner.save(str(folder / "tokenizer.json"))
    name = "PreTrainedTokenizerFast" if ignore_merges else "Qwen2Tokenizer"
    _settings(folder, name, "qwen2", eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=CHATML)


def _sentencepiece(kind: str, folder: Path) -> None:
    """A SentencePiece model, and for unigram the tokenizer that transformers makes of such models."""
    bpe = kind == "sentencepiece bpe"
    path = train([*ENGLISH, *CORPUS], folder, 700, "bpe" if bpe else "unigram")
    control = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    if bpe:
        _settings(folder, "LlamaTokenizer", "llama", **control)
        return
    model = SentencePieceProcessor(model_file=str(path))
    pieces = [(model.id_to_piece(i), model.get_score(i)) for i in range(model.get_piece_size())]
    inner = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    inner.decoder = decoders.Sequence(steps)
    PreTrainedTokenizerFast(tokenizer_object=inner, **control, pad_token="<pad>").save_pretrained(folder)


def _settings(folder: Path, name: str, model: str, **settings: Any) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name, **settings}))
    (folder / "config.json").write_text(json.dumps({"model_type": model}))


def extended(base: Path, target: Path, size: int = 60, corpus: Sequence[str] = CHINESE, **settings: Any) -> Extension:
    """An extension by the words of the Chinese sample documents."""
    more = {k: settings.pop(k) for k in ("pieces", "pad_to") if k in settings}
    return extend(Located(str(base), "model"), target, Wanted(size, **{"min_count": 2, **settings}), corpus, **more)


def encode(tokenizer: Any, text: str) -> list[int]:
    """Ids of plain text."""
    return tokenizer.encode(text, add_special_tokens=False)  # type: ignore[no-any-return]


def both(base: Path, target: Path) -> tuple[Any, Any]:
    """The old and the new tokenizer."""
    return load_tokenizer(str(base)), load_tokenizer(str(target))
