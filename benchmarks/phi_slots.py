"""Values that the sixth portion's templates have beside those of phi_notes.py. Nothing here is of a real person."""

import random
from collections.abc import Callable, Sequence
from typing import Final

Values = dict[str, list[str]]
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NUMERALS: Final = "〇一二三四五六七八九"


def digits(rng: random.Random, n: int, first: str = "0123456789") -> str:
    """`n` digits, the first of them one of `first`."""
    return rng.choice(first) + "".join(rng.choice("0123456789") for _ in range(n - 1))


def _day(rng: random.Random) -> tuple[int, int, int]:
    return rng.randint(1945, 2025), rng.randint(1, 12), rng.randint(1, 28)


def month(rng: random.Random, region: str, _: Values) -> str:
    """A month of a year, which is finer than a year."""
    year, number, _day_of_month = _day(rng)
    if region == "tw":
        return f"民國{year - 1911}年{number}月"
    return rng.choice([f"{year}年{number}月", f"{year}.{number:02d}", f"{year}-{number:02d}"])


def compact(rng: random.Random, region: str, _: Values) -> str:
    """A date without marks, as systems write it."""
    year, number, day = _day(rng)
    return f"{year - 1911:03d}{number:02d}{day:02d}" if region == "tw" else f"{year}{number:02d}{day:02d}"


def numeral(number: int) -> str:
    """A number up to 99 as a date says it."""
    tens, ones = divmod(number, 10)
    return ("" if tens == 0 else "十" if tens == 1 else f"{NUMERALS[tens]}十") + ("" if ones == 0 else NUMERALS[ones])


def republic(years: int) -> str:
    """Years of the Republic up to 199, in numerals."""
    hundreds, rest = divmod(years, 100)
    tens, ones = divmod(rest, 10)
    said = "一百" if hundreds else ""
    said += f"{NUMERALS[tens]}十" if tens else "零" if hundreds and ones else ""
    return f"民國{said}{NUMERALS[ones] if ones else ''}"


def spelled(rng: random.Random, region: str, _: Values) -> str:
    """A date in Chinese numerals: 二〇二三年四月十二日, 民國一百一十二年四月十二日."""
    year, number, day = _day(rng)
    years = republic(year - 1911) if region == "tw" else "".join(NUMERALS[int(digit)] for digit in str(year))
    return f"{years}年{numeral(number)}月{numeral(day)}日"


def english(rng: random.Random, _: str, __: Values) -> str:
    """A date as Hong Kong's English notes have it."""
    year, number, day = _day(rng)
    name = MONTHS[number - 1]
    return rng.choice(
        [f"{day} {name} {year}", f"{day:02d}-{name.upper()}-{year}", f"{day:02d}/{number:02d}/{year}", f"{name} {day}, {year}"]
    )  # fmt: skip


def age(rng: random.Random, _: str, __: Values) -> str:
    """An age over 89."""
    return str(rng.randint(90, 103))


def office(rng: random.Random, _: str, __: Values) -> str:
    """A landline of Hong Kong."""
    return f"{digits(rng, 4, '23')}{rng.choice(['', ' ', '-'])}{digits(rng, 4)}"


def travel(rng: random.Random, _: str, __: Values) -> str:
    """A permit between the mainland, Hong Kong, Macau and Taiwan."""
    return rng.choice([f"H{digits(rng, 8)}", f"M{digits(rng, 8)}", digits(rng, 8), f"C{digits(rng, 8)}"])


def network(rng: random.Random, _: str, __: Values) -> str:
    """An address of a private network."""
    return rng.choice([f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}", f"192.168.{rng.randint(0, 99)}.{rng.randint(1, 254)}"])  # fmt: skip


def page(rng: random.Random, _: str, __: Values) -> str:
    """A page of one person's result."""
    return f"https://{rng.choice(['bg', 'report', 'img', 'yun'])}.{rng.choice(['example.com', 'example.cn', 'example.org'])}/r/{digits(rng, 3)}{rng.choice('abkxz')}{digits(rng, 4)}"


def license_number(rng: random.Random, region: str, _: Values) -> str:
    """A physician's license, or a driver's."""
    if region == "tw":
        return digits(rng, 6)
    if region == "hk":
        return f"M{digits(rng, 5)}"
    return rng.choice([f"110{digits(rng, 12)}", f"{digits(rng, 12, '1345')}"])


def device(rng: random.Random, _: str, __: Values) -> str:
    """The serial number of an implant or a device."""
    letters = "".join(rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(3))
    return rng.choice([f"{letters}{digits(rng, 6)}{letters[0]}", f"{letters[:2]}{digits(rng, 8)}", f"{digits(rng, 2)}{letters}{digits(rng, 5)}"])  # fmt: skip


def postcode(rng: random.Random, region: str, _: Values) -> str:
    """A postal code of the mainland (six digits) or of Taiwan (five or six)."""
    return digits(rng, rng.choice([5, 6]) if region == "tw" else 6, "123456789" if region == "tw" else "1234567")


def origin(rng: random.Random, region: str, values: Values) -> str:
    """A county or city where somebody is from."""
    return rng.choice(values.get(f"{region}_counties", values["counties"]))


def workplace(rng: random.Random, region: str, values: Values) -> str:
    """A company or school."""
    return rng.choice(values[f"{region}_works"])


MAKERS: Final[dict[str, Callable[[random.Random, str, Values], str]]] = {
    "g": age, "h": office, "j": travel, "k": network, "l": license_number, "o": origin, "x": device, "z": postcode,
    "D": compact, "E": english, "M": month, "U": page, "W": workplace, "Z": spelled,
}  # fmt: skip
KINDS: Final = {
    "f": "name", "g": "age", "o": "address", "z": "address", "W": "organization", "D": "date", "E": "date", "M": "date", "Z": "date",
    "h": "number", "j": "number", "k": "number", "l": "number", "x": "number", "U": "number",
}  # fmt: skip


def parts(name: str, families: Sequence[str]) -> tuple[str, str]:
    """The family name and the given name of a name in letters ("AU YEUNG Ting") or in characters.

    Raises:
        ValueError: The name begins with none of `families`.
    """
    if name.isascii():
        words = name.split(" ")
        of_family = max(1, sum(word.isupper() for word in words))
        return " ".join(words[:of_family]), " ".join(words[of_family:])
    plain = name.replace(" ", "")
    for family in sorted(families, key=len, reverse=True):
        if plain.startswith(family):
            return family, plain[len(family) :]
    raise ValueError("the name begins with no family name of this portion; add the family name to its values")
