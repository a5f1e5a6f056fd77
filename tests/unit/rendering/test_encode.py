"""Token boundaries that hold: what stands before an answer has the ids it has when the answer is not there."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.texts import SPECIAL, byte_level, metaspace
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from medicalgpt.errors import RenderError
from medicalgpt.rendering.encode import Encoder

KINDS = {
    "byte": byte_level,
    "metaspace first": lambda: metaspace("first"),
    "metaspace always": lambda: metaspace("always"),
    "metaspace never": lambda: metaspace("never"),
}
HEADER = "<|im_start|>assistant\n"


def test_the_newline_trap() -> None:
    """An answer that begins with newlines would swallow the newline of the header: one token for both."""
    encoder = Encoder(byte_level())
    whole = encoder.ids(HEADER + "\n\nThe fever")
    assert whole[: len(encoder.ids(HEADER))] != encoder.ids(HEADER)
    header, answer = encoder.parts([HEADER, "\n\nThe fever"])
    assert header == encoder.ids(HEADER)
    assert answer == encoder.ids("\n\nThe fever")
    assert encoder.decode(header + answer) == HEADER + "\n\nThe fever"


def test_without_a_merge_nothing_is_cut() -> None:
    encoder = Encoder(byte_level())
    texts = [HEADER, "The fever.<|im_end|>", "\n<|im_start|>user\n"]
    parts = encoder.parts(texts)
    assert [i for part in parts for i in part] == encoder.ids("".join(texts)) == encoder.join(texts)
    assert [encoder.decode(part) for part in parts] == texts


def test_only_the_merging_boundary_is_cut() -> None:
    encoder = Encoder(byte_level())
    texts = [HEADER, "\n\nThe", HEADER, "What"]
    assert encoder.join(texts) == encoder.ids(HEADER) + encoder.ids("\n\nThe" + HEADER + "What")
    assert encoder.join(texts) != encoder.ids("".join(texts))


@pytest.mark.parametrize("scheme", ["first", "always"])
def test_a_cut_adds_no_space_to_a_sentencepiece_answer(scheme: str) -> None:
    """Alone, "The" is "▁The"; after a header it must stay what the header and it spell together."""
    encoder = Encoder(metaspace(scheme))
    assert encoder.tokenizer.tokenize("The")[0].startswith("▁")
    for header, answer in (("x\n", "\nThe fever"), ("assistant\n", "\nWhat"), ("assist", "ant\nThe")):
        whole = encoder.ids(header + answer)
        assert whole[: len(encoder.ids(header))] != encoder.ids(header), "this pair needs no cut"
        before, after = encoder.parts([header, answer])
        assert before == encoder.ids(header)
        assert encoder.decode(before + after) == header + answer


def test_a_tokenizer_that_merges_everything_is_refused() -> None:
    """It puts "_" before every text and merges "b" with whatever stands before it: "b" cannot go on from anything."""
    tokens = ["_", "a", "b", "\n", ".", "ab", "\nb", ".b"]
    merges = [("a", "b"), ("\n", "b"), (".", "b")]
    inner = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    inner.normalizer = normalizers.Prepend("_")
    inner.decoder = decoders.Fuse()
    encoder = Encoder(PreTrainedTokenizerFast(tokenizer_object=inner))
    with pytest.raises(
        RenderError, match="merges text across the start of the answer and cannot encode the answer alone"
    ):
        encoder.parts(["a", "b"])


def test_special_tokens_are_known_and_kept() -> None:
    encoder = Encoder(byte_level())
    assert set(encoder.special) == set(SPECIAL)
    assert encoder.decode([encoder.special["<|im_end|>"]]) == "<|im_end|>"
    assert encoder.ids("<|im_end|>") == [encoder.special["<|im_end|>"]]
    assert encoder.special_pattern.findall("a<|im_end|><|im_start|>b <|im_end |>") == ["<|im_end|>", "<|im_start|>"]


def test_the_longest_special_token_is_found() -> None:
    inner = Tokenizer(models.BPE())
    inner.add_special_tokens(["<e>", "<e>x"])
    encoder = Encoder(PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<e>"))
    assert encoder.special_pattern.findall("<e>x<e>") == ["<e>x", "<e>"]


def test_without_special_tokens_no_text_is_special() -> None:
    encoder = Encoder(PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE({"a": 0}, []))))
    assert encoder.special_pattern.search("anything <|im_end|>") is None


def test_nothing_is_added_to_text() -> None:
    encoder = Encoder(byte_level(bos="<s>"))
    assert byte_level(bos="<s>")("a")["input_ids"][0] == encoder.special["<s>"]
    assert encoder.special["<s>"] not in encoder.ids("a")
    assert encoder.ids("") == []


WORDS = st.sampled_from(
    ["\n", "\n\n", " ", "The", "fever", "assistant", "38 ", "高血", "壓", "🤒", "-", ":", "<|im_end|>", "\t"]
)
TEXT = st.lists(WORDS, min_size=1, max_size=4).map("".join)


@pytest.mark.parametrize("kind", KINDS)
@given(texts=st.lists(TEXT, min_size=2, max_size=5))
@settings(max_examples=150, deadline=None)
def test_any_parts_spell_their_text_and_keep_their_prompts(kind: str, texts: list[str]) -> None:
    encoder: Any = Encoder(KINDS[kind]())
    parts = encoder.parts(texts)
    assert parts == encoder.each_prefix(texts)
    assert len(parts) == len(texts)
    flat = [i for part in parts for i in part]
    plain = encoder.decode(encoder.ids("".join(texts)))
    if plain == "".join(texts):  # "always" puts spaces after special tokens, with boundaries or without
        assert encoder.decode(flat) == plain
    for end in range(1, len(texts)):
        assert [i for part in parts[:end] for i in part] == encoder.join(texts[:end])


def test_the_work_grows_with_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each prefix of 200 parts would be encoded: a hundred times the text."""
    encoder = Encoder(byte_level())
    texts = [
        text
        for i in range(100)
        for text in (f"<|im_start|>user\nWhat {i}?<|im_end|>\n{HEADER}", "\n\nThe fever<|im_end|>")
    ]
    expected = encoder.each_prefix(texts[:20])
    encoded: list[int] = []
    ids = Encoder.ids
    monkeypatch.setattr(Encoder, "ids", lambda self, text: encoded.append(len(text)) or ids(self, text))
    fresh = Encoder(byte_level())
    assert fresh.parts(texts)[:19] == expected[:19]  # each answer was cut from its header
    assert sum(encoded) < 3 * len("".join(texts))
