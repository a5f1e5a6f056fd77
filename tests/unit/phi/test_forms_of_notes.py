"""Numbers, homes and short names in forms that notes have: tables, letters, chats."""

import pytest
from tests.found import values

from medicalgpt.phi import Detector

DETECTOR = Detector(detectors=("patterns", "names"))

NUMBERS = [
    ("随机号939-99252，2019年11月2日", "939-99252"),  # a comma and a year behind it are no thousands
    ("张伟,16097859-3,2021-02-03", "16097859-3"),
    ("承辦王榮標分機0168。", "0168"),
    ("請電(03)833-5968轉5365，", "(03)833-5968轉5365"),
    ("HN: HN 851338341\nDate", "HN 851338341"),
    ("覆診 HN83761682(1) Aspirin", "HN83761682(1)"),
    ("微信kk.chan-54，你加一下", "kk.chan-54"),
    ("血袋号0270 1234 5678已核", "0270 1234 5678"),
    ("王丽华/00912345/男", "00912345"),
    ("诉讼(2023)鄂0106民初1234号", "(2023)鄂0106民初1234号"),
    ("电话010 6555 1234 转 801", "010 6555 1234 转 801"),
]
HOMES = [
    ("家住荷塘月色10-2-1102。", "荷塘月色10-2-1102"),
    ("住虎山路30号院6号楼6门1701，", "虎山路30号院6号楼6门1701"),
    ("寄 大王庄镇前王村 内件", "大王庄镇前王村"),
    ("獨居於嘉義郵政第88號信箱，", "嘉義郵政第88號信箱"),
    ("居於蝴蝶邨蝶聚樓15/F，", "蝴蝶邨蝶聚樓15/F"),
    ("住上村128號寮屋。", "上村128號寮屋"),
    ("住Flat H, 7/F, Block 26, City One, Shatin。", "Flat H, 7/F, Block 26, City One, Shatin"),
    ("住第三小学教职工宿舍2-301。", "第三小学教职工宿舍2-301"),
    ("樊城区大庆西路有家店", "樊城区大庆西路"),
]
NAMES = [
    ("孩子小名叫壮壮，很乖", "壮壮"),
    ("暱稱小米。", "小米"),
    ("受试者邓××，随机入组", "邓"),
    ("那我請Andy幫我代班", "Andy"),
    ("護士長、Ada姑娘照顧先父", "Ada"),
    ("我姓海，方便回电", "海"),
    ("老呼延说他肺上有结节", "老呼延"),
    ("外傭Jocelyn dela Cruz學識換袋", "Jocelyn dela Cruz"),
    ("健康管理师向老师", "向"),
]
KEPT = [
    "CAS 7732-18-5 水",
    "血小板160000，正常",
    "给药0.5g，5×10的9次方",
    "花名册已更新",
    "小名单已公布",
    "于××年治疗",
    "请CT室会诊",
    "内蒙古的乡镇村卫生室",
    "GB/T 16886标准",
]


@pytest.mark.parametrize(("text", "value"), [*NUMBERS, *HOMES, *NAMES])
def test_it_is_found_whole(text: str, value: str) -> None:
    found = {i for span in DETECTOR.find([text])[0] for i in range(span.start, span.end)}
    start = text.index(value)
    assert all(i in found for i in range(start, start + len(value)) if text[i].isalnum())


@pytest.mark.parametrize("text", KEPT)
def test_what_looks_alike_stays(text: str) -> None:
    assert values(DETECTOR, text) == []
