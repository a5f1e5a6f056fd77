"""Texts in the language of the classics, whose names are of authors long dead."""

import re
from typing import Final

from medicalgpt.phi import zh_called, zh_names
from medicalgpt.phi.spans import Span

_MODERN: Final = re.compile(r"[的了是我你您吗嗎她他们們喺嘅咗唔冇佢啲嘢咁嚟喇啦囉喔啊吧呢嘛阮咱]")
_RECORD: Final = re.compile(
    r"\d|患者|病人|[医醫]院|[医醫]生|[医醫][师師]|女士|先生:|姓名|性[别別]|[电電][话話]|[,、][男女]|[岁歲]|主[诉訴]|[诊診][断斷]|[检檢]查|手[术術]|家属|家屬|[联聯][系繫]|科[室主]|感染|[会會][诊診]|意[见見]|[药藥]物|症[状狀]|建[议議]|[出入]院|[复複覆][诊診]|[门門][诊診]|病房|[护護]士|血[压壓糖脂]|[继繼][续續]|同意|[签簽]|[询詢][问問]|[谢謝]{2}|您|[应應][该該]|能[否够夠]|什[么麼]|怎[么麼样樣]|老[师師]|[来來][电電]|[学學]校|家[长長]|保健|同[学學]|[职職]工|公司|[轮輪]椅|手[机機]|小[区區]|微信|[签簽]名|主任|[护護]理|[复複][查核]|[报報]告|[术術][后後前]|父[亲親]|母[亲親]|妈|爸|登[记記]|值班|交班|阿[公嬤嫲伯姨]|[孙孫]仔|[问問][诊診]"
)
_OLD: Final = re.compile("[之者也矣焉乎曰其以而于於为為则則若乃故无無]")
_LATE: Final = re.compile(
    r"口述|老中医|老中醫|侍[诊診]|跟[师師]|抄方|[医醫][话話][:。,]|西[医醫]|[论論]文|整理[:。)]|主任"
)
"""Words of those who write today as the classics did: their people live."""
SHORT: Final = 30
"""Characters below which a text is never taken for one of the classics."""


def classical(text: str) -> bool:
    """Whether a text is in the language of the classics, whose names are of authors long dead: with its particles, and with hardly a
    word of today's language, a digit or a word of records."""
    if len(text) < SHORT or 40 * len(_MODERN.findall(text)) >= len(text) or 66 * len(_OLD.findall(text)) < len(text):
        return False
    return 100 * len(_RECORD.findall(text)) < len(text) and not _LATE.search(text)


LABELED: Final = 0.9
"""From this confidence on, a label stands before a name."""


_NEAR: Final = frozenset(
    f"pattern:{rule.name}" for rule in (*zh_names.RULES, *zh_called.RULES) if rule.confidence < LABELED
)


def without_classics(folded: str, spans: list[Span]) -> list[Span]:
    """Without names that only words beside them announce, where a text is in the language of the classics."""
    found = [span for span in spans if span.source not in _NEAR]
    return found if len(found) < len(spans) and classical(folded) else spans
