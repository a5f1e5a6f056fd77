"""The public sets that phi.py measures on, and which of their items are whose: to write rules on, or to report."""

import csv
import glob
import hashlib
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

TITLE = re.compile(
    r"^(?:Drs?|Mrs?|Ms|Miss|Prof)\b\.?\s*|^(?:case|patient|site|medicare)?\s*(?:id)?:?\s*(?=#?\w*\d)", re.IGNORECASE
)

MEDICAL = ("anatomy", "clinical_knowledge", "college_medical_statistics", "college_medicine", "genetics", "nutrition", "professional_medicine", "traditional_chinese_medicine", "virology")  # fmt: skip
PAPERS = {
    "中医学/中药学",
    "公共卫生与预防医学",
    "口腔医学",
    "基础医学/临床医学",
    "药学",
    "心理学",
    "生物学/生物科学与工程",
}

NEAR_MEDICINE = {
    "食品科学与工程",
    "体育学",
    "化学/化学工程与技术",
    "环境科学与工程",
    "园艺学",
    "水产",
    "畜牧学/兽医学",
    "作物学",
    "植物保护",
    "社会学",
    "教育学",
    "公共管理",
    "农业工程",
}
"""Fields of CSL whose papers are no medical ones; those of `PAPERS` are used up."""

FAR_FROM_MEDICINE = {
    "建筑学",
    "政治学",
    "新闻传播学",
    "材料科学与工程",
    "林学/林业工程",
    "民族学",
    "法学",
    "电气工程",
    "石油与天然气工程",
    "矿业工程",
    "纺织科学与工程",
    "船舶与海洋工程",
    "艺术学",
    "计算机科学与技术",
}
"""Fields of CSL that only the tenth portion uses."""


def half(text: str) -> int:
    """0: the half that rules were written on, 1: the half that is reported."""
    return hashlib.blake2b(text.encode(), digest_size=1).digest()[0] & 1


def consultations(data: Path) -> list[str]:
    """Questions and answers of Toyhom's sample, without repetitions."""
    (file,) = data.glob("Toyhom*/*.csv")
    with file.open(encoding="gb18030", newline="") as lines:
        return sorted({f"{row['ask']}\n{row['answer']}" for row in csv.DictReader(lines)})


def classics(data: Path) -> list[str]:
    """Sections of four books of Chinese medicine."""
    texts = (Path(f).read_text(encoding="gb18030") for f in glob.glob(str(data / "xiaopangxia*/*.txt")))
    return sorted({part.strip() for text in texts for part in text.split("<篇名>") if part.strip()})


def exams(data: Path) -> list[str]:
    """Questions and options of CMExam and of the mainland's part of MedQA; cases in them have no names."""
    found = set()
    for file in sorted((data / "Fzkuji+LLaMA-Factory/data").rglob("test.json")):
        found |= {str(row["input"]) for row in json.loads(file.read_text(encoding="utf-8"))}
    return sorted(found)


def subjects(data: Path) -> list[str]:
    """Questions and options of CMMLU's medical subjects and abstracts of the medical papers of CSL's sample."""
    return sorted(_abstracts(data, PAPERS).union(*(_questions(data, subject) for subject in MEDICAL)))


def health(data: Path) -> list[str]:
    """Questions on physical health of SafetyBench, on food of CMMLU, and abstracts of CSL's papers that are near medicine; no portion used them before."""
    found = _safety(data, "Physical Health")
    return sorted(found | _questions(data, "food_science") | _abstracts(data, NEAR_MEDICINE))


def wellbeing(data: Path) -> list[str]:
    """The sets of `health` (the eighth portion has their tuning half) and questions on mental health of SafetyBench; the ninth has the reported half."""
    return sorted(_safety(data, "Mental Health").union(health(data)))


def distant(data: Path) -> list[str]:
    """Questions on management and marketing of CMMLU and abstracts of CSL's papers that are far from medicine; no portion used them before."""
    asked = _questions(data, "management") | _questions(data, "marketing")
    return sorted(asked | _abstracts(data, FAR_FROM_MEDICINE))


def _safety(data: Path, category: str) -> set[str]:
    rows = json.loads((data / "thu-coai+SafetyBench/opensource_data/test_zh_subset.json").read_text(encoding="utf-8"))
    return {"\n".join([row["question"], *row["options"], ""]) for row in rows if row["category"] == category}


def _questions(data: Path, subject: str) -> set[str]:
    with (data / f"haonan-li+CMMLU/data/test/{subject}.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {"\n".join([row["Question"], *(f"{option}. {row[option]}" for option in "ABCD"), ""]) for row in rows}


def _abstracts(data: Path, fields: Collection[str]) -> set[str]:
    with (data / "ydli-ai+CSL/benchmark/cls_dcp/dev.tsv").open(encoding="utf-8") as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines]
    return {f"{abstract}\n" for _, abstract, field in rows if field in fields}


def answers(data: Path) -> list[str]:
    """Questions and answers of MedQuAD."""
    found = set()
    for file in sorted(data.glob("abachaa+MedQuAD/*_QA/*.xml")):
        for pair in ElementTree.parse(file).getroot().iter("QAPair"):
            if answer := (pair.findtext("Answer") or "").strip():
                found.add(f"{(pair.findtext('Question') or '').strip()}\n{answer}")
    return sorted(found)


def queries(data: Path) -> list[tuple[str, list[tuple[int, int, str]]]]:
    """Synthetic clinical queries and where their tagged identifiers stand, titles and labels left out."""
    text = (data / "JamesWeatherhead+synthetic-clinical-queries/data/synthetic_dataset.txt").read_text(encoding="utf-8")
    out = []
    for block in text.split("===QUERY===")[1:]:
        query, tags = (part.strip() for part in block.split("===PHI_TAGS==="))
        wanted = set()
        for tag in (json.loads(line) for line in tags.splitlines() if line.strip()):
            value = str(tag["value"])
            core = TITLE.sub("", value) or value
            for match in re.finditer(re.escape(value), query):
                wanted.add((match.end() - len(core), match.end(), str(tag["identifier_type"]).lower()))
        out.append((query, sorted(wanted)))
    return out


def general(data: Path) -> list[tuple[str, list[tuple[int, int, str]]]]:
    """Presidio's own synthetic sentences; titles, nationalities and times of day are no identifiers here."""
    rows = json.loads((data / "microsoft+presidio-research/data/synth_dataset_v2.json").read_text(encoding="utf-8"))
    left_out = {"TITLE", "NRP", "DATE_TIME", "AGE"}
    return [
        (
            row["full_text"],
            [
                (s["start_position"], s["end_position"], s["entity_type"].lower())
                for s in row["spans"]
                if s["entity_type"] not in left_out
            ],
        )
        for row in rows
    ]


def chosen(texts: Iterable[str], halves: Sequence[int], most: int, after: int = 0) -> list[str]:
    """Texts of some halves, at most so many, in an order that their hash gives, after the first `after` ones."""
    mine = [text for text in texts if half(text) in halves]
    return sorted(mine, key=lambda text: hashlib.blake2b(text.encode(), digest_size=8).digest())[after : after + most]
