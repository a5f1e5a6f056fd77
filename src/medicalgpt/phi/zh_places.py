"""Chinese addresses: 省 市 区 路 号, with a list of provinces and cities and without."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lists import words
from medicalgpt.phi.rules import Rule, begins, one_of

# Characters of place names: not those that begin or end a clause around one.
NOT: Final = "的了吗呢吧是有和与與及或被把给給对對因为為患病痛热熱咳症疼住在从從到来來去我你您他她它们們这這那诊診疗療药藥检檢查叫约約距离離于於至经經由送转轉即等"
_KNOWN: Final = "和(?=[村乡鄉镇鎮路街里庄莊屯区區市平田龙龍顺順静靜政硕谐諧睦兴興祥风風林合泰悦悅美县縣苑閣阁樓楼邨軒轩廈厦])|(?<=[泰仁永太祥谐諧平中义義颐頤人德])和|从(?=[化江])|從(?=化)|即(?=墨)|经(?=[一二三四五六七八九十]{1,2}[纬路])|来(?=[宾安凤福])|來(?=[賓安])"
"""Characters of the class below in names of places."""
A: Final = rf"(?:[^\W\d_a-zA-Z{NOT}省市区區县縣旗路街号號]|{_KNOWN})"
W: Final = rf"(?:[^\W\d_a-zA-Z{NOT}]|{_KNOWN})"
PROVINCE: Final = one_of(words("zh/provinces"))
CITY: Final = one_of(words("zh/cities"))
_NUMBER: Final = r"[\dA-Za-z甲乙丙丁一二三四五六七八九十百]{1,6}(?:[-~之至]\d{1,4}){0,3}"
_UNIT: Final = rf"(?:(?<=[楼樓栋棟幢座元门門#])\d{{3,4}}(?![\d.年月日号號室層层户戶])|(?<=[舍寓区區园園苑城里院楼樓栋棟])\d{{1,3}}-\d{{2,4}}(?![\d-])|[东東西南北中]单元\d{{0,4}}|\d{{1,2}}F(?![A-Za-z])|(?<=[樓楼號号])[A-H](?![A-Za-z\d])|附\d{{1,3}}[号號]?|{_NUMBER}\s?(?:号楼|號樓|号院|號院|号|號|弄|幢|栋|棟|座|字?楼|字?樓|单元|單元|室|层|層|组|組|队|隊|巷|村|鄰|邻|段|门|門|房|排|户|戶|期|区|區|#)(?:之\d{{1,2}})?)"
_ROAD: Final = r"(?:大道|大街|大路|胡同|公路|中路|东路|西路|南路|北路|路|街道|街|道|巷|弄|里|村|嘎查|屯|社区|社區|小区|小區|花园|花園|新村|家园|家園|公寓|[农農林牧渔漁茶][场場]|团[场部]|宿舍|广场|廣場|大厦|大廈|苑|庄|莊|镇|鎮|乡|鄉|园|園|邨|寨|坊|城|府|湾|灣|院)"
_AREA: Final = rf"(?:{A}{{1,7}}(?:自治[区區州县縣旗]|特[别別]行政[区區]|地[区區]|新[区區]|开发[区區]|[省市区區县縣州盟]|旗(?![村路街大镇鎮乡鄉])))"
_LAST: Final = r"(?:[省市区區县縣旗州盟镇鎮乡鄉村屯路街道巷弄里号號楼樓栋棟幢座室层層组組队隊苑园園庄莊厦廈户戶房寨坊院城湾灣邨]|单元|單元|小[区區]|社[区區])"
_TAIL: Final = rf"(?:(?:[ ,、]?{W}{{1,9}}?(?:{_ROAD}{{1,2}}|(?=\d{{1,4}}(?:号|號|栋|棟|幢|座|期)))|[ ]?{_UNIT}){{1,9}})"
KNOWN_FIRST: Final = begins([*words("zh/provinces"), *words("zh/cities")])
_PLACE: Final = rf"{KNOWN_FIRST}(?:(?:{PROVINCE})(?:省|市|自治[区區]|特[别別]行政[区區]|壮族自治区|回族自治区|维吾尔自治区)?|(?:{CITY})(?:市|地[区區]|自治州|[县縣州盟]))"
_LIVES: Final = r"工作地[点點]?|(?:家庭|现|現|常|通[讯訊]|户籍|戶籍|户口|戶口|[联聯][系繫络絡]|居住|工作|身份证|邮寄|寄送|收货)?(?:住址|地址|住所|所在地)|籍[贯貫]|出生地|居住地|户口所在地"
_LODGING: Final = r"(?:\s?(?:唐?[一二三四五六七八九十\d]{1,2}字?[樓楼](?:[A-Z\d]{1,3}室|[A-H](?![A-Za-z]))?|唐[樓楼]|劏房[A-Z\d]{0,3}|板[间間]房|寮屋|石屋|村屋|丁屋|天台屋?|地[舖鋪庫下]|[閣阁][樓楼仔]|[前后後]座|鐵皮屋|[A-Z\d]{1,4}[室座房]|[床]位\d{0,2})){1,3}"
"""What part of a house of Hong Kong somebody lives in."""
RULES: Final = (
    Rule(
        "labeled address",
        Kind.ADDRESS,
        re.compile(
            rf"(?:{_LIVES})\s{{0,2}}[:为為是]?\s{{0,4}}(?P<v>[^\W_][^\n,;。;、:]{{0,60}}?)(?=[\n,;。、]|\s{{2}}|$|\s?[^\s,;。、:]{{2,6}}:|\s[\u3400-\u9fff]{{0,4}}(?:日期|[时時][间間]|[电電][话話]|[号號][码碼]?))"
        ),
        0.85,
        wanted=lambda value: bool(re.search(_LAST, value) or re.fullmatch(rf"(?:{PROVINCE}|{CITY}){{1,2}}", value)),
    ),
    Rule(
        "lives at",
        Kind.ADDRESS,
        re.compile(
            rf"(?:家住|家在|住在|现住|現住|[现現]居|居住在|居住于|居于|居於|[通現现][訊讯場场][處处]?|搬到|暂住|暫住|租住|寄到|寄往|寄至|寄回|寄|来自|來自|户籍|戶籍|老家|祖籍|原籍|位于|位於|住于|住)(?:在|是|于|於)?\s?"
            rf"(?P<v>(?:{_PLACE}|{_AREA}|{CITY}|{_TAIL})(?:[ ]?{_AREA}){{0,4}}{_TAIL}?)"
        ),
        0.85,
        wanted=lambda value: (
            len(value) > 1 and not re.fullmatch(rf"{_UNIT}", value) and not value.endswith(("院", "病区", "病房"))
        ),
    ),
    Rule(
        "place",
        Kind.ADDRESS,
        re.compile(rf"(?:{_PLACE})(?:[ ]?{_AREA}){{0,4}}{_TAIL}?"),
        0.8,
        wanted=lambda v: v not in words("zh/provinces") and not re.fullmatch(rf"(?:{PROVINCE})(?:省|自治[区區])?", v),
    ),
    Rule(
        "city and road",
        Kind.ADDRESS,
        re.compile(rf"{KNOWN_FIRST}(?:{CITY})(?:[ ]?{_AREA}){{0,4}}{_TAIL}"),
        0.75,
        wanted=lambda v: (
            bool(re.search(_UNIT, v) or re.search(rf"[县縣区區]|{_ROAD}$", v)) and not v.endswith(("院", "城"))
        ),
    ),
    Rule(
        "road and number",
        Kind.ADDRESS,
        re.compile(
            rf"(?:{_AREA}){{0,4}}{W}{{1,9}}?{_ROAD}[ ]?[甲乙丙丁]?\d{{1,5}}(?:[-之]\d{{1,4}})?\s?(?:号|號|弄|幢|栋|棟|座){_TAIL}?"
        ),
        0.8,
        needs="号號弄幢栋棟座",
    ),
    Rule(
        "estate",
        Kind.ADDRESS,
        re.compile(
            rf"{W}{{2,8}}?(?:[\d一二三四五六]{{1,2}}期)?\d{{1,3}}(?:号楼|號樓|栋|棟|幢|座)(?:\d{{1,2}}单元|\d{{1,2}}單元)?\d{{2,4}}(?:室|号|號)?(?!\d)"
        ),
        0.8,
        needs="号號栋棟幢座",
    ),
    Rule(
        "home by three numbers",
        Kind.ADDRESS,
        re.compile(
            rf"(?:(?P<told>住(?:址|在|于|於)?|[地住]址|家在|搬[到至]|送到|寄[到至])[:是为為]?\s?)?(?P<v>(?:(?:{_AREA}){{0,4}}){W}{{2,10}}?\d{{1,3}}-\d{{1,2}}-(?P<room>\d{{3,4}})(?:室|[号號])?(?![\d-]))"
        ),
        0.8,
        fits=lambda match: bool(match["told"]) or not re.match(r"(?:19|20)\d\d$", match["room"]),
        needs="-",
    ),
    Rule(
        "box of a post office",
        Kind.ADDRESS,
        re.compile(
            rf"(?:{W}{{2,9}}?)?[邮郵][政局](?:局)?(?:第)?\s?\d{{1,6}}(?:[-之]\d{{1,4}})?\s?[号號]?(?:之\d{{1,4}})?\s?信箱(?:\d{{1,5}}分箱)?|P\.?O\.? ?Box \d{{1,7}}"
        ),
        0.85,
        needs="箱x",
    ),
    Rule(
        "district and road",
        Kind.ADDRESS,
        re.compile(
            rf"{A}{{2,4}}(?:[区區]|[县縣]){A}{{2,6}}(?:大道|[东東西南北中]?[路街]|巷|胡同|[镇鎮乡鄉]|街道)(?![口灯燈边邊上线線])"
        ),
        0.72,
        wanted=lambda v: (
            not re.match(r"[本全各我该該某辖轄城社小学學病地山灾災疫校厂廠军軍园園矿礦]|.{1,3}[各小社病地]区", v)
            and not re.search(r"[区區县縣](?:各|的|道路|通路|[乡鄉][镇鎮]|街道$)", v)
        ),
        needs="区區县縣",
    ),
    Rule(
        "village of a town",
        Kind.ADDRESS,
        re.compile(rf"(?P<v>{A}{{2,5}}[镇鎮乡鄉]{A}{{1,4}}村)(?![民委卫衛医醫里支落干級级])"),
        0.74,
        wanted=lambda v: (
            not re.match(r"[本全各该該某两兩一每城都农農多]", v)
            and not re.search(r"[镇鎮乡鄉][各全本两兩一每农農下]", v)
        ),
        needs="村",
    ),
    Rule(
        "place of origin",
        Kind.ADDRESS,
        re.compile(
            rf"(?P<v>(?:{A}{{2,5}}[省市州])?{A}{{1,5}}(?:[市县縣旗镇鎮乡鄉村]|自治[县縣]))(?=人(?![民员員口数數大工均生体體类類物群])|籍)"
        ),
        0.7,
        wanted=lambda v: not re.match(r"[本外全各该該某两兩一每城都农農小大]", v),
        needs="人籍",
    ),
    Rule(
        "village",
        Kind.ADDRESS,
        re.compile(rf"(?:{W}{{1,6}}?[乡鄉镇鎮])?{W}{{1,6}}?村\d{{1,3}}[组組队隊]"),
        0.8,
        needs="村",
    ),
    Rule(
        "area chain",
        Kind.ADDRESS,
        re.compile(rf"{A}{{1,6}}[省市](?:{A}{{1,6}}(?:[市区區县縣旗镇鎮乡鄉]|街道)){{1,3}}{_TAIL}?"),
        0.8,
        wanted=lambda v: "某" not in v,
        needs="省市",
    ),
    Rule(
        "hong kong address",
        Kind.ADDRESS,
        re.compile(
            rf"(?:香港|九[龍龙]|新界|港[島岛])[^\W\d_]{{0,8}}?(?:[ ,]?{W}{{1,8}}?(?:道|街|邨|苑|大[廈厦]|[樓楼]|座|室|[徑径]|里|村|花[園园]|[閣阁臺台苑軒轩]|中心|[廣广][場场]|[圍围])|[ ]?[\dA-Z]{{1,5}}\s?(?:號|号|樓|楼|室|座)(?:地[下舖]|地庫)?){{1,6}}"
        ),
        0.8,
        needs="香九新港",
    ),
    Rule(
        "room of an estate",
        Kind.ADDRESS,
        re.compile(
            rf"{W}{{2,9}}?(?:苑|邨|[閣阁軒轩臺]|大[廈厦]|街|道|路){W}{{0,6}}?\d{{1,4}}[A-Z]?(?:號|号|室|字?[樓楼]|座)(?:\d{{1,4}}[A-Z]?(?:字[樓楼]|[樓楼]|室|座)|[A-Z][座室]){{0,2}}(?:[前後后]座|地[下舖鋪]|天台屋?|平台)?{_LODGING}?"
        ),
        0.78,
        needs="苑邨閣阁軒轩臺廈厦字後舖鋪劏寮板",
    ),
    Rule(
        "home in a house of an estate",
        Kind.ADDRESS,
        re.compile(
            rf"{W}{{1,6}}?[邨苑園园城灣湾](?:第?[一二三四五六七八九十\d]{{1,2}}[座期])?{W}{{1,6}}?[樓楼閣阁座]\s?(?:\d{{1,2}}/[Ff]|\d{{1,2}}字?[樓楼]|\d{{3,4}}[A-Za-z]?室?)(?:\s?[A-Z\d]{{1,4}}室)?(?![\d])"
        ),
        0.78,
        needs="樓楼閣阁座",
    ),
    Rule(
        "lodging",
        Kind.ADDRESS,
        re.compile(rf"{W}{{1,8}}?(?:道|街|路|村|里|[圍围]|坊)\s?\d{{1,4}}[A-Z]?(?:號|号){_LODGING}"),
        0.82,
        needs="房屋樓楼舖鋪地座",
    ),
)
