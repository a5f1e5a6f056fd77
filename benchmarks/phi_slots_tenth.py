"""Values that the tenth portion's templates have beside those of the earlier slots. Nothing here is of a real person.

As in the eighth portion a slot is a character that says what it makes (期: a day on a document, 住: where somebody lives)."""

import random
from collections.abc import Callable
from typing import Final

from phi_slots import MONTHS, Values, digits

MOBILE: Final = ("130", "133", "135", "136", "138", "139", "150", "152", "156", "158", "159", "176", "177", "181", "182", "186", "187", "189", "191", "198")  # fmt: skip
AREAS: Final = ("0395", "0577", "023", "0431", "0898", "0991", "022", "0791", "0351", "0951")


def document_day(rng: random.Random, region: str, _: Values) -> str:
    """A recent day as the headings and sentences of documents have it."""
    year, month, day = rng.randint(2022, 2026), rng.randint(1, 12), rng.randint(1, 28)
    if region == "tw":
        republic = year - 1911
        return rng.choice([f"{year}/{month:02d}/{day:02d}", f"{year}/{month:02d}/{day:02d}", f"{republic}/{month:02d}/{day:02d}", f"{republic}年{month}月{day}日", f"{republic}年{month:02d}月{day:02d}日", f"{republic}.{month}.{day}", f"{year}-{month:02d}-{day:02d}", f"{month}/{day}"])  # fmt: skip
    if region == "hk":
        name = MONTHS[month - 1]
        return rng.choice([f"{day}/{month}/{year}", f"{day:02d}/{month:02d}/{year}", f"{day} {name} {year}", f"{day:02d}-{name}-{year}", f"{year}年{month}月{day}日", f"{day}/{month}/{year % 100}", f"{day}.{month}.{year}", f"{name} {day}, {year}"])  # fmt: skip
    return rng.choice([f"{year}-{month:02d}-{day:02d}", f"{year}-{month:02d}-{day:02d}", f"{year}年{month}月{day}日", f"{year}年{month}月{day}日", f"{year}年{month:02d}月{day:02d}日", f"{year}.{month:02d}.{day:02d}", f"{year}.{month}.{day}", f"{year}/{month:02d}/{day:02d}", f"{month}月{day}日", f"{month:02d}-{day:02d}"])  # fmt: skip


def birthday(rng: random.Random, region: str, _: Values) -> str:
    """A day of birth on a form, of an adult."""
    return _born(rng, region, rng.randint(1934, 2006))


def child_birthday(rng: random.Random, region: str, _: Values) -> str:
    """A day of birth on a form, of a child."""
    return _born(rng, region, rng.randint(2012, 2025))


def _born(rng: random.Random, region: str, year: int) -> str:
    month, day = rng.randint(1, 12), rng.randint(1, 28)
    if region == "tw":
        forms = [f"{year}/{month:02d}/{day:02d}", f"民國{year - 1911}年{month}月{day}日", f"{year - 1911:02d}/{month:02d}/{day:02d}", f"{year - 1911}.{month:02d}.{day:02d}"]  # fmt: skip
        return rng.choice(forms)
    if region == "hk":
        return rng.choice([f"{day:02d}/{month:02d}/{year}", f"{day} {MONTHS[month - 1]} {year}", f"{day:02d}-{MONTHS[month - 1]}-{year}", f"{year}年{month}月{day}日"])  # fmt: skip
    return rng.choice([f"{year}年{month}月{day}日", f"{year}-{month:02d}-{day:02d}", f"{year}.{month}.{day}", f"{year}{month:02d}{day:02d}", f"{year}年{month:02d}月{day:02d}日"])  # fmt: skip


def home(rng: random.Random, region: str, values: Values) -> str:
    """Where somebody lives, as registries and drivers have it."""
    if region == "tw":
        return _home_of_taiwan(rng, values)
    if region == "hk":
        return _home_of_hong_kong(rng, values)
    county, road, estate, near = (rng.choice(values[key]) for key in ("counties", "roads", "estates", "villages"))
    house, floor, flat = rng.randint(1, 46), rng.randint(1, 30), rng.randint(1, 4)
    home_there = rng.choice([f"{road}{house * 3}号{estate}{house}号楼{flat}单元{floor}0{flat}室", f"{estate}{house}栋{floor}0{flat}", f"{estate}小区{house}#楼{flat}-{floor}0{flat}", f"{near}{house}号", f"{near}{flat + 3}组{house}号", f"{road}{house}号", f"{road}{house}号院{flat}号楼{floor}层0{flat}"])  # fmt: skip
    return (county if rng.random() < 0.75 else "") + home_there


def _home_of_taiwan(rng: random.Random, values: Values) -> str:
    district, road, neighborhood = (rng.choice(values[key]) for key in ("tw_districts", "tw_roads", "tw_villages"))
    number, floor = rng.randint(1, 420), rng.randint(2, 16)
    section = rng.choice(["", f"{rng.choice('一二三四')}段"])
    lane = rng.choice(["", "", f"{rng.randint(2, 320)}巷", f"{rng.randint(2, 320)}巷{rng.randint(2, 40)}弄"])
    end = rng.choice([f"{number}號", f"{number}號{floor}樓", f"{number}號{floor}樓之{rng.randint(1, 6)}", f"{number}之{rng.randint(1, 9)}號"])  # fmt: skip
    before = f"{neighborhood}{rng.randint(1, 28)}鄰" if rng.random() < 0.3 else ""
    return f"{district}{before}{road}{section}{lane}{end}"


def _home_of_hong_kong(rng: random.Random, values: Values) -> str:
    floor, flat, number = rng.randint(1, 38), rng.choice("ABCDEFGH"), rng.randint(3, 480)
    if rng.random() < 0.25:
        return rng.choice([f"Flat {flat}, {floor}/F, {rng.choice(values['hk_blocks'])}, {number} {rng.choice(values['hk_roads'])}", f"Rm {floor}{rng.randint(1, 20):02d}, {rng.choice(values['hk_houses'])}"])  # fmt: skip
    if rng.random() < 0.6:
        return f"{rng.choice(values['hk_estates'])}{rng.choice([f'{floor}{rng.randint(1, 20):02d}室', f'{floor}樓{rng.randint(1, 20)}室'])}"
    return f"{rng.choice(values['hk_streets'])}{number}號{rng.choice(values['hk_buildings'])}{floor}樓{flat}室"


def phone(rng: random.Random, region: str, _: Values) -> str:
    """A telephone that somebody gives, mostly a mobile."""
    if region == "tw":
        number = f"09{digits(rng, 2)}"
        return rng.choice([f"{number}-{digits(rng, 3)}-{digits(rng, 3)}", f"{number}{digits(rng, 6)}", f"{number}-{digits(rng, 6)}", f"({rng.choice(['04', '05', '06', '08'])}) {digits(rng, 3, '2678')}-{digits(rng, 4)}", f"02-{digits(rng, 4, '2')}-{digits(rng, 4)}#{digits(rng, 3, '123')}"])  # fmt: skip
    if region == "hk":
        return rng.choice([f"{digits(rng, 4, '569')} {digits(rng, 4)}", f"{digits(rng, 4, '569')} {digits(rng, 4)}", f"{digits(rng, 8, '2569')}", f"+852 {digits(rng, 8, '569')}", f"{digits(rng, 4, '23')}-{digits(rng, 4)}"])  # fmt: skip
    number = rng.choice(MOBILE)
    return rng.choice([f"{number}{digits(rng, 8)}"] * 5 + [f"{number}-{digits(rng, 4)}-{digits(rng, 4)}", f"{number} {digits(rng, 4)} {digits(rng, 4)}", f"{rng.choice(AREAS)}-{digits(rng, 7, '2345678')}"])  # fmt: skip


def patient_number(rng: random.Random, region: str, _: Values) -> str:
    """The number of a patient or a stay."""
    if region == "tw":
        return rng.choice([digits(rng, 7), digits(rng, 8, "01"), f"{digits(rng, 6)}-{digits(rng, 1)}", f"{digits(rng, 9, '12')}"])  # fmt: skip
    if region == "hk":
        return rng.choice([f"HN{digits(rng, 9)}", f"{digits(rng, 8)}", f"SOP{digits(rng, 6)}"])
    return rng.choice([digits(rng, 6, "123456789"), digits(rng, 8, "012"), digits(rng, 10, "0"), f"20{digits(rng, 8, '2')}", f"D{digits(rng, 7)}", f"Z{digits(rng, 9)}"])  # fmt: skip


def form_number(rng: random.Random, _: str, __: Values) -> str:
    """The number of an order, a claim or a randomization."""
    return rng.choice([digits(rng, 12, "12"), f"R{digits(rng, 4)}", f"LA20{digits(rng, 2, '2')}{digits(rng, 8)}", f"{digits(rng, 4)}-{digits(rng, 6)}"])  # fmt: skip


def staff_number(rng: random.Random, _: str, __: Values) -> str:
    """The number of an employee."""
    return rng.choice([digits(rng, 5, "123456789"), f"0{digits(rng, 4)}", f"{rng.choice('AEHNY')}{digits(rng, 4)}", digits(rng, 6, "123456789")])  # fmt: skip


def nickname(rng: random.Random, region: str, values: Values) -> str:
    """What somebody is called in a chat or a forum."""
    return rng.choice(values[f"{region}_nicknames"])


MAKERS: Final[dict[str, Callable[[random.Random, str, Values], str]]] = {
    "期": document_day, "生": birthday, "幼": child_birthday, "住": home, "机": phone, "号": patient_number, "单": form_number, "工": staff_number, "昵": nickname,
}  # fmt: skip
KINDS: Final = {
    "期": "date", "生": "date", "幼": "date", "住": "address", "机": "number", "号": "number", "单": "number", "工": "number", "昵": "number",
}  # fmt: skip
"""A name in a chat counts as a number, as in the portions before."""
