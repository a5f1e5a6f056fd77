"""What a possible name is worth beside other finds of its document."""

import pytest

from medicalgpt.phi import Detector, Kind, Span
from medicalgpt.phi.name_company import Company, Marks, Scored, likely

DETECTOR = Detector()
TEXT = "甲某甲 13812345678 乙某乙 甲某甲"
PHONE = Span(4, 15, Kind.PHONE, "pattern:mobile", 0.9)


def _features(names: list[Scored], marks: Marks, at: int = 0, elsewhere: float = 0.0) -> dict[str, float]:
    company = Company(TEXT, names, marks, elsewhere, len(marks.places()))
    return dict(company.features(names[at]))


def _name(score: float, start: int, end: int) -> Scored:
    return Scored(score, start, end, "common")


def test_a_number_beside_a_name_is_near() -> None:
    found = _features([_name(0.0, 0, 3)], Marks.from_spans([PHONE]))
    assert [found.get(f"number within {reach}") for reach in (4, 16, 48)] == [1.0, 1.0, 1.0]
    assert found["marks of the document"] == pytest.approx(0.6931, abs=1e-4)  # ln 2
    assert "label within 48" not in found


def test_labels_dates_and_addresses_are_told_apart_and_faint_names_are_none() -> None:
    spans = [
        Span(0, 3, Kind.NAME, "pattern:labeled name", 0.96),
        Span(4, 6, Kind.NAME, "pattern:name beside a word", 0.8),
        Span(7, 9, Kind.DATE, "pattern:day", 0.8),
        Span(10, 12, Kind.ADDRESS, "pattern:place", 0.8),
        Span(13, 15, Kind.ORGANIZATION, "lac", 0.65),
    ]
    marks = Marks.from_spans(spans)
    assert marks.of == {
        **{"number": [], "label": [(0, 3)], "date": [(7, 9)]},
        **{"address": [(10, 12)], "organization": [(13, 15)]},
    }
    assert [at for at, inside in enumerate(marks.covered(20, ("address", "date"))) if inside] == [7, 8, 10, 11]
    assert marks.places() == [(0, 3)]


def test_what_a_name_itself_covers_is_not_near_it() -> None:
    marks = Marks.from_spans([Span(0, 3, Kind.NAME, "pattern:labeled name", 0.96)])
    assert "label within 4" not in _features([_name(0.0, 0, 3)], marks)


def test_another_name_is_company_and_an_overlapping_one_a_rival() -> None:
    names = [_name(1.0, 0, 3), _name(2.0, 16, 19), _name(3.0, 0, 2)]
    found = _features(names, Marks.from_spans([]))
    assert found["name within 16"] == 6.0  # 2.0 above the floor of -4
    assert "name within 4" not in found
    assert (found["shorter rival"], found["shorter rival ahead"]) == (1.0, 2.0)
    assert "longer rival" in _features(names, Marks.from_spans([]), 2)


def test_the_same_name_again_and_names_elsewhere_count() -> None:
    names = [_name(0.5, 0, 3), _name(4.0, 20, 23)]
    found = _features(names, Marks.from_spans([]), elsewhere=1.0)
    assert found["again"] == 8.0
    assert found["names of the document"] > _features(names, Marks.from_spans([]))["names of the document"]


def test_scores_are_chances() -> None:
    assert likely(_name(0.0, 0, 2)) == 0.5
    assert likely(_name(-1e9, 0, 2)) < 1e-12


def test_fields_of_a_document_are_company_and_spans_stay_in_their_field() -> None:
    fields = ["", "祁进取", "13812345678", "姓名：王建国", "身份证110105194912310021", "闵自在"]
    together = DETECTOR.find_document(fields)
    found = [[field[s.start : s.end] for s in spans] for field, spans in zip(fields, together, strict=True)]
    assert found == [[], ["祁进取"], ["13812345678"], ["王建国"], ["110105194912310021"], ["闵自在"]]
