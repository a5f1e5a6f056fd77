"""Numbers, dates and addresses in three scripts; what they are like but are not."""

import pytest

from medicalgpt.phi import Detector, Kind
from medicalgpt.phi.checksums import hong_kong_id, luhn, resident_id, taiwan_id

DETECTOR = Detector(detectors=("patterns",))

FOUND = [
    # identity documents of the mainland: right, wrong check digit, 15 digits, parted, full width, slips of optical reading, 17 digits
    ("11010519491231002X", Kind.NATIONAL_ID, "身份证号：{}，男"),
    ("110105194912310021", Kind.NATIONAL_ID, "证件{}已登记"),
    ("110105491231002", Kind.NATIONAL_ID, "老证{}。"),
    ("110105 19491231 002X", Kind.NATIONAL_ID, "身份证 {} 。"),
    ("１１０１０５１９４９１２３１００２Ｘ", Kind.NATIONAL_ID, "身份证号码{}"),
    ("11O1O5194912310O2X", Kind.NATIONAL_ID, "身份证号：{}"),
    ("11010519491231002", Kind.NATIONAL_ID, "身份证号码为{}，住院"),
    # Taiwan, Hong Kong, Macau
    ("A123456789", Kind.NATIONAL_ID, "身分證字號：{}"),
    ("A123456780", Kind.NATIONAL_ID, "病人{}，檢查碼錯誤"),
    ("A123456(3)", Kind.NATIONAL_ID, "HKID: {}"),
    ("5123456(7)", Kind.NATIONAL_ID, "澳門居民 {} 求診"),
    ("E12345678", Kind.PASSPORT, "护照号 {}"),
    ("H12345678", Kind.PASSPORT, "港澳居民来往内地通行证号：{}"),
    # phones
    ("13812345678", Kind.PHONE, "请打{}"),
    ("138-1234-5678", Kind.PHONE, "手机：{}。"),
    ("+86 138 1234 5678", Kind.PHONE, "电话 {}"),
    ("1 3 8 1 2 3 4 5 6 7 8", Kind.PHONE, "联系 {} 即可"),
    ("138l2345678", Kind.PHONE, "手机{}"),
    ("010-62345678", Kind.PHONE, "座机{}"),
    ("0912-345-678", Kind.PHONE, "手機{}"),
    ("(02)2345-6789", Kind.PHONE, "請電{}"),
    ("+852 9123 4567", Kind.PHONE, "致電{}"),
    ("91234567", Kind.PHONE, "聯絡電話：{}"),
    ("27461823", Kind.OTHER_ID, "校護林一心，{}。"),
    ("M51234", Kind.LICENSE, "註冊中醫，登記{}，診所"),
    # months, of which systems write ranges, and dates in English beside Chinese
    ("1983-05", Kind.DATE, "我是病人，{}确诊"),
    ("2015.09", Kind.DATE, "名下{}至今"),
    ("19 Dec 1954", Kind.DATE, "覆診{}，致電"),
    ("栖云县", Kind.ADDRESS, "汉族，{}人，退休"),
    ("苗栗縣苑裡鎮客庄里4鄰25號", Kind.ADDRESS, "請假單寄{}。"),
    ("新界上水古洞北村92號地下", Kind.ADDRESS, "現場{}　傷者"),
    # Hong Kong's without a word for a phone before them
    ("6123 9876", Kind.PHONE, "改期請搵{}，謝謝"),
    ("61239876", Kind.PHONE, "WhatsApp {} 即可"),
    ("2345 6789", Kind.PHONE, "診所，{}。"),
    ("9123 4567", Kind.PHONE, "女兒（{}）陪同"),
    ("555-123-4567", Kind.PHONE, "her cell is {}."),
    ("(310) 555-1234", Kind.PHONE, "reached at {}"),
    ("+44 20 7946 0958", Kind.PHONE, "from {} today"),
    ("650-123-4567", Kind.FAX, "fax: {}"),
    # records, cards, cars, chats
    ("ZY00123456", Kind.RECORD, "住院号：{}"),
    ("20231234", Kind.RECORD, "病历号{}，"),
    ("M1234567", Kind.RECORD, "檢查號:{}"),
    ("771203", Kind.RECORD, "病理登记：{} 女"),
    ("39102388", Kind.RECORD, "检验单号{}已出"),
    ("TJ7712036", Kind.RECORD, "档案编号：{}"),
    ("998877", Kind.RECORD, "(MRN: {})"),
    ("LS-12345", Kind.RECORD, "(MRN: {})"),
    ("987654321", Kind.INSURANCE, "医保卡号：{}"),
    ("AB-998877", Kind.INSURANCE, "insurance ID {}."),
    ("6222021234567890123", Kind.ACCOUNT, "银行卡号：{}"),
    ("4111 1111 1111 1111", Kind.ACCOUNT, "paid with {}"),
    ("京A·12345", Kind.VEHICLE, "车辆{}肇事"),
    ("粤B12345D", Kind.VEHICLE, "登记车牌{}"),
    ("wxid_12345", Kind.CHAT, "微信号：{}"),
    ("123456789", Kind.CHAT, "QQ：{}"),
    ("123456789", Kind.CHAT, "Q：{}"),
    ("wxid_98980", Kind.CHAT, "wx：{}"),
    ("CLN-112233", Kind.LICENSE, "license number {}"),
    ("1HGCM82633A004352", Kind.VEHICLE, "VIN {}"),
    ("SN-48213-77", Kind.DEVICE, "pacemaker serial {}"),
    ("123-45-6789", Kind.NATIONAL_ID, "SSN: {}"),
    # the net
    ("li.lei@example.com", Kind.EMAIL, "邮箱：{}，谢谢"),
    ("192.168.10.1", Kind.IP, "from {}."),
    ("2001:db8:0:0:0:0:2:1", Kind.IP, "host {}"),
    ("https://example.com/p?id=7", Kind.URL, "见{} 。"),
    # dates and ages
    ("2023年4月12日", Kind.DATE, "于{}入院"),
    ("2023-04-12", Kind.DATE, "日期 {} 。"),
    ("4月12日", Kind.DATE, "{}复诊"),
    ("二〇二三年四月十二日", Kind.DATE, "于{}手术"),
    ("民國112年4月12日", Kind.DATE, "{}回診"),
    ("April 12th, 2023", Kind.DATE, "seen {} at"),
    ("Jan 15 '23", Kind.DATE, "on {}?"),
    ("15 March 2021", Kind.DATE, "died {}."),
    ("03/04/2022", Kind.DATE, "admitted {},"),
    ("May 2021", Kind.DATE, "since {}."),
    ("92", Kind.AGE, "a {}-year-old woman"),
    ("95", Kind.AGE, "患者{}岁"),
    # places
    ("湖北省武汉市洪山区珞喻路1037号", Kind.ADDRESS, "家住{}，"),
    ("前进西路12号阳光花园3栋2单元501室", Kind.ADDRESS, "住址：{}。"),
    ("李家庄村7组", Kind.ADDRESS, "现住{}，"),
    ("台北市信義區松仁路100號5樓", Kind.ADDRESS, "地址：{}，"),
    ("九龍彌敦道123號5樓A室", Kind.ADDRESS, "住{}。"),
    ("昆山市第三人民医院", Kind.ORGANIZATION, "在{}行手术"),
    ("都匀市第五小学", Kind.ORGANIZATION, "在{}念书"),
    ("宏远物流有限公司", Kind.ORGANIZATION, "工作单位：{}\n"),
    ("123 Elm St, Springfield", Kind.ADDRESS, "resides at {}."),
    ("62704", Kind.ADDRESS, "zip code {}"),
    ("Springfield, IL 62704", Kind.ADDRESS, "of {}."),
    ("Elm Street Clinic", Kind.ORGANIZATION, "seen at {} on Monday"),
]


@pytest.mark.parametrize(("value", "kind", "frame"), FOUND, ids=[v for v, _, _ in FOUND])
def test_a_value_is_found_whole_and_named(value: str, kind: Kind, frame: str) -> None:
    text = frame.format(value)
    start = text.index(value)
    (spans,) = DETECTOR.find([text])
    covered = {i for s in spans for i in range(s.start, s.end)}
    assert {i for i in range(start, start + len(value)) if text[i].isalnum()} <= covered
    assert kind in {s.kind for s in spans if s.start < start + len(value) and start < s.end}


LOOK_ALIKES = [
    "血压150/95mmHg，心率72次/分，体温36.5℃",
    "WBC 12.5×10^9/L，血红蛋白 120g/L，血糖7.8mmol/L",
    "阿司匹林100mg qd，二甲双胍0.5g bid，共14天",
    "诊断：E11.9、I10、C50.911",
    "BRCA1与TP53突变，CA19-9 37U/ml，HLA-B27阳性",
    "请拨打120或12320咨询，台灣請撥1922",
    "病程3-5天，复查1-2次，有效率95.6%",
    "建议去当地医院或三甲医院就诊",
    "Call 911 or 1-800-273-8255 or 1-800-222-1222.",
    "Creatinine 2.1 mg/dL, BP 128/79, LDL 190, EF 35%, BMI 31.2.",
    "Coded C50.911 and 250.00; trial NCT01234567.",
    "A 45-year-old man, 89 years later, with a Wells score of 3.",
    "See https://www.cdc.gov/flu for details.",
    "其中1.3.4.5阳性，2阴性",
    "五月五日采，阴干。",
    "HBV-DNA：56781234IU/ml，拷贝数：5.6×10^7，阴性",
    "国药准字H20033044，编号：1、2、3",
    "计数 5512 3390 个，另 8512 3390 次",
]


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_a_look_alike_stays(text: str) -> None:
    assert Detector().find([text]) == [[]]


def test_an_account_ends_where_chinese_goes_on() -> None:
    text = "微信wxid_98980已登记"
    (spans,) = DETECTOR.find([text])
    assert [text[s.start : s.end] for s in spans] == ["wxid_98980"]


def test_check_digits_tell_right_from_wrong() -> None:
    assert resident_id("11010519491231002X")
    assert not resident_id("110105194912310021")
    assert taiwan_id("A123456789")
    assert not taiwan_id("A123456780")
    assert hong_kong_id("A123456(3)")
    assert not hong_kong_id("A123456(4)")
    assert luhn("4111 1111 1111 1111")
    assert not luhn("4111 1111 1111 1112")


def test_a_right_check_digit_makes_surer_and_a_wrong_one_is_found_all_the_same() -> None:
    right, wrong = (DETECTOR.find([f"持{value}登记"])[0] for value in ("11010519491231002X", "110105194912310021"))
    assert right[0].confidence > wrong[0].confidence > 0.5
