"""Short names by the words around them, whatever the characters: 司機萱哥, 班主任查老师, 一個連姓家屬, 我家黔丽, 護理師高許."""

import re
from typing import Final

from medicalgpt.phi.fold import simplified
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.latin_syllables import ENGLISH_GIVEN
from medicalgpt.phi.name_weights import GIVEN
from medicalgpt.phi.name_words import sort
from medicalgpt.phi.rules import BORDER, Rule
from medicalgpt.phi.zh_names import CALLED_WORDS, DOUBLE, NOT_IN_GIVEN, SINGLE, SURNAMES, WEAK
from medicalgpt.phi.zh_roles import ROLES

_HAN: Final = r"[\u3400-\u9fff]"
_CALLED: Final = r"(?:哥|姐|姊|妹|弟|叔|姨|伯|[婶嬸]|嫂|[爷爺]|婆|公|媽|妈|爸|仔)(?![弟妹哥姐夫家们們子女儿兒媳])"
_NOT_HERE: Final = frozenset(
    "说說问問看室科院组組告诉訴讲講做要会會能可大小老二三四五六七八九表堂阿师師学學的了是在有和与與跟叫让讓给給对對我你他她它这這那各每位名个個好新前后後副正总總该該本其此另别別某女男外公婆爷爺奶爸妈媽叔姨姑舅哥姐弟妹嫂伯都也还還就又再已把被从從到向往由为為等及或"
)
_GROUPS: Final = r"家[属屬长長人]|[患病][者人友家]|[医醫][生师師]|[护護][士理]|同[学學事]|朋友|[邻鄰]居|先生|女士|小姐|太太|阿[姨伯婆公]|大[爷爺妈媽叔哥姐]|老[人師师伯]|男[子士性]|女[子性]|[员員]工|工人|[学學][生员員]|[嫌疑]{2}人?|司[机機]|[旅乘客][客人]|民[众眾警]|[夫][妇婦妻]|一家|孕[妇婦]|[产產][妇婦]|[个個]案|[当當]事人|[业業]主|村民|[职職][员員]|主任|警[员員官]|[老少幼]?[妇婦翁媪叟童氏男女](?![科病性])"
_SPEAKS: Final = r"(?=[,。!?、:]|(?:终|終)[于於]|今[天晚早日年]|昨[天晚日]|明[天早晚日]|[刚剛]刚?|又|也[说說不没沒]|[还還][没沒在是]|[说說]|[告問问]|[你您]|[怎]|很|[晚早][上]|在(?:[家院吗嗎])|[来來去]了|一直|不[肯想愿願]|[发發][烧燒热]|咳|吃|[换換]|[复複覆][查诊診])"


def _no_word(match: re.Match[str]) -> bool:
    """Whether the characters of a find make no everyday word with what stands behind it."""
    text, start, end = match.string, match.start("v"), match.end("v")
    if text[start] in _NOT_HERE or (end - start > 1 and not _given(match.group("v"))):
        return False
    return not any(sort(simplified(text[start : end + n])) for n in (1, 2))


def _surname(match: re.Match[str]) -> bool:
    """Whether a character before 姓 is no word with it: not 同姓, 百姓, 改姓."""
    text, start = match.string, match.start("v")
    return text[start] not in "同百老大小贵貴尊複复何什随隨改旧舊本外异異族我你他她问問是不姓其原" and not sort(
        simplified(text[start : start + 2])
    )


def _weights(plain: str) -> list[float]:
    """How much oftener each character, simplified, stands in given names than in text: a logarithm, 0 where that is not known."""
    return [GIVEN.get(char, 0.0) for char in plain]


def _given(value: str) -> bool:
    """Two characters that stand far oftener in given names than in text, and no everyday word."""
    plain = simplified(value)
    weights = _weights(plain)
    return sort(plain) != "often" and all(weight > 0.3 for weight in weights) and sum(weights) > 2.0


def _rather_given(value: str) -> bool:
    """The same with less, at home, where hardly anything but a name or a word for a person stands."""
    plain = simplified(value)
    return not sort(plain) and sum(_weights(plain)) > 0.5


_HAN_END: Final = re.compile(rf"{_HAN}$")
_COMMON: Final = frozenset(SURNAMES[:200])


def _both(match: re.Match[str]) -> bool:
    """Two surnames, as of a married woman of Taiwan or Hong Kong, and a given name: 陳林美玉. Behind a word for her any."""
    value = match.group("v")
    common = all(char in _COMMON for char in value[:2]) and any(char not in WEAK for char in value[:2])
    if (
        not common
        or value[2:] in CALLED_WORDS
        or value[:2] in SURNAMES
        or sort(simplified(value[:2]))
        or sort(simplified(value[1:3]))
    ):
        return False
    given = simplified(value[2:])
    before = match.string[max(0, match.start() - 2) : match.start()]
    if _HAN_END.search(before) or before in ("母 ", "父 ", "妻 ", "夫 "):
        return True
    return not sort(given) and sum(_weights(given)) > 1.0


def _filled_in(value: str) -> bool:
    """Whether what stands in a field for a person may be a name: no everyday word, and no character that names hardly hold."""
    plain = simplified(value)
    weights = _weights(plain[1:])
    return (
        not sort(plain)
        and not any(char in NOT_IN_GIVEN for char in value[1:])
        and min(weights) > -1.0
        and sum(weights) > 0
    )


_CROSS: Final = r"(?:[×＊*○〇◯□△]{1,2}|[Xx]{2})"
"""What is written for characters of a name that are left out."""
RULES: Final = (
    Rule(
        "pet name behind a label",
        Kind.NAME,
        re.compile(
            rf"(?:[小乳奶网網]名(?![单單册冊])|[昵暱][称稱]|花名(?![册冊])|[绰綽][号號]|外[号號]|[别別]名(?=叫)|[人][称稱](?=[「\"'小阿老]))(?:是|叫|[为為])?\s?:?\s?[「\"']?(?P<v>[A-Z]{{0,2}}{_HAN}{{1,4}}?|[A-Z][A-Za-z]{{1,9}})(?=[」\"']|[,。、;!?\s()]|$)"
        ),
        0.8,
        wanted=lambda v: v[0] not in "不未無无没沒的和或及与與",
        needs="名称稱号號",
    ),
    Rule(
        "surname before crosses",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER}|(?<=[者人妇婦儿兒友属屬长長生士师師工员員叫]))(?P<v>{DOUBLE}|[{SINGLE}])(?={_CROSS}(?![\dA-Za-z×*○〇□△年月日时時市省县縣区區路号號医醫院村镇鎮班级級级室]))"
        ),
        0.78,
        needs="×*○〇◯□△xX",
    ),
    Rule(
        "English given name among words",
        Kind.NAME,
        re.compile(
            r"(?:(?<=[请請叫找問问跟同和與与搵畀俾約约托託由陪])|(?<=[话話知训訓]))\s?(?P<v>[A-Z][a-z]{1,10})(?=\s?(?:[幫帮代去來来話话說说買买睇返留頂顶看跟陪接送拿照餵喂聽听替也都今明聽]|[你我佢她他]|,\s?[你您唔麻]))"
        ),
        0.78,
        wanted=lambda v: v.casefold() in ENGLISH_GIVEN,
    ),
    Rule(
        "value of a person's key",
        Kind.NAME,
        re.compile(
            rf"(?:<(?:\w{{1,12}}:)?(?:name|family|given|姓名|[Pp]atient(?:Name)?|[Dd]octor(?:Name)?|[Nn]urse(?:Name)?)>|\"(?:[A-Za-z_]{{0,12}}[Nn]ame|patient|doctor|nurse|姓名|患者|[医醫][生师師]|[护護]士)\"\s?:\s?\")(?P<v>{_HAN}{{2,4}})(?=[<\"])"
        ),
        0.9,
        wanted=lambda v: not sort(simplified(v)) or v[0] in SURNAMES,
        needs='<"',
    ),
    Rule(
        "name in a field for a person",
        Kind.NAME,
        re.compile(
            rf"(?:[人者员員师師士生]\s{{0,3}}:\s{{0,4}}|{_HAN}{{2}}[人者员員师師]\s{{1,4}})(?P<v>{_HAN}{{2,3}})(?=[。\n,;|)\t]|\s|$)"
        ),
        0.76,
        wanted=_filled_in,
    ),
    Rule(
        "child by a doubled name",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER}|(?<=[的和与與跟找请請问問让讓]))(?P<v>({_HAN})\2)(?=[妈媽爸]|家[长長]|[奶爷爺姥]{{2}}|外[婆公]|今[天早晚]|昨[天晚]|小朋友|同[学學])"
        ),
        0.75,
        wanted=lambda v: (
            v[0]
            not in "爸妈媽爷爺奶姥姨姑舅叔伯哥姐弟妹婆公宝寶娃常天日月年人家刚剛谢謝看想问問试試等好多少大小慢快太一二三三各每"
        ),
    ),
    Rule(
        "given name before kin",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER})(?P<v>{_HAN}{{2}})(?=小朋友|妈妈|媽媽|爸爸|[他她](?:[爸妈媽]|哥|姐|弟|妹)|[姐姊](?![妹夫])|哥(?!哥)|嫂|[伯叔](?![伯叔父母])|[妈媽爸](?:[^\u3400-\u9fff妈媽爸]|[说說話问問来來]))",
            re.MULTILINE,
        ),
        0.75,
        wanted=lambda v: _given(v) and not sort(simplified(v)),
        needs="妈媽爸他她姐姊哥嫂伯叔朋",
    ),
    Rule(
        "surname of a master",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER}|(?<=[随隨从從侍]))(?P<v>[{SINGLE}])(?=[师師](?:[诊診曰云言谓謂论論笑答问問]|[认認][为為]|[治用]))",
            re.MULTILINE,
        ),
        0.76,
        fits=_no_word,
        needs="师師",
    ),
    Rule(
        "familiar given name",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER}|(?<=[仔工友屬属婿婆妹弟姐哥士叫]))(?P<v>阿{_HAN})(?=[伯叔姨嬸婶姐哥嫂婆公](?![伯叔姨]|[父母])|[,。:]|[说說話讲講今昨同]|$)",
            re.MULTILINE,
        ),
        0.75,
        wanted=lambda v: (
            v[1] not in "姨婆公伯叔爸妈媽爷爺哥姐嫂妹弟仔嬤嬷胶膠魏三司托拉的"
            and not sort(simplified(v))
            and GIVEN.get(simplified(v[1]), 0.0) > 0.5
        ),
        needs="阿",
    ),
    Rule(
        "given name behind a role",
        Kind.NAME,
        re.compile(
            rf"(?:{ROLES}|[那這这欸][个個]?|[找叫问問跟托託])(?P<v>{_HAN}{{1,2}})(?=(?:{_CALLED}|阿[公伯嬤婆姨])(?:$|[^\u3400-\u9fff]|[今昨明已又也说說來来在请請给給幫帮和與与跟你您的到去開开會会很真啊喔呀借帮幫]))"
        ),
        0.77,
        fits=_no_word,
        needs="哥姐姊妹弟叔姨伯婶嬸嫂爷爺婆公妈媽爸仔",
    ),
    Rule(
        "anybody's surname",
        Kind.NAME,
        re.compile(rf"(?:{BORDER}|(?<=[个個位名由被向跟与與和叫找請请是对對一]))(?P<v>{_HAN})(?=姓(?:{_GROUPS}))"),
        0.8,
        fits=_surname,
        needs="姓",
    ),
    Rule(
        "given name at home",
        Kind.NAME,
        re.compile(
            rf"(?:[我俺咱阮]{_HAN}?家的?|[宝寶]{{2}}|小?[孙孫][子女]|女[儿兒婿]|[儿兒][子媳]|妹妹|弟弟|姐姐|哥哥|外[孙孫甥][女子]?|侄[子女儿]|同桌)(?P<v>{_HAN}{{2}}){_SPEAKS}"
        ),
        0.76,
        wanted=_rather_given,
    ),
    Rule(
        "given name that is spoken to",
        Kind.NAME,
        re.compile(
            rf"(?:^|(?<=[:/。!?\n]\s)|(?<=[:/。!?\n]))(?P<v>{_HAN}{{2}})(?=[,!]\s?[你您我]|[,!]{_HAN}{{0,6}}[吗嗎呢吧]|今[天晚早日]|昨[天晚日]|[啊呀])",
            re.MULTILINE,
        ),
        0.75,
        wanted=_given,
    ),
    Rule(
        "name with two surnames",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER}|(?<=[母父妻夫子女媽妈亲親人者婦妇生士師师訴诉太婆給给由請请跟被讓让叫找向科]))(?P<v>[{SINGLE}]{{2}}{_HAN}{{2}})(?=$|[^\u3400-\u9fff]|女士|小姐|太太|先生|[醫医][師师生]|[護护][士理]|阿[姨婆嬤])"
        ),
        0.75,
        fits=_both,
    ),
)
