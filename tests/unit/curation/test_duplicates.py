"""What counts as the same text, and as nearly the same."""

import random

import numpy as np
import pytest

from medicalgpt.config.curation import DuplicatesConfig
from medicalgpt.curation.duplicates import band_keys, candidates, surplus, verified
from medicalgpt.curation.matching import comparable, jaccard, ngrams
from medicalgpt.data.split import group_key, normalized

CONFIG = DuplicatesConfig()
HAN = [chr(code) for code in range(0x4E00, 0x5000)]
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("高血壓與頭髮", "高血压与头发"),
        ("Fever, 38.5 C!", "fever 385c"),
        ("ＡＢＣ１２３", "abc123"),
        ("多喝 水 。", "多喝水"),
    ],
)
def test_what_differs_in_spelling_alone_is_the_same(one: str, other: str) -> None:
    assert comparable(one) == comparable(other)


def test_the_split_and_duplicates_share_one_normalization() -> None:
    assert normalized("Ａ b！") == "ab" == comparable("Ａ b！")
    assert group_key.__module__ == "medicalgpt.data.split"


def test_ngrams_are_counted_by_hand() -> None:
    assert len(ngrams("abcdef", 5)) == 2
    assert len(ngrams("abc", 5)) == 1, "a shorter text is one n-gram"
    assert len(ngrams("", 5)) == 0
    assert ngrams("xabcde", 5)[1] == ngrams("abcdey", 5)[0], "wherever it stands"
    assert len(np.unique(ngrams("ab" * 50, 5))) == 2


def test_jaccard_by_hand() -> None:
    # abcdef: abcde bcdef; abcdeg: abcde bcdeg: one of three is shared.
    sets = [np.unique(ngrams(text, 5)) for text in ("abcdef", "abcdeg")]
    assert jaccard(*sets) == pytest.approx(1 / 3)


def _texts(count: int, rng: random.Random) -> list[str]:
    zh = ["".join(rng.choice(HAN) for _ in range(rng.randint(100, 300))) for _ in range(count // 2)]
    en = ["".join(rng.choice(LETTERS) for _ in range(rng.randint(250, 600))) for _ in range(count // 2)]
    return zh + en


def _edited(text: str, share: float, rng: random.Random) -> str:
    alphabet = HAN if text[0] in HAN else LETTERS
    return "".join(char if rng.random() >= share else rng.choice(("", char * 2, rng.choice(alphabet))) for char in text)


@pytest.mark.parametrize(("share", "least"), [(0.02, 0.99), (0.05, 0.95)])
def test_edited_copies_are_found_and_nothing_else(share: float, least: float) -> None:
    rng = random.Random(3)
    texts = _texts(1000, rng)
    both = texts + [_edited(text, share, rng) for text in texts]
    keys = band_keys(both, CONFIG)
    pairs = candidates(keys.ravel(), np.repeat(np.arange(len(both)), CONFIG.bands))
    good = pairs[verified(pairs, lambda row: (both[row], ""), CONFIG)]
    right = int((good[:, 1] - good[:, 0] == len(texts)).sum())
    assert right >= least * len(texts)
    assert right >= 0.99 * len(good)


def test_hashes_in_another_band_are_no_sign_of_likeness() -> None:
    keys = band_keys(["the same five characters again"], CONFIG)
    assert keys.shape == (1, 32)
    assert len(np.unique(keys)) == 32


def test_the_longest_stays_and_every_row_that_goes_is_near_one_that_stays() -> None:
    # 0 ~ 1 ~ 2, but 0 and 2 are not alike: 1 is the longest, both others are near it.
    pairs = np.asarray([[0, 1], [1, 2]])
    assert surplus(pairs, np.asarray([5, 9, 5])) == {0: 1, 2: 1}
    # Here 0 is the longest, so 1 goes for it; 2 was near 1 alone, which is gone, and stays.
    assert surplus(pairs, np.asarray([9, 5, 4])) == {1: 0}
    assert surplus(np.asarray([[0, 1]]), np.asarray([7, 7])) == {1: 0}, "of equal ones the earlier stays"


def test_a_bucket_of_many_rows_leaves_one() -> None:
    rows = np.arange(200)
    pairs = candidates(np.zeros(200, np.uint64), rows)
    assert len(pairs) < 200 * 33
    assert len(surplus(pairs, np.ones(200, np.int64))) >= 190


def test_a_copied_answer_to_another_question_is_no_duplicate() -> None:
    answer = "".join(HAN[:200])
    rows = [
        ("".join(HAN[300:330]) + answer, "".join(HAN[300:330])),
        ("".join(HAN[400:430]) + answer, "".join(HAN[400:430])),
    ]
    pair = np.asarray([[0, 1]])
    assert verified(pair, lambda row: rows[row], CONFIG).tolist() == [False]
    whole_alone = DuplicatesConfig(question_jaccard=0)
    assert verified(pair, lambda row: rows[row], whole_alone).tolist() == [True]
