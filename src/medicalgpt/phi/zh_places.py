"""Chinese addresses and institutions: 省 市 区 路 号, with a list of provinces and cities and without."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lists import words
from medicalgpt.phi.rules import Rule

# Characters of place names: not those that begin or end a clause around one.
_NOT: Final = "的了吗呢吧是有和与與及或被把给給对對因为為患病痛热熱咳症疼住在从從到来來去我你您他她它们們这這那诊診疗療药藥检檢查叫约約距离離于於至经經由送转轉即等"
_KNOWN: Final = "和(?=[平田龙龍顺順静靜政硕谐諧睦兴興祥风風林合泰悦悅美县縣])|从(?=[化江])|從(?=化)|即(?=墨)|经(?=[一二三四五六七八九十]{1,2}[纬路])|来(?=[宾安凤福])|來(?=[賓安])"
"""Characters of the class below in names of places."""
_A: Final = rf"(?:[^\W\d_a-zA-Z{_NOT}省市区區县縣旗路街号號]|{_KNOWN})"
_W: Final = rf"(?:[^\W\d_a-zA-Z{_NOT}]|{_KNOWN})"
_O: Final = rf"[^\W\d_a-zA-Z{_NOT.translate({ord(c): None for c in '和與与从從'})}]"
_PROVINCE: Final = "|".join(sorted(words("zh/provinces"), key=len, reverse=True))
_CITY: Final = "|".join(sorted(words("zh/cities"), key=len, reverse=True))
_NUMBER: Final = r"[\dA-Za-z甲乙丙丁一二三四五六七八九十百]{1,6}(?:[-~之至]\d{1,4}){0,3}"
_UNIT: Final = rf"(?:(?<=[楼樓栋棟幢座元#])\d{{3,4}}(?![\d.年月日号號室層层户戶])|{_NUMBER}\s?(?:号楼|號樓|号院|號院|号|號|弄|幢|栋|棟|座|楼|樓|单元|單元|室|层|層|组|組|队|隊|巷|村|段|门|門|房|户|戶|期|区|區|#)(?:之\d{{1,2}})?)"
_ROAD: Final = r"(?:大道|大街|大路|胡同|公路|中路|东路|西路|南路|北路|路|街道|街|道|巷|弄|里|村|屯|社区|社區|小区|小區|花园|花園|新村|家园|家園|公寓|广场|廣場|大厦|大廈|苑|庄|莊|镇|鎮|乡|鄉|园|園|邨|寨|坊|城|府|湾|灣|院)"
_AREA: Final = rf"(?:{_A}{{1,7}}(?:自治[区區州县縣旗]|特[别別]行政[区區]|地[区區]|新[区區]|开发[区區]|[省市区區县縣州盟]|旗(?![村路街大镇鎮乡鄉])))"
_LAST: Final = r"(?:[省市区區县縣旗州盟镇鎮乡鄉村屯路街道巷弄里号號楼樓栋棟幢座室层層组組队隊苑园園庄莊厦廈户戶房寨坊院城湾灣邨]|单元|單元|小[区區]|社[区區])"
_TAIL: Final = rf"(?:(?:[ ,、]?{_W}{{1,9}}?(?:{_ROAD}{{1,2}}|(?=\d{{1,4}}(?:号|號|栋|棟|幢|座)))|[ ]?{_UNIT}){{1,9}})"
_PLACE: Final = rf"(?:{_PROVINCE})(?:省|市|自治[区區]|特[别別]行政[区區]|壮族自治区|回族自治区|维吾尔自治区)?|(?:{_CITY})(?:市|地[区區]|自治州|[县縣州盟])"
_ORG: Final = (
    r"(?:医院|醫院|卫生院|衛生院|卫生所|衛生所|诊所|診所|门诊部|保健院|疗养院|療養院|卫生服务中心|卫生服务站|[医醫]学中心|醫學中心|分院|"
    r"(?:股份)?有限(?:[责責]任)?公司|公司|集[团團]|工厂|工廠|[机電电]厂|大学|大學|学院|學院|中学|中學|小学|小學|农场|農場|林场|林場|牧场|煤矿|敬老院|养老院|養老院|福利院|商场|商場|部队|部隊|高中|幼儿园|幼兒園|学校|學校|研究所|研究院|派出所|公安局|税务局|教育局|财政局|银行|銀行|超市|酒店|村委会|居委会|厂|廠|局)"
)
_GENERIC: Final = words("zh/org_generic")


_HAN_NAME: Final = r"[\u3400-\u9fff]{2,3}"
_VAGUE: Final = re.compile(
    r"(?:当地|當地|附近|正规|正規|三甲|大|专科|專科|各|某|上级|县|市|省|我|你|您|他|她|这|這|那|别的|其[他它]|一家|几家|外地|本地|社[区區]|公立|私立|[综綜]合|地方|好的|普通|相[关關]|[专專][业業]|有|去|到|在|到|自治区|医科|中医药)"
)
_ENDS: Final = re.compile(rf"{_ORG}$")


def _named(value: str) -> bool:
    """Whether an institution's name says which one it is."""
    return value not in _GENERIC and len(value) > 3 and not _VAGUE.match(value)


def institution(value: str) -> bool:
    """The same for what a network calls an institution: it must end like one, too."""
    return _named(value) and bool(_ENDS.search(value))


_LIVES: Final = r"(?:家庭|现|現|常|通[讯訊]|户籍|戶籍|户口|戶口|[联聯][系繫络絡]|居住|工作|身份证|邮寄|寄送|收货)?(?:住址|地址|住所|所在地)|籍[贯貫]|出生地|居住地|户口所在地"
RULES: Final = (
    Rule(
        "labeled address",
        Kind.ADDRESS,
        re.compile(
            rf"(?:{_LIVES})\s{{0,2}}[:为為是]?\s{{0,4}}(?P<v>[^\W_][^\n,;。;、:]{{0,60}}?)(?=[\n,;。、]|\s{{2}}|$|\s?\S{{2,6}}:)"
        ),
        0.85,
        wanted=lambda value: bool(re.search(_LAST, value) or re.fullmatch(rf"(?:{_PROVINCE}|{_CITY}){{1,2}}", value)),
    ),
    Rule(
        "lives at",
        Kind.ADDRESS,
        re.compile(
            rf"(?:家住|家在|住在|现住|現住|居住在|居住于|居于|搬到|暂住|暫住|租住|寄到|寄往|寄至|来自|來自|户籍|戶籍|老家|祖籍|原籍|位于|位於|住于|住)(?:在|是|于|於)?\s?"
            rf"(?P<v>(?:{_PLACE}|{_AREA}|{_CITY}|{_TAIL})(?:[ ]?{_AREA}){{0,4}}{_TAIL}?)"
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
        wanted=lambda v: v not in words("zh/provinces") and not re.fullmatch(rf"(?:{_PROVINCE})(?:省|自治[区區])?", v),
    ),
    Rule(
        "city and road",
        Kind.ADDRESS,
        re.compile(rf"(?:{_CITY})(?:[ ]?{_AREA}){{0,4}}{_TAIL}"),
        0.75,
        wanted=lambda v: (
            bool(re.search(_UNIT, v) or re.search(rf"[县縣区區]|{_ROAD}$", v)) and not v.endswith(("院", "城"))
        ),
    ),
    Rule(
        "road and number",
        Kind.ADDRESS,
        re.compile(
            rf"(?:{_AREA}){{0,4}}{_W}{{1,9}}?{_ROAD}[ ]?\d{{1,5}}(?:[-之]\d{{1,4}})?\s?(?:号|號|弄|幢|栋|棟|座){_TAIL}?"
        ),
        0.8,
    ),
    Rule(
        "estate",
        Kind.ADDRESS,
        re.compile(
            rf"{_W}{{2,8}}?\d{{1,3}}(?:号楼|號樓|栋|棟|幢|座)(?:\d{{1,2}}单元|\d{{1,2}}單元)?\d{{2,4}}(?:室|号|號)?(?!\d)"
        ),
        0.8,
    ),
    Rule("village", Kind.ADDRESS, re.compile(rf"(?:{_W}{{1,6}}?[乡鄉镇鎮])?{_W}{{1,6}}?村\d{{1,3}}[组組队隊]"), 0.8),
    Rule(
        "area chain",
        Kind.ADDRESS,
        re.compile(rf"{_A}{{1,6}}[省市](?:{_A}{{1,6}}(?:[市区區县縣旗]|镇|乡|街道)){{1,3}}{_TAIL}?"),
        0.8,
    ),
    Rule(
        "hong kong address",
        Kind.ADDRESS,
        re.compile(
            rf"(?:香港|九[龍龙]|新界|港[島岛])[^\W\d_]{{0,8}}?(?:[ ,]?{_W}{{1,8}}?(?:道|街|邨|苑|大[廈厦]|[樓楼]|座|室|[徑径]|里)|[ ]?[\dA-Z]{{1,5}}\s?(?:號|号|樓|楼|室|座)){{1,6}}"
        ),
        0.8,
    ),
    Rule(
        "labeled unit",
        Kind.ORGANIZATION,
        re.compile(
            r"(?:工作|就[职職]|所在|送[检檢]|就[读讀]|服[务務])?(?:[单單]位|[学學]校|公司)(?:名[称稱])?\s{0,2}:\s{0,4}(?P<v>[^\W_][^\n,;。、:]{1,30}?)(?=[\n,;。、]|\s{2}|$|\s?\S{2,6}:)"
        ),
        0.85,
        wanted=_named,
    ),
    Rule(
        "institution of a visit",
        Kind.ORGANIZATION,
        re.compile(
            rf"(?:在|到|去了?|[从從]|送|送至|[转轉]至|[转轉][诊診]至|就是|[于於]|[(（])(?P<v>{_O}{{2,14}}?{_ORG})(?=[)）,。、;]|$|那|行|{_HAN_NAME}[处處]|住院|看|就[诊診]|治[疗療]|[检檢]查|做|复查|複查|手[术術]|工作|上班|任教|上[学學]|[读讀][书書]|[门門][诊診]|的|[确確][诊診]|[诊診][断斷])"
        ),
        0.72,
        wanted=_named,
    ),
    Rule(
        "works at",
        Kind.ORGANIZATION,
        re.compile(
            rf"(?:[单單]位|就[职職](?:于|於)?|任[职職](?:于|於)|工作(?:于|於)|供[职職](?:于|於)|就[读讀](?:于|於)|[毕畢][业業](?:于|於)|受雇于)\s?(?P<v>{_O}{{2,14}}?{_ORG})"
        ),
        0.85,
        wanted=_named,
    ),
    Rule(
        "institution behind a verb",
        Kind.ORGANIZATION,
        re.compile(
            rf"(?:反映|投[诉訴]|起[诉訴]|控告|[举舉][报報]|状告|[^自代主口倾申上]诉|隶属|[隸]屬|挂靠|前往|[赶趕]到|[赶趕]往|抵[达達]|[转轉]入|[转轉]往|[转轉]到|[调調]到|借[调調]到|[供任][职職]|受聘|[毕畢][业業]|[联聯][系繫]|致[电電]|由|被|向|[与與]|和|、)(?P<v>{_O}{{2,12}}?{_ORG})"
        ),
        0.74,
        wanted=_named,
    ),
    Rule(
        "institution for itself",
        Kind.ORGANIZATION,
        re.compile(
            rf"(?:^|(?<=[^\u3400-\u9fff]))(?P<v>{_O}{{2,12}}?{_ORG})(?=$|[^\u3400-\u9fff]|一案|[处處]|[医醫][师師]|[医醫]生)"
        ),
        0.72,
        wanted=_named,
    ),
    Rule(
        "named institution",
        Kind.ORGANIZATION,
        re.compile(rf"(?:{_PROVINCE}|{_CITY})(?:省|市|[县縣区區])?{_W}{{0,12}}?(?:区{_W}{{0,10}}?)?(?P<end>{_ORG})"),
        0.75,
        wanted=_named,
    ),
    Rule(
        "numbered institution",
        Kind.ORGANIZATION,
        re.compile(
            rf"(?:{_A}{{1,6}}[省市区區县縣])?(?:{_W}{{1,8}}?大[学學])?(?:附[属屬])?{_W}{{0,4}}?第[一二三四五六七八九十]{{1,2}}(?:(?:人民|附[属屬]|中心|中[医醫])?[医醫]院|(?:[高初][级級]|[实實][验驗]|[职職][业業])?[中小][学學]|幼[儿兒][园園])"
        ),
        0.75,
    ),
    Rule(
        "hospital of a place",
        Kind.ORGANIZATION,
        re.compile(
            rf"{_A}{{2,5}}[市区區县縣](?:人民|中心|中[医醫]|第[一二三四五六七八九十]|[妇婦]幼|[儿兒]童|肿瘤|腫瘤|[传傳]染病|精神病|骨[伤傷]){_W}{{0,4}}?(?:医院|醫院|保健院)"
        ),
        0.8,
    ),
)
