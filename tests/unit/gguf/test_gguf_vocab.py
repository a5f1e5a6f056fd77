"""Tokenizers in GGUF: llama.cpp cuts texts as the tokenizer does, and the file gives the very tokenizer back."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.llamacpp import llama_tokens
from tests.texts import ROLES, byte_level, metaspace
from tests.tiny import CORPUS, tiny_config, tiny_tokenizer
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from medicalgpt.errors import ModelError
from medicalgpt.export.gguf_writer import write_gguf
from medicalgpt.gguf.file import GgufFile
from medicalgpt.gguf.tokenizer import read_tokenizer
from medicalgpt.gguf.vocab import (
    BYTE,
    CONTROL,
    RULES,
    SERIALIZED,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    expressions,
    split_digits,
    vocabulary,
)

TEXTS = [
    *CORPUS,
    "take  5 mg\n\n twice 1234, I'm sure we'LL",
    "Ünïcode 🤒 38.5°C 高血壓的症狀？",
    "<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n",
    *[text for text in ROLES if not text.startswith(" ")],
]


def trained(rule: Any) -> Any:
    """Byte-level BPE that cuts text by a rule."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer, inner.decoder = rule, decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(CORPUS * 5, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>")


def expression(name: str) -> Any:
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = pre_tokenizers.Split(Regex(expressions()[name]), "isolated")
    return pre_tokenizers.Sequence([split, bytes_only])


def unigram() -> Any:
    inner = Tokenizer(models.Unigram())
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200,
        special_tokens=["<unk>", "</s>", "<|im_start|>", "<|im_end|>"],
        unk_token="<unk>",
        show_progress=False,
    )
    inner.train_from_iterator(CORPUS * 5, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", unk_token="<unk>")


def written(folder: Path, tokenizer: Any) -> GgufFile:
    config = tiny_config()
    config.vocab_size = len(tokenizer) + 3
    path = folder / "m.gguf"
    model = AutoModelForCausalLM.from_config(config)
    write_gguf(model, tokenizer, path, "f32", stop_ids=[tokenizer.eos_token_id], template=None, name="tiny")
    return GgufFile.read(path)


def ids(tokenizer: Any, texts: Sequence[str] = TEXTS) -> list[list[int]]:
    return [tokenizer(text)["input_ids"] for text in texts]


KINDS: dict[str, tuple[Any, str, str | None]] = {
    "GPT-2": (lambda: tiny_tokenizer(), "gpt2", "gpt-2"),
    "with bos": (lambda: byte_level(bos="<s>"), "gpt2", "gpt-2"),
    "digits": (lambda: trained(split_digits()), "gpt2", "smollm"),
    **{name: (lambda name=name: trained(expression(name)), "gpt2", name) for name in RULES},
    "SentencePiece": (lambda: metaspace("always"), "llama", None),
    "SentencePiece without a space in front": (lambda: metaspace("never"), "llama", None),
    "Unigram": (unigram, "t5", None),
}


@pytest.mark.parametrize("name", KINDS)
def test_llama_cpp_and_the_file_cut_texts_as_the_tokenizer_does(name: str, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    make, kind, rule = KINDS[name]
    tokenizer = make()
    file = written(tmp_path, tokenizer)
    assert (file.metadata["tokenizer.ggml.model"], file.metadata.get("tokenizer.ggml.pre")) == (kind, rule)
    assert llama_tokens(file.path, TEXTS) == ids(tokenizer)
    texts = [*TEXTS, *ROLES, "", "  ", " a  b\t\n"]
    assert ids(file.tokenizer, texts) == ids(tokenizer, texts)
    for row in ids(tokenizer):
        assert file.tokenizer.decode(row) == tokenizer.decode(row)
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    assert [getattr(file.tokenizer, n) for n in names] == [getattr(tokenizer, n) for n in names]


@pytest.mark.parametrize("name", [n for n in KINDS if n not in ("Unigram", "SentencePiece")])
def test_a_file_of_another_program_gives_the_same_tokens(name: str, tmp_path: Path) -> None:
    tokenizer = KINDS[name][0]()
    file = written(tmp_path, tokenizer)
    del file.metadata[SERIALIZED]
    assert ids(file.tokenizer) == ids(tokenizer)
    assert file.tokenizer.eos_token_id == tokenizer.eos_token_id


def test_a_file_of_another_program_with_an_unknown_tokenizer_is_refused(tmp_path: Path) -> None:
    metadata = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "poro-chat"}
    with pytest.raises(ModelError, match=r"cuts text by the rule 'poro-chat'.*other tokens than in training"):
        read_tokenizer(tmp_path / "m.gguf", metadata)
    with pytest.raises(ModelError, match="of the kind 'rwkv'"):
        read_tokenizer(tmp_path / "m.gguf", {"tokenizer.ggml.model": "rwkv"})


def test_every_token_has_its_type() -> None:
    tokenizer = metaspace("first")
    words = vocabulary(tokenizer, len(tokenizer) + 2)
    by_token = dict(zip(words.tokens, words.types))
    assert by_token["<unk>"] == UNKNOWN
    assert by_token["<|im_end|>"] == CONTROL
    assert by_token["<0x41>"] == BYTE
    assert words.tokens[-1] == f"[PAD{len(tokenizer) + 1}]"
    assert words.types[-2:] == [UNUSED, UNUSED]
    assert words.unknown == words.tokens.index("<unk>")
    assert "puts a space behind special tokens" in words.notes[0]


def test_added_words_are_the_users(tmp_path: Path) -> None:
    tokenizer = trained(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.add_tokens(["hypertension", "高血壓"])
    words = vocabulary(tokenizer, len(tokenizer))
    assert words.types[-2:] == [USER_DEFINED, USER_DEFINED]
    pytest.importorskip("xllamacpp")
    file = written(tmp_path, tokenizer)
    texts = ["has hypertension?", "高血壓的症狀"]
    assert llama_tokens(file.path, texts) == ids(tokenizer, texts) == ids(file.tokenizer, texts)


def test_an_unknown_rule_needs_a_name_and_a_large_vocabulary_is_refused() -> None:
    tokenizer = trained(pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel()]))
    with pytest.raises(ModelError, match="--pre NAME"):
        vocabulary(tokenizer, len(tokenizer))
    assert vocabulary(tokenizer, len(tokenizer), pre="falcon").pre == "falcon"
    with pytest.raises(ModelError, match="only byte-level BPE has such a rule"):
        vocabulary(metaspace(), 700, pre="falcon")
    with pytest.raises(ModelError, match=r"tokens up to id \d+, the model only 300 embeddings"):
        vocabulary(tokenizer, 300)


def test_a_tokenizer_of_another_kind_is_refused() -> None:
    inner = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    with pytest.raises(ModelError, match="a WordPiece tokenizer of this kind has no word in GGUF"):
        vocabulary(PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]"), 2)
    with pytest.raises(ModelError, match=r"no tokenizer\.json form"):
        vocabulary(object(), 2)
