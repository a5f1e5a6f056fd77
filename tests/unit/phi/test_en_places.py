"""Where English addresses end, what is no address, and which clinics are named."""

import pytest

from medicalgpt.phi import Detector, Kind

DETECTOR = Detector(("en",))


def _found(text: str, *kinds: Kind) -> list[str]:
    (spans,) = DETECTOR.find([text])
    return [text[s.start : s.end] for s in spans if s.kind in kinds]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("He is at 17 Larkspur Lane. Our neighbor called, pale and sweating.", "17 Larkspur Lane."),
        ("She left 8 Quarry Road, and in the evening she fell.", "8 Quarry Road"),
        ("I am at 2210 Birch Street, vomiting since noon.", "2210 Birch Street"),
        ("Come to 5 Tanner Close\nPhone: call me back", "5 Tanner Close"),
        ("at 61 Heron Avenue Apt 4 My chest hurts", "61 Heron Avenue Apt 4"),
        ("My mail goes to P.O. Box 88. Can I inhale this?", "P.O. Box 88"),
        ("The home address is 14 Copper Row and my husband is confused.", "14 Copper Row"),
        ("She lives in Dunmore. They found her asleep.", "Dunmore"),
        # what goes on does belong to it
        ("of 17 Larkspur Lane, Dunmore, OH 44101.", "17 Larkspur Lane, Dunmore, OH 44101"),
        ("of 17 Larkspur Ln. Dunmore, Ohio 44101 today", "17 Larkspur Ln. Dunmore, Ohio 44101"),
        ("at 17 Larkspur St\nDunmore, OH", "17 Larkspur St\nDunmore, OH"),
        ("at 17 larkspur st, dunmore, OH 44101", "17 larkspur st, dunmore, OH 44101"),
        ("at 61 Heron Drive Suite 4 Dunmore", "61 Heron Drive Suite 4 Dunmore"),
        ("moved to 9 St. Anne's Court, Dunmore", "9 St. Anne's Court, Dunmore"),
        ("meet at the corner of 35 Heron Street and Copper Row", "35 Heron Street and Copper Row"),
    ],
)
def test_an_address_ends_where_it_ends(text: str, address: str) -> None:
    assert _found(text, Kind.ADDRESS) == [address]


@pytest.mark.parametrize(
    "text",
    [
        "Letter of 3 March 2024 from Dr. Whitlow, please file.",
        "Seen 2 weeks ago by Dr. Whitlow.",
        "He was moved to Dr. Whitlow for 3 days.",
        "On 14 June Dr. Whitlow stopped it.",
        "After 40 minutes of a brisk Monday walk he rested.",
    ],
)
def test_a_doctor_is_no_street(text: str) -> None:
    assert _found(text, Kind.ADDRESS) == []
    assert ("Whitlow" not in text) or "Whitlow" in _found(text, Kind.NAME)


@pytest.mark.parametrize(
    "text",
    [
        "Follow up in the Respiratory Clinic.",
        "Headache clinic letter to follow.",
        "Referred to Fracture Clinic and Stroke Center.",
        "Booked at the Antenatal clinic.",
    ],
)
def test_a_specialty_names_no_clinic(text: str) -> None:
    assert _found(text, Kind.ORGANIZATION) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Seen at Larkspur Respiratory Clinic.", "Larkspur Respiratory Clinic"),
        ("in 2023 at St. Brendan's Hospital", "St. Brendan's Hospital"),
    ],
)
def test_a_name_before_a_specialty_does(text: str, name: str) -> None:
    assert name in _found(text, Kind.ORGANIZATION)


@pytest.mark.parametrize(
    "text",
    [
        "Reported in N Engl J Med 2019;380:1509 before.",
        "See Ann Intern Med. 2021;174 and J Gen Intern Med 2020.",
        "Published in Br J Gen Med, cited by Crit Care Med.",
        "Smith and Jones et al. N Engl J Med 2019;380:1509.",
    ],
)
def test_a_journal_is_no_institution(text: str) -> None:
    kinds = {Kind.ORGANIZATION, Kind.ADDRESS}
    assert [text[s.start : s.end] for s in Detector(("en",)).find([text])[0] if s.kind in kinds] == []
