"""Encodings are told apart, and a byte that does not decode is placed on its line."""

import gzip
from pathlib import Path

import pytest

from medicalgpt.config.sections import DataConfig
from medicalgpt.data import encoding
from medicalgpt.data.encoding import SAMPLE_BYTES, find_encoding, open_text
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.report import detect
from medicalgpt.data.rows import Reading, json_values, open_rows
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
TERMS = (
    "科室,检验项目\n心内科,肌钙蛋白\n肾内科,血肌酐\n内分泌科,糖化血红蛋白\n呼吸科,降钙素原\n消化科,淀粉酶\n风湿科,抗核抗体\n"
    "血液科,网织红细胞\n感染科,结核菌素\n神经科,脑脊液\n眼科,眼压\n皮肤科,斑贴试验\n骨科,骨密度\n"
)
HERBS = "黃耆\n當歸\n茯苓\n甘草\n川芎\n白朮\n熟地黃\n麥門冬\n枸杞子\n陳皮\n柴胡\n桔梗\n山茱萸\n牡丹皮\n酸棗仁\n肉蓯蓉\n"
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
        (TERMS, "gbk", "gb18030"),
        (TERMS, "utf-16", "utf-16"),
        (HERBS, "cp950", "big5"),
        (HERBS, "gb18030", "gb18030"),
        (HERBS, "utf-16-be", "utf-16"),
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


@pytest.mark.parametrize(
    ("text", "codec", "name"),
    [
        (HANS, "gb18030", "gb18030"),
        (HANT, "cp950", "big5"),
    ],
)
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
        (gzip.compress(b"hello", mtime=0), "gzip-compressed; give the file a name that ends in .gz"),
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


@pytest.mark.parametrize("data", [b"plain text", gzip.compress(ENGLISH.encode() * 400, mtime=0)[:-40]])
def test_damaged_gzip_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.jsonl\.gz: the file is not gzip data or is damaged"):
        find_encoding(path)


@pytest.mark.parametrize(
    "data",
    [
        ("頭痛\n発熱\n" + "めまい\nはきけ\nだるさ\n" * 4).encode("euc_jp"),
        ("質問,回答\n" + "咳が二週間つづいています。どうすればいいですか。,医師に相談してください。\n" * 4).encode(
            "euc_jp"
        ),
        ("두통\n발열\n기침\n가래\n당뇨병\n고혈압\n" * 4).encode("euc_kr"),
        "fièvre élevée; âgé de 60 ans; dernière dose à 8 h".encode("cp1252"),
    ],
)
def test_what_is_unclear_names_the_key_that_decides(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.csv:1: the text is not valid UTF-8.*say what it is with data\.encoding="):
        find_encoding(path)


@pytest.mark.parametrize(
    ("given", "codec", "text"),
    [
        ("cp1252", "cp1252", "Fièvre élevée chez l’enfant âgé de 3 ans."),
        ("gbk", "gb18030", "发热"),
        ("big5", "cp950", HERBS),
        ("big5-hkscs", "big5hkscs", "睇醫生\n" * 4 + "㗎喎嘅嚟咗"),
        ("utf-16-le", "utf-16-le", TERMS),
        ("utf-16-be", "utf-16-be", "Rest.\nDrink.\n"),
        ("shift_jis", "shift_jis", "頭痛と発熱"),
        ("gb18030", "utf-8", TERMS),  # what is UTF-8 beyond doubt is read as that
        ("big5", "utf-16", TERMS),
    ],
)
def test_the_key_decides_what_is_not_utf_8(tmp_path: Path, given: str, codec: str, text: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode(codec))
    data = DataConfig.model_validate({"train": [str(path)], "encoding": given.upper()})
    assert [row.fields for row in open_rows(path, {}, Reading.of(data))] == [{"text": text}]
    (record,) = read([path], "document", ledger=Ledger(), reading=Reading.of(data))
    assert record.text == text  # type: ignore[union-attr]
    assert detect(path, reading=Reading.of(data)).rows == 1


def test_a_key_that_is_wrong_is_an_error_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(("text\n" + "阿司匹林肠溶片\n" * 3).encode("gbk"))
    with pytest.raises(DataError, match=r"a\.csv:2: the text is not valid big5 here; data\.encoding=big5 says"):
        list(open_rows(path, {}, Reading("big5")))


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv", "a.json", "a.txt"])
def test_a_line_without_an_end_is_an_error_not_all_of_the_memory(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "LONGEST_LINE", 1 << 20)
    monkeypatch.setattr(json_values, "LONGEST_LINE", 1 << 20)
    path = tmp_path / name
    head = '{"text": "Rest."}\n{"text": "' if name.startswith("a.json") else "text\tid\nRest.\t1\n"
    path.write_text(head + "x" * (3 << 20))
    with pytest.raises(DataError, match=rf"{name}:\d: .*1 million characters"):
        list(open_rows(path, {}, Reading(txt="line")))
