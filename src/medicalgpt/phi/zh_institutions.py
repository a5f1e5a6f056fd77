"""Chinese institutions that are named: hospitals, schools, companies, offices."""

import re
from itertools import product
from typing import Final

from medicalgpt.phi.fold import simplified
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lists import words
from medicalgpt.phi.name_words import sort
from medicalgpt.phi.rules import BORDER, Rule
from medicalgpt.phi.zh_places import CITY, KNOWN_FIRST, NOT, PROVINCE, A, W

_O: Final = rf"(?:[^\W\d_a-zA-Z{NOT.translate({ord(c): None for c in '和與与从從'})}]|病(?=[医醫院防研专專所中科])|[药藥](?=[大学學科业業])|[疗療](?=[养養]))"
_CARE: Final = (
    r"(?:[医醫]院|[卫衛]生院|[卫衛]生[所室]|[诊診]所|[门門][诊診]部|[医醫][务務]所|[诊診][疗療]所|保健院|[疗療][养養]院|[卫衛]生服[务務](?:中心|站)|[护護]老院|安老院|老人院|敬老院|[养養]老院|福利院|[护護]理之家|[养養][护護]中心|康复院|康復院|干休所|"
    r"(?:[医醫][学學疗療]|防治|防[疗療]|保健|[护護]理|康[复復]|[卫衛]生|急救|血液|[体體][检檢]|健康|[妇婦]幼|[产產]后|月子|[长長]照|托育|疾病控制|疾病[预預]防控制|疾控|透析|口腔|[检檢][验驗]|[诊診][断斷]|[养養]老|[计計][划劃]生育(?:服[务務])?|助[产產]|美容|日[间間](?:[护護]理|照[顾顧料])?)中心|(?:眼|牙|[齿齒])科中心|保健[计計][划劃]生育服[务務]中心|[检檢][验驗][实實][验驗]室|血站|防[疫治]站|防治[院所])"
)
"""What cares for people."""
ORG: Final = (
    rf"(?:{_CARE}|分院|(?:股份)?有限(?:[责責]任)?公司|公司|集[团團]|工厂|工廠|[机電电]厂|大学|大學|学院|學院|(?:[学學]校|[大中小][学學])[东東西南北新老总總][校][区區]|中学|中學|小学|小學|[国國][小中](?=$|[^\u3400-\u9fff])|农场|農場|林场|林場|牧场|煤矿|商场|商場|部队|部隊|高中|幼[儿兒稚][园園]|学校|學校|研究所|研究院|派出所|公安局|税务局|教育局|财政局|"
    r"银行|銀行|超市|酒店|[宾賓][馆館]|[饭飯][店馆館]|餐[厅廳]|[药藥][店房局]|[饼餅]店|面包店|商店|商行|合作社|事[务務]所|工作室|服[务務][部站]|管理[处處]|街道[办辦](?:事[处處])?|支行|分行|分局|村委会|居委会|厂|廠|局)"
)
_GENERIC: Final = words("zh/org_generic")
_HAN_NAME: Final = r"[\u3400-\u9fff]{2,3}"
_VAGUE: Final = re.compile(
    r"(?:当地|當地|附近|正规|正規|三甲|大(?=[医醫公工学學型商])|专科|專科|各|某|上级|[县縣市省](?!立)|我|你|您|他|她|这|這|那|别的|其[他它]|一家|几家|外地|本地|社[区區]|公立|私立|[综綜]合|地方|好的|普通|相[关關]|[专專][业業]|有|去|到|在|自治区|医科|中医药|基[层層]|[乡鄉][镇鎮]|[农農]村|各[级級]|[国國][内内]|民[办營营])"
)
_ENDS: Final = re.compile(rf"{ORG}$")
_LEADS: Final = re.compile(
    r"^(?:.*(?:曾|同期|期[间間]|前往|送抵|送往|[转轉][诊診]|[转轉]至|[转轉]入|[转轉]出|[院单單][所位]|建[议議]|目前|[现現]在?|原|起|至|已|先|后|後|再|均|都|都是|是|由|赴|入|[经經]|[于於]|到|在|去|[从從]|[为為]|及|和|[与與]))(?=.)"
)
"""What may stand before the name of an institution without being part of it."""
_PLACE: Final = re.compile(rf"(?:{PROVINCE}|{CITY})|[^本全各某外该該两兩一每都城][^\W\d_]{{0,4}}[市县縣镇鎮乡鄉]")
_OF_ALL: Final = re.compile(
    r"(?:[医醫]院|[诊診]所|中心|[门門][诊診]部|人民|[综綜]合|[专專]科|[妇婦][幼女产產]|[儿兒]童|[肿腫]瘤|口腔|眼科|骨科|[精神]{2}|[传傳]染病|[结結]核|康[复復]|[中西][医醫]|[结結]合|[职職]工|社[区區]|[学學]|[卫衛]生|[护護]理|[养養]老|服[务務]|防治|保健|疾病|[预預]防|控制|急救|健康|[体體][检檢]|女性|男[科性]|不孕|肛[肠腸]|皮[肤膚]|耳鼻喉|心[脑腦]血管|糖尿病|[肾腎]病|[肝胃]病|[医醫][学學疗療美务務]|[专專][业業]|[区區省市县縣部院校级級家所厂廠甲乙等大小公私立民国國军軍各一二三四五六七八九十])"
)


_SHAPES: Final = ("布局", "格局", "结局", "結局", "预后", "当局")
_CHATTER: Final = re.compile(
    r"哪|什[么麼]|怎|[谁誰]|[一几幾两兩多这這那某各每][家所间間個个]|决定|決定|选择|選擇|[问問说說要能会會可想帮幫您很更最好]|其中|(?:正[规規]|[权權]威|[专專][业業]|三甲|[一二三]级|二甲|知名|著名|大型|公[办辦]|私[人立])[性类類]?(?:[医醫]院|[诊診]所)$"
)
"""What tells that an institution is spoken of and not named."""


def one_of_them(value: str) -> bool:
    """Whether an institution's name says which one it is."""
    return (
        value not in _GENERIC
        and len(value) > 3
        and "某" not in value
        and not value.endswith(_SHAPES)
        and not _VAGUE.match(value)
        and not _made_of(value, False)
    )


def institution(value: str) -> bool:
    """The same for what a network calls an institution: it must end like one, too."""
    return one_of_them(value) and bool(_ENDS.search(value))


def _made_of(value: str, everyday: bool) -> bool:
    """Whether words for kinds of institutions make up a run of characters, or those and everyday ones."""
    value = simplified(value)
    whole = [True, *(False for _ in value)]
    for end, size in product(range(1, len(value) + 1), range(1, 5)):
        part = value[end - size : end] if size <= end else ""
        if part and whole[end - size] and ((everyday and sort(part)) or _OF_ALL.fullmatch(part)):
            whole[end] = True
    return whole[-1]


def distinct(value: str) -> bool:
    """Whether the name of an institution holds a place, or what is no everyday word."""
    return one_of_them(value) and (bool(_PLACE.match(value)) or not _made_of(value, True))


def _anywhere(value: str) -> bool:
    """Whether an institution's name that nothing announces says which one it is."""
    value = _LEADS.sub("", value)
    return distinct(value) and not _CHATTER.search(value)


RULES: Final = (
    Rule(
        "labeled unit",
        Kind.ORGANIZATION,
        re.compile(
            r"(?:工作|就[职職]|所在|送[检檢]|就[读讀]|服[务務])?(?:[单單]位|[学學]校|公司|[雇僱]主|院所|[医醫]院|[转轉][入出]|[机機][构構])(?:名[称稱])?\s{0,2}:\s{0,4}(?P<v>[^\W_][^\n,;。、:]{1,30}?)(?=[\n,;。、]|\s|$|\s?[^\s,;。、:]{2,6}:)"
        ),
        0.85,
        wanted=lambda v: one_of_them(v) and bool(re.search(r"[\u3400-\u9fff]{2}|[A-Za-z]{3}", v)),
    ),
    Rule(
        "institution of a visit",
        Kind.ORGANIZATION,
        re.compile(
            rf"(?:在|到|去了?|[从從]|送|送至|送抵|送往|送[达達]|[转轉]至|[转轉][诊診]至?|就是|[于於]|[(（])(?P<v>{_O}{{2,14}}?{ORG})(?=[)）,。、;]|$|\s|那|行|{_HAN_NAME}[处處]|住院|看|就[诊診]|治[疗療]|[检檢]查|做|复查|複查|手[术術]|工作|上班|任教|上[学學]|[读讀][书書]|[门門][诊診]|的|[确確][诊診]|[诊診][断斷])"
        ),
        0.72,
        wanted=one_of_them,
    ),
    Rule(
        "care anywhere",
        Kind.ORGANIZATION,
        re.compile(rf"(?P<v>{_O}{{2,12}}?{_CARE})"),
        0.71,
        wanted=_anywhere,
        needs="院所心站部家室",
    ),
    Rule(
        "works at",
        Kind.ORGANIZATION,
        re.compile(
            rf"(?:[单單]位|就[职職](?:于|於)?|任[职職](?:于|於)|[工做]作?(?:于|於)|供[职職](?:于|於)|就[读讀](?:于|於)?|[毕畢][业業](?:于|於)|受[雇僱](?:于|於)|任教(?:于|於)?|上班(?:于|於)|[从從][业業](?:于|於)|打工(?:于|於)|[来來]自)\s?(?P<v>{_O}{{2,14}}?{ORG})"
        ),
        0.85,
        wanted=one_of_them,
    ),
    Rule(
        "works for",
        Kind.ORGANIZATION,
        re.compile(
            rf"(?<![\u3400-\u9fff])(?P<v>{_O}{{2,14}}?{ORG})(?=[职職][工员員]|[员員]工|工人|[学學]生|教[师師]|老[师師]|[会會][计計]|司[机機]|保安|[厨廚][师師]|主管|[经經]理|院[长長]|校[长長院友]|退休|[负負][责責]人|[家宿]舍|同事|[业業][务務]员|在?[职職]|住民|院友|[学學][员員])"
        ),
        0.78,
        wanted=one_of_them,
    ),
    Rule(
        "place of work",
        Kind.ORGANIZATION,
        re.compile(
            rf"(?:在|[于於]|[从從])(?P<v>{_O}{{2,14}}?{ORG})(?=上班|工作|打工|任教|任[职職]|[读讀][书書]|上[学學]|就[读讀职職]|做|[当當]|[实實][习習]|[值当當][班夜]|吃|住|搬|被|[发發]生|昏倒|[晕暈]倒|跌|摔)"
        ),
        0.8,
        wanted=one_of_them,
    ),
    Rule(
        "institution behind a verb",
        Kind.ORGANIZATION,
        re.compile(
            rf"(?:反映|投[诉訴]|起[诉訴]|控告|[举舉][报報]|状告|[^自代主口倾申上]诉|隶属|[隸]屬|挂靠|前往|[赶趕]到|[赶趕]往|抵[达達]|[转轉]入|[转轉]往|[转轉]到|[调調]到|借[调調]到|[供任][职職]|受聘|[毕畢][业業]|[联聯][系繫]|致[电電]|由|被|向|[与與]|和|、)(?P<v>{_O}{{2,12}}?{ORG})"
        ),
        0.74,
        wanted=one_of_them,
    ),
    Rule(
        "institution for itself",
        Kind.ORGANIZATION,
        re.compile(rf"(?:{BORDER})(?P<v>{_O}{{2,12}}?{ORG})(?=$|[^\u3400-\u9fff]|一案|[处處]|[医醫][师師]|[医醫]生)"),
        0.72,
        wanted=one_of_them,
    ),
    Rule(
        "named institution",
        Kind.ORGANIZATION,
        re.compile(
            rf"{KNOWN_FIRST}(?:{PROVINCE}|{CITY})(?:省|市|[县縣区區])?{W}{{0,12}}?(?:区{W}{{0,10}}?)?(?P<end>{ORG})"
        ),
        0.75,
        wanted=one_of_them,
    ),
    Rule(
        "numbered institution",
        Kind.ORGANIZATION,
        re.compile(
            rf"(?:{A}{{1,6}}[省市区區县縣])?(?:{W}{{1,8}}?大[学學])?(?:附[属屬])?{W}{{0,4}}?第[一二三四五六七八九十]{{1,2}}(?:(?:人民|附[属屬]|中心|中[医醫])?[医醫]院|(?:[高初][级級]|[实實][验驗]|[职職][业業])?[中小][学學]|幼[儿兒][园園])"
        ),
        0.75,
        needs="第",
    ),
    Rule(
        "school of Taiwan",
        Kind.ORGANIZATION,
        re.compile(
            r"[\u3400-\u9fff]{2,4}(?:高[級级]中[學学]|國民[中小]學|國[中小]|商工|家商|工商|高工|高商|高[職职]|農工|海事)(?=[畢毕肄][業业]|[在]?[學学]生|[校老][長长師师]|[一二三]年)"
        ),
        0.76,
        needs="商工高國農海",
    ),
    Rule(
        "school campus",
        Kind.ORGANIZATION,
        re.compile(rf"(?:{BORDER}|(?<=[在到于於]))(?P<v>{_O}{{2,10}}[学學校][东東西南北新老总總]校[区區])"),
        0.76,
        needs="校",
    ),
    Rule(
        "hospital of a place",
        Kind.ORGANIZATION,
        re.compile(
            rf"{A}{{2,5}}[市区區县縣](?:人民|中心|中[医醫]|第[一二三四五六七八九十]|[妇婦]幼|[儿兒]童|肿瘤|腫瘤|[传傳]染病|精神病|骨[伤傷]){W}{{0,4}}?(?:医院|醫院|保健院)"
        ),
        0.8,
        needs="院",
    ),
)
