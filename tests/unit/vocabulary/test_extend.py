"""An extended tokenizer keeps every old token, and each new one replaces whole old ones."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.vocabularies import CHINESE, ENGLISH, HELD_OUT, KINDS, both, encode, extended, tokenizer_folder

from medicalgpt.errors import DataError, ModelError
from medicalgpt.models.token_map import TokenMap, vocabulary_hash
from medicalgpt.vocabulary import extend as extension
from medicalgpt.vocabulary.extend import Extension
from medicalgpt.vocabulary.learn import Wanted
from medicalgpt.vocabulary.pieces import read_pieces


@dataclass
class Pair:
    base: Path
    folder: Path
    report: Extension
    old: Any
    new: Any
    map: TokenMap


def pair(kind: str, root: Path, **settings: Any) -> Pair:
    base, folder = tokenizer_folder(kind, root / "base"), root / "grown"
    report = extended(base, folder, **settings)
    found = TokenMap.read(folder)
    assert found is not None
    return Pair(base, folder, report, *both(base, folder), found)


@pytest.fixture(scope="module", params=KINDS)
def grown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return pair(request.param, tmp_path_factory.mktemp("vocabulary"))


def lines(texts: list[str]) -> list[str]:
    return [line for text in texts for line in text.splitlines() if line]


def test_every_old_token_keeps_its_id_and_everything_around_it(grown: Pair) -> None:
    old, new = grown.old, grown.new
    assert old.get_vocab().items() <= new.get_vocab().items()
    assert (old.all_special_ids, old.special_tokens_map) == (new.all_special_ids, new.special_tokens_map)
    assert old.chat_template == new.chat_template
    # A character of two steps may find room for one only.
    assert len(old) + 59 <= len(new) == grown.map.size == grown.report.new_size <= len(old) + 60
    assert grown.map.base == vocabulary_hash(old)
    control = "<|im_end|>" if "<|im_end|>" in old.get_vocab() else "</s>"
    assert encode(new, f"高血壓{control}")[-1] == old.convert_tokens_to_ids(control)


def test_the_old_encoding_can_be_read_back_from_the_new_one(grown: Pair) -> None:
    shorter = 0
    for text in lines([*HELD_OUT, *ENGLISH]):
        before, after = encode(grown.old, text), encode(grown.new, text)
        assert grown.map.old_ids(after) == before
        shorter += len(before) - len(after)
        assert grown.new.decode(after) == grown.old.decode(before)
    assert shorter > 500


def test_text_in_ascii_is_encoded_as_before(grown: Pair) -> None:
    plain = [text.encode("ascii", "ignore").decode() for text in lines(ENGLISH)]
    assert all(encode(grown.old, text) == encode(grown.new, text) for text in plain)
    assert grown.report.changed_ascii == 0


def test_new_tokens_are_what_their_text_is_encoded_to_and_decode_to_it(grown: Pair) -> None:
    model = grown.new.backend_tokenizer.model
    whole = 0
    for i in grown.map.new_ids:
        text = grown.new.decode([i])
        if "\ufffd" in text:  # a part of a character
            continue
        whole += 1
        name = grown.new.convert_ids_to_tokens(i)
        assert [t.id for t in model.tokenize(name)] == [i]
        assert grown.old.decode(list(grown.map.replaces[i - grown.map.first])) == text
    assert (whole, grown.report.unreached) == (grown.report.added - grown.report.steps, 0)


def test_what_a_token_replaces_is_how_its_text_was_encoded(grown: Pair) -> None:
    model = grown.old.backend_tokenizer.model
    for i in grown.map.new_ids:
        name = grown.new.convert_ids_to_tokens(i)
        assert tuple(t.id for t in model.tokenize(name)) == grown.map.replaces[i - grown.map.first]


@pytest.mark.parametrize("kind", ["sentencepiece bpe", "unigram"])
def test_a_sentencepiece_model_beside_it_grows_with_it(kind: str, tmp_path: Path) -> None:
    found = pair(kind, tmp_path)
    model = sentencepiece.SentencePieceProcessor(model_file=str(found.folder / "tokenizer.model"))
    assert model.get_piece_size() == len(found.new)
    for text in lines([*HELD_OUT, *ENGLISH]):
        assert model.encode(text) == encode(found.new, text)


MIXED = st.text(st.sampled_from([*"高血壓糖尿病症狀的與、，。 \n", *"aefvr 38", "é", "🩺", "鼷"]), max_size=40)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    return [pair(kind, tmp_path_factory.mktemp("any")) for kind in ("control tokens behind", "metaspace")]


@settings(max_examples=150, deadline=None)
@given(MIXED)
def test_any_text_reads_back(two: list[Pair], text: str) -> None:
    for found in two:
        before, after = encode(found.old, text), encode(found.new, text)
        assert found.map.old_ids(after) == before
        assert found.new.decode(after) == found.old.decode(before)


# -- what is chosen -----------------------------------------------------------------------------------------------------
def names(found: Pair) -> list[str]:
    return [found.new.decode([i]) for i in found.map.new_ids]


def test_the_most_frequent_come_first(tmp_path: Path) -> None:
    corpus = ["糖尿病患者"] * 6 + ["抗生素"] * 3
    few = pair("metaspace", tmp_path / "few", corpus=corpus, size=5, min_count=3)
    more = pair("metaspace", tmp_path / "more", corpus=corpus, size=50, min_count=3)
    assert set(names(few)) < set(names(more))
    # 糖, 尿 and 病 are tokens of the old tokenizer; the other letters of the frequent words come before rare ones.
    assert not set("抗生素") & set("".join(names(few)))
    assert {"抗生素", "糖尿病患者"} <= set(names(more))
    rare = pair("metaspace", tmp_path / "rare", corpus=corpus, size=50, min_count=4)
    assert "抗生素" not in names(rare)


def test_no_token_is_longer_than_asked(tmp_path: Path) -> None:
    found = pair("metaspace", tmp_path, corpus=["糖尿病患者"] * 6, size=50, max_characters=3)
    assert max(map(len, names(found))) <= 3


def test_ascii_terms_only_when_asked_and_then_the_change_is_counted(tmp_path: Path) -> None:
    corpus = ["hyperlipidaemia and hyperlipidaemia", "fever"] * 4
    with pytest.raises(ModelError, match=r"nothing to add.*--ascii"):
        pair("byte-level", tmp_path / "off", corpus=corpus)
    found = pair("byte-level", tmp_path / "on", corpus=corpus, ascii=True, max_characters=20)
    assert " hyperlipidaemia" in names(found)
    assert (found.report.changed_ascii, found.report.ascii_words) == (12, 16)


def test_learning_twice_gives_the_same_tokens(tmp_path: Path) -> None:
    first, second = (pair("byte-level", tmp_path / name, size=200) for name in ("a", "b"))
    assert (first.folder / "tokenizer.json").read_bytes() == (second.folder / "tokenizer.json").read_bytes()


# -- pieces -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["byte-level", "metaspace", "unigram"])
def test_pieces_of_a_list_become_tokens(kind: str, tmp_path: Path) -> None:
    pieces = ["心肌梗塞", "梗塞", "▁hyperlipidaemia", "糖尿病"]
    (tmp_path / "list.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    listed = read_pieces(tmp_path / "list.txt", Wanted(0))
    found = pair(kind, tmp_path, corpus=(), size=100, pieces=listed)
    assert {"心肌梗塞", "梗塞", "糖尿病"} <= set(names(found))
    assert any(name.strip() == "hyperlipidaemia" for name in names(found))
    model = found.new.backend_tokenizer.model
    spelled = found.new.convert_ids_to_tokens(found.map.first + names(found).index("心肌梗塞"))
    assert len(model.tokenize(spelled)) == 1


WORDS = ["心肌梗塞", "▁warfarin", "糖尿病", "type 2", "高血壓"]
OWN = ["心肌梗塞", " warfarin", "糖尿病", "type 2", "高血壓"]
TABLE_IDS = "<unk>\t0\n<s>\t1\n</s>\t2\n" + "".join(f"{w}\t{i * i + 3}\n" for i, w in enumerate(WORDS))
TABLE_SCORES = "<unk>\t0\n<0x0A>\t0\n" + "".join(f"{w}\t{-1.5 * i - 2}\n" for i, w in enumerate(WORDS))
FREQUENCIES = [
    ["心肌梗塞 90 n", "高血壓 7 n", "▁warfarin 80 eng", "糖尿病 70 nz", "type 2 50 n"],
    ["高血壓 7", "心肌梗塞 90", "糖尿病 8"],
]


@pytest.mark.parametrize(
    ("name", "text", "pieces", "said"),
    [
        ("a.txt", "\n".join(WORDS), OWN, []),
        ("a.txt", "[PAD]\n[unused1]\n[CT]\n心悸\n<5\n<|im_end|>\n", ["[CT]", "心悸", "<5"], ["3 control tokens"]),
        ("a.txt", TABLE_IDS, OWN, ["8 lines have an id", "3 control tokens"]),
        ("a.vocab", TABLE_SCORES, OWN, ["7 lines have a score", "2 control tokens"]),
        ("a.vocab", "<unk>\t0\n<s>\t0\n</s>\t0\n呼\t-0\n吸\t-1\n", ["呼", "吸"], ["5 lines have a score", "3 control"]),
        ("a.txt", "\n".join(FREQUENCIES[0]), OWN, ["5 lines have a score or frequency"]),
        ("a.txt", "\n".join(FREQUENCIES[1]), ["心肌梗塞", "糖尿病", "高血壓"], ["3 lines have a score or frequency"]),
        (
            "a.txt",
            "高血壓,7\n心肌梗塞, 90\n糖尿病，8\n",
            ["心肌梗塞", "糖尿病", "高血壓"],
            ["3 lines have a score or frequency"],
        ),
        ("a.txt", "1,25-二羟维生素D\n2,3-二磷酸甘油酸\n", ["1,25-二羟维生素D", "2,3-二磷酸甘油酸"], []),
        ("a.txt", "factor 8\nfactor 9\n血友病\n凝血\n", ["factor 8", "factor 9", "血友病", "凝血"], []),
    ],
)
def test_a_second_column_and_control_tokens_are_left_out_of_a_list(
    name: str, text: str, pieces: list[str], said: list[str], tmp_path: Path
) -> None:
    lines: list[str] = []
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert read_pieces(tmp_path / name, Wanted(0), lines.append) == pieces
    assert len(lines) == len(said)
    assert all(expected in line for expected, line in zip(said, lines))


def test_a_list_in_another_encoding(tmp_path: Path) -> None:
    words = "高血压是常见的慢性病 9\n患者应当在医生的指导下服药 8\n糖尿病的治疗和护理 5\n"
    for codec in ("gbk", "utf-16"):
        (tmp_path / "a.txt").write_bytes(words.encode(codec))
        assert read_pieces(tmp_path / "a.txt", Wanted(0)) == [line[:-2] for line in words.splitlines()]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("心悸\t3\n氣促\n頭暈\t5\n", 2),
        ("心悸\t3\n\n氣促\t多\n頭暈\t5\n", 3),
        ("心悸\n氣促\n頭暈\t5\n", 3),
        ("心悸\t心跳得很快\n氣促\t呼吸困難\n", 1),
        ("心悸 3\n氣促 9 n\n頭暈\n", 3),
    ],
)
def test_a_list_of_mixed_lines_is_refused_with_the_line(text: str, line: int, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as refused:
        read_pieces(path, Wanted(0))
    assert str(refused.value).startswith(f"{path}:{line}: this line is unlike most others")


def test_pieces_that_find_no_room_are_counted(tmp_path: Path) -> None:
    found = pair("byte-level", tmp_path, corpus=(), size=12, pieces=["心肌梗塞", "動脈粥樣硬化", "慢性阻塞性肺病"])
    assert found.report.left_out == 2
    assert len(found.new) - len(found.old) <= 12


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("list.csv", b"a", "pieces come from"),
        ("gone.txt", None, "is no file"),
        ("bad.model", b"\xff\xff\xff", "cannot be read"),
        ("bad.json", b"{}", "cannot be read"),
        ("empty.txt", b"\n\n", "holds no piece"),
    ],
)
def test_bad_piece_files_are_refused(name: str, content: bytes | None, says: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_pieces(tmp_path / name, Wanted(10))


# -- what cannot be ------------------------------------------------------------------------------------------------------
def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    base = tokenizer_folder("byte-level", tmp_path / "base")
    with pytest.raises(ModelError, match=r"exists already"):
        extended(base, base)


def test_a_tokenizer_that_cannot_grow_is_named(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0, "fever": 1}, unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>").save_pretrained(tmp_path / "base")
    with pytest.raises(ModelError, match=r"kind WordLevel"):
        extended(tmp_path / "base", tmp_path / "grown")


def test_nothing_is_left_when_a_proof_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tokenizer_folder("byte-level", tmp_path / "base")
    load = extension.load_tokenizer

    def other_template(where: str, *more: Any) -> Any:
        tokenizer = load(where, *more)
        tokenizer.chat_template = f"{{# {where} #}}"
        return tokenizer

    monkeypatch.setattr(extension, "load_tokenizer", other_template)
    with pytest.raises(ModelError, match=r"not sound: the chat template differs"):
        extended(base, tmp_path / "grown", corpus=CHINESE)
    assert [p.name for p in tmp_path.iterdir()] == ["base"]


@pytest.mark.parametrize(
    "change",
    [{"format": 9}, {"replaces": {"400": [1], "402": [2]}}, {"replaces": {"400": [400]}}, {"first_new_id": None}],
)
def test_a_damaged_token_map_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    TokenMap("x", 400, ((1, 2), (3,))).write(tmp_path)
    path = tmp_path / "token_map.json"
    assert TokenMap.read(tmp_path) == TokenMap("x", 400, ((1, 2), (3,)))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=r"format 9|damaged"):
        TokenMap.read(tmp_path)
