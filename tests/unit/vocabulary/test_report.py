"""The report: languages, tokens a character, parts of characters, round trips."""

from pathlib import Path

import pytest
from tests.texts import byte_level
from tests.tiny import tiny_tokenizer
from tests.vocabularies import CHINESE, ENGLISH, both, encode, extended, tokenizer_folder

from medicalgpt.data.rows import Reading
from medicalgpt.data.texts import texts
from medicalgpt.errors import DataError
from medicalgpt.vocabulary.report import compare, language, lines


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("高血压的诊断和治疗", "zh-Hans"),
        ("高血壓的診斷和治療", "zh-Hant"),
        ("心肌梗塞", "zh"),
        ("High blood pressure and its treatment", "Latin"),
        ("Fièvre élevée", "Latin"),
        ("高血压 (hypertension) 的诊断", "zh-Hans"),
        ("Артериальное давление", "other"),
        ("38.5 °", "other"),
    ],
)
def test_the_language_of_a_text(text: str, name: str) -> None:
    assert language(text) == name


def test_both_tokenizers_are_counted(tmp_path: Path) -> None:
    base = tokenizer_folder("byte-level", tmp_path / "base")
    extended(base, tmp_path / "grown", size=200)
    old, new = both(base, tmp_path / "grown")
    chinese, english = compare(old, new, [CHINESE[0], ENGLISH[0], CHINESE[1]])
    if chinese.language == "Latin":
        chinese, english = english, chinese
    both_texts = CHINESE[:2]
    assert (chinese.language, chinese.texts, chinese.characters) == ("zh-Hant", 2, sum(map(len, both_texts)))
    assert chinese.old.tokens == sum(len(encode(old, t)) for t in both_texts)
    assert chinese.new.tokens == sum(len(encode(new, t)) for t in both_texts) < chinese.old.tokens
    assert chinese.saved == 1 - chinese.new.tokens / chinese.old.tokens
    broken = {i for i in old.get_vocab().values() if "\ufffd" in old.decode([i])}
    assert chinese.old.partial == sum(i in broken for t in both_texts for i in encode(old, t)) > 0
    assert (chinese.unlike, english.unlike) == (2, 0)
    assert (chinese.new.changed, chinese.new.unknown) == (0, 0)
    said = "\n".join(lines([chinese, english]))
    assert "Latin: all 1 texts are encoded as before" in said
    assert "warning" not in said


def test_text_that_does_not_come_back_is_called_out() -> None:
    lossy = byte_level()
    lossy.backend_tokenizer.normalizer = __import__("tokenizers").normalizers.Lowercase()
    try:
        (row,) = compare(tiny_tokenizer(), lossy, ["Fever", "cough"])
    finally:
        byte_level.cache_clear()
    assert (row.old.changed, row.new.changed) == (0, 1)
    assert "Latin, after: 1 of 2 texts decode to another text" in lines([row])[-1]


def test_texts_are_read_from_files_of_any_shape(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "Fever?", "answer": "38."}\nnot json\n')
    (tmp_path / "b.txt").write_text("高血壓", encoding="utf-8")
    (tmp_path / "c.csv").write_bytes("question,answer\n发烧怎么办？,多喝水\n".encode("gb18030"))
    assert list(texts([tmp_path])) == ["Fever?", "38.", "高血壓", "发烧怎么办？", "多喝水"]
    (tmp_path / "d.jsonl").write_text("nothing\n")
    with pytest.raises(DataError, match=r"d\.jsonl: no row can be read"):
        list(texts([tmp_path / "d.jsonl"]))


def test_what_is_left_out_of_a_corpus_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "Fever?", "answer": "38."}\nnot json\n{"question": "No answer?"}\n')
    (tmp_path / "b.txt").write_text("")
    (tmp_path / "c.rtf").write_text("x")
    said: list[str] = []
    assert list(texts([tmp_path], say=said.append)) == ["Fever?", "38."]
    assert said == [
        f"{tmp_path}: 1 not read: 1 × .rtf",
        f"{tmp_path / 'a.jsonl'}: 1 of 3 rows left out: not valid JSON",
        f"{tmp_path / 'a.jsonl'}: 1 of 3 rows left out: answer is missing",
        f"{tmp_path / 'b.txt'}: the file is empty: it has no rows",
    ]


def test_a_corpus_in_an_encoding_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Âgé de 60 ans, fièvre à 39 °C.\nGrippe.\n".encode("cp1252"))
    found = texts([tmp_path / "a.txt"], Reading("cp1252", "line"))
    assert list(found) == ["Âgé de 60 ans, fièvre à 39 °C.", "Grippe."]
