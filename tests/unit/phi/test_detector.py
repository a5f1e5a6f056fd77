"""The front door: settings, documents, propagation, hostile text, the network in batches."""

import time
from collections.abc import Sequence

import numpy as np
import pytest
from tests.marks import quick_and_slow

from medicalgpt.errors import ConfigError
from medicalgpt.phi import Detector, Kind, Span, standing
from medicalgpt.phi import lac as network
from medicalgpt.phi.lac import LONGEST, _viterbi, lac, pieces
from medicalgpt.phi.prefilter import AFTER

DETECTOR = Detector()
DETECTOR.by_rules("一" * AFTER)  # conditions are worked out then, before time is measured


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"languages": ["fr"]}, "languages came as 'fr'; allowed is a list of zh, en"),
        ({"languages": "zh"}, "languages came as 'zh'"),
        ({"languages": []}, "languages came as"),
        ({"detectors": ["regex"]}, "detectors came as 'regex'; allowed is a list of patterns, names, lac"),
        ({"languages": ["en"], "detectors": ["lac"]}, "lac reads Chinese"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Sequence[str]], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Detector(settings.get("languages", ("zh", "en")), settings.get("detectors"))


def test_a_missing_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"medicalgpt\[curate\]"):
        Detector()
    assert Detector(languages=["en"]).find(["Dr. Smith"])[0]


def test_each_detector_finds_its_own() -> None:
    text = "患者王建国，电话13812345678。"
    kinds = {d: {s.kind for s in Detector(("zh",), (d,)).find([text])[0]} for d in ("patterns", "names", "lac")}
    assert kinds == {"patterns": {Kind.PHONE}, "names": {Kind.NAME}, "lac": {Kind.NAME}}


def test_what_one_field_tells_is_masked_in_all() -> None:
    fields = [
        "姓名：亓官若\n病历号：AB1234",
        "昨夜亓官若诉头痛，见AB1234号袋。",
        "Patient: Robert Thompson",
        "Thompson slept; ROBERT did not.",
    ]
    found = DETECTOR.find_document(fields)
    assert [[f[s.start : s.end] for s in spans] for f, spans in zip(fields, found, strict=True)] == [
        ["亓官若", "AB1234"],
        ["亓官若", "AB1234"],
        ["Robert Thompson"],
        ["Thompson"],
    ]
    assert found[1][1].source == "propagated"
    assert DETECTOR.find(fields)[1] != found[1]


def test_no_span_goes_beyond_the_end_of_its_field() -> None:
    """At the end of a field the rest of it may be a shorter value that begins like a longer one."""
    fields = ["Patient: Smithson Brandon. Doctor: Smith", "Seen by Dr. Smith", "for Smith"]
    found = DETECTOR.find_document(fields)
    assert all(span.end <= len(field) for field, spans in zip(fields, found, strict=True) for span in spans)
    assert fields[2][found[2][-1].start : found[2][-1].end] == "Smith"


def test_a_value_is_found_within_words_if_it_is_chinese_or_long() -> None:
    fields = ["姓名：欧阳建国，微信号：lovely88172", "各欧阳建国们，记作xlovely88172x"]
    found = [
        [field[s.start : s.end] for s in spans]
        for field, spans in zip(fields, DETECTOR.find_document(fields), strict=True)
    ]
    assert found == [["欧阳建国", "lovely88172"], ["欧阳建国", "lovely88172"]]
    fields = ["Dr. Clark saw him.", "Clarkson improved, says Clark."]
    assert [len(spans) for spans in DETECTOR.find_document(fields)] == [1, 1]


def test_what_stands_in_written_fields_is_told_by_kind() -> None:
    values = [(Kind.NAME, "欧阳建国"), (Kind.PHONE, "13812345678"), (Kind.DATE, "2023年4月12日"), (Kind.NAME, "Li")]
    assert standing(["患者[姓名1]，2023年4月12日，Li"], values) == set()
    assert standing(["老欧阳建国", "电话１３８１２３４５６７８"], values) == {Kind.NAME, Kind.PHONE}
    assert standing(["Parkinson's disease"], [(Kind.NAME, "Parkinson")]) == set()  # never masked, so no leak


def test_documents_do_not_tell_of_each_other() -> None:
    found = DETECTOR.find_documents([["姓名：亓官若"], ["亓官若见袋。", "无"], []])
    assert [len(spans) for spans in found] == [1, 2, 0]
    assert all(s.source != "propagated" for spans in found[1] for s in spans)


def test_a_finder_of_ones_own_joins_in_and_must_answer_for_every_text() -> None:
    def finder(texts: Sequence[str]) -> list[list[Span]]:
        return [[Span(0, 3, Kind.DEVICE, "mine", 0.95)] for _ in texts]

    (spans,) = Detector(("en",), more=[finder]).find(["xyz is here"])
    assert [(s.kind, s.source) for s in spans] == [(Kind.DEVICE, "mine")]
    with pytest.raises(ValueError, match="zip"):
        Detector(("en",), more=[lambda texts: []]).find(["xyz"])


@pytest.mark.parametrize("text", ["", " ", "\n", "的", "1", "🙂", "\ud800", "\x00"])
def test_almost_nothing_holds_nothing(text: str) -> None:
    assert DETECTOR.find([text]) == [[]]


HOSTILE = [
    "1",
    "a",
    "A. ",
    "Ab ",
    "1-",
    "市",
    "中市",
    "中路1号",
    "住址:",
    "姓名:",
    "王建国",
    "a@a.",
    "a:",
    "MRN # ",
    "John ",
    "John S. ",
    "12 Ab ",
    "New York, NY ",
    "1 ",
    "身份证号",
    "中·",
]


@pytest.mark.parametrize("part", quick_and_slow(HOSTILE[:6], HOSTILE[6:]))
def test_time_grows_with_the_text_and_not_with_its_square(part: str) -> None:
    def seconds(size: int) -> float:
        text = (part * size)[:size]
        began = time.process_time()
        DETECTOR.find([text])
        return time.process_time() - began

    seconds(200)
    small, large = min(seconds(1000) for _ in range(2)), seconds(8000)
    assert large < 16 * small + 0.25, (small, large)  # eight times the text; its square would be 64 times


# -- the network -------------------------------------------------------------------------------------------------------
def test_a_batch_reads_as_each_alone() -> None:
    texts = [
        "患者王建国来诊。",
        "张三在北京市工作，今天因为头痛三天来到医院看病，想问问大夫怎么办。",
        "林志明醫師",
        "",
        "no Chinese",
    ]
    together, alone = lac().read(texts), [lac().read([text])[0] for text in texts]
    for many, one in zip(together, alone, strict=True):
        assert [(w.start, w.end, w.tag) for w in many.words] == [(w.start, w.end, w.tag) for w in one.words]
        np.testing.assert_allclose(many.begins, one.begins, atol=1e-3)
    assert any(w.tag == "PER" for w in together[0].words)


def test_long_sentences_are_cut_with_an_overlap_and_nothing_is_left_out() -> None:
    text = "中" * 1000
    cut = list(pieces(text))
    assert {i for start, piece in cut for i in range(start, start + len(piece))} == set(range(1000))
    assert max(len(piece) for _, piece in cut) == LONGEST
    (reading,) = lac().read([text])
    assert max(reading.begins) < network.FAR


def test_paths_are_the_best_of_all() -> None:
    rng = np.random.default_rng(0)
    logits, transitions = rng.normal(size=(2, 4, 3)).astype(np.float32), rng.normal(size=(3, 3)).astype(np.float32)
    found = _viterbi(logits, transitions)
    paths = np.array(np.meshgrid(*[range(3)] * 4, indexing="ij")).reshape(4, -1).T
    for row in range(2):
        scores = [logits[row, np.arange(4), p].sum() + transitions[p[:-1], p[1:]].sum() for p in paths]
        assert found[row].tolist() == paths[int(np.argmax(scores))].tolist()
