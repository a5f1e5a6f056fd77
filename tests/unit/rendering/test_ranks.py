"""`tiktoken` has the ids that `tokenizers` gives, wherever it is used."""

import json
import random
import unicodedata
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.texts import byte_level, metaspace
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from medicalgpt.rendering import ranks
from medicalgpt.rendering.ranks import _KNOWN, Ranks

PIECES = (
    *(
        "The",
        "fever",
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "38",
        "a1",
        "1",
        " 1",
        "'s",
        "'LL",
        "'\u017f",
        "-",
        ":",
        ")",
        ". A",
    ),
    *(
        "é",
        "e\u0301",
        "\u0301",
        "高血壓",
        "🤒",
        "𪛖",
        "\u3000",
        "。\n\n",
        "？！",
        "“头痛”",
        "120/80mmHg",
        "²",
        "٣",
        "\u200b",
        "\u0085",
    ),
    *("<|im_end|>", "<|im_", "\x04", "\x00", "ﬀ", "ｘ", "발열", "ก็", "هل", "\ue000", "\u1c89", "\uffff"),
)
CLAUSES = (
    "高血压患者应当控制盐的摄入",
    "发烧38.5度",
    "每日2次,每次10mg",
    " fever and pain",
    "The patient's cough",
    "。\n\n",
    "， ",
)
LONG = 200_000
KINDS = (None, "digits", *sorted(_KNOWN))


@lru_cache
def trained(kind: str | None, ignore_merges: bool = False) -> Tokenizer:
    """A vocabulary learned from English and Chinese, with tokens of several characters and of parts of them."""
    inner = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    own = kind in (None, "digits")
    byte = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=own)
    first = pre_tokenizers.Digits(individual_digits=True) if own else pre_tokenizers.Split(Regex(str(kind)), "isolated")
    inner.pre_tokenizer = byte if kind is None else pre_tokenizers.Sequence([first, byte])
    if ignore_merges:
        inner.normalizer = normalizers.NFC()
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=byte.alphabet(), show_progress=False, special_tokens=["<|im_end|>"]
    )
    chance = random.Random(1)
    inner.train_from_iterator(("".join(chance.choices(CLAUSES, k=8)) for _ in range(300)), trainer)
    return inner


def changed(change: Any, kind: str | None = None) -> Tokenizer:
    inner = Tokenizer.from_str(trained(kind).to_str())
    change(inner)
    return inner


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "_WORTH", 0)


def same(backend: Tokenizer, text: str) -> bool:
    return Ranks(backend).ids(text).tolist() == backend.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("ignore_merges", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_those_of_the_backend(kind: str | None, ignore_merges: bool) -> None:
    backend = trained(kind, ignore_merges)
    encoder = Ranks(backend)
    quick = encoder._quick
    assert quick is not None
    asked = 0

    @given(st.lists(st.sampled_from(PIECES) | st.characters(exclude_categories=["Cs"]), max_size=14).map("".join))
    @settings(max_examples=400, deadline=None)
    def check(text: str) -> None:
        nonlocal asked
        asked += quick.ids(text) is not None
        assert encoder.ids(text).tolist() == backend.encode(text, add_special_tokens=False).ids

    check()
    assert asked > 100


def test_both_libraries_put_every_character_into_the_same_classes() -> None:
    """What expressions ask of a character, over all that texts may have here."""
    characters = [chr(code) for code in ranks._kinds(frozenset()).nonzero()[0].tolist()]
    assert len(characters) > 50_000
    for asked in (r"\p{L}", r"\p{N}", r"\p{M}", r"\s", r"(?i:[stmdvrel])"):
        theirs = pre_tokenizers.Split(Regex(asked), "removed")
        ours = tiktoken.Encoding(
            "", pat_str=asked, mergeable_ranks={bytes([i]): i for i in range(256)}, special_tokens={}
        )
        different = [
            hex(ord(c)) for c in characters if bool(theirs.pre_tokenize_str(c)) == bool(ours.encode_ordinary(c))
        ]
        assert not different, asked


def test_a_token_that_its_own_bytes_are_not_joined_to_is_left_out() -> None:
    """With merges bc, ab, ab+c the text abc ends as a, bc; by its bytes alone it would be the token abc."""
    alphabet = {character: at for at, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    vocabulary = alphabet | {"bc": 256, "ab": 257, "abc": 258}

    def backend(merges: list[tuple[str, str]], ignore_merges: bool = False) -> Tokenizer:
        inner = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=ignore_merges))
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        return inner

    inner = backend([("b", "c"), ("a", "b"), ("ab", "c")])
    assert Ranks(inner).ids("abc").tolist() == [alphabet["a"], 256] == inner.encode("abc").ids
    assert Ranks(inner)._quick is not None
    assert Ranks(backend([("b", "c"), ("a", "b"), ("ab", "c")], ignore_merges=True))._quick is None
    assert Ranks(backend([("a", "b"), ("b", "c"), ("ab", "c")]))._quick is None  # not in the order of ids
    assert same(backend([("a", "b"), ("b", "c"), ("ab", "c")]), "abc bc ab")


def test_an_added_token_spelled_as_bytes_are_is_joined_all_the_same() -> None:
    """Ġf is how a vocabulary writes " f"; as an added token it is these two characters."""
    alphabet = {character: at for at, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    inner = Tokenizer(models.BPE(alphabet | {"Ġf": 256, "ab": 257, "ĉĊ": 258}, [("Ġ", "f"), ("a", "b"), ("ĉ", "Ċ")]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.add_tokens(["Ġf", "ab", "ĉĊ", "°"])
    assert Ranks(inner)._quick is not None
    assert Ranks(inner).ids(" f").tolist() == [256]
    for text in (" fever", "Ġf f", "abc ab", "38°", "a\t\nb", "ĉĊ\t\n", "cabbage"):
        assert same(inner, text), text


def test_merges_of_every_kind_are_joined_alike() -> None:
    """Random lists over three letters, several merges of one token and tokens that nothing reaches among them, on all short texts."""
    chance = random.Random(3)
    texts = ["".join(letters) for size in range(1, 6) for letters in product("abc", repeat=size)]
    accepted = 0
    for _ in range(60):
        vocabulary = {c: at for at, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
        pieces, merges = ["a", "b", "c"], list[tuple[str, str]]()
        for _ in range(chance.randint(3, 12)):
            left, right = chance.choices(pieces, k=2)
            if len(left + right) > 5 or (left, right) in merges:
                continue
            vocabulary.setdefault(left + right, len(vocabulary))
            pieces.append(left + right)
            merges.append((left, right))
        merges.sort(key=lambda pair: vocabulary[pair[0] + pair[1]])
        inner = Tokenizer(models.BPE(vocabulary, merges))
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        encoder = Ranks(inner)
        accepted += encoder._quick is not None
        theirs = inner.encode_batch_fast(texts, add_special_tokens=False)
        assert [encoder.ids(text).tolist() for text in texts] == [one.ids for one in theirs], merges
    assert accepted > 50


def added(*tokens: AddedToken) -> Any:
    return lambda inner: inner.add_tokens(list(tokens))


def other_space(inner: Any) -> None:
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)


def lower_case(inner: Any) -> None:
    inner.normalizer = normalizers.Lowercase()


def fused(inner: Any) -> None:
    inner.model.fuse_unk = True


def another_cut(inner: Any) -> None:
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\p{L}+"), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )


class _Python:
    def pre_tokenize(self, pieces: Any) -> None:
        pieces.split(lambda _, piece: [piece])


def in_python(inner: Any) -> None:
    inner.pre_tokenizer = pre_tokenizers.PreTokenizer.custom(_Python())


def ohm(inner: Any) -> None:
    """Ω as a unit of its own, which is looked for as the letter that it is in normal form."""
    inner.normalizer = normalizers.NFC()
    inner.add_tokens(["\u2126"])


def no_byte(inner: Any) -> None:
    """The vocabulary loses the byte that most Chinese characters begin with, and what is made of it."""
    state = json.loads(inner.to_str())
    lost = "å"
    state["model"]["vocab"] = {t: i for t, i in state["model"]["vocab"].items() if lost not in t}
    state["model"]["merges"] = [pair for pair in state["model"]["merges"] if lost not in "".join(pair)]
    inner.model = models.BPE(state["model"]["vocab"], [tuple(pair) for pair in state["model"]["merges"]])


@pytest.mark.parametrize(
    "change",
    [
        *(added(AddedToken("fever", single_word=True)), added(AddedToken("fever", lstrip=True))),
        *(added(AddedToken("high blood"), AddedToken("blood pressure")), added(AddedToken("ab"), AddedToken("abc"))),
        *(added(AddedToken("xx")), added(AddedToken("a b")), other_space, lower_case, fused),
        *(another_cut, no_byte, in_python, ohm, added(*(AddedToken(f"<|{n}|>") for n in range(600)))),
    ],
)
def test_what_is_not_proven_is_left_to_the_backend(change: Any) -> None:
    backend = changed(change)
    assert Ranks(backend)._quick is None
    assert same(backend, "A fever, high blood pressure, abc xxx. 高血压 \u03a9 <|5|>")
    assert Ranks(metaspace().backend_tokenizer)._quick is None


def test_texts_that_are_not_sure_are_left_to_the_backend() -> None:
    quick = Ranks(trained(None))._quick
    normal = Ranks(trained(None, ignore_merges=True))._quick
    assert quick is not None
    assert normal is not None
    for text in ("\ud800", "𠀀", "\ue000", "\u0378"):
        assert not quick.sure(text), ascii(text[:9])
    for code in (*range(0x80), *range(0x80, 1 << 16, 97), 0x1F600):
        old, new = (age.category(chr(code)) for age in (unicodedata.ucd_3_2_0, unicodedata))
        assert quick.sure(f"a{chr(code)}") == (old not in ("Cn", "Cs", "Co") and old[0] == new[0] and code < 1 << 16)
    assert quick.sure("e\u0301")
    assert not normal.sure("e\u0301")
    assert normal.sure("é")


@pytest.mark.parametrize("unit", [" ", "\n", "\n ", "\u3000", "a", "1", "!", "高", "高血压", "e\u0301", "'", "\r\n\t"])
def test_the_longest_texts_do_not_end_it(unit: str) -> None:
    """A million characters end a search that looks ahead."""
    for kind in KINDS:
        backend = trained(kind)
        quick = Ranks(backend)._quick
        text = unit * (LONG // len(unit))
        assert quick is not None
        ids = quick.ids(text)
        assert ids is not None
        assert np.array_equal(ids, ranks.encoded(backend, text))


def test_a_text_of_many_short_parts_is_left_to_the_backend() -> None:
    quick = Ranks(trained(None))._quick
    assert quick is not None
    assert quick.ids("a\n\n" * 100) is None
    assert quick.ids("a fever and a cough for three days\n\n" * 100) is not None
    assert same(trained(None), "a\n\n" * 100)


def test_who_encodes_little_does_not_pay_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "_WORTH", 30)
    encoder = Ranks(byte_level().backend_tokenizer)
    for _ in range(2):
        assert encoder.ids("Rest and drink enough.").dtype == np.int32
        assert "_quick" not in encoder.__dict__
    encoder.ids("Rest and drink enough.")
    assert encoder.__dict__["_quick"] is not None
