"""Whether a model that was trained on de-identified text writes masks to patients: the table of docs/deidentification.md.

Half of our sample consultations get an introduction and a farewell with made-up personal data, as consultations in the wild have
them; `curate`'s cleaner takes it out with `mask` and with `surrogate`; each corpus trains the embedded model (SFT, one epoch), and its
greedy answers to held-out questions, with an introduction and without, are searched for masks.

usage: phi_masks.py WORK [--rows 96] [--questions 16] [--new-tokens 48]
"""

import argparse
import json
import random
from pathlib import Path
from typing import Final

from medicalgpt import Engine, Message, Sampling, train
from medicalgpt.config.curation import PersonalDataConfig
from medicalgpt.curation.personal import Cleaner
from medicalgpt.phi.kinds import holds_mask
from phi import interval

ROOT: Final = Path(__file__).resolve().parents[1]
GIVEN: Final = ("Alice", "Robert", "Maria", "James", "Susan", "David", "Karen", "Thomas", "Laura", "Peter")
FAMILY: Final = (
    "Thompson",
    "Garcia",
    "Wilson",
    "Nguyen",
    "Campbell",
    "Peterson",
    "Murphy",
    "Sullivan",
    "Collins",
    "Bennett",
)


def dialogues(name: str) -> list[tuple[str, str]]:
    """First questions and answers of our sample dialogues."""
    lines = (ROOT / "examples/data" / name / "en.jsonl").read_text(encoding="utf-8").splitlines()
    turns = [json.loads(line)["messages"] for line in lines]
    pairs = [[one for one in each if one["role"] != "system"][:2] for each in turns]
    return [(asked["content"], answered["content"]) for asked, answered in pairs]


class Person:
    """A made-up patient, who says who they are."""

    def __init__(self, rng: random.Random) -> None:
        self.name = f"{rng.choice(GIVEN)} {rng.choice(FAMILY)}"
        self.doctor = rng.choice(FAMILY)
        self.phone = f"(212) 555-{rng.randint(1000, 9999)}"

    def asks(self, question: str) -> str:
        """The question with the patient's name and telephone number."""
        return f"My name is {self.name}, my phone number is {self.phone}. {question}"

    def is_told(self, answer: str) -> str:
        """The answer to this patient by name."""
        return f"Dear {self.name}, {answer} Dr. {self.doctor} will call you at {self.phone}."


def corpus(operator: str, count: int, work: Path) -> tuple[Path, int]:
    """Rows whose personal data an operator took out, and how many of them hold a mask."""
    key = work / "key"
    key.write_bytes(b"of no one, for this benchmark alone")
    rng = random.Random(0)
    rows: list[dict[str, object]] = []
    for number, (question, answer) in enumerate(dialogues("dialogues")[:count]):
        person = Person(rng)
        told = (person.asks(question), person.is_told(answer)) if number % 2 else (question, answer)
        rows.append({"messages": [{"role": r, "content": c} for r, c in zip(("user", "assistant"), told, strict=True)]})
    keyed = {"key_file": str(key)} if operator == "surrogate" else {}
    config = PersonalDataConfig(languages=["en"], detectors=["patterns", "names"], operator=operator, **keyed)
    cleaned = [one.row for one in Cleaner(config).clean(rows)]
    if None in cleaned:
        raise SystemExit(f"{operator}: {cleaned.count(None)} rows did not pass; their values stand in them still")
    lines = [json.dumps(row, ensure_ascii=False) for row in cleaned]
    path = work / f"{operator}.jsonl"
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path, sum(map(holds_mask, lines))


def answers(run: str, questions: list[str], new_tokens: int) -> list[str]:
    """Greedy answers."""
    engine = Engine.open(run)
    sampling = Sampling(max_new_tokens=new_tokens)
    prompts = [engine.prepare([Message("user", question)], sampling) for question in questions]
    return [one.text for one in engine.generate(prompts, sampling, batch_size=8)]


def main() -> None:
    """Trains twice and prints the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--questions", type=int, default=16)
    parser.add_argument("--new-tokens", type=int, default=48)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    rng = random.Random(1)
    plain = [question for question, _ in dialogues("dialogues-heldout")[: args.questions]]
    told = [Person(rng).asks(question) for question in plain]
    for operator in ("mask", "surrogate"):
        rows, marked = corpus(operator, args.rows, args.work)
        run = args.work / f"sft-{operator}"
        train(
            "sft",
            model="smollm2-135m",
            data=rows,
            train={"epochs": 1, "learning_rate": 5.0e-4, "tokens_per_step": 2048, "row_tokens": 1024},
            output_dir=run,
        )
        print(f"\n## {operator}: {args.rows} rows, {marked} of them with a mask")
        for name, questions in (("without an introduction", plain), ("with name and telephone", told)):
            written = answers(str(run), questions, args.new_tokens)
            print(f"  questions {name}: answers with a mask {interval(sum(map(holds_mask, written)), len(written))}")
            print("   ", written[0][:120].replace("\n", "⏎"))


if __name__ == "__main__":
    main()
