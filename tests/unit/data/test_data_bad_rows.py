"""One policy for bad rows: records, prompts of reinforcement learning and batch files say and count the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import tiny_tokenizer

from medicalgpt.config.rewards import RewardConfig, RewardFunction
from medicalgpt.config.sections import DataConfig
from medicalgpt.data.ledger import Ledger, warning_lines
from medicalgpt.data.reader import read
from medicalgpt.errors import DataError
from medicalgpt.generate.rows import BadPrompt, count_prompts, read_rows
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rewards.sources import Functions
from medicalgpt.training.rl.prompts import PromptSet, read_prompt_set

GOOD = '{"question": "Fever?", "answer": "38."}'


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def prompts(path: Path, **data: Any) -> PromptSet:
    config = DataConfig(train=[str(path)], eval_fraction=0, **data)
    return read_prompt_set(config, ChatTemplate.load(tiny_tokenizer(), config.template), new_tokens=8, seed=0)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    assert caught.value.__context__ is None, "an error of decoding or parsing carries the row"
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{not JSON", "not valid JSON (Expecting property name enclosed in double quotes, column 2); allowed: "),
        ("[1]", "a JSON list, not an object (a file that is one list of rows is named .json); allowed: "),
        ('{"question": 5, "answer": "A"}', "question is a number, not text; allowed: "),
        (
            '{"messages": [{"role": "doctor", "content": "x"}]}',
            "a turn has an unknown role 'doctor'; allowed: system, user or human, assistant or gpt, function_call, tool or "
            "observation (messages, turn 1); allowed: ",
        ),
    ],
)
def test_every_reader_says_the_same_of_a_bad_row(tmp_path: Path, line: str, problem: str) -> None:
    path = write(tmp_path / "rows.jsonl", GOOD, line, GOOD)
    begins = f"{path}:2: {problem}"
    hint = "; correct the row, or set data.on_bad_row=drop to count such rows and go on"
    as_record = refusal(lambda: list(read([path], "dialogue", ledger=Ledger())))
    as_prompt = refusal(lambda: prompts(path))
    as_batch = refusal(lambda: count_prompts(path))
    assert [said.startswith(begins) for said in (as_record, as_prompt, as_batch)] == [True] * 3
    assert [said.endswith(hint) for said in (as_record, as_prompt, as_batch)] == [True, True, False]
    assert as_batch == as_prompt.removesuffix(hint) + "; correct the row"
    (found,) = [row for row in read_rows(path) if isinstance(row, BadPrompt)]
    assert found.problem == as_batch.removesuffix("; correct the row")


def test_every_reader_refuses_an_empty_file(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", "", "")
    for call in (
        lambda: list(read([path], "dialogue", ledger=Ledger())),
        lambda: prompts(path),
        lambda: count_prompts(path),
    ):
        assert refusal(call).startswith(f"{path}: the file is empty: it has no rows; ")


def test_records_and_prompts_count_bad_rows_alike(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", *[GOOD.replace("Fever", f"Fever {i}") for i in range(18)], "{", "{")
    ledger = Ledger()
    records = list(read([path], "dialogue", on_bad_row="drop", max_bad_share=0.1, ledger=ledger))
    found = prompts(path, on_bad_row="drop", max_bad_share=0.1)
    assert len(records) == len(found.train) == 18
    assert found.ledger["dropped"] == ledger.total("dropped") == 2
    assert found.ledger["reasons"] == {"dropped: not valid JSON": 2}
    said = [
        refusal(lambda: list(read([path], "dialogue", on_bad_row="drop", max_bad_share=0.05, ledger=Ledger()))),
        refusal(lambda: prompts(path, on_bad_row="drop", max_bad_share=0.05)),
    ]
    assert (
        said
        == [
            "2 of 20 rows read are bad (10.0%), allowed are 5.0%: 2 × not valid JSON; correct the data, or raise "
            "data.max_bad_share"
        ]
        * 2
    )


def test_a_prompt_that_is_too_long_is_no_bad_row(tmp_path: Path) -> None:
    long = json.dumps({"question": "word " * 300})
    path = write(tmp_path / "rows.jsonl", GOOD, *[long] * 9)
    found = prompts(path, over_length="drop", max_tokens=64, max_bad_share=0.0)
    assert (len(found.train), found.ledger["dropped"]) == (1, 9)
    assert found.ledger["reasons"] == {"dropped: the prompt leaves no room for 8 new tokens in 64": 9}


def test_prompts_name_the_columns_that_neither_they_nor_a_reward_reads(tmp_path: Path) -> None:
    row = {"question": "Fever?", "answer": "38.", "ward": "4", "Key": "A", "tools": [], "reasons": "r"}
    turns = [{"role": "user", "content": "Fever?", "mood": "calm"}]
    path = write(tmp_path / "rows.jsonl", json.dumps(row), json.dumps({"messages": turns, "ward": 4}))
    found = prompts(path)
    assert found.ledger["files"][str(path)]["unread"] == {"key": 1, "mood (of turns)": 1, "reasons": 1, "ward": 2}
    functions, _ = Functions.open(
        RewardConfig(
            functions=[RewardFunction(name="choice_letter", column="key"), RewardFunction(name="length", limit=9)]
        ),
        found.train[:1],
    )
    found.columns_read(functions.columns)
    assert found.ledger["files"][str(path)]["unread"] == {"mood (of turns)": 1, "reasons": 1, "ward": 2}
    assert warning_lines(found.ledger)[-1] == "  warning: 2 rows: the column 'ward' was not read"


def test_prompts_with_mapped_columns_name_what_is_left(tmp_path: Path) -> None:
    row = {"ask_me": "Fever?", "key": "38.", "text": "x"}
    path = write(tmp_path / "rows.jsonl", json.dumps(row))
    found = prompts(path, columns={"question": "ask_me", "answer": "key"})
    assert found.train[0].reference == "38."
    assert found.ledger["files"][str(path)]["unread"] == {"text": 1}


def test_prompts_stop_with_a_setting_to_copy(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", *[json.dumps({"patient_asks": "Fever?", "doctor": "38."})] * 2)
    said = refusal(lambda: prompts(path))
    assert said.endswith("""; perhaps 'data.columns={"question": "patient_asks", "answer": "doctor"}'""")
