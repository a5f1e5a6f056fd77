"""What personal data is called: one name a kind, and its label in masked text by script."""

import re
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """Kinds of personal data. Together they cover the 18 of HIPAA Safe Harbor that text can hold, and what Chinese records add."""

    NAME = "name"
    ADDRESS = "address"
    """A street address, or a place smaller than a state or 省."""
    ORGANIZATION = "organization"
    """A hospital, clinic, employer or school that tells where somebody is known."""
    DATE = "date"
    AGE = "age"
    """Only ages over 89."""
    PHONE = "phone"
    FAX = "fax"
    EMAIL = "email"
    CHAT = "chat"
    """微信, QQ, LINE and the like."""
    NATIONAL_ID = "national_id"
    """身份证, 國民身分證, HKID, SSN."""
    PASSPORT = "passport"
    """Passports, and the permits of Hong Kong, Macau and Taiwan."""
    RECORD = "record"
    """病案号, 住院号, 门诊号, 检查号, MRN."""
    INSURANCE = "insurance"
    ACCOUNT = "account"
    """Bank cards and accounts."""
    LICENSE = "license"
    VEHICLE = "vehicle"
    DEVICE = "device"
    IP = "ip"
    URL = "url"
    OTHER_ID = "other_id"


LABELS: Final[dict[Kind, tuple[str, str, str]]] = {
    Kind.NAME: ("NAME", "姓名", "姓名"),
    Kind.ADDRESS: ("ADDRESS", "地址", "地址"),
    Kind.ORGANIZATION: ("ORGANIZATION", "单位", "單位"),
    Kind.DATE: ("DATE", "日期", "日期"),
    Kind.AGE: ("AGE", "年龄", "年齡"),
    Kind.PHONE: ("PHONE", "电话", "電話"),
    Kind.FAX: ("FAX", "传真", "傳真"),
    Kind.EMAIL: ("EMAIL", "邮箱", "電郵"),
    Kind.CHAT: ("CHAT", "社交账号", "社群帳號"),
    Kind.NATIONAL_ID: ("NATIONAL_ID", "身份证号", "身分證號"),
    Kind.PASSPORT: ("PASSPORT", "证件号", "證件號"),
    Kind.RECORD: ("RECORD", "病历号", "病歷號"),
    Kind.INSURANCE: ("INSURANCE", "医保号", "健保號"),
    Kind.ACCOUNT: ("ACCOUNT", "账号", "帳號"),
    Kind.LICENSE: ("LICENSE", "执照号", "執照號"),
    Kind.VEHICLE: ("VEHICLE", "车牌", "車牌"),
    Kind.DEVICE: ("DEVICE", "设备号", "設備號"),
    Kind.IP: ("IP", "IP地址", "IP位址"),
    Kind.URL: ("URL", "网址", "網址"),
    Kind.OTHER_ID: ("ID", "编号", "編號"),
}
"""Labels in English, 简体 and 繁體."""


def mask_of(kind: Kind, script: int, number: int) -> str:
    """What stands for the value of this number of a kind in text of a script (a column of `LABELS`)."""
    return f"[{LABELS[kind][script]}{number}]"


_NAMED: Final = "|".join(
    sorted({re.escape(label) for labels in LABELS.values() for label in labels}, key=len, reverse=True)
)
_MASK: Final = re.compile(rf"\[\s?(?:{_NAMED})\s?\d{{1,4}}\s?\]")


def holds_mask(text: str) -> bool:
    """Whether a mask stands in a text, also one that was put down with blanks within."""
    return bool(_MASK.search(text))
