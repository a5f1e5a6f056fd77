"""What ids spell is read off their tokens just where decoding gives the same."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tiny import tiny_tokenizer
from tests.vocabularies import KINDS, tokenizer_folder
from tokenizers import AddedToken

from medicalgpt.models.load import load_tokenizer
from medicalgpt.rendering.spelling import Spelling


def spells(spelling: Spelling, ids: list[int], text: str) -> bool:
    return spelling.spells(np.asarray(ids, np.int32), text)


@given(st.text(max_size=40).filter(lambda text: text.isascii() or text.encode("utf-8", "ignore").decode() == text))
def test_what_was_encoded_is_spelled(text: str) -> None:
    backend = tiny_tokenizer().backend_tokenizer
    ids = backend.encode(text, add_special_tokens=False).ids
    assert spells(Spelling(backend), ids, text)
    assert not spells(Spelling(backend), ids, text + "x")


@given(st.lists(st.integers(0, 399), max_size=12))
def test_any_ids_spell_what_they_decode_to(ids: list[int]) -> None:
    backend = tiny_tokenizer().backend_tokenizer
    text = backend.decode(ids, skip_special_tokens=False)
    if "\ufffd" in text:  # half a character: only decoding can tell
        assert not spells(Spelling(backend), ids, text)
    else:
        assert spells(Spelling(backend), ids, text)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_claimed_that_decoding_does_not_give(kind: str, tmp_path: Path) -> None:
    backend = load_tokenizer(str(tokenizer_folder(kind, tmp_path / "t"))).backend_tokenizer
    spelling = Spelling(backend)
    for text in (" fever", "Call a doctor.\n", "高血壓 e\u0301", "<|im_end|>", "  two", "<tool_call>"):
        ids = backend.encode(text, add_special_tokens=False).ids
        assert not spells(spelling, ids, text) or backend.decode(ids, skip_special_tokens=False) == text


def test_added_tokens_are_written_as_they_are() -> None:
    backend = type(tiny_tokenizer().backend_tokenizer).from_str(tiny_tokenizer().backend_tokenizer.to_str())
    backend.add_tokens([AddedToken("阿司匹林 片", normalized=False)])
    ids = backend.encode("Take 阿司匹林 片.", add_special_tokens=False).ids
    assert backend.token_to_id("阿司匹林 片") in ids
    assert spells(Spelling(backend), ids, "Take 阿司匹林 片.")


def test_half_a_surrogate_pair_and_unknown_ids_are_for_decoding_to_tell() -> None:
    spelling = Spelling(tiny_tokenizer().backend_tokenizer)
    assert not spells(spelling, [1], "\ud83d")
    assert not spells(spelling, [1 << 20], "a")
    assert not spells(Spelling(None), [], "")


def test_tokens_that_come_later_are_found_too() -> None:
    """Each token's bytes are worked out when it first comes, alone or beside known ones."""
    backend = tiny_tokenizer().backend_tokenizer
    spelling = Spelling(backend)
    for text in ("a", "a fever", "fever a b", "b"):
        ids = backend.encode(text, add_special_tokens=False).ids
        assert spells(spelling, ids, text)
        assert not spells(spelling, ids[1:], text)
