"""Rows of every shape with seeded damage, put through reading and rendering: each is kept or refused, and none is lost.

`python -m tests.mutations ROWS [SEED]` puts that many rows through, with every template in turn; the tests do it with a few
hundred. One core takes about 2 ms a row.
"""

import copy
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.formats import fold_name
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Dialogue, Kind, Record
from medicalgpt.data.report import detect
from medicalgpt.errors import RenderError
from medicalgpt.generate.rows import BadPrompt, read_rows
from medicalgpt.rendering.renderer import Renderer
from medicalgpt.rendering.rows import OverLength, TrainOn
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.tool_formats.checker import CallChecker
from medicalgpt.training.rl.prompts import read_prompt_set
from tests.tiny import tiny_tokenizer

BATCH = 500
_CALL = {"id": "1", "type": "function", "function": {"name": "dose", "arguments": {"kg": 70, "drug": "ibuprofen"}}}
_SCHEMA = {
    "type": "object",
    "properties": {"kg": {"type": "number", "minimum": 0}, "drug": {"type": "string", "pattern": "^[a-z]+$"}},
    "required": ["kg"],
}
_TOOL = {"type": "function", "function": {"name": "dose", "description": "A dose.", "parameters": _SCHEMA}}
_TALK = [
    {"role": "system", "content": "You are a pharmacist."},
    {"role": "user", "content": "How much for 70 kg?"},
    {"role": "assistant", "content": None, "tool_calls": [_CALL]},
    {"role": "tool", "tool_call_id": "1", "content": "400 mg"},
    {"role": "assistant", "content": "400 mg, with food."},
]
_SAID = [{"from": "human", "value": "Is 38 °C a fever?"}, {"from": "gpt", "value": "Yes."}]
_CALLED = [
    {"from": "human", "value": "How much for 70 kg?"},
    {"from": "function_call", "value": json.dumps({"name": "dose", "arguments": {"kg": 70}})},
    {"from": "observation", "value": "400 mg"},
    {"from": "gpt", "value": "400 mg, with food."},
]
_PARTS = {
    "role": "assistant",
    "content": [{"type": "reasoning", "text": "An adult: 38 °C."}, {"type": "text", "text": "Yes."}],
    "weight": 1,
}
_OPTIONS = {"A": "vitamin A", "B": "vitamin K", "C": "vitamin D"}
_ASKED = "Which vitamin does warfarin antagonize?"
SEEDS: tuple[dict[str, Any], ...] = (
    {"text": "Warfarin antagonizes vitamin K. 华法林拮抗维生素K。"},
    {"messages": _TALK, "tools": [_TOOL]},
    {"messages": _TALK[:2] + _TALK[4:], "tools": json.dumps([_TOOL]), "weight": 0.5},
    {"conversations": _SAID, "system": "Be brief.", "id": 3},
    {"conversation": [{"human": "Fever?", "assistant": "From 38 °C."}]},
    {"instruction": "Answer.", "input": "Is 38 °C a fever?", "output": "Yes.", "history": [["Hello", "Hi"]]},
    {"question": "Is 38 °C a fever?", "answer": "Yes.", "loss": True},
    {"input": "Is 38 °C a fever?", "target": "Yes.", "context": "An adult."},
    {"question": _ASKED, "options": _OPTIONS, "answer": "vitamin K", "answer_idx": "B"},
    {"question": _ASKED, "opa": "vitamin A", "opb": "vitamin K", "opc": "vitamin D", "answer": "B"},
    {"Question": _ASKED, "A": "vitamin A", "B": "vitamin K", "Answer": "B"},
    {"question": _ASKED, "choices": list(_OPTIONS.values()), "answer": "vitamin K", "label": 1},
    {"question": _ASKED, "choices": [{"key": k, "value": v} for k, v in _OPTIONS.items()], "answer": ["A", "C"]},
    {"question": "Fever?", "chosen": "From 38 °C.", "rejected": "Never.", "system": ""},
    {"messages": _TALK[:2], "chosen": _TALK[4:], "rejected": [{"role": "assistant", "content": "Guess."}]},
    {"chosen": _SAID, "rejected": [_SAID[0], {"from": "gpt", "value": "No."}]},
    {
        "input": {"messages": _TALK[1:2]},
        "preferred_output": _TALK[4:],
        "non_preferred_output": [_TALK[4] | {"content": "?"}],
    },
    {"prompt": "Fever?", "completion": "From 38 °C.", "label": True},
    {"messages": _TALK, "tools": [_TOOL], "kto_tag": False},
    {"content": "高血壓的症狀包括頭痛。", "title": "Hypertension", "meta": {"source": "leaflet", "pages": [1, 2]}},
    {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Fever?"}, {"type": "text", "value": "Adult."}]},
            _PARTS,
        ]
    },
    {"conversations": _CALLED, "tools": json.dumps([_TOOL["function"]])},
    {
        "conversations": [
            *_SAID,
            {"from": "human", "value": "And 37 °C?"},
            {"from": "gpt", "value": "No.", "loss": False},
        ]
    },
    {"prompt": "Human: Is 38 °C a fever?\n\nAssistant: Yes.\n\nHuman: And 37 °C?\n\nAssistant:", "completion": "No."},
    {"chosen": "\n\nHuman: Fever?\n\nAssistant: From 38 °C.", "rejected": "\n\nHuman: Fever?\n\nAssistant: Never."},
    {
        "system": "",
        "history": [["咳嗽", "多久了？"]],
        "question": "三天",
        "response_chosen": "先休息。",
        "response_rejected": "不知道。",
    },
    {"conversations": [_SAID[0]], "chosen": _SAID[1], "rejected": {"from": "gpt", "value": "No."}, "tools": None},
    {"prompt": [_TALK[1]], "completion": [_TALK[4]], "label": False},
    {"instruction": "Is 38 °C a fever?", "input": "", "output": "<think>\nAdults: 38.\n</think>\n\nYes."},
    {
        "prompt": "Which vitamin?",
        "choices": {"text": ["A", "K"], "label": ["1", "2"]},
        "answerKey": "2",
        "source": "exam",
    },
    {"prompt": [_TALK[1]], "completion": _TALK[2:]},
    {"prompt": _SAID[0], "answer": _SAID[1:]},
    {"question": "Fever?", "context": "An adult.", "answers.text": ["From 38 °C."], "answers.answer_start": [0]},
    {"question": "Fever?", "context": "An adult.", "answers": {"text": ["From 38 °C.", "38"], "answer_start": [0, 5]}},
    {"question": _ASKED, "ending0": "vitamin A", "ending1": "vitamin K", "label": 1, "reference": "K", "difficulty": 3},
)
_DEEP: Any = json.loads("[" * 90 + "]" * 90)
JUNK: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2.5,
        10**30,
        -(2**70),
        float("nan"),
        float("inf"),
        "",
        " ",
        "\n\n",
        "\ud83d",
        "\x00",
    ),
    *(
        "<|im_start|>",
        "<|im_end|>",
        "<think>",
        "</think>",
        "Human: a\n\nAssistant: b",
        "Human:",
        "B",
        "AB",
        "7",
        "[",
        "{}",
    ),
    *(
        "NaN",
        "null",
        '[{"role": "user"}]',
        "﷽" * 40,
        "a" * 3000,
        "e\u0301",
        "\u2028",
        [],
        {},
        [None],
        [[]],
        {"": ""},
        _DEEP,
    ),
    *(
        {"type": "float"},
        {"$ref": "#"},
        {"$ref": "#/x"},
        {"type": ["str", 3]},
        {"pattern": "("},
        {"enum": 5},
        [1, "a", {}],
    ),
    *({"required": [{}]}, {"properties": 4}, {"minimum": "x"}, {"allOf": 7}, {"const": float("nan")}, {"\ud83d": 1}),
)
_KEYS = (
    *(
        "role",
        "from",
        "content",
        "value",
        "name",
        "parameters",
        "type",
        "weight",
        "loss",
        "mask",
        "tools",
        "tool_calls",
    ),
    *(
        "messages",
        "conversations",
        "question",
        "answer",
        "chosen",
        "rejected",
        "label",
        "options",
        "A",
        "B",
        "option_a",
    ),
    *("text", "input", "history", "images", "id", "tool_call_id", "cop", "answer_idx", "\ud83d", "x" * 300, ""),
)


def mutated(rng: random.Random) -> dict[str, Any]:
    """A row of some shape with one to four things wrong, or none."""
    row = copy.deepcopy(rng.choice(SEEDS))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        _damage(row, rng)
    return row


def _damage(row: dict[str, Any], rng: random.Random) -> None:
    holder: Any = rng.choice([item for item in _inside(row) if item] or [row])
    if not holder:
        return
    key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    match rng.randrange(6):
        case 0 | 1:
            holder[key] = copy.deepcopy(rng.choice(JUNK))
        case 2:
            del holder[key]
        case 3 if isinstance(holder, dict):
            holder[rng.choice(_KEYS)] = holder.pop(key)
        case 4 if isinstance(holder, dict):
            holder[rng.choice(_KEYS)] = copy.deepcopy(rng.choice(JUNK))
        case 5 if isinstance(holder, list):
            holder.insert(rng.randrange(len(holder) + 1), copy.deepcopy(rng.choice((holder[key], *JUNK))))
        case _:
            holder[key] = [holder[key]]


def _inside(value: Any, depth: int = 0) -> Iterator[Any]:
    """The lists and objects in a value, down to a depth that damage is worth."""
    if isinstance(value, dict | list) and depth < 8:
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from _inside(item, depth + 1)


@dataclass
class Result:
    """What became of the rows; `uncaught` counts the tracebacks, each by where it came from."""

    rows: int = 0
    kept: int = 0
    refused: int = 0
    slowest: float = 0.0
    """CPU seconds that one reader took for one file, at most."""
    uncaught: Counter[str] = field(default_factory=Counter)

    @property
    def exact(self) -> bool:
        """Whether every row was kept or refused, and none met a traceback."""
        return not self.uncaught and self.kept + self.refused == self.rows

    def attempt(self, what: Callable[[], tuple[int, int]], rows: int) -> None:
        """Count rows through one reader, which gives how many it kept and how many it refused."""
        self.rows += rows
        began = time.process_time()
        try:
            kept, refused = what()
        except Exception as error:
            self.uncaught[where(error)] += 1
            return
        self.slowest = max(self.slowest, time.process_time() - began)
        self.kept, self.refused = self.kept + kept, self.refused + refused


def where(error: Exception) -> str:
    """The kind of an error, and the place in our code that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "medicalgpt" in frame.filename] or frames
    return f"{type(error).__name__} at {Path(ours[-1].filename).name}:{ours[-1].lineno}"


_GOOD: dict[Kind, dict[str, Any]] = {
    "document": SEEDS[0],
    "dialogue": SEEDS[6],
    "preference": SEEDS[13],
    "feedback": SEEDS[17],
}
TEMPLATES = (
    *(
        None,
        "qwen3",
        "mistral",
        "llama3",
        "glm4",
        "gemma",
        "deepseek",
        "vicuna",
        "chatglm3",
        "qwen3.5-nothink",
        "alpaca",
    ),
    *("baichuan2", "internlm2", "llama2-zh", "cohere", "ziya"),
)
_TOKENS = (
    *(
        "<|eot_id|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|user|>",
        "<|assistant|>",
        "<|system|>",
        "<|observation|>",
    ),
    *("<start_of_turn>", "<end_of_turn>", "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "[INST]", "[/INST]"),
)


class Form(NamedTuple):
    """The settings under which rows are rendered."""

    template: ChatTemplate
    train_on: TrainOn
    over_length: OverLength
    max_tokens: int

    @classmethod
    def drawn(cls, rng: random.Random) -> "Form":
        """Any of them, short limits among them."""
        template = _template(rng.choice(TEMPLATES))
        most = rng.choice((32, 96, 1024, 1024))
        return cls(template, rng.choice(get_args(TrainOn)), rng.choice(get_args(OverLength)), most)


@lru_cache
def _template(name: str | None) -> ChatTemplate:
    tokenizer = tiny_tokenizer()
    if name is not None:
        tokenizer = copy.deepcopy(tokenizer)
        tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", *_TOKENS]})
    return ChatTemplate.load(tokenizer, name)


def put_through(count: int, seed: int = 0) -> Result:
    """So many damaged rows through rendering as the kind that they are, and as prompts, in files of BATCH rows."""
    result, rng = Result(), random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        while count > 0:
            rows = [mutated(rng) for _ in range(min(BATCH, count))]
            count -= len(rows)
            form = Form.drawn(rng)
            for kind, good in _GOOD.items():
                ours = [good, *(row for row in rows if kind_of(row) == kind)]
                path.write_text("".join(json.dumps(row) + "\n" for row in ours), encoding="utf-8")
                result.attempt(partial(_rendered, path, kind, form), len(ours))
                result.attempt(partial(_detected, path), len(ours))
            path.write_text("".join(json.dumps(row) + "\n" for row in [SEEDS[6], *rows]), encoding="utf-8")
            result.attempt(partial(_prompted, path, form), len(rows) + 1)
            result.attempt(partial(_asked, path), len(rows) + 1)
    return result


def kind_of(row: dict[str, Any]) -> Kind:
    """The kind that a row most likely is; a wrong guess is a bad row."""
    names = {fold_name(name) for name in row}
    if any(name.startswith(("chosen", "reject", "preferred")) for name in names):
        return "preference"
    if names & {"kto_tag", "label"}:
        return "feedback"
    return "document" if "text" in names and len(names) < 3 else "dialogue"


def _rendered(path: Path, kind: Kind, form: Form) -> tuple[int, int]:
    ledger = Ledger()
    data = DataConfig(train=[str(path)], max_tokens=form.max_tokens, over_length=form.over_length)
    renderer = Renderer(data, kind, form.template, form.train_on, seed=0)
    last = 0
    for record in read([path], kind, on_bad_row="drop", max_bad_share=1.0, ledger=ledger):
        assert record.source.row > last, "rows come in order, each with its line"
        last = record.source.row
        try:
            renderer.render(record).settle(ledger, record.source.file)
        except RenderError:
            ledger.settle(record.source.file, "dropped", "cannot be rendered")
        _check_calls(record)
    ledger.check()
    dropped = ledger.total("dropped")
    return sum(ledger.seen.values()) - dropped, dropped


def _detected(path: Path) -> tuple[int, int]:
    found = detect(path)
    return sum(found.shapes.values()), found.bad + sum(found.not_learned.values())


def _check_calls(record: Record) -> None:
    """As answers to held-out rows are checked: against the tools of their rows."""
    if isinstance(record, Dialogue) and record.tools:
        checker = CallChecker(record.tools)
        for tool in record.tools[:2]:
            checker.problem({"name": tool["function"]["name"], "arguments": {"kg": "70", "drug": "Ibuprofen"}})


def _prompted(path: Path, form: Form) -> tuple[int, int]:
    data = DataConfig(train=[str(path)], on_bad_row="drop", max_bad_share=1.0, eval_fraction=0)
    found = read_prompt_set(data, form.template, new_tokens=8, seed=0)
    return len(found.train), found.ledger["dropped"]


def _asked(path: Path) -> tuple[int, int]:
    found = list(read_rows(path))
    for number, row in enumerate(found, 1):
        assert not isinstance(row, BadPrompt) or row.problem.startswith(f"{path}:{number}: "), "with its place"
    refused = sum(isinstance(row, BadPrompt) for row in found)
    return len(found) - refused, refused


if __name__ == "__main__":
    total = put_through(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(
        f"{total.rows} reads, {total.kept} kept, {total.refused} refused, uncaught: {dict(total.uncaught) or 'none'}; "
        f"the slowest file of {BATCH} rows took {total.slowest:.2f} CPU s"
    )
    sys.exit(not total.exact)
