"""Institutions and workplaces near people, full and short: 市一院, 附二, 某某托嬰中心; see `near_people`."""

import re
from typing import Final

from medicalgpt.phi.fold import simplified
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.name_words import PERSONS, sort
from medicalgpt.phi.rules import BORDER, Rule
from medicalgpt.phi.zh_called import NOBODY
from medicalgpt.phi.zh_establishments import GRAMMAR, SHORT, WHAT, C
from medicalgpt.phi.zh_institutions import distinct, one_of_them

_MORE: Final = r"托[嬰婴育]中心|[养養]老公寓|康[养養]中心|[体體][检檢]中心|[高初][級级]中[學学]|[國国]民[小中][學学]|商工|工商|[高]工|高商|家商|農工|[服制][装裝][厂廠]|[货貨][倉仓]|[倉仓][库庫]|健康院|母[嬰婴]健康院|[护護]理[中][心]|[医醫]美|地[盘盤]|[物]流|物[业業]|集[团團]|[银銀]行|[医醫]院|分[公]司"
_BEFORE_LAST: Final = "舍位司校主院构構点點班读讀职職教住进進在到转轉介往至去自失来來开開回给給送系繫于於址由经經从從喺是与與及向被找为為说說讲講话話嘅约約入"
"""The last characters of words that announce an institution."""
_ANY: Final = rf"(?:{_MORE}|{WHAT})"
_ANY_LAST: Final = "(?=.{3,14}?[院心寓所园園班校中小學学工商厂廠库庫倉仓館馆店行社房局站场場部会會公司司队隊樓楼厅廳室团團业業处處宫宮堂点點盤盘子械織织流])"
_NONE: Final = re.compile(
    r"什么|什麼|怎|哪|[说說讲講读讀]|^(?:[该該本我你您他她这這那某各每有去到在从從被把让讓给給做的了是问問及用随隨年月日个個第送住入转轉由经經即拿找]|[单單]位|放工)|附近|当地|當地|其他|其它|\d|(?:布局|格局|结局|結局|预后|当局|水产|生产|商品|公司债|子[宫宮]|[学學协協][会會]|部[门門])$"
)
_OFTEN_ENDS: Final = re.compile(
    r"(?:[畜农農林牧渔漁商工][业業]|工程|市[场場]|[学學]校|[中小]{1,2}[学學]|[建][设設筑築]|[医醫]院|[实實][验驗]室?|中心|[馆館院所]|[队隊]|[银銀]行|公司|集[团團])$"
)
"""What ends words as well as what somebody works at."""
_STRONG_ENDS: Final = re.compile(
    r"(?:[养養敬护護安][老理養养][院所中心]{1,2}|公寓|[托康体體健][婴嬰育养養检檢][中][心]|[药藥][房店局]|[国國高][小中]|高[级級]中[学學]|幼[儿兒稚][园園]|派出所|看守所|[护護]理所|[门門][诊診]部|[诊診]所|[卫衛]生[院所站室]|[厂廠])$"
)
"""What ends hardly anything but the name of one."""
_WE: Final = r"[员員][工]|[职職]工|工人|下[岗崗]|退休|上班|打工|[职職][员員]|店[员員]|[业業][务務][员員]|[厨廚][师師]|保安|[钳鉗車车焊电電][工]|[挡擋][车車]工|[帮幫][工厨廚]|[学學]徒|工程[师師]|老板|老闆|空姐|[车車]長|理[货貨][员員]|[快递遞外卖賣]{2}[员員]"


def _near(match: re.Match[str]) -> bool:
    """Whether what an establishment near people is called says which one it is."""
    value, head = match["v"], simplified(match["head"])
    if not one_of_them(value) or _NONE.search(value) or GRAMMAR.search(value):
        return False
    if any(value[:n] in PERSONS for n in (2, 3)) or head in _KINDS:
        return False
    if _STRONG_ENDS.search(value):
        return True
    if _OFTEN_ENDS.search(value):
        return sort(head) != "often" and (distinct(value) or _unheard(head))
    return len(head) < 4 or not (sort(head[:2]) == "often" and sort(head[2:4]) == "often")


_KINDS: Final = frozenset(
    ["母婴", "妇女", "儿童", "老年", "社区", "国家", "全国", "学生", "公共", "综合", "长者", "员工"]
)
"""What an institution is for, which does not say which one it is."""


def _unheard(head: str) -> bool:
    """Whether the name itself is short and no everyday word, nor begins or ends with one that stands often in text."""
    return len(head) < 5 and not sort(head) and not any(sort(part) == "often" for part in (head[:2], head[-2:]))


def _employer(match: re.Match[str]) -> bool:
    """Whether what stands before 员工 is no everyday word."""
    value = match["v"]
    plain = simplified(value)
    if sort(plain) or _NONE.search(value) or GRAMMAR.search(value) or any(char in NOBODY for char in value):
        return False
    return not any(value[-n:] in PERSONS or value[:n] in PERSONS for n in (2, 3))


_SEEN: Final = r"住院|住[过過]|[门門急][诊診]|就[诊診医醫]|[确確][诊診]|[会會][诊診]|[转轉][来來介院诊診出入]|[开開][刀的药藥]|做[的过過了]?|手[术術]|[复複覆回][查诊診]|[检檢]查|[体體][检檢]|健[检檢]|看[过過]?|查|[化放][疗療]|[洗]腎|透析|[追随隨][踪蹤访訪]|[产產][检檢后後]|生[产產]|[拿取抓攞][药藥]|[报報]告|[急][症]|留[医醫]|出院|[专專]家|[医醫][生师師]|主任|教授|科|ICU|移植|放[疗療]|吃|打[针針]|[输輸]液|[抗]痨|住|病[历歷]|[换換]"
_SHORT_HOSPITAL: Final = r"(?:[省市县縣区區州盟旗][立]?(?:[一二三四五六七八九十]{1,2}(?:院)?|人(?:民|[医醫])|中[医心]院?|[妇婦](?:幼|保|[儿兒产產])院?|[儿兒](?:童院?|[医醫]|研所)|[肿腫]瘤院?|胸科|[传傳]染病?院?|[精神卫衛]{2}(?:中心|院)?|口腔院?|二?[医醫]院)|[儿兒]研所|[精神卫衛]{2}中心|(?:[\u3400-\u9fff]{1,3})?附[属屬]?[一二三四五六七八九]院?|(?:[\u3400-\u9fff]{1,2})?(?<![入出住转轉本我全外])[一二三四五六七八九十]{1,2}院|[\u3400-\u9fff]{1,2}[医]?大[一二三四]院|[聯联][医醫][\u3400-\u9fff]{0,3}院[区區]|(?:解放[军軍]|武警|[陆陸空海][军軍])?第?[一二三四五六七八九〇零百\d]{2,4}[医醫]院|[榮荣][總总]|[北中高][榮荣]|[\u3400-\u9fff]{2}[榮荣][總总])"
RULES: Final = (
    Rule(
        "establishment near people",
        Kind.ORGANIZATION,
        re.compile(
            rf"(?:{BORDER}|(?<=[{_BEFORE_LAST}]))(?={_ANY_LAST})(?=(?P<v>(?P<head>{C}{{2,10}}?){_ANY}(?:{_ANY}){{0,2}}))",
            re.MULTILINE,
        ),
        0.66,
        fits=_near,
    ),
    Rule(
        "employer near people",
        Kind.ORGANIZATION,
        re.compile(rf"(?:{BORDER}|[在到由从從])(?P<v>{C}{{2,5}}?)(?=(?:{_WE}))", re.MULTILINE),
        0.64,
        fits=_employer,
        needs="员員工职職岗崗休班师師安徒教板闆生姐長车車",
    ),
    Rule(
        "hospital for short near people",
        Kind.ORGANIZATION,
        re.compile(
            rf"(?:{BORDER}|(?<=[在到去往由從从喺返自入至於于轉转介]))(?P<v>{_SHORT_HOSPITAL})(?=\s?(?:{_SEEN}|[^\u3400-\u9fff]|$))",
            re.MULTILINE,
        ),
        0.66,
        needs="院医醫大附总總榮荣幼人中科所心一二三四五六七八九十保童瘤病",
    ),
    Rule(
        "hospital of a place for short",
        Kind.ORGANIZATION,
        re.compile(
            r"[省市县縣区區州](?:人[医醫]|立[医醫]院|(?:[肿腫]瘤|胸科|[妇婦]幼|[妇婦][儿兒]|[儿兒]童|[传傳]染病|精神病?|口腔)院)|(?<![\u3400-\u9fff])附[属屬]?[一二三四五][医醫]?院"
        ),
        0.66,
        needs="医醫立院",
    ),
    Rule(
        "known hospital near people",
        Kind.ORGANIZATION,
        re.compile(
            rf"(?<![A-Za-z\u3400-\u9fff])(?P<v>{SHORT})(?![A-Za-z\d])(?=\s?(?:{_SEEN}|(?<![A-Z])(?:[^\u3400-\u9fff]|$)))",
            re.MULTILINE,
        ),
        0.66,
    ),
)
"""In no order; `spans.merged` prefers the surer one."""
