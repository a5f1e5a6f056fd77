"""Values that the seventh portion's templates have beside those of phi_slots.py. Nothing here is of a real person."""

import random
from collections.abc import Callable
from typing import Final

from phi_slots import NUMERALS, Values, digits, numeral

OF_VEHICLES: Final = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"


def hardware(rng: random.Random, _: str, __: Values) -> str:
    """The address of a network card."""
    return rng.choice(":-").join(f"{rng.randint(0, 255):02X}" for _ in range(6))


def account(rng: random.Random, region: str, _: Values) -> str:
    """A bank account of Taiwan or Hong Kong."""
    if region == "tw":
        return rng.choice([f"822-{digits(rng, 12)}", f"(700){digits(rng, 14)}", f"013-{digits(rng, 12)}"])
    return rng.choice([f"012-{digits(rng, 3)}-{digits(rng, 1)}-{digits(rng, 6)}", f"{digits(rng, 3)}-{digits(rng, 6)}-838"])  # fmt: skip


def lunar(rng: random.Random, region: str, _: Values) -> str:
    """A day of the lunar calendar."""
    day = f"{rng.choice('正二三四五六七八九十冬腊' if region == 'cn' else '正二三四五六七八九十冬臘')}月"
    number = rng.randint(1, 29)
    day += f"初{numeral(number)}" if number <= 10 else f"廿{NUMERALS[number - 20]}" if number > 20 else numeral(number)
    return rng.choice(["农历" if region == "cn" else "農曆", "癸卯年", "甲辰年", ""]) + day


def handle(rng: random.Random, _: str, __: Values) -> str:
    """What somebody is called in an application."""
    word = rng.choice(["miss.luo", "lanyue", "xx_mama", "qingfeng", "kk-dad", "momo"])
    return f"{rng.choice(['@', ''])}{word}{rng.choice(['_', ''])}{digits(rng, rng.choice([2, 3, 4]))}"


def mail(rng: random.Random, region: str, _: Values) -> str:
    """An e-mail address whose host is one of the region's."""
    hosts = {
        "cn": ["126.com", "139.com", "outlook.com", "aliyun.com"],
        "tw": ["gmail.com", "yahoo.com.tw", "hinet.net"],
        "hk": ["gmail.com", "yahoo.com.hk", "netvigator.com"],
    }
    return f"{rng.choice(['ys.lin', 'zhoul', 'wong_ky', 'c-w.hsu', 'mtang', 'ward7'])}{rng.choice(['', digits(rng, 2)])}@{rng.choice(hosts[region])}"


def last_four(rng: random.Random, _: str, __: Values) -> str:
    """The last four digits of a card or a telephone."""
    return digits(rng, 4)


def abroad(rng: random.Random, _: str, __: Values) -> str:
    """A telephone of another country."""
    return rng.choice(
        [f"+65 9{digits(rng, 3)} {digits(rng, 4)}", f"+1 ({digits(rng, 3, '2468')}) 555-01{digits(rng, 2)}", f"+44 7700 900{digits(rng, 3)}", f"+81-90-{digits(rng, 4)}-{digits(rng, 4)}", f"00251-9{digits(rng, 8)}"]
    )  # fmt: skip


def residence(rng: random.Random, _: str, __: Values) -> str:
    """A residence permit of a foreigner in Taiwan, of the new and of the old form."""
    return rng.choice(["A", "F", "H"]) + rng.choice(["8", "9", "C", "D"]) + digits(rng, 8)


def logged(rng: random.Random, region: str, _: Values) -> str:
    """A recent date as systems write it before a time."""
    year, number, day = rng.randint(2019, 2026), rng.randint(1, 12), rng.randint(1, 28)
    forms = [f"{year}-{number:02d}-{day:02d}", f"{year}/{number:02d}/{day:02d}", f"{year}/{number}/{day}"]
    return rng.choice([f"{year - 1911}/{number:02d}/{day:02d}", *forms] if region == "tw" else forms)


def recent(rng: random.Random, region: str, _: Values) -> str:
    """A recent date as people write it."""
    year, number, day = rng.randint(2018, 2026), rng.randint(1, 12), rng.randint(1, 28)
    if region == "tw":
        return rng.choice([f"民國{year - 1911}年{number}月{day}日", f"{year - 1911}年{number}月{day}日", f"{year}/{number:02d}/{day:02d}"])  # fmt: skip
    if region == "hk":
        return rng.choice([f"{year}年{number}月{day}日", f"{day}/{number}/{year}", f"{year}-{number:02d}-{day:02d}"])
    return rng.choice([f"{year}年{number}月{day}日", f"{year}-{number:02d}-{day:02d}", f"{year}.{number}.{day}", f"{year}年{number:02d}月{day:02d}日"])  # fmt: skip


def listed(key: str) -> Callable[[random.Random, str, Values], str]:
    """A maker of what the region's list of a name holds: a school, a hospital, a home for the old."""
    return lambda rng, region, values: rng.choice(values[f"{region}_{key}"])


def plate(rng: random.Random, region: str, _: Values) -> str:
    """A car of Taiwan or Hong Kong."""
    letters = "".join(rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(3 if region == "tw" else 2))
    return f"{letters}-{digits(rng, 4)}" if region == "tw" else f"{letters} {digits(rng, 4, '123456789')}"


def vehicle(rng: random.Random, _: str, __: Values) -> str:
    """A vehicle identification number."""
    return f"L{''.join(rng.choice(OF_VEHICLES) for _ in range(10))}{digits(rng, 6)}"


def short_day(rng: random.Random, region: str, _: Values) -> str:
    """A day as people jot it down: without a year, or with two digits of it."""
    year, number, day = rng.randint(19, 26), rng.randint(1, 12), rng.randint(1, 28)
    if region == "tw":
        return rng.choice([f"{number}/{day}", f"{number}月{day}日", f"{year + 89}/{number}/{day}", f"{year + 89}.{number}.{day}"])  # fmt: skip
    if region == "hk":
        return rng.choice([f"{day}/{number}", f"{day}/{number}/{year}", f"{number}月{day}號", f"{number}月{day}日"])
    return rng.choice([f"{number}月{day}日", f"{number}月{day}号", f"{number}/{day}", f"{year}.{number}.{day}", f"{year}/{number}/{day}", f"{year}-{number}-{day}"])  # fmt: skip


MAKERS: Final[dict[str, Callable[[random.Random, str, Values], str]]] = {
    "A": hardware, "B": account, "F": lunar, "G": listed("homes"), "H": handle, "I": listed("informal"), "K": mail, "L": last_four, "N": plate, "O": listed("hospitals"),
    "P": abroad, "Q": recent, "R": residence, "S": listed("schools"), "T": logged, "V": vehicle, "Y": short_day,
}  # fmt: skip
"""{I} is a name in letters as colleagues write it, the family name last."""
KINDS: Final = {
    "I": "name", "G": "organization", "O": "organization", "S": "organization", "F": "date", "Q": "date", "T": "date", "Y": "date",
    "A": "number", "B": "number", "H": "number", "K": "number", "L": "number", "N": "number", "P": "number", "R": "number", "V": "number",
}  # fmt: skip
