"""Made-up Chinese patient notes whose personal data is known, to measure who finds it. Nothing here is of a real person.

Carriers are real medical text (given by the caller) around written templates; values come from lists (phi_notes.yaml) that share no given name,
street, county or institution with the detector's lists: a quarter of the surnames are rare (some of them on no list of ours), a fifth of the
check digits are wrong, some numbers are in full width, spaced, or with the slips of optical reading. Traps must stay as they are.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from phi_slots import KINDS as MORE_KINDS
from phi_slots import MAKERS as SIXTH_MAKERS
from phi_slots import digits, parts
from phi_slots_eighth import KINDS as EIGHTH_KINDS
from phi_slots_eighth import MAKERS as EIGHTH_MAKERS
from phi_slots_ninth import KINDS as NINTH_KINDS
from phi_slots_ninth import MAKERS as NINTH_MAKERS
from phi_slots_seventh import KINDS as SEVENTH_KINDS
from phi_slots_seventh import MAKERS as SEVENTH_MAKERS
from phi_slots_tenth import KINDS as TENTH_KINDS
from phi_slots_tenth import MAKERS as TENTH_MAKERS


def _values(name: str) -> dict[str, list[str]]:
    """Templates and values of a portion, by name."""
    found: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8"))
    return found


VALUES: Final = _values("phi_notes")
MORE: Final = [("cn", template) for template in VALUES["more"]]
"""Templates to write rules on only; they are never reported."""

SECOND: Final = VALUES | _values("phi_second")
"""The same with other templates and values: measured once, and then rules were written on it, too."""
THIRD: Final = SECOND | _values("phi_third")
"""The same with templates and values that were written before anybody saw what the second portion missed."""
FOURTH: Final = VALUES | _values("phi_fourth")
"""The same once more, for the version that was tuned on `BUILD`."""
FIFTH: Final = VALUES | _values("phi_fifth")
"""The same again, written before anybody saw what the third and fourth missed."""
SIXTH: Final = VALUES | _values("phi_sixth")
"""The same by another author, who had read neither rules, lists and weights nor the misses themselves; with the slots of phi_slots.py."""
SEVENTH: Final = VALUES | _values("phi_seventh")
"""The same by a third author, as blind, for the version that was built when the sixth was used up; with traps of its own."""
EIGHTH: Final = VALUES | _values("phi_eighth")
"""The same by a fourth author, as blind, of everyday forms; with the slots of phi_slots_eighth.py."""
NINTH: Final = VALUES | _values("phi_ninth")
"""The same by a fifth author, as blind, of many desks in and around hospitals; with the slots of phi_slots_ninth.py."""
TENTH: Final = VALUES | _values("phi_tenth")
"""The same by a sixth author, as blind, of whole documents; with the slots of phi_slots_tenth.py."""
BUILD: Final = VALUES | _values("phi_build")
"""The same, to fit weights and to write rules on; never reported."""
FORMS: Final = VALUES | _values("phi_forms")
"""The same, of as many forms as we could think of, written when the fifth was used up."""
FURTHER: Final = VALUES | _values("phi_further")
"""The same, of words of wards, forms and letters in all regions, written when the sixth was used up."""
MAKERS: Final = SIXTH_MAKERS | SEVENTH_MAKERS | EIGHTH_MAKERS | NINTH_MAKERS | TENTH_MAKERS
SLOT: Final = r"(\{\w\d?[姓名末]?\})"
"""A slot is a letter (from the eighth portion on also a Chinese character), which says what is made; a digit, where a note has several of it; and 姓, 名 or 末 for a part of the name."""
FAMILIES: Final = ("surnames", "rare_surnames", "odd", "taiwan_surnames", "hong_kong_surnames")
TRAPS: Final = {"cn": "traps", "tw": "taiwan_traps", "hk": "hong_kong_traps"}
"""Which traps are a region's; portions before the seventh have those of the mainland for all."""
ODD, MINORITY, SPACED = 0.02, 0.015, 0.015
"""Shares of the later portions' names whose surname is a common word, too, of whole names without a Han surname, and of names with
blanks between their characters (where `spaced` is among the values)."""

KINDS: Final = {
    "n": "name", "d": "name", "r": "name", "a": "address", "u": "organization", "y": "date",
    **MORE_KINDS, **SEVENTH_KINDS, **EIGHTH_KINDS, **NINTH_KINDS, **TENTH_KINDS, "C": "number", "i": "number", "p": "number", "t": "number", "m": "number", "s": "number", "b": "number", "w": "number", "q": "number", "e": "number", "c": "number", "v": "number",
}  # fmt: skip


@dataclass(frozen=True)
class Note:
    """A note, the personal data in it (start, end, kind) and the places that no detector may touch."""

    text: str
    values: tuple[tuple[int, int, str], ...]
    traps: tuple[tuple[int, int], ...]
    template: str


class Maker:
    """Values of one note."""

    def __init__(self, rng: random.Random, region: str, values: dict[str, list[str]]) -> None:
        self._rng, self._region, self._values = rng, region, values

    def __call__(self, slot: str) -> str:
        if slot in MAKERS:
            return MAKERS[slot](self._rng, self._region, self._values)
        makers: dict[str, Callable[[], str]] = {
            "n": self._name, "d": self._name, "r": self._name, "a": self._address, "u": self._unit, "y": self._date, "i": self._id, "p": self._mobile, "t": self._landline,
            "m": self._record, "s": self._insurance, "b": self._bank, "w": self._chat, "q": lambda: self._digits(self._rng.randint(6, 10), "123456789"), "e": self._email, "c": self._plate, "v": self._passport,
            "C": self._code, "f": lambda: self._rng.choice(self._values[f"{self._region}_letters"]),
        }  # fmt: skip
        return makers[slot]()

    def form(self, name: str, which: str) -> str:
        """What people call somebody for short: 姓, the family name, 末, the last character (阿玲), or 名, a given name of two characters or more; else all of the name."""
        if name in self._values.get("minority", []):
            return name
        families = [family for key in FAMILIES for family in self._values.get(key, [])]
        family, given = parts(name, families)
        if which == "末":
            return given[-1]
        return family if which == "姓" else given if len(given) > 1 else name

    def _unit(self) -> str:
        return self._rng.choice(self._values.get(f"{self._region}_units", self._values["units"]))

    def _name(self) -> str:
        if self._region == "hk" and "hong_kong_given" in self._values:
            return self._rng.choice(self._values["hong_kong_surnames"]) + self._rng.choice(
                self._values["hong_kong_given"]
            )
        if self._region != "cn":
            return self._rng.choice(self._values["taiwan_surnames"]) + self._rng.choice(self._values["taiwan_given"])
        if "odd" in self._values and (pick := self._rng.random()) < ODD + MINORITY:
            if pick < MINORITY:
                return self._rng.choice(self._values["minority"])
            return self._rng.choice(self._values["odd"]) + self._rng.choice(self._values["given"])
        family = self._rng.choice(self._values["rare_surnames" if self._rng.random() < 0.25 else "surnames"])
        name = family + self._rng.choice(self._values["given"])
        return " ".join(name) if "spaced" in self._values and self._rng.random() < SPACED else name

    def _code(self) -> str:
        year = self._rng.randint(18, 25)
        return self._rng.choice(
            [
                self._digits(self._rng.randint(6, 9), "123456789"),
                f"{self._rng.choice(['B', 'S', 'XT', 'KY', 'GZ'])}{year}{self._digits(5)}",
                f"{self._rng.choice(['A', 'JS', 'TX'])}-{self._digits(4)}-{self._digits(3)}",
                f"20{year}{self._digits(7)}",
                f"{self._digits(3)}-{self._digits(5)}",
            ]
        )

    def _digits(self, n: int, first: str = "0123456789") -> str:
        return digits(self._rng, n, first)

    def _damaged(self, value: str) -> str:
        """As forms and scanners leave numbers: mostly as they are."""
        pick = self._rng.random()
        if pick < 0.08:
            return "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalnum() else c for c in value)
        if pick < 0.14:
            return " ".join(re.findall(r".{1,4}", value))
        if pick < 0.17:
            return value.replace("0", "O", 1)
        return value.replace("1", "l", 1) if pick > 0.98 else value

    def _id(self) -> str:
        if self._region == "tw":
            return self._rng.choice("ABCDEFGHJKLMNPQRSTUV") + self._rng.choice("12") + self._digits(8)
        if self._region == "hk":
            return f"{self._rng.choice('ABCDEFGHKPRVYZ')}{self._digits(6)}({self._rng.choice('0123456789A')})"
        born = f"{self._rng.randint(1930, 2020)}{self._rng.randint(1, 12):02d}{self._rng.randint(1, 28):02d}"
        body = (
            self._rng.choice(["420111", "320583", "330282", "410181", "110108", "440606", "510107"])
            + born
            + self._digits(3)
        )
        if self._rng.random() < 0.1:
            return body[:6] + body[8:]  # the 15 digits of before 1999
        weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
        check = "10X98765432"[sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 11]
        wrong = self._rng.random() < 0.2
        return self._damaged(body + (str((int(check.replace("X", "0")) + 3) % 10) if wrong else check))

    def _mobile(self) -> str:
        if self._region == "tw":
            digits = self._digits(8)
            return self._rng.choice([f"09{digits}", f"09{digits[:2]}-{digits[2:5]}-{digits[5:]}"])
        if self._region == "hk":
            digits = self._digits(8, "5689")
            return self._rng.choice([digits, f"{digits[:4]} {digits[4:]}", f"+852 {digits[:4]} {digits[4:]}"])
        digits = "1" + self._digits(10, "3456789")
        return self._damaged(
            self._rng.choice([digits, digits, f"{digits[:3]}-{digits[3:7]}-{digits[7:]}", f"+86 {digits}"])
        )

    def _landline(self) -> str:
        if self._region != "cn":
            return self._rng.choice(
                [f"(02){self._digits(4, '2')}-{self._digits(4)}", f"07-{self._digits(3, '3578')}-{self._digits(4)}"]
            )
        return self._rng.choice(
            [
                f"0{self._rng.choice(['27', '512', '574', '10', '757'])}-{self._digits(8, '2345678')}",
                f"(010){self._digits(8, '68')}",
            ]
        )

    def _record(self) -> str:
        return self._rng.choice(
            [
                self._digits(self._rng.randint(6, 10)),
                f"ZY{self._digits(8)}",
                f"{self._rng.randint(2018, 2025)}{self._digits(6)}",
                f"M{self._digits(7)}",
                f"{self._digits(4)}-{self._digits(4)}",
            ]
        )

    def _insurance(self) -> str:
        return self._rng.choice([self._digits(9), self._digits(12), f"SB{self._digits(8)}"])

    def _bank(self) -> str:
        return self._damaged(self._rng.choice(self._values["banks"]) + self._digits(self._rng.choice([10, 13])))

    def _chat(self) -> str:
        return self._rng.choice(["wxid_", "lovely", "sunny", "ah-"]) + self._digits(5)

    def _email(self) -> str:
        return f"{self._rng.choice(['xiaoyan', 'lidf', 'hr.team', 'z_w'])}{self._digits(4)}@{self._rng.choice(['qq.com', '163.com', 'sina.com.cn', 'foxmail.com'])}"

    def _plate(self) -> str:
        return f"{self._rng.choice('鄂苏浙豫京粤川')}{self._rng.choice('ABCDE')}{self._rng.choice(['', '·'])}{self._digits(5)}"

    def _passport(self) -> str:
        return self._rng.choice([f"E{self._digits(8)}", f"EA{self._digits(7)}", f"G{self._digits(8)}"])

    def _date(self) -> str:
        y, m, d = self._rng.randint(1940, 2025), self._rng.randint(1, 12), self._rng.randint(1, 28)
        if self._region == "tw":
            return self._rng.choice(
                [f"民國{y - 1911 if y > 1911 else 90}年{m}月{d}日", f"{y}/{m:02d}/{d:02d}", f"{y}年{m}月{d}日"]
            )
        return self._rng.choice(
            [f"{y}年{m}月{d}日", f"{y}-{m:02d}-{d:02d}", f"{y}.{m:02d}.{d:02d}", f"{y}/{m}/{d}", f"{m}月{d}日"]
        )

    def _address(self) -> str:
        if self._region == "tw":
            return self._rng.choice(self._values["taiwan_places"])
        if self._region == "hk":
            return self._rng.choice(self._values["hong_kong_places"])
        rng = self._rng
        tail = rng.choice(
            [
                f"{rng.choice(self._values['roads'])}{rng.randint(1, 999)}号",
                f"{rng.choice(self._values['roads'])}{rng.randint(1, 99)}号{rng.choice(self._values['estates'])}{rng.randint(1, 20)}栋{rng.randint(1, 4)}单元{rng.randint(101, 2505)}室",
                f"{rng.choice(self._values['estates'])}{rng.randint(1, 20)}号楼{rng.randint(101, 2505)}",
                f"{rng.choice(self._values['villages'])}{rng.randint(1, 12)}组",
                f"{rng.choice(self._values['roads'])}{rng.randint(1, 300)}弄{rng.randint(1, 60)}号{rng.randint(101, 905)}室",
            ]
        )
        return (rng.choice(self._values["counties"]) if rng.random() < 0.85 else "") + tail


def notes(
    templates: Sequence[tuple[str, str]],
    carriers: Sequence[str],
    count: int,
    seed: int,
    values: dict[str, list[str]] = VALUES,
) -> list[Note]:
    """`count` notes of (region, template), each inside of sentences of a carrier and, in three of ten, with a trap."""
    rng = random.Random(seed)
    return [
        _note(
            Maker(rng, region, values),
            rng,
            template,
            rng.choice(carriers),
            values.get(TRAPS[region], values["traps"]),
            values["kept"],
        )
        for region, template in (rng.choice(templates) for _ in range(count))
    ]


def _note(
    make: Maker, rng: random.Random, template: str, carrier: str, traps_of: Sequence[str], kept: Sequence[str]
) -> Note:
    given = dict[str, str]()
    sentences = [s for s in re.split(r"(?<=[。！？\n])", carrier) if s.strip()][:4]
    cut = rng.randint(0, len(sentences))
    trap = rng.choice(traps_of) + "。" if rng.random() < 0.3 else ""
    text, values, traps = "".join(sentences[:cut]), [], []
    for part in re.split(SLOT, template):
        if re.fullmatch(SLOT, part):
            slot, which = part.strip("{}姓名末"), part[-2]
            whole = given.setdefault(slot, make(slot[0]))
            value = make.form(whole, which) if which in "姓名末" else whole
            values.append((len(text), len(text) + len(value), KINDS[slot[0]] if value == whole else "name short"))
            text += value
        else:
            text += part
    text += "" if text.endswith(("。", "\n")) else "。"
    traps = [(len(text) + m.start(), len(text) + m.end()) for word in kept for m in re.finditer(re.escape(word), trap)]
    text += trap + "".join(sentences[cut:])
    return Note(text, tuple(values), tuple(traps), template)


def all_templates(values: dict[str, list[str]] = VALUES) -> list[tuple[str, str]]:
    """(region, template) of every template that is split."""
    keys = (("cn", "templates"), ("tw", "taiwan"), ("hk", "hong_kong"))
    return [(region, template) for region, key in keys for template in values[key]]
