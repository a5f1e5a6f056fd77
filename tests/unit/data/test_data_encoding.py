"""Encodings are told apart, and a byte that does not decode is placed on its line."""

import gzip
from pathlib import Path

import pytest

from medicalgpt.data.encoding import SAMPLE_BYTES, find_encoding, open_text
from medicalgpt.errors import DataError

HANT = (
    "高血壓是臺灣成年人常見的慢性病。多數患者沒有明顯的症狀，因此應該定期量測血壓，並且把每次的數值記錄下來。"
    "醫師會依照年齡、腎功能與是否有糖尿病來決定治療的目標。除了按時服藥，減少鹽分、規律運動、戒菸與控制體重也很重要。\n"
    "如果突然出現劇烈頭痛、胸口疼痛、說話不清楚或是單側手腳無力，請立刻撥打緊急電話，不要自行開車就醫。\n"
)
HANS = (
    "高血压是我国成年人常见的慢性病。多数患者没有明显的症状，因此应该定期测量血压，并且把每次的数值记录下来。"
    "医生会按照年龄、肾功能以及是否有糖尿病来决定治疗的目标。除了按时服药，减少盐分、规律运动、戒烟与控制体重也很重要。\n"
    "如果突然出现剧烈头痛、胸口疼痛、说话不清楚或者单侧手脚无力，请立刻拨打急救电话，不要自己开车去医院。\n"
)
ENGLISH = "Most people with raised blood pressure have no symptoms.\n"


@pytest.mark.parametrize(
    ("text", "codec", "name"),
    [
        (HANS, "utf-8", "utf-8"),
        (HANT, "utf-8-sig", "utf-8-bom"),
        (HANS, "utf-16", "utf-16"),
        (HANT, "utf-16-be", "utf-16"),
        (HANS, "utf-32", "utf-32"),
        (HANS, "gb18030", "gb18030"),
        (HANT, "gb18030", "gb18030"),
        (HANT, "cp950", "big5"),
        (HANT + "㗎喎嘅嚟咗", "big5hkscs", "big5-hkscs"),
        (ENGLISH, "ascii", "utf-8"),
        (ENGLISH * 5000 + HANS, "gb18030", "gb18030"),
        (ENGLISH * 5000 + HANT, "cp950", "big5"),
    ],
)
def test_encoding_is_found_and_text_comes_back_whole(tmp_path: Path, text: str, codec: str, name: str) -> None:
    data = text.encode(codec)
    data = b"\xfe\xff" + data if codec == "utf-16-be" else data
    for path, raw in ((tmp_path / "a.txt", data), (tmp_path / "a.txt.gz", gzip.compress(data))):
        path.write_bytes(raw)
        assert find_encoding(path).name == name
        with open_text(path, newline=None) as opened:
            assert opened.read() == text


@pytest.mark.parametrize(("text", "codec", "name"), [(HANS, "gb18030", "gb18030"), (HANT, "cp950", "big5")])
def test_short_pieces_of_chinese_are_told_apart(tmp_path: Path, text: str, codec: str, name: str) -> None:
    path = tmp_path / "a.txt"
    for start in range(0, 140, 7):
        path.write_bytes(text[start : start + 12].encode(codec))
        assert find_encoding(path).name == name, start


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("naïve café".encode("cp1252"), "a.txt:1: the text is not valid UTF-8 here, and reads as neither GB18030"),
        (("환자는 두통과 발열을 호소하였다. 약을 하루 세 번 복용한다. " * 4).encode("euc_kr"), "not valid UTF-8"),
        (("患者は頭痛と発熱を訴えた。薬を一日三回服用する。" * 4).encode("shift_jis"), "not valid UTF-8"),
        (ENGLISH.encode("utf-16-le"), "binary or UTF-16 without a byte order mark"),
        (gzip.compress(b"hello"), "gzip-compressed; give the file a name that ends in .gz"),
        (HANS.encode() + b"\xe9\xab" + b"\n" + HANS.encode(), "a.txt:3: the text is not valid UTF-8"),
    ],
)
def test_what_cannot_be_told_is_refused_not_guessed(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    with pytest.raises(DataError, match=words.replace(".", r"\.")):
        find_encoding(path)


@pytest.mark.parametrize(
    ("codec", "bad"), [("utf-8", b"\xff"), ("gb18030", b"\xff"), ("cp950", b"\xff"), ("utf-16", b"\x00\xdc\x41\x00")]
)
def test_a_bad_byte_behind_the_sample_is_placed_on_its_line(tmp_path: Path, codec: str, bad: bytes) -> None:
    text = HANT if codec == "cp950" else HANS
    lines = text.splitlines(keepends=True) * (4 * SAMPLE_BYTES // len(text.encode(codec)))
    path = tmp_path / "a.txt"
    path.write_bytes("".join(lines).encode(codec) + bad + ("\n" + text).encode(codec.replace("16", "16-le")))
    with pytest.raises(DataError) as error, open_text(path, newline=None) as opened:
        for _ in opened:
            pass
    assert f"a.txt:{len(lines) + 1}: the text is not valid" in str(error.value)
    assert error.value.__suppress_context__  # the codec's own error carries the bytes around the bad one
    assert "高血" not in str(error.value)


def test_a_character_cut_off_at_the_end_is_an_error_on_the_last_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(HANS.encode("gb18030") + "结".encode("gb18030")[:1])
    with pytest.raises(DataError, match=r"a\.txt:3: the text is not valid gb18030"), open_text(path, newline=None) as f:
        f.read()


@pytest.mark.parametrize("data", [b"plain text", gzip.compress(ENGLISH.encode() * 400)[:-40]])
def test_damaged_gzip_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.jsonl\.gz: the file is not gzip data or is damaged"):
        find_encoding(path)
