"""Values that the ninth portion's templates have beside those of the slots before. Nothing here is of a real person.

As in the eighth portion, a slot is a character that says what it makes (电: a telephone, 宅: a home)."""

import random
from collections.abc import Callable
from typing import Final

from phi_slots import MONTHS, Values, digits, numeral
from phi_slots_seventh import listed

WIDE: Final = str.maketrans("0123456789", "０１２３４５６７８９")
DIALS: Final = ("130", "135", "139", "147", "152", "158", "166", "177", "180", "187", "198")
AREAS: Final = ("0735", "0398", "0453", "0797", "0826", "0919", "0663", "0557")
ZONES: Final = ("431022", "411224", "360731", "231084", "511622", "610502", "445222", "341323")


def _day(rng: random.Random) -> tuple[int, int, int]:
    """Year (two digits), month and day of a recent date."""
    return rng.randint(19, 26), rng.randint(1, 12), rng.randint(1, 28)


def written_day(rng: random.Random, region: str, _: Values) -> str:
    """A recent day as people write and say it: in numerals, full width, with two digits of the year, with odd marks."""
    year, month, day = _day(rng)
    said = f"{numeral(month)}月{numeral(day)}"
    if region == "tw":
        return rng.choice([f"{year + 89}-{month:02d}-{day:02d}", f"{year + 89}年{month}月{day}號", f"{said}日", f"{month}.{day}", f"{month}/{day}", f"20{year}.{month}.{day}", f"{month}月{day}"])  # fmt: skip
    if region == "hk":
        return rng.choice([f"{said}號", f"{day}/{month}/{year}", f"{day}.{month}.{year}", f"{MONTHS[month - 1]} {day}", f"{day}{MONTHS[month - 1].upper()}{year}", f"{day}/{month}", f"{month}月{day}號"])  # fmt: skip
    return rng.choice([f"{said}号", f"{month}月{day}号", f"{month}月{day}日", f"{year}年{month}月{day}号", f"{year}.{month}.{day}", f"20{year}、{month}、{day}", f"20{year}年{month}月{day}日".translate(WIDE), f"{month}．{day}", f"{month:02d}月{day:02d}日", f"{month}-{day}", f"20{year}/{month:02d}/{day:02d}"])  # fmt: skip


def day_alone(rng: random.Random, region: str, _: Values) -> str:
    """A day of a month that the text has named before, or that is meant by itself."""
    day = rng.randint(1, 28)
    if region != "cn":
        return rng.choice([f"{day}號", f"{day}日"])
    lunar = f"初{numeral(rng.randint(1, 9))}" if day < 15 else f"廿{numeral(rng.randint(1, 9))}"
    return rng.choice([f"{day}号", f"{day}日", f"{numeral(day)}号", lunar])


def days(rng: random.Random, region: str, _: Values) -> str:
    """Some days in a row, without a word between the first and the last."""
    year, month, _day_of_month = _day(rng)
    first = rng.randint(1, 20)
    last = first + rng.randint(1, 8)
    if region == "tw":
        return rng.choice([f"{month}/{first}~{month}/{last}", f"{year + 89}/{month}/{first}-{month}/{last}", f"{month}/{first}-{last}", f"{month}月{first}-{last}日"])  # fmt: skip
    if region == "hk":
        return rng.choice([f"{first}-{last}/{month}", f"{first}/{month}–{last}/{month}/{year}", f"{month}月{first}-{last}日", f"{first}-{last} {MONTHS[month - 1]}"])  # fmt: skip
    return rng.choice([f"{month}月{first}-{last}日", f"{month}.{first}-{month}.{last}", f"{month}/{first}~{month}/{last}", f"20{year}.{month}.{first}—20{year}.{month}.{last}", f"{month:02d}{first:02d}-{month:02d}{last:02d}", f"{month}月{first}日~{last}日"])  # fmt: skip


def stamp(rng: random.Random, region: str, _: Values) -> str:
    """A date and a time in one number, as devices and systems write them."""
    year, month, day = _day(rng)
    time = f"{rng.randint(0, 23):02d}{rng.randint(0, 59):02d}"
    if region == "tw":
        return rng.choice([f"{year + 89}{month:02d}{day:02d}{time}", f"20{year}{month:02d}{day:02d}{time}"])
    return rng.choice([f"20{year}{month:02d}{day:02d}{time}", f"20{year}{month:02d}{day:02d}{time}{rng.randint(0, 59):02d}", f"{year}{month:02d}{day:02d}{time}"])  # fmt: skip


def born(rng: random.Random, region: str, _: Values) -> str:
    """The day or month on which an adult was born."""
    year, month, day = rng.randint(36, 99), rng.randint(1, 12), rng.randint(1, 28)
    if region == "tw":
        return rng.choice([f"民國{year - 11}年{month}月{day}日", f"{year - 11}.{month:02d}.{day:02d}", f"{year - 11}年{month}月{day}日", f"19{year}-{month}-{day}"])  # fmt: skip
    if region == "hk":
        return rng.choice([f"{day:02d}-{month:02d}-19{year}", f"{day}/{month}/{year}", f"19{year}年{month}月{day}日", f"{day} {MONTHS[month - 1]} 19{year}"])  # fmt: skip
    return rng.choice([f"19{year}年{month}月{day}日", f"{year}年{month}月{day}号", f"19{year}.{month}", f"19{year}年{month}月", f"19{year}/{month:02d}/{day:02d}", f"19{year}{month:02d}{day:02d}", f"{year}年{numeral(month)}月初{numeral(rng.randint(1, 9))}"])  # fmt: skip


def dialed(rng: random.Random, region: str, _: Values) -> str:
    """A telephone as people note it: grouped anyhow, with brackets, with an extension."""
    if region == "tw":
        mobile = digits(rng, 2)
        return rng.choice([f"09{mobile}{digits(rng, 6)}", f"09{mobile}-{digits(rng, 6)}", f"09{mobile} {digits(rng, 6)}", f"（02）{digits(rng, 4, '28')}-{digits(rng, 4)}#{digits(rng, 3)}", f"049-{digits(rng, 7, '2')}", f"886-9{mobile}-{digits(rng, 6)}", f"08 {digits(rng, 3, '7')} {digits(rng, 4)}"])  # fmt: skip
    if region == "hk":
        return rng.choice([f"{digits(rng, 4, '69')} {digits(rng, 4)}", f"{digits(rng, 8, '569')}", f"852-{digits(rng, 8, '69')}", f"{digits(rng, 4, '23')} {digits(rng, 4)} ext {digits(rng, 3)}", f"{digits(rng, 3, '69')} {digits(rng, 2)} {digits(rng, 3)}"])  # fmt: skip
    dial = rng.choice(DIALS)
    return rng.choice([f"{dial}{digits(rng, 8)}", f"{dial}{digits(rng, 8)}", f"{dial} {digits(rng, 4)} {digits(rng, 4)}", f"{dial}-{digits(rng, 4)}-{digits(rng, 4)}", f"{dial}{digits(rng, 1)} {digits(rng, 3)} {digits(rng, 4)}", f"（{rng.choice(AREAS)}）{digits(rng, 7, '2358')}", f"{rng.choice(AREAS)}—{digits(rng, 7, '2358')}", f"{rng.choice(AREAS)}-{digits(rng, 7, '2358')}-{digits(rng, 3)}", f"{dial}.{digits(rng, 4)}.{digits(rng, 4)}", f"{dial}{digits(rng, 8)}".translate(WIDE)])  # fmt: skip


def identity(rng: random.Random, region: str, _: Values) -> str:
    """An identity card's number as people copy it."""
    if region == "tw":
        number = f"{rng.choice('ABCDEFGHJKLMNPQT')}{rng.choice('12')}{digits(rng, 8)}"
        return rng.choice([number, number, f"{number[0]} {number[1:4]} {number[4:7]} {number[7:]}", number.lower()])
    if region == "hk":
        number, check = f"{rng.choice('ADEGHKPRYZ')}{digits(rng, 6)}", rng.choice("0123456789A")
        return rng.choice([f"{number}({check})", f"{number} ({check})", f"{number}{check}", f"{number}（{check}）"])
    zone, year = rng.choice(ZONES), f"19{rng.randint(38, 99)}"
    day, last = f"{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}", digits(rng, 3) + rng.choice("0123456789Xx")
    return rng.choice([f"{zone}{year}{day}{last}", f"{zone}{year}{day}{last}", f"{zone} {year}{day} {last}", f"{zone}-{year}{day}-{last}"])  # fmt: skip


def chart(rng: random.Random, region: str, _: Values) -> str:
    """The number of a patient, a stay, a bed's sticker or a dialysis file."""
    if region == "tw":
        return rng.choice([f"{digits(rng, 9)}", f"{digits(rng, 3)}-{digits(rng, 2)}-{digits(rng, 2)}", f"I{digits(rng, 7)}", f"{digits(rng, 6)}-{rng.choice('ABFMT')}"])  # fmt: skip
    if region == "hk":
        return rng.choice([f"HN{digits(rng, 7)}{rng.choice('ABDKTY')}", f"AE{digits(rng, 8)}({digits(rng, 1)})", f"GOPC-{digits(rng, 6)}", f"{digits(rng, 2)}/{digits(rng, 5)}/{rng.choice('ABM')}"])  # fmt: skip
    return rng.choice([f"{digits(rng, 6, '123456789')}", f"{digits(rng, 2, '12')}{digits(rng, 6)}", f"ZYH{digits(rng, 7)}", f"{digits(rng, 10, '1')}_{rng.randint(1, 5)}", f"K{digits(rng, 8)}", f"HD-{digits(rng, 4)}", f"1000{digits(rng, 6)}"])  # fmt: skip


def specimen(rng: random.Random, region: str, _: Values) -> str:
    """The number of a tube, a slide, a picture or a case of an outbreak."""
    year = rng.randint(19, 26)
    if region == "tw":
        return rng.choice([f"P{year + 89}{digits(rng, 5)}", f"{digits(rng, 2)}-{digits(rng, 6)}", f"CT{digits(rng, 7)}"])  # fmt: skip
    if region == "hk":
        return rng.choice([f"S{year}/{digits(rng, 5)}", f"{year}M{digits(rng, 7)}", f"GCRS{digits(rng, 6)}"])
    return rng.choice([f"{digits(rng, 13, '8')}", f"B{year}-{digits(rng, 4)}", f"20{year}-BL-{digits(rng, 5)}", f"X{digits(rng, 8)}", f"{year}W{digits(rng, 5)}", f"QT{digits(rng, 6)}-{rng.randint(1, 9)}"])  # fmt: skip


def staff(rng: random.Random, region: str, _: Values) -> str:
    """The number of an employee or a login."""
    return rng.choice([f"{digits(rng, 5)}", f"N{digits(rng, 4)}", f"{rng.choice('dhy')}{digits(rng, 5)}"]) if region == "cn" else rng.choice([f"{digits(rng, 6)}", f"S{digits(rng, 5)}"])  # fmt: skip


def slip(rng: random.Random, region: str, _: Values) -> str:
    """The number of an invoice, an order, a prescription or a parcel."""
    if region == "tw":
        return rng.choice([f"{rng.choice('ABDHKRWZ')}{rng.choice('ABCFKTX')}-{digits(rng, 8)}", f"{digits(rng, 12)}", f"RX{digits(rng, 7)}"])  # fmt: skip
    if region == "hk":
        return rng.choice([f"INV{digits(rng, 6)}", f"R-{digits(rng, 7)}", f"{digits(rng, 4)}/{digits(rng, 4)}"])
    return rng.choice([f"SF{digits(rng, 13)}", f"JD{digits(rng, 12)}", f"{digits(rng, 10, '0')}", f"CF20{digits(rng, 2, '2')}{digits(rng, 8)}", f"{digits(rng, 19, '1234')}", f"YF-{digits(rng, 6)}"])  # fmt: skip


def unique(rng: random.Random, _: str, __: Values) -> str:
    """The identifier of a study of pictures."""
    return f"1.2.{rng.choice(['840.113619.2', '276.0.7230010.3', '392.200036.9116'])}.{digits(rng, 3, '1234')}.{digits(rng, 8, '123')}.{digits(rng, 5, '123')}"  # fmt: skip


def home(rng: random.Random, region: str, values: Values) -> str:
    """Where somebody lives, as forms, couriers and relatives have it; with a city or without."""
    if region == "hk":
        flat, floor = rng.randint(1, 28), rng.randint(2, 38)
        estate, block, street = (rng.choice(values[key]) for key in ("hk_estates", "hk_blocks", "hk_streets"))
        return rng.choice([f"{estate}{block}{floor}{flat:02d}室", f"{estate}{block}{floor}樓{flat}號", f"{street}{flat * 3}號{floor}樓{rng.choice('ABCDEF')}室", f"{street}{flat * 5}號{rng.choice(['地舖', '閣樓', '天台屋', '2字樓後座'])}", f"Flat {rng.choice('ABCDEFGH')}, {floor}/F, {rng.choice(values['hk_english_places'])}", f"Rm {floor}{flat:02d}, {rng.choice(values['hk_english_places'])}"])  # fmt: skip
    if region == "tw":
        house, floor = rng.randint(1, 398), rng.randint(2, 15)
        place, road, village = (rng.choice(values[key]) for key in ("tw_towns", "tw_roads", "tw_villages"))
        street = rng.choice([f"{road}{house}號", f"{road}{house}巷{rng.randint(1, 40)}號{floor}樓", f"{road}{house}號{floor}樓之{rng.randint(1, 9)}", f"{road}{house}巷{rng.randint(2, 30)}弄{rng.randint(1, 40)}號", f"{village}{rng.randint(1, 25)}鄰{house}號", f"{village}{house}之{rng.randint(1, 9)}號"])  # fmt: skip
        return (place if rng.random() < 0.7 else "") + street
    road, estate, village = (rng.choice(values[key]) for key in ("roads", "estates", "villages"))
    house, floor = rng.randint(1, 32), rng.randint(1, 27)
    street = rng.choice([f"{estate}{house}栋{floor}0{rng.randint(1, 4)}", f"{estate}{rng.choice('ABCD')}区{house}号楼{rng.randint(1, 4)}单元{floor}楼东户", f"{road}{house * 9}号{estate}{house}＃{floor}0{rng.randint(1, 4)}", f"{road}{house}号", f"{road}{house * 11}弄{house}号{floor}0{rng.randint(1, 4)}室", f"{village}", f"{village}{rng.randint(1, 16)}组{rng.randint(1, 99)}号", f"{village}{rng.choice(['东头', '西头', '后街'])}"])  # fmt: skip
    return (rng.choice(values["counties"]) if rng.random() < 0.5 else "") + street


def net_name(rng: random.Random, region: str, values: Values) -> str:
    """What somebody calls oneself in an application."""
    return rng.choice(values[f"{region}_net_names"]) + rng.choice(["", "", digits(rng, 3), f"_{digits(rng, 2)}"])


def mailbox(rng: random.Random, region: str, values: Values) -> str:
    """An e-mail address."""
    word = rng.choice(values["mail_words"])
    return (
        f"{word}{rng.choice(['', digits(rng, 2), '_' + digits(rng, 4, '12')])}@{rng.choice(values[f'{region}_hosts'])}"
    )


def system_name(rng: random.Random, region: str, values: Values) -> str:
    """A Chinese name in letters as devices, logins, papers and stickers have it: LI^XIAO MEI, Li XM, li.xiaomei, CHAN T M."""
    family = rng.choice(values[f"{region}_spelled_families"])
    first, second = rng.choice(values[f"{region}_syllables"]), rng.choice(values[f"{region}_syllables"])
    if region == "cn":
        return rng.choice([f"{family}^{first}{second}".upper(), f"{family}^{first} {second}".upper(), f"{family} {first[0]}{second[0]}", f"{family}.{first}{second}".lower(), f"{family} {first} {second}".lower(), f"{family}{first}{second}".upper(), f"{family}{first}{second}".lower(), f"{first}-{second.lower()} {family}"])  # fmt: skip
    if region == "tw":
        return rng.choice([f"{family}^{first}-{second}".upper(), f"{family} {first[0]}{second[0]}", f"{first[0]}.{second[0]}. {family}", f"{family} {first} {second}".upper(), f"{family}, {first}-{second.lower()}"])  # fmt: skip
    english = rng.choice(values["hk_english"])
    return rng.choice([f"{family.upper()} {first[0]} {second[0]}", f"{family.upper()}^{first.upper()} {second.upper()}", f"{family} {first[0]}{second[0]}", f"{english} {family.upper()} {first[0]}{second[0]}", f"{family.upper()} {first}-{second.lower()}", f"{family}, {first} {second} {english}"])  # fmt: skip


MAKERS: Final[dict[str, Callable[[random.Random, str, Values], str]]] = {
    "记": written_day, "天": day_alone, "段": days, "串": stamp, "出": born, "电": dialed, "身": identity, "病": chart, "样": specimen, "员": staff, "票": slip,
    "标": unique, "宅": home, "处": listed("spots"), "馆": listed("short_units"), "绰": listed("bynames"), "网": net_name, "箱": mailbox, "拉": system_name,
}  # fmt: skip
"""{处} is a place as people describe it, {馆} what people call a hospital for short, {绰} what neighbors and colleagues call somebody."""
KINDS: Final = {
    "拉": "name", "绰": "name short", "记": "date", "天": "date", "段": "date", "串": "date", "出": "date", "宅": "address", "处": "address", "馆": "organization",
    "电": "number", "身": "number", "病": "number", "样": "number", "员": "number", "票": "number", "标": "number", "网": "number", "箱": "number",
}  # fmt: skip
