"""Text encoded by its words has the ids that the tokenizer gives it as a whole."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.texts import byte_level, metaspace
from tokenizers import AddedToken, Tokenizer, pre_tokenizers

from medicalgpt.rendering import words
from medicalgpt.rendering.words import Words, cuts_words

PIECES = st.sampled_from(
    [
        "The",
        "fever",
        " ",
        "  ",
        "\n",
        "38",
        "a1",
        "'s",
        "-",
        ":",
        ")",
        "é",
        "e\u0301",
        "高血壓",
        "🤒",
        "\t",
        ". A",
        " 1",
        "<|im_end|>",
    ]
)


@given(texts=st.lists(st.lists(PIECES, max_size=14).map("".join), min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_words_have_the_ids_of_the_whole(texts: list[str]) -> None:
    backend = byte_level().backend_tokenizer
    encoder = Words(backend)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "_WORTH", 10**6)
        for text in [*texts, *texts]:
            assert encoder.ids(text).tolist() == backend.encode(text, add_special_tokens=False).ids


def test_a_known_word_is_not_encoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Words(byte_level().backend_tokenizer)
    first = encoder.ids("Rest and drink, and call a doctor.").tolist()
    encoder.backend = None
    assert encoder.ids("Rest and drink, and call a doctor.").tolist() == first


def test_what_is_kept_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_MOST", 3)
    encoder = Words(byte_level().backend_tokenizer)
    for text in ("one two", "three four", "five six"):
        assert encoder.ids(text).tolist() == encoder.backend.encode(text, add_special_tokens=False).ids
        assert max(len(encoder._words), len(encoder._units)) <= 3


def changed(change: Any) -> Any:
    inner = Tokenizer.from_str(byte_level().backend_tokenizer.to_str())
    change(inner)
    return inner


def test_only_tokenizers_that_are_known_to_cut_there_are_encoded_so() -> None:
    assert cuts_words(byte_level().backend_tokenizer)
    assert not cuts_words(metaspace().backend_tokenizer)
    spaced = changed(lambda inner: inner.add_tokens([AddedToken("high blood", special=False)]))
    assert not cuts_words(spaced)

    def other(inner: Any) -> None:
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)

    assert not cuts_words(changed(other))
