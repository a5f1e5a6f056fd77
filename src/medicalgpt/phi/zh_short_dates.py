"""Chinese dates without a year, with a short one (23.8.24, 112/6/5, 3/8), and of the lunar calendar.

Three parts of one kind of mark are a date by themselves where they can be one. Two are a fraction, a score or an eyesight as well (3/8, 7/10):
they are a date only where what stands beside them says so.
"""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.rules import Rule, zh_labeled
from medicalgpt.phi.zh_names import SINGLE

MONTH_NUMBER: Final = r"(?:1[0-2]|0?[1-9])"
DAY_NUMBER: Final = r"(?:3[01]|[12]\d|0?[1-9])"
"""Of a year and of a month, with or without a zero before it."""
NO_DATE: Final = re.compile(
    r"\s?(?:[a-zμµ%‰℃°×*]|mg|IU|U(?![A-Za-z])|/\s?[A-Za-z\d個个例人次]|[:.]\d(?!\d?[床房])|,\d{3}(?!\d)|-\d)|[個个例人名位只片粒支瓶袋張张份分級级倍處处部段章节節版型成量次]|周期|[疗療]程|以[上下]|左右|肺野"
)
"""What tells, behind numbers, that they count something."""
_VERSION: Final = re.compile(
    r"(?:[a-zμ](?<!\bsince)(?<!\bfrom)(?<!\buntil)(?<!\btill)(?<!\bon)(?<!\bdated)|[vV]\.?|iOS|SPSS|版本?|[第][:：]?) ?\Z"
)
DAY_PART: Final = (
    r"[上下中][午晝昼]|凌晨|清晨|早上|[傍当當]晚|晚[上間间]?|夜[间間里裡]?|\d{1,2}[:時时點点]\d|\d{1,2}[時时點点]"
)
WEEKDAY: Final = r"\(?(?:周|週|星期|[礼禮]拜|逢)[一二三四五六日天末]|\([一二三四五六日]\)"
EVENT: Final = (
    r"[入出住轉转][院科]|[复複覆回][查诊診檢检]|手[术術]|[来來](?:[诊診院]|[换換])|就[诊診医醫]|[门門急][诊診]|[换換][药藥]|拆[线線]|[随隨][访訪]|打[咗了过過]?[针針]|[输輸]血|化[疗療]|放[疗療]|抽血|[发發]病|[确確][诊診]"
    r"|[会會家][诊診]|[评評][定估][会會]?|[家面回]?[访訪][视視談谈]|[晤][谈談]|[巡查]房|[讨討][论論][会會]?|[跟追][进進蹤踪]|[签簽][收名字]|[验驗][收货]|[预預][约約]|[报報][到告]|出生|[接]种|[过過]世|去世|面[谈談]|看[诊診]|[体體][检檢]|[会會][议議]|[访訪][视視]"
)
ACT: Final = r"那[天日次晚]|以[后後前](?!列)|之[前后後]|[刚剛](?!性)|[打住出做开開查拍抽缴繳](?:的|[了過过完](?![敏度程]))|D/C|MBD|on(?![a-z])|off(?![a-z])|change|[转轉](?:ICU|[病科院]|[入出])|更[换換]|休息|停[电電水诊診]|放假|[值交]班|[夜白日中早晚]班|\d{1,3}\s?[床房]|各[复複查输輸换換行做化]|的[号號]|[报報]修|[执執]行|通知|[取寄到退]件|[领領]取|[换換]管|[置植插拔]|拍片|回[院诊診家]|[未已]接|停[药藥经經]|[开開]始|起(?=[\s,。;)]|$)|提[早前]|[过過到]期|截止|[补補][交种接]|[送搬]|改到"
"""What is done on a day that has been set."""
_SURE_BEHIND: Final = re.compile(
    rf"\s?(?:{WEEKDAY}|{DAY_PART}|{EVENT}|{ACT}|[拟擬]|[巡查]房|</t[dh]>|[早晚午夜]\s?\d{{1,2}}[:时時点點])"
)
_MAY_BEHIND: Final = re.compile(
    r"\s?(?:[来來](?!自)|喺|[等返去嚟]|可(?!能)|[带帶陪][阿宝寶]?|起(?!效)|[前后後](?:再|[来來]|回)|再|出[现現]|[称稱]|行|[包飞飛][机機]|在|因|[从從由]|[开開到返回])"
)
_SURE_BEFORE: Final = re.compile(
    rf"(?:日期|[示葬产產约約假排定学學]期|[时時][间間]|日[志誌记記]|下次\S{{0,2}}|上次|改到|改期|改至|改[成为為]|原[来來定]|[吃用住停休做拖延]到|[伤傷故]日|出[险險]|[报報]案|生效|下一?[剂劑针針回次]|第[一二三四五六\d]次|[预領领][药藥]期[间間]|期[间間]|[医醫]?[嘱囑]|[值交]班|提醒|[请請]假至?|[两兩]?周[后後]即|[延順顺]至|得[閒闲]|[谨謹][启啟]|[试試]戴|(?:周|週|星期|[礼禮]拜)[一二三四五六日天]|[末上]次月[经經]|EDC|EDD|[诊診术術院忌约約休产產换換][日期]期?|LMP|DOB|[跌摔]倒\S{{0,2}}次|[病休放]假|昨[天日]|今[天日]|明[天日]|生日|[预預][约約计計]|{EVENT})"
    r"\s?(?:[:是为為於于在到]\s?)?\(?$"
)
_MAY_BEFORE: Final = re.compile(
    r"(?:[于於在自由从從约約至到拟擬排]|反映|[自所主]?[述诉訴称稱]|次\(|[请請][你您她他]|你好[,!])\s?$"
)
_SIGNED: Final = re.compile(
    r"(?:志[愿願]者|[义義]工|[医醫护護药藥治][疗療]?[师師生士理]|[护護]工|家[长長]|社工|[主院科部][任长長]|[谨謹][启啟]|敬上|[签簽][名字收])[\u3400-\u9fff]{0,4}\s{1,3}$"
)
_ROLE: Final = r"[者员員人师師士生][: ]?"
SIGNED_BY: Final = re.compile(
    rf"(?:^|[。;\n:)] ?)(?:[\u3400-\u9fff]{{0,6}}{_ROLE})?[{SINGLE}][\u3400-\u9fff]{{1,2}}[,、 ]{{1,2}}\Z|{_ROLE}[\u3400-\u9fff]{{2,4}}[,、 ]{{1,2}}\Z"
)
"""Who signed; a day follows."""
SEX_AND_AGE: Final = re.compile(r"[男女][,、 ]\d{1,3}[岁歲]?[,、 ]\Z")
ENDS: Final = re.compile(r"\s{0,3}(?:[。\n(;]|$|[电電])")
_FROM: Final = re.compile(r"(?:[日号號]|\d[./-]\d{1,2}|[./-](?:19|20)\d\d) ?[-~至到] ?$")
_SAID: Final = re.compile(r"(?<=[\u3400-\u9fff]) ?: ?$")
"""What somebody says begins here."""
_WE: Final = re.compile(r"[我他她咱你您][們们]?(?![次日])|[妈媽爸]|[请請先]|麻[烦煩]|到[时時]")
_MORE: Final = re.compile(r" ?[-~至到] ?\d{1,4}(?:[月年]|[./-]\d)")
"""A range of days goes on."""
_UNTIL: Final = re.compile(r"\s?[-~至到]\s?\d{1,4}(?:[月年]\d|[./-]\d{1,2}[./-]\d)")
SCORE: Final = re.compile(
    r"(?:[视視]力|肌力|[评評]分|得分|[积積]分|分期|VAS|NRS|MRC|Apgar|GCS|MMSE|MoCA|[压壓]|BP|比例?|率|[占近有的中]|超[过過]|患者|[剂劑]量|[矫矯]正|OD|OS|[左右双雙][眼肺侧側]|位於|位于)\s?[:为為是]?\s?$",
    re.IGNORECASE,
)
"""What tells, before two numbers and a slash, that they are no day."""


def _day(month: int, day: int) -> bool:
    return 0 < month <= 12 and 0 < day <= 31


def _three(match: re.Match[str]) -> bool:
    """Whether three numbers are a date: of our years, of the republic's, or the day first."""
    first, mark, middle, last = match.group("a", "mark", "b", "c")
    a, b, c = int(first), int(middle), int(last)
    text, start = match.string, match.start()
    more = _MORE.match(text, match.end())
    if (not more and NO_DATE.match(text, match.end())) or _VERSION.search(text, max(0, start - 6), start):
        return False
    beside = bool(_SURE_BEHIND.match(text, match.end()) or _SURE_BEFORE.search(text, max(0, start - 12), start))
    years_first = (len(first) == 2 and (a > 12 or mark == "/" or beside)) or (len(first) == 3 and 80 <= a <= 130)
    if years_first and _day(b, c):
        return True
    return len(last) == 2 and (mark == "/" or beside) and (_day(b, a) or _day(a, b))


def _part(first: int, second: int) -> bool:
    """Whether two numbers may well be a fraction or a score: 1/3, 7/10, 5/12."""
    return first <= second and (second <= 12 or second in (15, 20, 30))


def _two(match: re.Match[str]) -> bool:
    """Whether what stands beside two numbers, or two such pairs, tells a day."""
    a, b = int(match["a"]), int(match["b"])
    text, start, end = match.string, match.start(), match.end()
    until = bool(_UNTIL.match(text, end))
    if not (_day(a, b) or _day(b, a)) or SCORE.search(text, max(0, start - 8), start):
        return False
    if not until and NO_DATE.match(text, end):
        return False
    low = max(0, start - 12)
    if "0" in (match["a"][0], match["b"][0]) or (
        _SAID.search(text, low, start) and _WE.match(text, end)
    ):  # nobody writes a fraction like 07/24
        return True
    if _SURE_BEHIND.match(text, end) or _SURE_BEFORE.search(text, low, start):
        return True
    if until or _FROM.search(text, low, start) or SEX_AND_AGE.search(text, low, start):
        return True
    if match["until"]:
        c, d = int(match["c"]), int(match["d"])
        return (_day(c, d) or _day(d, c)) and b != d and not (_part(a, b) and _part(c, d) and (a != c or a < 3))
    if (_SIGNED.search(text, low, start) or SIGNED_BY.search(text, low, start)) and ENDS.match(text, end):
        return True
    before, behind = _MAY_BEFORE.search(text, low, start), _MAY_BEHIND.match(text, end)
    return bool(before and behind) or (bool(before or behind) and not _part(a, b))


_MONTH: Final = r"(?:[闰閏]?(?:十[一二]|[正元一二三四五六七八九十冬腊臘])月)"
_LUNAR_DAY: Final = r"(?:初[一二三四五六七八九十]|廿[一二三四五六七八九]?|卅)"
_COUNTED_DAY: Final = r"(?:十[一二三四五六七八九]?|二十[一二三四五六七八九]?|三十)"
_YEAR: Final = r"(?:[甲乙丙丁戊己庚辛壬癸][子丑寅卯辰巳午未申酉戌亥]年)"
_HARVEST: Final = re.compile(
    r"[日]?[\s,、]{0,3}(?:[采採收曬晒合]|生(?![人日于於的])|取(?![。,;\s]|$)|可[采採]|[一二三十五]+日[采採取])"
)


def _lived(match: re.Match[str]) -> bool:
    """Whether a day is not that of a harvest, as in books of herbs (五月五日采)."""
    return len(match.group()) > 5 or not _HARVEST.match(match.string, match.end())


RULES: Final = (
    Rule(
        "short date",
        Kind.DATE,
        re.compile(
            r"(?:(?<![\dA-Za-z.~+×-])|(?<=[日号號]-)|(?<=\d[/.]\d-)|(?<=\d[/.]\d\d-))(?<![\dA-Za-z]/)(?<!\d[ :])(?P<a>\d{1,3})(?P<mark>[./-])(?P<b>\d{1,2})(?P=mark)(?P<c>\d{1,2})(?!\d)"
        ),
        0.78,
        fits=_three,
    ),
    Rule(
        "day and month",
        Kind.DATE,
        re.compile(
            r"(?<![\dA-Za-z.+×])(?<![\dA-Za-z]/)(?<!\d:)(?P<a>\d{1,2})/(?P<b>\d{1,2})(?P<until>\s?[-~至到]\s?(?P<c>\d{1,2})/(?P<d>\d{1,2}))?(?!/?\d)"
        ),
        0.74,
        fits=_two,
        needs="/",
    ),
    Rule(
        "day behind a point",
        Kind.DATE,
        re.compile(
            rf"[于於]\s?(?P<v>{MONTH_NUMBER}\.{DAY_NUMBER})(?![\d.])(?=\s?(?:{WEEKDAY}|{DAY_PART}|{EVENT}|[来來因]))"
        ),
        0.74,
    ),
    Rule(
        "republican day without marks",
        Kind.DATE,
        zh_labeled(
            r"[收结結]案|[预預][计計约約產产]\S{0,2}|日期|生日|[入出住轉转]院|[复複覆回][查诊診]|[开開]立|[报報][告到]|[采採][检檢]|[签簽]\S",
            r"(?:0[2-9]\d|1[0-3]\d)(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?![\dA-Za-z.-])",
        ),
        0.8,
    ),
    Rule(
        "lunar date",
        Kind.DATE,
        re.compile(
            rf"(?:(?:[去前今明]年|(?:19|20)\d\d年)(?=\s?[农農阴陰旧舊正腊臘冬闰閏]|{_MONTH}{_LUNAR_DAY}))?(?:(?:(?:[农農阴陰旧舊]\s?[历曆]|{_YEAR}){{1,2}}\s?{_MONTH}(?:{_LUNAR_DAY}|{_COUNTED_DAY})?|{_MONTH}{_LUNAR_DAY}|[腊臘冬正]月{_COUNTED_DAY})[日]?|(?<=[,。;\s于於])(?<![一二三四五六七八九十年、])(?:十[一二]|[二三四五六七八九十])月{_COUNTED_DAY}(?=\s{{0,3}}(?:[。;\n]|$|{EVENT})))"
        ),
        0.8,
        fits=_lived,
        needs="月)",
    ),
    Rule(
        "written day",
        Kind.DATE,
        re.compile(rf"(?<![一二三四五六七八九十年、]){_MONTH}(?:{_COUNTED_DAY}|[一二三四五六七八九])[日号號]"),
        0.75,
        fits=_lived,
        needs="月",
    ),
    Rule(
        "age at death",
        Kind.AGE,
        re.compile(
            r"(?:[终終得]年|享[年寿壽]|享耆[寿壽]|[积積][闰閏]享[寿壽]|在世|年[龄齡紀纪]|(?<![A-Za-z])Age)\s?[:为為是]?\s?(?P<v>9\d|1[01]\d)(?![\d.%±~]|-\d)",
            re.IGNORECASE,
        ),
        0.85,
    ),
    Rule(
        "age beside a sex",
        Kind.AGE,
        re.compile(
            r"(?:(?<![\dA-Za-z])[MF]/|[男女]\s?[/,、|]\s?|(?<![\d./])(?=\d{2,3}/[MF男女](?![A-Za-z])))(?P<v>9\d|1[01]\d)(?=[\s,。;、|)]|/(?!\d)|$)"
        ),
        0.8,
    ),
)
"""In no order; `spans.merged` prefers the surer one."""
