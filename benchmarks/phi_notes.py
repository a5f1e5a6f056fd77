"""Made-up Chinese patient notes whose personal data is known, to measure who finds it. Nothing here is of a real person.

Carriers are real medical text (given by the caller) around written templates; values come from lists that share no given name,
street, county or institution with the detector's lists: a quarter of the surnames are rare (most of them on no list of ours), a fifth of the
check digits are wrong, some numbers are in full width, spaced, or with the slips of optical reading. Traps must stay as they are.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

COMMON: Final = "王 李 张 刘 陈 杨 赵 黄 周 吴 徐 孙 胡 朱 高 林 何 郭 马 罗 梁 宋 郑 谢 韩 唐 冯 于 董 萧 程 曹 袁 邓 许 傅 沈 曾 彭 吕 苏 卢 蒋 蔡 贾 丁 魏 薛 叶 阎 余 潘 杜 戴 夏 钟 汪 田 任 姜 范 方 石 姚 谭 廖 邹 熊 金 陆 郝 孔 白 崔 康 毛 邱 秦 江 史 顾 侯 邵 孟 龙 万 段 雷 钱 汤 尹 黎 易 常 武 乔 贺 赖 龚 文".split()
RARE: Final = "亓 逄 仉 郗 麴 璩 笪 谯 厍 弋 郏 忻 暨 步 寇 阙 殳 沃 蔚 夔 晁 訾 那 毋 乜 巢 逯 亢 况 邰 郇 芮 储 汲 邴 糜 隗 山 蓬 郤 璩 濮 扈 郏 浦 却 桂 牛 寿 通 尚 温 别 晏 瞿 充 慕 茹 宦 鱼 容 慎 戈 庾 居 衡 耿 满 弘 广 禄 东 欧 利 越 隆 师 勾 融 简 空 沙 养 须 丰 关 相 荆 红 欧阳 司马 上官 诸葛 尉迟 皇甫 令狐 慕容 轩辕 呼延 拓跋 完颜 第五 南门".split()
GIVEN: Final = "梓涵 子轩 浩然 欣怡 宇航 雨桐 一诺 俊杰 思远 志强 秀英 桂兰 淑珍 玉梅 凤英 德福 长贵 有才 根生 铁柱 春花 小燕 建军 国庆 卫东 红旗 爱华 丽娟 美玲 雅琪 晓峰 海涛 振华 光明 宝山 云飞 若曦 嘉怡 沐阳 奕辰 芷若 瑾瑜 婉清 昊天 启明 立新 永康 安琪 静雯 诗涵 博文 泽宇 翠萍 菊香 素贞 惠芳 金凤 银花 水生 火旺 土根 木兰 天佑 世昌 崇德 克勤 敬业 明哲 可欣 乐瑶 依依 佳乐 倩茹 璐 磊 鑫 洁 敏 颖 蕾 琦 旭 凡 冰 彬 昕 玥 珂 茜 岚 峥 骏 恺 闯 娅 媛 楠".split()
TAIWAN_GIVEN: Final = (
    "志明 春嬌 俊傑 淑芬 美惠 雅婷 家豪 怡君 宗翰 佩珊 冠廷 承恩 麗華 秀琴 阿財 金龍 詩涵 建宏 文雄 玉蘭".split()
)
TAIWAN_COMMON: Final = (
    "陳 林 黃 張 李 王 吳 劉 蔡 楊 許 鄭 謝 洪 郭 邱 曾 廖 賴 徐 周 葉 蘇 莊 呂 江 何 蕭 羅 簡".split()
)
COUNTIES: Final = "湖北省武汉市洪山区 江苏省昆山市 浙江省慈溪市 河南省巩义市 湖南省醴陵市 广东省佛山市顺德区 四川省成都市武侯区 山东省青岛市黄岛区 云南省腾冲市 甘肃省敦煌市 福建省晋江市 陕西省西安市雁塔区 上海市浦东新区 北京市海淀区 天津市河西区 重庆市渝北区 广西壮族自治区桂林市临桂区 内蒙古自治区包头市昆都仑区 新疆维吾尔自治区乌鲁木齐市天山区 黑龙江省哈尔滨市南岗区 辽宁省大连市沙河口区 河北省石家庄市裕华区 安徽省合肥市蜀山区 江西省南昌市青山湖区 贵州省贵阳市云岩区 海南省三亚市吉阳区".split()
ROADS: Final = "珞喻路 前进西路 长江南路 人民东路 解放大道 中山北路 建设街 学府路 文一西路 锦绣大道 桃花源路 金鸡湖大道 科苑路 滨河东路 友谊大街 红旗大街 迎宾大道 环城南路 沿江大道 朝阳街 古城路 槐树街 柳林巷 福安里 永定门外大街 天目山路 龙腾二路 紫荆花路".split()
ESTATES: Final = "阳光花园 翠苑小区 金色家园 恒大名都 万科城 碧桂园 丽景湾 康乐新村 东方公寓 锦绣江南".split()
VILLAGES: Final = "李家庄村 王家湾村 大柳树村 石桥镇下河村 青龙乡红旗村 双桥镇和平村 东升镇张各庄村".split()
TAIWAN_PLACES: Final = "台北市信義區松仁路100號5樓 新北市板橋區文化路一段188巷3弄10號 高雄市左營區博愛二路777號 台中市西屯區臺灣大道三段99號 桃園市中壢區中央西路二段30號 台南市東區大學路1號".split()
HONG_KONG_PLACES: Final = "香港九龍彌敦道123號5樓A室 香港新界沙田沙角邨金鶯樓1205室 香港中環皇后大道中88號".split()
UNITS: Final = "昆山市第三人民医院 江南大学附属医院 腾飞机械有限公司 明德小学 宏远物流有限公司 晋江市实验中学 华源电子科技有限公司 临桂区人民医院 顺德和祐医院 红星农场".split()
BANKS: Final = ("622202", "621700", "622848", "436742", "621661", "622588")

TRAPS: Final = (
    "既往有帕金森病史", "阿尔茨海默病家族史", "按张仲景《伤寒论》用桂枝汤", "李时珍《本草纲目》载此药", "口服卡马西平0.2g 每日2次", "文拉法辛75mg qd", "阿司匹林100mg/d",
    "血压150/95mmHg", "血糖7.8mmol/L，HbA1c 6.5%", "白细胞12.5×10^9/L", "可拨打12320卫生热线咨询", "紧急时请拨打120", "诊断：E11.9 2型糖尿病", "ICD-10：I10", "BRCA1基因突变", "霍奇金淋巴瘤",
    "克罗恩病", "孙思邈《千金方》", "华法林2.5mg", "黄芪30g 当归10g 川芎6g", "墨菲征阳性", "高血压病3级", "黄疸指数升高", "白蛋白35g/L", "马来酸依那普利10mg bid", "胆红素17.1μmol/L", "头孢曲松2.0g 静滴", "唐氏筛查低风险",
)  # fmt: skip
KEPT: Final = (
    "帕金森", "阿尔茨海默", "张仲景", "李时珍", "卡马西平", "0.2g", "文拉法辛", "75mg", "阿司匹林", "100mg", "150/95mmHg", "7.8mmol/L", "12.5", "12320", "120", "E11.9", "I10", "BRCA1", "霍奇金", "克罗恩", "孙思邈", "华法林", "2.5mg", "黄芪", "当归", "墨菲", "高血压", "黄疸", "白蛋白", "马来酸", "17.1", "2.0g", "唐氏",
)  # fmt: skip
"""Words of the traps, none of which may be touched where they stand in a trap."""

# {n} patient, {d} doctor, {r} relative; {i} id card, {p} mobile, {t} landline, {m} record number, {s} insurance, {b} bank card, {a} address, {u} unit, {w} chat, {e} e-mail,
# {c} car, {v} passport, {y} date. The carrier and the trap are put between sentences.
TEMPLATES: Final = (
    "姓名：{n} 性别：男 年龄：56岁 住院号：{m} 身份证号：{i} 联系电话：{p} 住址：{a}。主治医师：{d}",
    "患者{n}，女，43岁，因上腹痛3天于{y}入院。家住{a}，电话{p}。{d}医生查房。",
    "{n}，男，67岁，退休工人，身份证{i}，医保卡号{s}。{y}在{u}行手术，主刀{d}主任。",
    "医生您好，我叫{n}，今年32岁，手机号{p}，加我微信{w}。我住在{a}。",
    "我爸{n}最近老是咳嗽，在{u}看过，{d}医生说要住院。我的电话是{p}，QQ：{q}",
    "门诊病历 姓名:{n} 门诊号:{m} 就诊日期:{y} 接诊医生:{d} 联系人:{r}({p})",
    "患者家属{r}代诉：患者{n}于{y}突发胸痛。联系方式：{p}，家庭地址：{a}",
    "【会诊记录】患者：{n}，病案号：{m}，请{d}主任会诊。会诊日期：{y}。",
    "检查号：{m}\n姓名：{n}\n检查日期：{y}\n报告医师：{d}\n审核医师：{r}",
    "报销材料：{n}，身份证号码 {i}，银行卡号 {b}，开户人本人，联系电话 {t}。",
    "{n}女士，您好！您于{y}在我院的检查结果已出，请携带身份证（{i}）到窗口领取。如有疑问请致电{t}。",
    "工作单位：{u}\n姓名：{n}\n出生日期：{y}\n医保号：{s}\n现住址：{a}\n邮箱：{e}",
    "肇事车辆{c}，伤者{n}由120送入，家属{r}电话{p}。",
    "护照号：{v}，姓名：{n}，入境日期：{y}，联系邮箱：{e}，暂住{a}。",
    "昨天{n}来复诊，说吃了药好多了。{n}的妻子{r}陪同，留了电话{p}。",
    "手术记录：术者{d}，助手{r}，患者{n}，住院号{m}，手术日期{y}。",
    "请把报告寄到{a}，收件人：{n}，电话：{p}。",
    "随访：{y}电话随访{n}（{p}），由其女儿{r}接听，诉一般情况可。",
    "{n}（病历号{m}）的化验单请转给{d}教授，急。",
    "我是{n}的儿子{r}，我妈今年71岁，在{u}住院，管床医生是{d}。",
    "病史陈述者：{r}（患者之母）。患儿{n}，3岁，{y}起发热。现住{a}。",
    "出院小结\n患者姓名：{n}　　性别：女\n住院号：{m}\n入院日期：{y}\n主任医师：{d}　住院医师：{r}",
    "尊敬的{d}主任：我叔叔{n}的片子麻烦您看看，影像号{m}，我电话{p}。",
    "感谢{u}的{d}医生和护士{r}对我母亲{n}的照顾！",
    "投保人：{n}，证件号码：{i}，保单号：{s}，收款账号：{b}，手机：{p}",
    "急诊：{n}，男，29岁，酒后摔伤，朋友{r}陪同，身份证：{i}，地址：{a}",
    "老师好，学生{n}（{u}）因病请假，家长{r}，电话{p}，微信号：{w}",
    "体检编号：{m} 姓名：{n} 单位：{u} 手机：{p} 体检日期：{y}",
    "{y}，{n}之子{r}到{u}复印病历，出示身份证{i}，登记车牌{c}。",
    "代诉人{r}，系患者{n}之夫，住{a}，联系电话{t}。",
)
MORE: Final = (
    "{n}昨晚又疼得睡不着，今天一早{r}就陪着去了{u}。",
    "刚接到{r}电话，说{n}的血压一直降不下来。",
    "我和{n}结婚三年了一直没怀上，婆婆{r}很着急。",
    "{d}说的没错，{n}应该尽快手术。",
    "急！{n}，5岁，发烧39度，家在{a}，附近哪有儿科？联系{p}",
    "今日查房，{n}诉切口疼痛，{d}嘱加用止痛药。",
    "本人{n}，因工作需要申请病假，电话{p}。申请人：{n} 日期：{y}",
    "3床{n}、5床{r}明日出院，请{d}签字。",
    "值班护士{r}报告：{n}夜间体温38.5℃。",
    "{n}\t男\t45\t{m}\t{y}\t{d}",
    "患者{n}之女{r}签署知情同意书，见证人{d}。",
    "谢谢{d}，{n}已经能下床了。",
    "同病房的{n}大爷和{r}阿姨都做了这个检查。",
    "转诊至{u}{d}处，患者{n}，{y}。",
    "孩子叫{n}，{y}出生，出生体重3.2kg，母亲{r}，父亲{d}。",
    "上周给{n}做的病理回来了，{d}看过片子。",
    "{r}（{n}的丈夫）电话{p}，随时可以联系。",
    "病人家属{r}询问{n}能否转到{u}。",
    "{n}同学因病于{y}至{y}请假，班主任{r}。",
    "救护车接回{n}，男性，约60岁，住{a}，随行人员{r}。",
    "会诊意见：同意{d}意见，{n}继续抗感染。",
    "复诊患者{n}，既往由{d}诊治，{y}末次就诊。",
    "主诉：{n}代其母{r}取药，身份证{i}。",
    "寄件人{n}，{p}，{a}",
    "就是{u}那个{d}给{n}开的药。",
    "{n}，{i}，{p}，{a}，{b}",
    "录入：{r}　审核：{d}　患者：{n}",
    "死者{n}，女，81岁，{y}死亡，死亡通知书由其子{r}领取。",
    "我同事{n}也得过这病，找{d}看好的。",
    "体检者{n}血糖偏高，建议{d}门诊随诊，电话{t}。",
)
"""Templates to write rules on only; they are never reported."""
TAIWAN: Final = (
    "姓名：{n}　身分證字號：{i}　病歷號：{m}　電話：{p}　地址：{a}　主治醫師：{d}",
    "病人{n}，男性，58歲，{y}因胸悶至急診，由{d}醫師診治，家屬{r}陪同，手機{p}。",
    "我叫{n}，住在{a}，健保卡號{s}，請回電{t}。",
    "{n}小姐您好，您{y}的檢查報告已完成，請洽{d}醫師門診，電話{t}。",
    "轉診單 病患姓名：{n} 出生日期：{y} 身分證字號：{i} 聯絡電話：{p}",
    "護理紀錄：{y} {n}先生主訴頭暈，通知{d}醫師，家屬{r}電話{p}。",
    "患者：{n}，病歷號碼：{m}，住址：{a}，緊急聯絡人：{r}（{p}）",
    "感謝{d}醫師與護理師{r}照顧我的母親{n}。",
)
HONG_KONG: Final = (
    "姓名：{n} 香港身份證：{i} 電話：{p} 住址：{a} 主診醫生：{d}",
    "病人{n}，覆診日期{y}，由{d}醫生跟進，聯絡電話{p}，HKID: {i}。",
    "我係{n}，住{a}，電話{p}。",
    "轉介信：{n}先生，身份證號碼{i}，於{y}求診，{d}醫生。",
)

type_of: Final = {
    "n": "name", "d": "name", "r": "name", "a": "address", "u": "organization", "y": "date",
    "i": "number", "p": "number", "t": "number", "m": "number", "s": "number", "b": "number", "w": "number", "q": "number", "e": "number", "c": "number", "v": "number",
}  # fmt: skip


@dataclass(frozen=True)
class Note:
    """A note, the personal data in it (start, end, kind) and the places that no detector may touch."""

    text: str
    values: tuple[tuple[int, int, str], ...]
    traps: tuple[tuple[int, int], ...]
    template: str


class Maker:
    """Values of one note."""

    def __init__(self, rng: random.Random, region: str) -> None:
        self._rng, self._region = rng, region

    def __call__(self, slot: str) -> str:
        makers: dict[str, Callable[[], str]] = {
            "n": self._name, "d": self._name, "r": self._name, "a": self._address, "u": lambda: self._rng.choice(UNITS), "y": self._date, "i": self._id, "p": self._mobile, "t": self._landline,
            "m": self._record, "s": self._insurance, "b": self._bank, "w": self._chat, "q": lambda: self._digits(self._rng.randint(6, 10), "123456789"), "e": self._email, "c": self._plate, "v": self._passport,
        }  # fmt: skip
        return makers[slot]()

    def _name(self) -> str:
        if self._region != "cn":
            return self._rng.choice(TAIWAN_COMMON) + self._rng.choice(TAIWAN_GIVEN)
        family = self._rng.choice(RARE if self._rng.random() < 0.25 else COMMON)
        return family + self._rng.choice(GIVEN)

    def _digits(self, n: int, first: str = "0123456789") -> str:
        return self._rng.choice(first) + "".join(self._rng.choice("0123456789") for _ in range(n - 1))

    def _damaged(self, value: str) -> str:
        """As forms and scanners leave numbers: mostly as they are."""
        pick = self._rng.random()
        if pick < 0.08:
            return "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalnum() else c for c in value)
        if pick < 0.14:
            return " ".join(re.findall(r".{1,4}", value))
        if pick < 0.17:
            return value.replace("0", "O", 1)
        return value.replace("1", "l", 1) if pick > 0.98 else value

    def _id(self) -> str:
        if self._region == "tw":
            return self._rng.choice("ABCDEFGHJKLMNPQRSTUV") + self._rng.choice("12") + self._digits(8)
        if self._region == "hk":
            return f"{self._rng.choice('ABCDEFGHKPRVYZ')}{self._digits(6)}({self._rng.choice('0123456789A')})"
        born = f"{self._rng.randint(1930, 2020)}{self._rng.randint(1, 12):02d}{self._rng.randint(1, 28):02d}"
        body = (
            self._rng.choice(["420111", "320583", "330282", "410181", "110108", "440606", "510107"])
            + born
            + self._digits(3)
        )
        if self._rng.random() < 0.1:
            return body[:6] + body[8:]  # the 15 digits of before 1999
        weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
        check = "10X98765432"[sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 11]
        wrong = self._rng.random() < 0.2
        return self._damaged(body + (str((int(check.replace("X", "0")) + 3) % 10) if wrong else check))

    def _mobile(self) -> str:
        if self._region == "tw":
            digits = self._digits(8)
            return self._rng.choice([f"09{digits}", f"09{digits[:2]}-{digits[2:5]}-{digits[5:]}"])
        if self._region == "hk":
            digits = self._digits(8, "5689")
            return self._rng.choice([digits, f"{digits[:4]} {digits[4:]}", f"+852 {digits[:4]} {digits[4:]}"])
        digits = "1" + self._digits(10, "3456789")
        return self._damaged(
            self._rng.choice([digits, digits, f"{digits[:3]}-{digits[3:7]}-{digits[7:]}", f"+86 {digits}"])
        )

    def _landline(self) -> str:
        if self._region != "cn":
            return self._rng.choice(
                [f"(02){self._digits(4, '2')}-{self._digits(4)}", f"07-{self._digits(3, '3578')}-{self._digits(4)}"]
            )
        return self._rng.choice(
            [
                f"0{self._rng.choice(['27', '512', '574', '10', '757'])}-{self._digits(8, '2345678')}",
                f"(010){self._digits(8, '68')}",
            ]
        )

    def _record(self) -> str:
        return self._rng.choice(
            [
                self._digits(self._rng.randint(6, 10)),
                f"ZY{self._digits(8)}",
                f"{self._rng.randint(2018, 2025)}{self._digits(6)}",
                f"M{self._digits(7)}",
                f"{self._digits(4)}-{self._digits(4)}",
            ]
        )

    def _insurance(self) -> str:
        return self._rng.choice([self._digits(9), self._digits(12), f"SB{self._digits(8)}"])

    def _bank(self) -> str:
        return self._damaged(self._rng.choice(BANKS) + self._digits(self._rng.choice([10, 13])))

    def _chat(self) -> str:
        return self._rng.choice(["wxid_", "lovely", "sunny", "ah-"]) + self._digits(5)

    def _email(self) -> str:
        return f"{self._rng.choice(['xiaoyan', 'lidf', 'hr.team', 'z_w'])}{self._digits(4)}@{self._rng.choice(['qq.com', '163.com', 'sina.com.cn', 'foxmail.com'])}"

    def _plate(self) -> str:
        return f"{self._rng.choice('鄂苏浙豫京粤川')}{self._rng.choice('ABCDE')}{self._rng.choice(['', '·'])}{self._digits(5)}"

    def _passport(self) -> str:
        return self._rng.choice([f"E{self._digits(8)}", f"EA{self._digits(7)}", f"G{self._digits(8)}"])

    def _date(self) -> str:
        y, m, d = self._rng.randint(1940, 2025), self._rng.randint(1, 12), self._rng.randint(1, 28)
        if self._region == "tw":
            return self._rng.choice(
                [f"民國{y - 1911 if y > 1911 else 90}年{m}月{d}日", f"{y}/{m:02d}/{d:02d}", f"{y}年{m}月{d}日"]
            )
        return self._rng.choice(
            [f"{y}年{m}月{d}日", f"{y}-{m:02d}-{d:02d}", f"{y}.{m:02d}.{d:02d}", f"{y}/{m}/{d}", f"{m}月{d}日"]
        )

    def _address(self) -> str:
        if self._region == "tw":
            return self._rng.choice(TAIWAN_PLACES)
        if self._region == "hk":
            return self._rng.choice(HONG_KONG_PLACES)
        rng = self._rng
        tail = rng.choice(
            [
                f"{rng.choice(ROADS)}{rng.randint(1, 999)}号",
                f"{rng.choice(ROADS)}{rng.randint(1, 99)}号{rng.choice(ESTATES)}{rng.randint(1, 20)}栋{rng.randint(1, 4)}单元{rng.randint(101, 2505)}室",
                f"{rng.choice(ESTATES)}{rng.randint(1, 20)}号楼{rng.randint(101, 2505)}",
                f"{rng.choice(VILLAGES)}{rng.randint(1, 12)}组",
                f"{rng.choice(ROADS)}{rng.randint(1, 300)}弄{rng.randint(1, 60)}号{rng.randint(101, 905)}室",
            ]
        )
        return (rng.choice(COUNTIES) if rng.random() < 0.85 else "") + tail


def notes(templates: Sequence[tuple[str, str]], carriers: Sequence[str], count: int, seed: int) -> list[Note]:
    """`count` notes of (region, template), each inside of sentences of a carrier and, in three of ten, with a trap."""
    rng = random.Random(seed)
    return [_note(rng, *rng.choice(templates), rng.choice(carriers)) for _ in range(count)]


def _note(rng: random.Random, region: str, template: str, carrier: str) -> Note:
    make, given = Maker(rng, region), dict[str, str]()
    sentences = [s for s in re.split(r"(?<=[。！？\n])", carrier) if s.strip()][:4]
    cut = rng.randint(0, len(sentences))
    trap = rng.choice(TRAPS) + "。" if rng.random() < 0.3 else ""
    text, values, traps = "".join(sentences[:cut]), [], []
    for part in re.split(r"(\{\w\})", template):
        if part.startswith("{"):
            slot = part[1]
            value = given.setdefault(slot, make(slot))
            values.append((len(text), len(text) + len(value), type_of[slot]))
            text += value
        else:
            text += part
    text += "" if text.endswith(("。", "\n")) else "。"
    traps = [(len(text) + m.start(), len(text) + m.end()) for word in KEPT for m in re.finditer(re.escape(word), trap)]
    text += trap + "".join(sentences[cut:])
    return Note(text, tuple(values), tuple(traps), template)


def all_templates() -> list[tuple[str, str]]:
    """(region, template) of every template that is split."""
    return [*(("cn", t) for t in TEMPLATES), *(("tw", t) for t in TAIWAN), *(("hk", t) for t in HONG_KONG)]
