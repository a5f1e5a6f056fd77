"""Numbers in Chinese records of the mainland, Taiwan, Hong Kong and Macau: documents, records, cards, cars."""

import re
from typing import Final

from medicalgpt.phi.checksums import hong_kong_id, luhn, resident_id, taiwan_id
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.rules import Rule, zh_labeled
from medicalgpt.phi.zh_contacts import END, NO, SEP, SLIP, no_amount

_ID_LABEL: Final = r"身[份分][证證](?:件)?(?:号码|號碼|字號|字号)?|(?:公民)?身[份分](?:号码|號碼)|[证證]件(?:号码|號碼|号|號)|居留[证證](?:号码|號碼)?|香港身[份分][证證]|HKID"
_RECORD_LABEL: Final = (
    r"病案(?:首页)?|病[历歷](?:卡)?|住院|门诊|門診|急[诊診]|就[诊診](?:卡)?|[挂掛][号號]|登[记記]|[检檢]查|[检檢][验驗]|影像|超[声聲]|放射|病理|[标標]本|[样樣]本|[条條][码碼]|"
    r"医嘱|醫囑|处方|處方|[报報]告|流水|[档檔]案|申请单|申請單|体检|體檢|健康卡|患者|病人|手[术術]|[CＣ]T|MRI?|X[线線光]片?|DSA|B超|心电图|心電圖|内镜|內鏡|胃镜|片"
)


RULES: Final = (
    # -- identity documents
    Rule(
        "resident id",
        Kind.NATIONAL_ID,
        re.compile(
            rf"{NO}[1-9]\d{{5}}{SEP}(?:18|19|20)\d{{2}}{SEP}(?:0[1-9]|1[0-2]){SEP}(?:0[1-9]|[12]\d|3[01]){SEP}\d{{3}}{SEP}[\dXx*]{END}"
        ),
        0.95,
        resident_id,
    ),
    Rule(
        "damaged resident id",
        Kind.NATIONAL_ID,
        re.compile(rf"{NO}[1-9][\dOolI|]{{13,16}}[\dXx]{END}"),
        0.75,
        wanted=lambda v: len(v) in (15, 18) and sum(c.isdigit() for c in v) >= len(v) - 3,
    ),
    Rule(
        "resident id in fours",
        Kind.NATIONAL_ID,
        re.compile(rf"{NO}[1-9]\d{{3}}(?: \d{{4}}){{2}}(?: \d{{4}} \d[\dXx]| \d{{3}}){END}"),
        0.75,
    ),
    Rule("18 digits", Kind.NATIONAL_ID, re.compile(rf"{NO}[1-9]\d{{16}}[\dXx]{END}"), 0.7, resident_id),
    Rule(
        "old resident id",
        Kind.NATIONAL_ID,
        re.compile(rf"{NO}[1-8]\d{{5}}\d{{2}}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{{3}}{END}"),
        0.8,
    ),
    Rule(
        "labeled id",
        Kind.NATIONAL_ID,
        zh_labeled(_ID_LABEL, rf"[\dA-Z*]{SEP}(?:[\dXx*{SLIP}]{SEP}){{5,19}}(?:[(]?[\dA-Z][)])?"),
        0.95,
    ),
    Rule("taiwan id", Kind.NATIONAL_ID, re.compile(rf"{NO}[A-Z][1289]\d{{8}}{END}"), 0.85, taiwan_id),
    Rule("old taiwan resident", Kind.NATIONAL_ID, re.compile(rf"{NO}[A-Z][A-D]\d{{8}}{END}"), 0.7),
    Rule("hong kong id", Kind.NATIONAL_ID, re.compile(rf"{NO}[A-Z]{{1,2}}\d{{6}}\s?\([\dA]\)"), 0.9, hong_kong_id),
    Rule("macau id", Kind.NATIONAL_ID, re.compile(rf"{NO}[1578]/?\d{{6}}\s?(?:/\d|\(\d\)){END}"), 0.85),
    Rule(
        "labeled passport",
        Kind.PASSPORT,
        zh_labeled(
            r"[护護]照|港澳(?:居民)?(?:来往内地|來往內地)?通行[证證]|回[乡鄉][证證卡]|台胞[证證]|[台臺][湾灣](?:居民)?(?:来往大陆|來往大陸)?通行[证證]|入台[证證]|通行[证證]|军官[证證]|士兵[证證]|passport",
            r"[A-Z]{0,3}[\u4e00-\u9fff]{0,3}(?:字第)?\d(?:[ -]?\d){4,11}",
        ),
        0.95,
    ),
    Rule(
        "passport",
        Kind.PASSPORT,
        re.compile(rf"{NO}(?:E[A-Z]\d{{7}}|[EG]\d{{8}}|(?<!准字)[HM]\d{{8}}(?:\d{{2}})?){END}"),
        0.7,
    ),
    Rule(
        "labeled license",
        Kind.LICENSE,
        zh_labeled(
            r"(?:[驾駕][驶駛]|[执執][业業]|[资資]格|行医|行醫)[证證照](?:[书書])?(?:编码|編碼)?",
            r"[A-Z]{0,3}\d(?:[ -]?[\dA-Z]){5,26}",
        ),
        0.9,
    ),
    Rule(
        "license behind a word",
        Kind.LICENSE,
        zh_labeled(
            r"登[记記]|(?<![药藥][物品])[注註][册冊]|牌照|[执執]照|[医醫]字第?|[证證][书書]|警[号號]|[职職工][号號]",
            r"(?:[A-Z]{1,3}-?\d{4,8}|(?<=[第号號])\d{4,9})(?![\dA-Za-z]|\.\d)",
        ),
        0.8,
    ),
    # -- records, cards, accounts
    Rule(
        "labeled record",
        Kind.RECORD,
        zh_labeled(
            rf"(?:{_RECORD_LABEL})(?:号码|號碼|编号|編號|号|號|ID|条码|No\.?|#)",
            r"[A-Z]{0,4}[-]?[\dA-Z]{0,4}(?:\d[-/ ]?|[A-Z]-?(?=\d)){2,24}[A-Z]?",
        ),
        0.95,
    ),
    Rule(
        "number of a paper",
        Kind.RECORD,
        zh_labeled(
            r"(?:(?<![药藥][物品][注註][册冊])[编編][号號]|[单單证證序][号號]|[条條][码碼]|[档檔]案|[鉴鑒][认認别別]代[码碼]|受[试試]者代[码碼])",
            r"[A-Z]{0,4}-?\d(?:-?[\dA-Z]){4,20}(?![\dA-Za-z]|\.\d)",
        ),
        0.8,
    ),
    Rule(
        "record behind a colon",
        Kind.RECORD,
        zh_labeled(
            rf"(?:{_RECORD_LABEL})(?=\s?:)",
            r"[A-Z]{0,3}\d{6,12}(?![\dA-Za-z.]|\s?(?:[/×x*%]|[a-zμ]|IU|U\b|[個个例人次]|[單单]位|拷|[億亿万萬]))",
        ),
        0.8,
        wanted=no_amount,
    ),
    Rule(
        "number behind sex and age",
        Kind.RECORD,
        re.compile(rf"[男女]\s?[/|]\s?\d{{1,3}}[岁歲]?\s?[/|]\s?(?P<v>[A-Z]{{0,3}}\d[\d-]{{5,11}}){END}"),
        0.75,
    ),
    Rule(
        "labeled record id",
        Kind.RECORD,
        zh_labeled(
            r"(?:病案|病[历歷]|住院|门诊|門診)\s?[:#]|病[历歷案](?=\d{4}-\d{4}(?!\d))(?!(?:19|20)\d\d-(?:19|20))|[Ii][Dd]号|[Ii][Dd]號|MRN|PACS号",
            r"[A-Z]{0,4}-?\d(?:-?[\dA-Z]){3,20}",
        ),
        0.9,
    ),
    Rule(
        "labeled insurance",
        Kind.INSURANCE,
        zh_labeled(
            r"(?:[医醫]保|社保|社[会會]保[障险險]|[健全]保|新[农農]合|合作[医醫][疗療]|[医醫][疗療]保[险險]|保[险險]|保[单單])(?:[证證]|卡|[单單]|电脑|账户)?(?:号码|號碼|编号|編號|号|號)?",
            r"[A-Z]{0,4}-?\d(?:[ -]?[\dA-Z]){5,22}",
        ),
        0.94,
    ),
    Rule(
        "labeled card",
        Kind.ACCOUNT,
        zh_labeled(
            r"[银銀]行(?:卡|[账帳賬][号號户戶])?|储蓄卡|信用卡|借记卡|卡[号號]|[账帳賬](?:[号號户戶])|工资卡|开户行\S{0,12}",
            rf"[\d{SLIP}](?:[ -]?[\d*{SLIP}]){{8,22}}",
        ),
        0.93,
        luhn,
    ),
    Rule(
        "card",
        Kind.ACCOUNT,
        re.compile(
            rf"(?<![\dA-Za-z.])(?:[3-6]\d{{3}}(?:[ -]?\d{{4}}){{3}}(?:[ -]?\d{{1,3}})?|3[47]\d{{2}}[ -]?\d{{6}}[ -]?\d{{5}}){END}"
        ),
        0.75,
        luhn,
    ),
    Rule("account behind its bank", Kind.ACCOUNT, re.compile(rf"\(\d{{3}}\) ?\d{{5,10}}-?\d{{4,10}}{END}"), 0.8),
    Rule(
        "damaged card",
        Kind.ACCOUNT,
        re.compile(rf"{NO}(?:62|[34])[\dOolI|]{{13,17}}{END}"),
        0.72,
        wanted=lambda v: sum(c.isdigit() for c in v) >= len(v) - 3,
    ),
    # -- vehicles
    Rule(
        "plate",
        Kind.VEHICLE,
        re.compile(
            r"[京津沪滬渝冀豫云雲辽遼黑湘皖鲁魯新苏蘇浙赣贛鄂桂甘晋晉蒙陕陝吉闽閩贵貴粤粵青藏川宁寧琼瓊][A-HJ-Z][ ·•.]?(?=[A-Z\d]{0,5}\d)(?:[A-HJ-NP-Z\d]{5,6}(?![A-Za-z\d])|[A-HJ-NP-Z\d]{4}[挂掛学學警港澳领領])"
        ),
        0.9,
    ),
    Rule(
        "vehicle identification",
        Kind.VEHICLE,
        zh_labeled(
            r"[车車]架(?:号码|號碼|号|號)?|[车車]身[号號][码碼]|(?:VIN|Vin|vin)[码碼]?",
            r"[A-HJ-NPR-Z\d]{17}(?![A-Za-z\d])",
        ),
        0.93,
    ),
    Rule(
        "plate of taiwan",
        Kind.VEHICLE,
        re.compile(
            r"(?<=[车車騎骑駕驾乘])\s?:?\s?(?P<v>[A-Z]{2,3}-\d{4}|\d{4}-[A-Z]{2}|[A-Z\d]{3}-\d{3})(?![\dA-Za-z])"
        ),
        0.85,
    ),
    Rule(
        "labeled plate",
        Kind.VEHICLE,
        zh_labeled(r"[车車]牌(?:号码|號碼|号|號)?", r"[\u4e00-\u9fffA-Z\d]{1,3}[ ·-]?[A-Z\d]{2,4}[ -]?[A-Z\d]{2,4}"),
        0.93,
    ),
)
"""In no order; `spans.merged` prefers the surer one."""
