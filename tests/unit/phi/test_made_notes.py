"""The notes that benchmarks/phi.py measures on: what is labelled is what was put in, all of it and nothing else."""

import re
import sys
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))
import phi_notes
import phi_slots

PORTIONS = {"sixth": phi_notes.SIXTH, "seventh": phi_notes.SEVENTH, "eighth": phi_notes.EIGHTH}
TEMPLATES = [(name, *found) for name, portion in PORTIONS.items() for found in phi_notes.all_templates(portion)]


def made(portion: str, region: str, template: str, count: int) -> list[phi_notes.Note]:
    """Notes of one template, between two sentences."""
    return phi_notes.notes([(region, template)], ["一句。二句。"], count, 6, PORTIONS[portion])


@pytest.mark.parametrize(("portion", "region", "template"), TEMPLATES)
def test_the_labels_are_the_slots_and_the_rest_is_the_template(portion: str, region: str, template: str) -> None:
    for note in made(portion, region, template, 3):
        rest, last = "", 0
        for start, end, _kind in note.values:
            assert note.text[start:end].strip() == note.text[start:end] != ""
            rest, last = rest + note.text[last:start] + "\0", end
        assert re.sub(phi_notes.SLOT, "\0", template) in rest + note.text[last:]


@pytest.mark.parametrize(("portion", "region", "template"), [one for one in TEMPLATES if not one[2].startswith("MSH|")])
def test_no_value_runs_into_a_letter_or_digit_beside_it(portion: str, region: str, template: str) -> None:
    # HL7 (MSH) is left out: it writes date and time without a mark between them.
    for note in made(portion, region, template, 3):
        for start, end, _kind in note.values:
            for edge, beside in ((start, start - 1), (end - 1, end)):
                pair = note.text[edge] + note.text[beside : beside + 1]
                assert not re.fullmatch("[0-9A-Za-z]{2}", pair)


def test_a_person_keeps_one_name_and_its_short_forms_are_parts_of_it() -> None:
    for note in made("sixth", "cn", "{n}来了，{d}看过{n}，{n姓}阿姨、“{n名}”说{d2}也在", 200):
        whole, doctor, again, family, given, other = (note.text[start:end] for start, end, _kind in note.values)
        plain = whole.replace(" ", "")
        assert whole == again != doctor != other
        assert plain.startswith(family) or family == whole
        assert given in (whole, plain[len(family) :])
        assert note.values[0][2] == "name"
        assert note.values[3][2] == ("name" if family == whole else "name short")


@pytest.mark.parametrize(
    ("name", "family", "given"),
    [("欧阳晓", "欧阳", "晓"), ("欧晓", "欧", "晓"), ("王 建 国", "王", "建国"), ("AU YEUNG Ting", "AU YEUNG", "Ting")],
)
def test_a_name_is_parted(name: str, family: str, given: str) -> None:
    assert phi_slots.parts(name, ["欧", "欧阳", "王"]) == (family, given)


def test_a_name_of_an_unknown_family_is_an_error() -> None:
    with pytest.raises(ValueError, match="no family name of this portion"):
        phi_slots.parts("钱多多", ["王"])


@pytest.mark.parametrize(("number", "said"), [(1, "一"), (10, "十"), (12, "十二"), (20, "二十"), (28, "二十八")])
def test_numerals_are_spelled(number: int, said: str) -> None:
    assert phi_slots.numeral(number) == said


@pytest.mark.parametrize(
    ("years", "said"),
    [(54, "五十四"), (60, "六十"), (100, "一百"), (105, "一百零五"), (110, "一百一十"), (114, "一百一十四")],
)
def test_years_of_the_republic_are_spelled(years: int, said: str) -> None:
    assert phi_slots.republic(years) == f"民國{said}"


def test_every_slot_has_a_kind() -> None:
    assert set(phi_notes.MAKERS) <= set(phi_notes.KINDS)
    for portion in PORTIONS.values():
        for region, template in phi_notes.all_templates(portion):
            maker = phi_notes.Maker(Random(1), region, portion)
            slots = {slot[1] for slot in re.findall(phi_notes.SLOT, template)}
            assert slots <= set(phi_notes.KINDS)
            assert all(maker(slot) for slot in slots)
