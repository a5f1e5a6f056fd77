"""Phones of the mainland, Taiwan and Hong Kong, and accounts of chats, in Chinese text."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.rules import Rule, zh_labeled

SEP: Final = r"[ .·-]{0,2}"
SLIP: Final = "OoDlI|iSsBZz"
"""Letters that optical reading writes for digits."""
NO: Final = r"(?<![\dA-Za-z])"
END: Final = r"(?![\dA-Za-z])"
# The messenger, and not the English word: a line of a drip, a helpline, online.
_LINE: Final = r"(?<![A-Za-z])(?:(?-i:LINE)|line(?=\s?(?:号|號|账号|帐号|帳號|ID)))"


def _no_day(value: str) -> bool:
    """Whether eight digits are no day of the calendar (20230412)."""
    return not re.fullmatch(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", value)


def no_amount(value: str) -> bool:
    """Whether eight digits are no round number, as counts of viruses are."""
    return not value.endswith("000")


def _no_count(value: str) -> bool:
    """The same, and they are no two years."""
    return no_amount(value) and not re.fullmatch(r"(?:19|20)\d{2}[ -](?:19|20)\d{2}", value)


RULES: Final = (
    Rule(
        "mobile",
        Kind.PHONE,
        re.compile(
            rf"(?<![\dA-Za-z.])(?:\(?(?:\+|00)?86\)?[ -]?)?1[3-9]\d[ -]{{0,2}}(?:\d{{4}}[ -]{{0,2}}\d{{4}}|\d{{3}}[ -]\d{{3}}[ -]\d{{2}}|\d{{2}}[ -]\d{{3}}[ -]\d{{3}}|\d[ -]\d{{4}}[ -]\d{{3}}){END}"
        ),
        0.9,
    ),
    Rule(
        "mobile in fours",
        Kind.PHONE,
        re.compile(rf"(?<![\dA-Za-z.])(?:\(?(?:\+|00)?86\)?[ -]{{1,3}})?1[3-9]\d\d[ -]\d{{4}}[ -]\d{{3}}{END}"),
        0.85,
    ),
    Rule("spaced mobile", Kind.PHONE, re.compile(r"(?<![\dA-Za-z.])1[ ][3-9](?:[ ]\d){9}(?! ?\d)"), 0.85),
    Rule(
        "parted mobile",
        Kind.PHONE,
        re.compile(rf"(?<![\dA-Za-z.])1[3-9]\d[ -]{{1,3}}\d{{4}}[ -]{{1,3}}\d{{1,3}}[ -]{{0,3}}\d{{1,3}}{END}"),
        0.85,
        wanted=lambda v: sum(c.isdigit() for c in v) == 11,
    ),
    Rule(
        "damaged mobile",
        Kind.PHONE,
        re.compile(rf"{NO}(?:\+?86[ -]?)?[1lI|][3-9][\dOolI|]{SEP}[\dOolI|]{{4}}{SEP}[\dOolI|]{{4}}{END}"),
        0.8,
    ),
    Rule(
        "landline",
        Kind.PHONE,
        re.compile(
            r"(?<![\dA-Za-z.-])\(?0(?:10|2\d|[3-9]\d{2})\)?[ -]{0,2}[2-8]\d{6,7}(?:(?:[- ]|转|轉|#){1,2}\d{1,6})?(?![\d.]|[ -]\d{4})"
        ),
        0.85,
    ),
    Rule(
        "labeled phone",
        Kind.PHONE,
        zh_labeled(
            r"(?:联系|聯絡|聯繫|家庭|家属|家屬|办公|辦公|[固]定|移[动動]|住宅)?(?:电话|電話|手机|手機|座机|座機|联系方式|聯絡方式|行動電話|电联|致电|致電|[来來][电電]|回[电電]|[Tt]el|TEL)",
            rf"[+(]{{0,2}}[\d{SLIP}](?:[ ()-]{{0,2}}[\d{SLIP}]){{6,17}}(?:\s?(?:转|轉|#|ext\.?)\s?\d{{1,6}})?",
        ),
        0.95,
    ),
    Rule("labeled fax", Kind.FAX, zh_labeled(r"[传傳]真|Fax", r"[+(]{0,2}\d(?:[ ()-]{0,2}\d){6,17}"), 0.97),
    Rule(
        "taiwan mobile",
        Kind.PHONE,
        re.compile(rf"(?<![\dA-Za-z.])(?:(?:\+|00)886[ -]?9|09)\d{{2}}[ -]?\d{{3}}[ -]?\d{{3}}{END}"),
        0.9,
    ),
    Rule(
        "taiwan landline",
        Kind.PHONE,
        re.compile(
            rf"(?<![\dA-Za-z.])(?:(?:\+|00)886[ -]?[2-8]{{1,2}}[ -]?|\(0[2-8]\d?\)[ -]?|0[2-8]\d?[ -])\d{{3,4}}[ -]?\d{{4}}(?: ?(?:#|转|轉|分[机機]|[Ee]xt\.?) ?\d{{1,6}})?{END}"
        ),
        0.85,
    ),
    Rule(
        "hong kong phone",
        Kind.PHONE,
        re.compile(rf"(?<![\dA-Za-z.])\(?(?:\+|00)?85[23]\)?[ -]?[2-9]\d{{3}}[ -]?\d{{4}}{END}"),
        0.9,
    ),
    Rule(
        "hong kong phone behind a word",
        Kind.PHONE,
        zh_labeled(
            r"查[詢询](?:[請请]?[電电])?|[請请][電电]|致[電电]|[覆回][電电]|[熱热][線线]|[預预][約约](?:[電电][話话])?|改期|[聯联][絡络](?:人)?|手提(?:[電电][話话])?|[電电][話话]|打|[撥拨]|搵|找|(?<=[a-z][a-z])或|WhatsApp|informed\s(?:at|@)",
            r"[2-9]\d{3}[ -]?\d{4}(?![\dA-Za-z.]|[ -]\d)",
        ),
        0.85,
        wanted=_no_day,
    ),
    Rule(
        "hong kong phone alone",
        Kind.PHONE,
        re.compile(
            rf"(?<![\dA-Za-z.+-])(?<!\d[ ,:-])(?:[5-9]\d{{3}}[ -]?\d{{4}}|[23]\d{{3}}[ -]\d{{4}}){END}(?![.:]\d|,\d{{3}}(?!\d)|[ -]\d|\s?(?:/\s?[A-Za-zμ\d個个例人次年月日天]|[×x*%]|[a-zμ]|IU|U\b|[個个例人次]|[單单]位|拷|[萬万][^\W\d_]|[億亿]|元|[號号版]))"
        ),
        0.66,
        wanted=_no_count,
    ),
    Rule(
        "phone abroad",
        Kind.PHONE,
        re.compile(rf"(?<![\dA-Za-z.])\+[1-9]\d{{0,2}}[ -]\d{{1,5}}(?:[ -]\d{{3,6}}){{1,3}}{END}"),
        0.82,
    ),
    Rule(
        "hong kong phone in brackets",
        Kind.PHONE,
        re.compile(r"(?<=[\u4e00-\u9fff][(])[5689]\d{3}[ -]?\d{4}(?=[)])"),
        0.8,
    ),
    Rule(
        "chat",
        Kind.CHAT,
        zh_labeled(
            rf"(?:微信|WeChat|VX|V信|薇信|威信|{_LINE}|钉钉|抖音|微博|小红书|Telegram)\s?(?:号码|账号|帐号|帳號|号|號|ID)?|加微|加V",
            r"[A-Za-z\d](?:[A-Za-z\d_-]|\.(?=[A-Za-z\d])){4,24}",
        ),
        0.93,
    ),
    Rule(
        "chat by a letter",
        Kind.CHAT,
        re.compile(
            r"(?<![A-Za-z])(?:(?:wx|vx)\s?[:：]?|[微薇]\s?:|[Vv]:)\s{0,2}(?P<v>[A-Za-z][A-Za-z\d_-]{5,19}|1[3-9]\d{9})(?![A-Za-z\d_])",
        ),
        0.85,
    ),
    Rule(
        "account",
        Kind.CHAT,
        re.compile(
            rf"(?:(?:用[户戶](?:名|ID)?|[账帐帳賬][号號户戶]|[昵暱][称稱]|[网網]名|(?<![A-Za-z])(?:IG|FB|Ins(?:tagram)?|Facebook)(?![A-Za-z])|[脸臉][书書]|支付|{_LINE})\s{{0,2}}[:=]?\s{{0,2}}(?=@|[A-Za-z_.-]{{2,20}}\d)|(?<![\dA-Za-z_.@])(?=@[A-Za-z_.-]{{1,20}}\d))(?P<v>@?[A-Za-z][\dA-Za-z_.-]{{3,23}})(?<![.-])"
        ),
        0.85,
    ),
    Rule(
        "qq",
        Kind.CHAT,
        zh_labeled(r"(?:QQ|扣扣|Q群|企鹅)\s?(?:号码|号|群)?|(?<![A-Za-z])Q(?=\s?:)", r"[1-9]\d{4,11}"),
        0.93,
    ),
)
"""In no order; `spans.merged` prefers the surer one."""
