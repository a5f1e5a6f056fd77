"""Chinese names by the words beside them: 姓名：, 患者, …医生."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lists import words
from medicalgpt.phi.name_weights import GIVEN, PEOPLES
from medicalgpt.phi.rules import BORDER, Rule

_HAN: Final = r"[\u3400-\u9fff]"
SURNAMES: Final = words("zh/surnames")
WEAK: Final = words("zh/surnames_weak")
SINGLE: Final = "".join(s for s in SURNAMES if len(s) == 1)
DOUBLE: Final = "|".join(s for s in SURNAMES if len(s) == 2)
NOT_IN_GIVEN: Final = frozenset("".join(words("zh/not_in_names")))
NOT_NAMES: Final = words("zh/not_names")
_GIVEN: Final = r"[\u3400-\u9fff]"
_NAME: Final = rf"(?:(?:{DOUBLE}){_HAN}{{1,2}}|[{SINGLE}]{_HAN}{{1,2}})"
CALLED_BY: Final = "医生|醫生|医师|醫師|大夫|主任|教授|护士|護士|护师|護師|院长|院長|先生|女士|小姐|太太|阿姨|叔叔|老师|老師|同志|大爷|大爺|大妈|大媽|奶奶|爷爷|师傅|師傅|药师|藥師|技师|技師|专家|博士"
CALLED_FIRST: Final = "".join(sorted({word[0] for word in CALLED_BY.split("|")}))
"""How these begin, which is cheaper to ask than the words."""
TITLES: Final = CALLED_BY + "|患者|病友|同学|之[母父妻夫子女]"
_LABELS: Final = (
    "姓名|名字|姓\\s{1,4}名|患者姓名|病人姓名|联系人|聯絡人|聯繫人|紧急联系人|家属|家屬|监护人|監護人|陪护人?|签名|簽名|签字|簽字|医师签名|主治医师|主治醫師|主治医生|主治醫師|主刀|术者|術者|助手|麻醉师|麻醉医师|麻醉醫師|责任护士|責任護士|"
    "记录者|记录人|記錄者|报告医师|報告醫師|审核医师|審核醫師|送检医师|经治医师|管床医师|住院医师|住院醫師|主任医师|副主任医师|接诊医生|检查者|检验者|操作者|收件人|申请人|投保人|被保险人|受检者|患儿姓名|父亲|父親|母亲|母親|配偶|户主|代诉人|供史者|病史陈述者|陈述者|訪客|會診醫師|主訴者|科主任|护士长|護理長|护士|审核|審核|录入|錄入|核对|制单|经办人"
)
_NEAR: Final = (
    "患者|病人|患儿|患兒|产妇|產婦|孕妇|孕婦|家属|家屬|妻子|丈夫|儿子|兒子|女儿|女兒|父亲|父親|母亲|母親|爸爸|妈妈|媽媽|我叫|我是|名叫|叫做|名为|名為|叫|本人|同事|朋友|邻居|鄰居|姐姐|妹妹|哥哥|弟弟|伤者|死者|逝者|受试者|医生|醫生|医师|醫師|护士|護士|"
    "由|请|請|经|找|联系|聯絡|聯繫|通知|遵|遵照|我爸|我妈|我媽|其子(?![女宫])|其女(?![儿兒婿])|其妻|其夫|其父|其母|老公|老婆|外婆|奶奶|爷爷|孙子|孙女|堂妹|表哥|儿媳|女婿|大夫|主任|教授|护工|護工|代诉人|代訴人|随访|隨訪|回访|回訪|学生|學生|员工|員工|司机|老师|老師|家长|家長|亲属|親屬|护理师|護理師|姑姑|舅舅|叔叔|阿姨|爱人|愛人|对象|男友|女友|闺蜜|室友|系|係|之子|之女|之妻|之夫|之父|之母|先父|先母|先夫|亡夫|亡妻|新抱|阿公|阿嬤|阿嫲|孫仔|孙仔|男朋友|女朋友|案女|案夫|案妻|案母|案父|案姪|承辦|承办|經辦|经办|兄長|兄长|主持|護士長|护士长|医助|助理|主诊医生|主診醫生|病患|病友|訪客|联系人|聯絡人"
)
_LONG_NEAR: Final = "|".join(word for word in _NEAR.split("|") if len(word) > 1)
_ROLES: Final = "家长|家長|伤者|傷者|主刀|术者|術者|助手|家属|家屬|女儿|女兒|儿子|兒子|患儿|患兒|收件人|联系人|聯絡人|代诉人|代訴人|系患者|其子(?![女宫])|其女(?![儿兒婿])|其妻|其夫|其父|其母|代其母|代其父|班主任|体检者|體檢者|死者|本人|寄件人|申请人|随行人员|婆婆|公公|婆家|管床医生是|值班护士|值班医生|请|谢谢|感谢|妻子|丈夫|护士|護士|护理师|護理師|管床医生|主治医师|主治醫師|学生|學生|朋友|同事|母亲|母親|父亲|父親|我叫|名叫|请洽|請洽|随访|隨訪"
_STAFF: Final = r"[\u4e00-\u9fff]{2}(?:医[师師生]|醫[师師生])|[护護]士[长長]|助[产產]士|[驾駕][驶駛][员員]|[参參]保人|[户戶]主|[经經][办辦]人|家[属屬]代表|采集者|投[诉訴]人|[妈媽]{2}|爸{2}|老[公婆]|一直是"
"""Words for people behind which a name stands, if LAC and a border behind it agree."""
_AFTER: Final = r"(?=$|[^\u3400-\u9fff]|[男女,]|之[母父妻夫子女]|性[别別]|年[龄齡]|先生|女士|小姐|医生|醫生|医师|醫師|大夫|主任|教授|护士|護士|今年|现年|現年|因|于|於|来|來|就|自|诉|訴|述|代|说|說|表示|告|和|与|與|及|在|到|去|的|是|已|曾|有|无|無|未|入|出|住|主|电话|電話|联系|聯絡|身[份分]|签|簽|家|昨|今|明|近|既|感|出现|出現|反复|反復|突|被|拟|擬|行|查|给|給|开|開|做|术|術|病|患|确|確|复|複|門|门|服|发|發|又|也|将|將|从|從|向|对|對|要|会|會|可|能|完|陪|由|接|负|負|主刀|执|執|进|進|会诊|會診|检|檢|建|嘱|囑|审|審|写|寫|记|記|看|打|年|岁|歲|老师|老師|阿姨|都|[講讲話聽听君]|分[机機]|[总總][结結]|副主任)"
_LEFT: Final = (
    rf"(?:{BORDER}|(?<=[请請找由经經给給和是问問谢謝让讓跟对對被见見约約挂掛好的及与與,为為叫有向从從科室位姓去看院]))"
)


CALLED_WORDS: Final = frozenset(TITLES.split("|"))


_FOREIGN: Final = "".join(char for char in PEOPLES if char != "?")
_PLAIN: Final = "王李张張刘劉陈陳杨楊赵趙吴吳徐孙孫胡朱郭罗羅宋郑鄭韩韓唐冯馮董曹袁邓鄧沈彭吕呂卢盧蒋蔣蔡贾賈丁魏薛阎閻潘姜姚谭譚廖邹鄒熊郝崔邱邵孟龚龔苏蘇萧蕭傅戴陆陸汪秦顾顧侯贺賀赖賴庞龐樊殷翟倪聂聶祁"
"""Surnames that are hardly ever words of medical text or ends of them."""
ADDRESSED: Final = "姐|哥|叔|姨|婶|嬸|嫂|伯|爷|爺|婆|总|總|工|局|科长|科長|校长|校長|经理|經理|书记|書記|主席|律师|律師|法官|警官|队长|隊長|教练|教練|社工|伯伯|伯母|婆婆|阿婆|阿伯|姑娘|妈妈|媽媽|爸爸|老太|老太太|老先生|老师傅|大姐|大哥|大嫂|大娘|大伯|嫂子|婶子|阿嬤|阿公|伯父|医助|护理|班长|班長|组长|組長|厂长|廠長|所长|所長|镇长|村长|总监|總監|教官|同學|同学|护工|護工|保安|会计|會計|师母|師母|老板|老闆"
"""Further words by which people are called behind a surname."""
THEN: Final = r"(?=$|[^\u3400-\u9fff]|[与與住出入病做的说說家也在就你您来來去他她我们們和跟给給让讓把被都还還又已昨今明早晚上下刚剛要会會能想问問打看到是有没沒叫请請带帶陪送接对對帮幫替講讲話])"
"""What may follow somebody who is called so."""
NO_ONE: Final = words("zh/surname_ends")
"""Words that end like a surname: 紧张, 行李, 国王."""


def _called(match: re.Match[str]) -> bool:
    """Whether a surname behind which somebody is called is no end of a word."""
    start = match.start("v")
    return match.string[max(0, start - 1) : start + 1] not in NO_ONE


def plausible(name: str) -> bool:
    """Whether a run of Chinese characters may be a name: nothing that names never hold, no word of the shipped list."""
    if any(name[:n] in NOT_NAMES for n in (2, 3, 4)) or name[1:] in CALLED_WORDS:
        return False
    return not any(c in NOT_IN_GIVEN for c in name[1:])


def named(name: str) -> bool:
    """The same, and it begins with a surname and has the length of a name."""
    if name[:2] in SURNAMES and len(name) > 2:
        return len(name) <= 4 and plausible(name)
    return 2 <= len(name) <= 3 and name[:1] in SURNAMES and plausible(name)


def sounds(name: str) -> bool:
    """Whether the characters behind a surname stand oftener in given names than in text; those of no list do not count."""
    return sum(GIVEN.get(char, 0.5) for char in name[1:]) > 0


_FORM_VALUES: Final = frozenset(
    [
        "不详",
        "不詳",
        "未知",
        "保密",
        "同上",
        "本人",
        "匿名",
        "无名",
        "無名",
        "家属",
        "患者",
        "医生",
        "男性",
        "女性",
        "父母",
        "子女",
        "配偶",
        "电话",
        "签名",
        "日期",
    ]
)


def _filled_in(value: str) -> bool:
    return value not in _FORM_VALUES and not any(c in "某男女性病症药科院室医的" for c in value)


RULES: Final = (
    Rule(
        "labeled name",
        Kind.NAME,
        re.compile(
            rf"(?:{_LABELS})\s{{0,3}}[:]\s{{0,4}}(?P<v>{_HAN}{{2,4}}(?:[·•]{_HAN}{{1,6}}){{0,3}})(?=$|[^\u3400-\u9fff])"
        ),
        0.96,
        wanted=_filled_in,
    ),
    Rule(
        "name after a label",
        Kind.NAME,
        re.compile(
            rf"{_HAN}{{1,4}}(?:[人者员員师師方]|[医醫]生|[护護]士|大夫|主任|家[属屬]|老[师師])\s{{0,2}}:\s{{0,4}}(?P<v>{_NAME})(?=$|[^\u3400-\u9fff])"
        ),
        0.88,
        wanted=named,
    ),
    Rule(
        "labeled name run on",
        Kind.NAME,
        re.compile(
            rf"(?:{_LABELS})\s{{0,3}}[:\s]\s{{0,4}}(?P<v>{_NAME})(?=性|年|男|女|身|电|電|联|聯|住|地|科|职|職|籍|出|入|民|婚|床|日|签|時|时|医|醫|主)"
        ),
        0.92,
        wanted=named,
    ),
    Rule(
        "labeled name between blanks",
        Kind.NAME,
        re.compile(
            rf"(?:(?:患者|病人|父[亲親]|母[亲親]|[产產][妇婦]|患[儿兒])?姓名)[ \t]{{1,4}}(?P<v>{_HAN}{{2,4}})(?=[ \t\n,;]|$)"
        ),
        0.93,
        wanted=_filled_in,
    ),
    Rule(
        "labeled name with blanks",
        Kind.NAME,
        re.compile(
            rf"(?:姓名|患者姓名|姓\s{{1,4}}名)\s{{0,3}}[:]\s{{0,4}}(?P<v>[{SINGLE}]\s{{1,3}}{_HAN}(?:\s{{0,2}}{_HAN})?)(?=$|[^\u3400-\u9fff])"
        ),
        0.95,
        wanted=lambda v: named(re.sub(r"\s", "", v)),
    ),
    Rule(
        "labeled foreign name",
        Kind.NAME,
        re.compile(
            rf"(?:{_LABELS})\s{{0,3}}[:]\s{{0,4}}(?P<v>[A-Z][A-Za-z'-]{{1,20}}(?:[ ][A-Z][A-Za-z.'-]{{0,20}}){{0,3}})"
        ),
        0.9,
    ),
    Rule(
        "name said of oneself",
        Kind.NAME,
        re.compile(
            rf"(?:[我他她]叫|[我您你]?姓名(?:是|为|為)?|名字[是叫]|名叫|[中曾]文?名[字:为為是]?)(?P<v>{_HAN}{{2,4}})(?=[,。;、()]|\s|$)"
        ),
        0.85,
        wanted=lambda v: _filled_in(v) and plausible(v) and sounds(v),
    ),
    Rule(
        "name beside a word",
        Kind.NAME,
        re.compile(rf"(?:{_NEAR})(?:是|叫|为|為|名叫)?[\s:\"(,]{{0,2}}(?P<v>{_NAME}){_AFTER}"),
        0.8,
        wanted=lambda v: named(v) and v[0] not in WEAK,
    ),
    Rule(
        "weak surname beside a word",
        Kind.NAME,
        re.compile(
            rf"(?:{_LONG_NEAR})(?:是|叫|为|為|名叫)?[\s:\"(,]{{0,2}}(?P<v>[{SINGLE}]{_HAN}{{1,2}})(?=$|[^\u3400-\u9fff]|[男女]|代[诉訴]|陪|接[听聽]|[电電][话話]|身[份分]|[签簽]|由|[医醫][生师師]|主任|教授|之[母父妻夫子女])"
        ),
        0.8,
        wanted=lambda v: named(v) and v[0] in WEAK and len(v) == 3 and sounds(v),
    ),
    Rule(
        "name of a role",
        Kind.NAME,
        re.compile(
            rf"(?:{_ROLES})(?:是|叫|为|為)?[\s:\"(]{{0,2}}(?P<v>{_NAME})(?=[^\u3400-\u9fff]|$|由\d|代[诉訴]|陪同|接[听聽]|之[母父妻夫子女]|{TITLES})"
        ),
        0.85,
        wanted=named,
    ),
    Rule(
        "name before a title",
        Kind.NAME,
        re.compile(rf"(?<![谢謝祝]){_LEFT}(?P<v>(?:{DOUBLE})|[{SINGLE}])(?=[{CALLED_FIRST}])(?={CALLED_BY})"),
        0.8,
        wanted=lambda v: v not in WEAK or v in "高黄黃白方石马馬万萬易武温溫金毛段施洪季盛童麦麥云雲章柳安滑麻惠满滿",
    ),
    Rule(
        "plain surname before a title",
        Kind.NAME,
        re.compile(rf"(?P<v>[{_PLAIN}])(?={CALLED_BY})"),
        0.78,
        fits=_called,
    ),
    Rule(
        "surname and a form of address",
        Kind.NAME,
        re.compile(rf"(?P<v>[{_PLAIN}])(?=(?:{ADDRESSED}){THEN})"),
        0.76,
        fits=_called,
    ),
    Rule(
        "familiar name",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER}|(?<=[跟和给給找让讓叫问問是请請与與向说說有带帶陪送接等把被]))(?P<v>[小老阿][{_PLAIN}]){THEN}"
        ),
        0.76,
    ),
    Rule(
        "names of peoples with a dot",
        Kind.NAME,
        re.compile(rf"[{_FOREIGN}]{{2,7}}(?:[·•・][{_FOREIGN}]{{2,7}}){{1,3}}"),
        0.74,
        needs="·•・",
    ),
    Rule(
        "word for a surname before a title",
        Kind.NAME,
        re.compile(rf"(?:^|(?<=[\n。,、:(]))(?P<v>[文成于江丰])(?={CALLED_BY})"),
        0.8,
    ),
    Rule(
        "full name before a title",
        Kind.NAME,
        re.compile(rf"{_LEFT}(?P<v>{_NAME})(?=(?:副)?(?:{CALLED_BY}|同学|同學|之[母父妻夫子女]))"),
        0.85,
        wanted=lambda v: named(v) and (v[0] not in WEAK or sounds(v)),
    ),
    Rule(
        "full name before a title of letters",
        Kind.NAME,
        re.compile(rf"{_LEFT}(?P<v>{_NAME})(?=君(?:[^\u3400-\u9fff子臣主王]|[連连之的您於于因至到前住])|君$)"),
        0.85,
        wanted=lambda v: named(v) and (v[0] not in WEAK or sounds(v)),
        needs="君",
    ),
    Rule(
        "full name before a patient",
        Kind.NAME,
        re.compile(rf"{_LEFT}(?P<v>{_NAME})(?=患者|病友)"),
        0.85,
        wanted=lambda v: named(v) and v[0] not in WEAK,
        needs="患病",
    ),
    Rule(
        "name with sex and age",
        Kind.NAME,
        re.compile(
            rf"(?:{_LEFT}|(?<=[者人妇婦儿兒属屬]))(?P<v>{_NAME})(?=\s?[,(、]?\s?[男女](?:性)?\s?[,、]?\s?\d{{1,3}}\s?(?:岁|歲|月|天|周))"
        ),
        0.93,
        wanted=named,
        needs="男女",
    ),
)


ANNOUNCED: Final = re.compile(rf"(?:{_NEAR}|{_LABELS})[\s:\"(,、]{{0,3}}$")
ROLE: Final = re.compile(
    rf"(?:(?:{_ROLES}|{_STAFF})|[\u4e00-\u9fff](?:[人者员員师師]|姓名)[:\s])(?:是|叫|为|為)?[\s:\"(]{{0,2}}"
)
GOES_ON: Final = re.compile(
    rf"[^\u3400-\u9fff]|$|代[诉訴]|陪同|接[听聽]|由\d|之[母父妻夫子女]|于\d|(?:{TITLES})|[男女]|[主自]?[诉訴]|昨|今|已|[报報]告|意[见見]|能否|[继繼][续續]|血|就|大爷|大爺|阿姨|同[学學]|[处處]|[诊診]治|治[疗療]|[嘱囑]|查房|主刀|很|[说說]|也|在|[给給]|的|和|取[药藥]|[领領]取|[签簽]|[询詢]?[问問]|明日|[应應][该該]|做的|[开開]的|看|来|來|因|就[诊診]|[值交]班|反映|[講讲話](?![题題])|[总總][结結]|分[机機]|君|[您你]好|[发發高][烧燒热熱]|照[顾顧]|[护護]照|[邮郵]箱|社保|在(?=照)"
)
CALLED: Final = re.compile(rf"(?:{TITLES})|\s?[,(、]\s?[男女]")


def transliterated(name: str) -> bool:
    """A foreign name as Chinese writes it: parts joined by a dot."""
    return bool(re.fullmatch(rf"{_HAN}{{1,7}}(?:[·•・]{_HAN}{{1,7}}){{1,4}}", name))
