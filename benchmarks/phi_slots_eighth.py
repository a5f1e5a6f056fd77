"""Values that the eighth portion's templates have beside those of phi_slots.py and phi_slots_seventh.py. Nothing here is of a real person.

The letters are used up: a slot here is a character that says what it makes (话: a telephone, 址: an address)."""

import random
from collections.abc import Callable
from typing import Final

from phi_slots import MONTHS, Values, digits
from phi_slots_seventh import listed

DIALS: Final = ("13", "15", "17", "18", "19")


def spelled_name(rng: random.Random, region: str, values: Values) -> str:
    """A Chinese name in letters as the region spells it: pinyin, Wade-Giles, Cantonese; the family name first or last."""
    family = rng.choice(values[f"{region}_spelled_families"])
    first, second = rng.choice(values[f"{region}_syllables"]), rng.choice(values[f"{region}_syllables"])
    if region == "cn":
        given = first + second.lower() if rng.random() < 0.7 else first
        return rng.choice([f"{family} {given}", f"{family} {given}".upper(), f"{family.upper()} {given}", f"{given} {family}", f"{family}, {given}"])  # fmt: skip
    if region == "tw":
        given = f"{first}-{second}" if rng.random() < 0.5 else f"{first}-{second.lower()}"
        return rng.choice([f"{family} {given}", f"{family}, {given}".upper(), f"{given} {family}", f"{family.upper()} {given}"])  # fmt: skip
    given, english = f"{first} {second}", rng.choice(values["hk_english"])
    return rng.choice([f"{family} {given}", f"{family.upper()} {given}", f"{family} {given}".upper(), f"{family.upper()}, {given}", f"{family.upper()} {given}, {english}", f"{english} {family}", f"{english} {family} {given}"])  # fmt: skip


def telephone(rng: random.Random, region: str, _: Values) -> str:
    """A telephone with blanks, brackets, an extension or the country's code."""
    if region == "tw":
        mobile = f"{digits(rng, 2)} {digits(rng, 3)} {digits(rng, 3)}"
        return rng.choice([f"09{mobile}", f"+886 9{mobile}", f"04-{digits(rng, 4, '2')}-{digits(rng, 4)}", f"(03){digits(rng, 3, '3458')}-{digits(rng, 4)}轉{digits(rng, 4, '2345')}", f"06-{digits(rng, 7, '256')}"])  # fmt: skip
    if region == "hk":
        return rng.choice([f"{digits(rng, 4, '69')}-{digits(rng, 4)}", f"{digits(rng, 4, '569')} {digits(rng, 4)}", f"(852) {digits(rng, 4, '23')} {digits(rng, 4)}", f"{digits(rng, 8, '2369')}"])  # fmt: skip
    mobile = f"{rng.choice(DIALS)}{digits(rng, 1)}"
    landline = f"0{rng.choice(['531', '371', '851', '29', '592', '771', '471'])}"
    return rng.choice([f"{mobile}{digits(rng, 8)}", f"{mobile} {digits(rng, 4)} {digits(rng, 4)}", f"{mobile}-{digits(rng, 4)}-{digits(rng, 4)}", f"{mobile}{digits(rng, 8)}", f"{landline}-{digits(rng, 7, '2345678')}", f"{landline} {digits(rng, 8, '678')}", f"{landline}-{digits(rng, 8, '68')}转{digits(rng, 4)}", f"(86){mobile}{digits(rng, 8)}"])  # fmt: skip


def jotted(rng: random.Random, region: str, _: Values) -> str:
    """A recent day as staff jot it down, mostly without a year."""
    year, number, day = rng.randint(20, 26), rng.randint(1, 12), rng.randint(1, 28)
    if region == "tw":
        return rng.choice([f"{number}/{day}", f"{number:02d}/{day:02d}", f"{number}月{day}日", f"{year + 89}.{number:02d}.{day:02d}", f"{year + 89}/{number:02d}/{day:02d}", f"20{year}-{number:02d}-{day:02d}", f"{number}月{day}號"])  # fmt: skip
    if region == "hk":
        return rng.choice([f"{day}/{number}", f"{day}/{number}/20{year}", f"{day} {MONTHS[number - 1]}", f"{day}-{number}-{year}", f"{number}月{day}日", f"{number}月{day}號", f"{day:02d}.{number:02d}.20{year}"])  # fmt: skip
    return rng.choice([f"{number}月{day}日", f"{number}月{day}号", f"{number}.{day}", f"20{year}.{number}.{day}", f"20{year}-{number}-{day}", f"{number}/{day}", f"{number:02d}-{day:02d}", f"20{year}年{number}月{day}日", f"{number}月{day}"])  # fmt: skip


def case_number(rng: random.Random, region: str, _: Values) -> str:
    """The number of a patient, a visit or an admission as the region's systems write it."""
    if region == "tw":
        return rng.choice([f"{digits(rng, 7)}-{digits(rng, 1)}", f"{digits(rng, 8)}", f"00{digits(rng, 6)}", f"{digits(rng, 6)}{rng.choice('ABCDEF')}"])  # fmt: skip
    if region == "hk":
        return rng.choice([f"HN{digits(rng, 8)}({digits(rng, 1)})", f"AE{digits(rng, 7)}{rng.choice('ACKPXZ')}", f"SOPD{digits(rng, 7)}", f"HN {digits(rng, 9)}"])  # fmt: skip
    return rng.choice([f"00{digits(rng, 8)}", f"{digits(rng, 7, '123456789')}", f"T00{digits(rng, 8)}", f"MZ20{digits(rng, 2, '2')}{digits(rng, 6)}", f"{digits(rng, 8, '12')}-{rng.randint(1, 4)}", f"P{digits(rng, 9)}"])  # fmt: skip


def accession(rng: random.Random, region: str, _: Values) -> str:
    """The number of a specimen, an examination or a slide."""
    year, number, day = rng.randint(20, 26), rng.randint(1, 12), rng.randint(1, 28)
    if region == "tw":
        return rng.choice([f"S{year + 89}-{digits(rng, 5)}", f"20{year}{number:02d}{day:02d}{digits(rng, 6)}", f"RA{digits(rng, 8)}"])  # fmt: skip
    if region == "hk":
        return rng.choice([f"{year}H{digits(rng, 5)}", f"MB{year}-{digits(rng, 6)}", f"XR{digits(rng, 8)}"])
    return rng.choice([f"20{year}{number:02d}{day:02d}{rng.choice(['CT', 'US', 'MR', 'SYZ'])}{digits(rng, 4)}", f"{year}-{digits(rng, 5)}", f"H20{year}{digits(rng, 6)}", f"{digits(rng, 12, '12')}", f"DR{digits(rng, 7)}", f"BL{year}{digits(rng, 5)}"])  # fmt: skip


def policy(rng: random.Random, region: str, _: Values) -> str:
    """The number of a policy or a claim."""
    if region == "hk":
        return rng.choice([f"GMH-{digits(rng, 7)}", f"{digits(rng, 8)}-{digits(rng, 2)}", f"CL{digits(rng, 9)}"])
    if region == "tw":
        return rng.choice([f"{digits(rng, 10)}", f"QZ{digits(rng, 9)}"])
    return rng.choice([f"P20{digits(rng, 2, '2')}{digits(rng, 11)}", f"{digits(rng, 15, '568')}", f"LP-{digits(rng, 4)}-{digits(rng, 6)}", f"GP{digits(rng, 12)}"])  # fmt: skip


def certificate(rng: random.Random, region: str, _: Values) -> str:
    """A certificate of birth, of vaccinations or of a handicap."""
    if region == "cn":
        return rng.choice([f"{rng.choice('PQRSTUVW')}{digits(rng, 9)}", f"{digits(rng, 10, '3456')}{digits(rng, 10)}", f"{digits(rng, 17, '12346')}X{digits(rng, 2, '1234567')}"])  # fmt: skip
    return f"{digits(rng, 9)}" if region == "tw" else f"{rng.choice('BD')}{digits(rng, 6)}"


def bank_card(rng: random.Random, region: str, values: Values) -> str:
    """A card of a bank, mostly with blanks between its digits; an account where cards are not asked for."""
    if region != "cn":
        return rng.choice([f"{digits(rng, 3)}-{digits(rng, 6)}-{digits(rng, 3)}", f"{digits(rng, 4, '45')} {digits(rng, 4)} {digits(rng, 4)} {digits(rng, 4)}"])  # fmt: skip
    number = rng.choice(values["banks"]) + digits(rng, 13)
    return number if rng.random() < 0.4 else " ".join(number[i : i + 4] for i in range(0, len(number), 4))


def chat(rng: random.Random, _: str, values: Values) -> str:
    """What somebody is called in WeChat, LINE or WhatsApp."""
    return f"{rng.choice(values['chat_words'])}{rng.choice(['', '_', '-'])}{digits(rng, rng.choice([2, 4, 6]), '123456789')}"  # fmt: skip


def mail(rng: random.Random, region: str, values: Values) -> str:
    """An e-mail address: of a person or of a ward."""
    return f"{rng.choice(values['mail_words'])}{rng.choice(['', '', digits(rng, 3)])}@{rng.choice(values[f'{region}_hosts'])}"  # fmt: skip


def car(rng: random.Random, region: str, _: Values) -> str:
    """A number plate; on the mainland also those of electric cars."""
    if region == "tw":
        return f"{digits(rng, 4, '123456789')}-{''.join(rng.choice('ABCDEFGHJKLMNPQRSTUVWXYZ') for _ in range(2))}"
    if region == "hk":
        return f"{rng.choice('ABHKLNPRSTUVWX')}{rng.choice('ABCDEFGHJKLMNPRSTUVWXYZ')}{digits(rng, 4, '123456789')}"
    place = rng.choice("鲁皖闽桂贵陕晋湘赣辽") + rng.choice("ABCDEFGH")
    return rng.choice([f"{place}{digits(rng, 4)}{rng.choice('KLMNPQ')}", f"{place}·{digits(rng, 5)}", f"{place}{rng.choice('DF')}{digits(rng, 5)}", f"{place} {rng.choice('RTWX')}{digits(rng, 4)}"])  # fmt: skip


def dwelling(rng: random.Random, region: str, values: Values) -> str:
    """An address as people write it on forms, in parcels and by hand."""
    if region != "cn":
        return rng.choice(values[f"{region}_dwellings"])
    road, estate, near = (rng.choice(values[key]) for key in ("roads", "estates", "villages"))
    house, floor = rng.randint(1, 38), rng.randint(1, 28)
    home = rng.choice([f"{estate}{house}-{rng.randint(1, 3)}-{floor}0{rng.randint(1, 4)}", f"{estate}{house}幢{rng.randint(1, 3)}单元{floor}0{rng.randint(1, 4)}", f"{road}{house}号院{rng.randint(1, 9)}号楼{rng.randint(1, 6)}门{floor}0{rng.randint(1, 4)}", f"{road}甲{house}号", f"{near}{rng.randint(1, 260)}号", f"{road}{house * 7}号附{rng.randint(1, 12)}号", f"{near}"])  # fmt: skip
    return (rng.choice(values["counties"]) if rng.random() < 0.6 else "") + home


MAKERS: Final[dict[str, Callable[[random.Random, str, Values], str]]] = {
    "拼": spelled_name, "英": listed("english"), "乳": listed("pet_names"), "话": telephone, "日": jotted, "案": case_number, "编": accession,
    "保": policy, "证": certificate, "卡": bank_card, "微": chat, "邮": mail, "车": car, "址": dwelling,
}  # fmt: skip
"""{英} is an English given name that somebody goes by, {乳} what a family calls a child."""
KINDS: Final = {
    "拼": "name", "英": "name short", "乳": "name short", "日": "date", "址": "address",
    "话": "number", "案": "number", "编": "number", "保": "number", "证": "number", "卡": "number", "微": "number", "邮": "number", "车": "number",
}  # fmt: skip
