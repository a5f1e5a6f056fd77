"""Chinese cut at places that no token of the vocabulary stands across has the ids that it has as a whole."""

import random
import unicodedata
from itertools import accumulate
from typing import Any

import pytest
from tests.texts import byte_level
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from medicalgpt.rendering import ideographs, words
from medicalgpt.rendering.ideographs import Ideographs
from medicalgpt.rendering.words import _KNOWN, Words, cuts_words

CLAUSES = (
    *(
        "高血压患者",
        "应当控制盐的摄入",
        "糖尿病需要监测血糖",
        "发烧38.5度",
        "建议做CT检查",
        "每日2次,每次10mg",
        "请尽快就医",
    ),
    *(
        "IgG抗体",
        "血压120/80mmHg",
        "（空腹）",
        "“头痛”",
        "？！",
        "。\n\n",
        "\u3000",
        "e\u0301症",
        "𠀀𪛖",
        "é",
        " fever and ",
        "1. 药",
    ),
)
JOINS = ("，", "。", "、", " ", "\n", "", "；", "：")


def texts(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [
        "".join(chance.choice(CLAUSES) + chance.choice(JOINS) for _ in range(chance.randint(1, 12)))
        for _ in range(count)
    ]


def trained(expression: str | None, size: int, ignore_merges: bool = False, nfc: bool = False) -> Any:
    """A vocabulary learned from Chinese, with tokens of several characters and of parts of them."""
    inner = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    byte = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=expression is None)
    inner.pre_tokenizer = byte
    if expression is not None:
        inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(expression), "isolated"), byte])
    if nfc:
        inner.normalizer = normalizers.NFC()
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=byte.alphabet(), show_progress=False)
    inner.train_from_iterator(texts(300, 1), trainer)
    return inner


@pytest.mark.parametrize("expression", [None, *sorted(_KNOWN)])
@pytest.mark.parametrize("size", [300, 700])
def test_units_have_the_ids_of_the_whole(expression: str | None, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_WORTH", 10**6)
    for ignore_merges in (False, True):
        backend = trained(expression, size, ignore_merges, nfc=ignore_merges)
        assert cuts_words(backend)
        encoder = Words(backend)
        for text in texts(150, 2):
            assert encoder.ids(text).tolist() == backend.encode(text, add_special_tokens=False).ids, text


def test_a_token_across_a_place_forbids_it_and_no_other() -> None:
    """Two characters as one token, the end of one with the next, one with the beginning of the next, and an added token."""
    backend = trained(None, 256)
    bytes_of = {byte: character for character, byte in ideographs.characters().items()}

    def token(written: bytes) -> str:
        return "".join(bytes_of[byte] for byte in written)

    vocabulary = backend.get_vocab()
    wanted = {"血压": "血压".encode(), "病人": "病人".encode()[2:], "药店": "药店".encode()[:4]}
    merges: list[tuple[str, str]] = []
    for written in wanted.values():
        for size in range(2, len(written) + 1):
            merges.append((token(written[: size - 1]), token(written[size - 1 : size])))
            vocabulary.setdefault(token(written[:size]), len(vocabulary))
    inner = Tokenizer(models.BPE(vocabulary, merges))
    inner.pre_tokenizer, inner.decoder = backend.pre_tokenizer, backend.decoder
    inner.add_tokens([AddedToken("肺炎", special=False, normalized=False)])
    found = Ideographs(inner)
    assert found.units("高血压") == ["高", "血压"]
    assert found.units("得病人") == ["得", "病人"]
    assert found.units("药店") == ["药店"]
    assert found.units("患肺炎。") == ["患", "肺炎", "。"]
    assert found.units("多喝水，休息") == [*"多喝水，休息"]
    encoder = Words(inner)
    for text in ("高血压病人在药店", "患肺炎。得病人", "血压血压"):
        assert encoder.ids(text).tolist() == inner.encode(text, add_special_tokens=False).ids


def test_places_between_characters_are_those_of_the_docstring() -> None:
    found = Ideographs(trained(None, 256))
    assert found.units("做CT，38度。 好\n吧") == ["做", "CT", "，", "38", "度", "。 好", "\n吧"]
    assert found.units("") == [""]
    assert found.units("？！好") == ["？！", "好"]
    assert found.units("\ud800好好") == ["\ud800好", "好"]
    assert found.units("𠀀好好") == ["𠀀好", "好"]


def test_cuts_are_places_too() -> None:
    text = "好<|a|>\n<|b|>是a b"
    at = [text.index("<|a|>"), text.index("<|b|>")]
    assert Ideographs(trained(None, 256)).units(text, at) == ["好", "<|a|>\n", "<|b|>是", "a", " b"]
    assert [*accumulate(map(len, ["好", "<|a|>\n"]))] == at


def test_what_stands_at_a_place_stays_itself_in_every_normal_form() -> None:
    for character in ideographs._IDEOGRAPHS[::97] + ideographs._MARKS:
        assert unicodedata.normalize("NFC", character) == character
    for mark in ideographs._MARKS:
        assert unicodedata.category(mark)[0] in "PS"


@pytest.mark.parametrize("odd", ["single_word", "fused"])
def test_other_tokenizers_are_not_cut_in_chinese(odd: str) -> None:
    inner = Tokenizer.from_str(byte_level().backend_tokenizer.to_str())
    assert Words(inner)._ideographs is not None
    if odd == "single_word":
        inner.add_tokens([AddedToken("fever", single_word=True, special=False)])
    else:
        inner.model.fuse_unk = True
    assert Words(inner)._ideographs is None
