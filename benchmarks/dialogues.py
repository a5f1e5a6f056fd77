"""Made-up medical dialogues in English and Chinese, as many as a benchmark wants: several turns, hardly two of them alike.

They are put together from sentences with numbers, places, spans and remedies in them. What they advise is what a leaflet
would: rest, watch for signs, ask a pharmacist, see a doctor. They are for measuring time, not for training.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple


class Wording(NamedTuple):
    """The sentences of one language; in braces what is drawn for each."""

    system: str
    asked: tuple[str, ...]
    asked_again: tuple[str, ...]
    told: tuple[str, ...]
    words: dict[str, tuple[str, ...]]
    space: str


ENGLISH: Final = Wording(
    "You are a careful medical assistant. Explain in plain words, name warning signs, and say when to see a doctor.",
    (
        "I am {age} years old and have had {complaint} {since}. It is worst {when}, about {score} of 10. {history}",
        "My {relative}, {age}, has {complaint} {since} and takes {drug} {dose} mg {often}. Could that be the reason? {history}",
        "{since_cap} I noticed {complaint}, and now {second} as well. My blood pressure was {high}/{low} this morning. {history}",
        "What can I do about {complaint} {when}? I measured {temperature} °C yesterday, and I am {age}. {history}",
    ),
    (
        "Thank you. And may I go on taking {drug} {dose} mg {often} meanwhile?",
        "It got {change} {when}, and since today I also have {second}. Does that change anything?",
        "How long should I wait before I see a doctor, given that I have {illness}?",
        "My {relative} had {illness} at {age}; should I be tested for it?",
    ),
    (
        "{complaint_cap} {when} is common and mostly harmless, but with {illness} it deserves a closer look.",
        "Keep a diary for {days} days: when it comes, how strong it is from 0 to 10, and what you did before.",
        "Do not take more than the dose on the leaflet, and ask a pharmacist whether {drug} goes together with your other medicines.",
        "See a doctor within {days} days if it has not got better, and at once if {alarm}.",
        "A blood pressure of {high}/{low} mmHg should be measured again after {minutes} minutes of sitting quietly.",
        "Drink about {glasses} glasses of water a day unless a doctor told you to drink less because of {illness}.",
        "If {second} joins it, or a fever above {temperature} °C, that changes the picture and needs an examination.",
        "Your doctor may want to look at {test} and ask about {illness} in the family.",
        "Many people find that {remedy} helps; if it does not within {days} days, it is not worth going on with it.",
        "I cannot examine you, so take this as general information and not as a diagnosis.",
    ),
    {
        "complaint": (
            *("a dry cough", "a mild fever", "pain in the lower back", "a headache behind the left eye"),
            *("heartburn after meals", "an itchy rash on both arms", "swollen ankles", "trouble falling asleep"),
            *("numbness in two fingers", "a sore throat", "cramps in the calf at night", "dizziness when standing up"),
            *("a ringing in the ears", "stiff knees in the morning", "burning when passing water", "a blocked nose"),
        ),
        "second": (
            *("nausea", "a loss of appetite", "night sweats", "shortness of breath on stairs", "a fast heartbeat"),
            *("blurred vision", "tiredness all day", "a metallic taste", "joint pain", "loose stools"),
        ),
        "since": ("for three days", "since last week", "for about a month", "on and off for two years", "since Sunday"),
        "when": (
            "in the evening",
            "after meals",
            "at night",
            "early in the morning",
            "when I lie down",
            "after exercise",
        ),
        "history": (
            *("I have had {illness} for {years} years.", "I do not smoke.", "I am allergic to {drug}.", ""),
            *("I had an operation {years} years ago.", "There is {illness} in my family.", "I work at a desk."),
        ),
        "relative": ("mother", "father", "husband", "wife", "son", "daughter", "sister", "neighbor"),
        "drug": (
            *("ibuprofen", "paracetamol", "metformin", "amlodipine", "omeprazole", "levothyroxine", "atorvastatin"),
            *("cetirizine", "bisoprolol", "ramipril", "sertraline", "apixaban"),
        ),
        "often": ("once a day", "twice a day", "every eight hours", "only when needed", "at night"),
        "illness": (
            *("type 2 diabetes", "high blood pressure", "asthma", "an underactive thyroid", "migraine"),
            *("atrial fibrillation", "chronic kidney disease", "reflux", "iron deficiency", "osteoarthritis"),
        ),
        "change": ("worse", "a little better", "much worse", "no better"),
        "alarm": (
            *("you have chest pain or trouble breathing", "one side of the body becomes weak", "you faint"),
            *("there is blood in the stool", "the fever does not come down", "you cannot keep fluids down"),
        ),
        "test": ("a blood count", "kidney values", "an ECG", "thyroid hormones", "a urine sample", "a chest X-ray"),
        "remedy": ("a warm compress", "raising the head of the bed", "a short walk", "saline spray", "regular meals"),
    },
    " ",
)

CHINESE: Final = Wording(
    "你是一名严谨的医学助手。请用通俗的语言解释,说明需要警惕的信号,并告知何时应当就医。",
    (
        "医生您好,我今年{age}岁,{since}出现{complaint},{when}最明显,疼痛评分大约{score}分。{history}请问该怎么办?",
        "我的{relative}{age}岁,{since}一直{complaint},目前每天服用{drug}{dose}毫克,{often}。会不会与药物有关?{history}",
        "{since}我发现{complaint},现在又有{second}。今早血压是{high}/{low}毫米汞柱。{history}需要去医院吗?",
        "{when}总是{complaint},昨天体温{temperature}度,本人{age}岁。{history}平时应该注意什么?",
    ),
    (
        "谢谢。那在此期间{drug}{dose}毫克还能继续{often}服用吗?",
        "{when}症状{change},今天又出现了{second},这样情况有变化吗?",
        "我有{illness},大概观察多久再去看医生比较合适?",
        "我的{relative}在{age}岁时得过{illness},我需要做检查吗?",
    ),
    (
        "{complaint}在{when}出现比较常见,多数情况下并不严重,但合并{illness}时应当进一步评估。",
        "建议连续记录{days}天:何时发作、程度从0到10分是多少、发作前做过什么。",
        "请不要超过说明书上的剂量,并请药师确认{drug}与您正在使用的其他药物能否同时服用。",
        "如果{days}天内没有好转,请到医院就诊;若{alarm},应立即拨打急救电话。",
        "血压{high}/{low}毫米汞柱时,请安静坐{minutes}分钟后再测一次。",
        "除非医生因{illness}要求限制饮水,每天可以喝水{glasses}杯左右。",
        "若同时出现{second},或体温超过{temperature}度,情况就不同了,需要做体格检查。",
        "医生可能会安排{test},并询问家族中有无{illness}。",
        "不少人觉得{remedy}有帮助;如果{days}天后仍无效果,就不必继续坚持。",
        "我无法为您做体格检查,以上仅为一般性的健康信息,不能代替诊断。",
    ),
    {
        "complaint": (
            *("干咳", "低热", "腰背部疼痛", "左眼后方头痛", "饭后烧心", "双臂皮疹发痒", "脚踝浮肿", "入睡困难"),
            *("两个手指麻木", "咽喉痛", "夜间小腿抽筋", "站起时头晕", "耳鸣", "晨起膝关节僵硬", "排尿灼痛", "鼻塞"),
        ),
        "second": (
            "恶心",
            "食欲减退",
            "夜间盗汗",
            "上楼气短",
            "心跳加快",
            "视物模糊",
            "全天乏力",
            "口中有金属味",
            "关节痛",
            "腹泻",
        ),
        "since": ("近三天", "从上周开始", "大约一个月来", "断断续续两年", "周日以来"),
        "when": ("傍晚", "饭后", "夜间", "清晨", "平躺时", "运动之后"),
        "history": (
            "患{illness}{years}年。",
            "平时不吸烟。",
            "对{drug}过敏。",
            "",
            "{years}年前做过手术。",
            "家族中有{illness}病史。",
            "久坐办公。",
        ),
        "relative": ("母亲", "父亲", "丈夫", "妻子", "儿子", "女儿", "姐姐", "邻居"),
        "drug": (
            *("布洛芬", "对乙酰氨基酚", "二甲双胍", "氨氯地平", "奥美拉唑", "左甲状腺素", "阿托伐他汀"),
            *("西替利嗪", "比索洛尔", "雷米普利", "舍曲林", "阿哌沙班"),
        ),
        "often": ("每日一次", "每日两次", "每八小时一次", "必要时", "睡前"),
        "illness": (
            "2型糖尿病",
            "高血压",
            "哮喘",
            "甲状腺功能减退",
            "偏头痛",
            "心房颤动",
            "慢性肾病",
            "胃食管反流",
            "缺铁",
            "骨关节炎",
        ),
        "change": ("加重了", "稍有好转", "明显加重", "没有好转"),
        "alarm": ("出现胸痛或呼吸困难", "一侧肢体无力", "发生晕厥", "大便带血", "高热不退", "无法进水"),
        "test": ("血常规", "肾功能", "心电图", "甲状腺功能", "尿常规", "胸部X线"),
        "remedy": ("热敷", "抬高床头", "短时间散步", "生理盐水喷鼻", "规律进餐"),
    },
    "",
)


def dialogue(chance: random.Random, language: Wording) -> list[dict[str, str]]:
    """A conversation of one to five exchanges, a third of them under a system message."""
    turns = [{"role": "system", "content": language.system}] if chance.random() < 1 / 3 else []
    for number in range(chance.choice((1, 1, 2, 2, 3, 4, 5))):
        question = chance.choice(language.asked_again if number else language.asked)
        answer = language.space.join(chance.sample(language.told, chance.randint(2, 7)))
        turns.append({"role": "user", "content": _filled(question, chance, language)})
        turns.append({"role": "assistant", "content": _filled(answer, chance, language)})
    return turns


def _filled(text: str, chance: random.Random, language: Wording) -> str:
    """The text with everything in braces drawn, also what stands in braces within that."""
    numbers = {
        "age": chance.randint(18, 90), "score": chance.randint(1, 9), "dose": chance.choice((5, 10, 20, 50, 100, 400)),
        "high": chance.randint(100, 185), "low": chance.randint(60, 110), "days": chance.randint(2, 21),
        "minutes": chance.choice((5, 10, 15)), "glasses": chance.randint(5, 9), "years": chance.randint(2, 30),
        "temperature": f"{chance.uniform(36, 40):.1f}",
    }  # fmt: skip
    while "{" in text:
        drawn = {name: chance.choice(words) for name, words in language.words.items()}
        upper = {f"{name}_cap": word[0].upper() + word[1:] for name, word in drawn.items() if word}
        text = text.format_map(drawn | upper | numbers)
    return text.strip()


def dialogues(count: int, seed: int = 7) -> Iterator[list[dict[str, str]]]:
    """`count` conversations, one half in either language."""
    chance = random.Random(seed)
    for number in range(count):
        yield dialogue(chance, (ENGLISH, CHINESE)[number % 2])


def written(path: Path, conversations: Iterator[list[dict[str, str]]]) -> Path:
    """Conversations as a .jsonl file."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"messages": turns}, ensure_ascii=False) + "\n" for turns in conversations)
    return path
