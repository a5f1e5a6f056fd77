"""Rewards that can be verified: which letter an answer names, when two texts say the same, thinking blocks, lengths."""

import pytest

from medicalgpt.config.rewards import RewardFunction, RewardName
from medicalgpt.data.records import Dialogue, Message, Source
from medicalgpt.errors import DataError
from medicalgpt.rewards.answers import PromptRow
from medicalgpt.rewards.choices import choice_letters, reference_letters
from medicalgpt.rewards.matching import contains_text, same_text
from medicalgpt.rewards.named import NamedReward


@pytest.mark.parametrize(
    ("answer", "letters"),
    [
        ("B", "B"),
        ("(B)", "B"),
        ("b.", "B"),
        ("**C**", "C"),
        ("The answer is B.", "B"),
        ("The answer is **B** because potassium falls.", "B"),
        ("Let's think. Diuretics lower potassium, so the correct answer is (D).", "D"),
        ("答案:B", "B"),
        ("答案：Ｂ", "B"),
        ("答案是 B、D", "BD"),
        ("正確答案為C，因為血鉀下降。", "C"),
        ("选 A", "A"),
        ("应该选BD", "BD"),
        ("Answers: A, C and E", "ACE"),
        ("ACD", "ACD"),
        (r"\boxed{C}", "C"),
        ("B. Ibuprofen", "B"),
        ("First I thought the answer is A. No: the answer is C.", "C"),
        ("<thoughts> The best choice is (E)", "E"),
        # no letter is named
        ("Let's see: a fever needs rest.", ""),
        ("A fever above 38 °C needs rest.", ""),
        ("The answer is a fever.", ""),
        ("The answer is A fever of unknown origin.", ""),
        ("The answer is D-dimer.", ""),
        ("The answer is BAD.", ""),
        ("I would see a doctor.", ""),
        ("A. Rest\nB. Ibuprofen\nC. Water", ""),
        ("Vitamin B and vitamin C", ""),
        ("e.g. rest", ""),
        ("", ""),
    ],
)
def test_the_letter_an_answer_names(answer: str, letters: str) -> None:
    assert choice_letters(answer) == frozenset(letters)


@pytest.mark.parametrize(
    ("value", "letters"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(B)", "B"),
        ("AC", "AC"),
        ("A, C", "AC"),
        (["A", "C"], "AC"),
        ("B. Ibuprofen", "B"),
        ("答案：B", "B"),
        ("Ibuprofen", ""),
        (2, ""),
        (["A", "rest"], ""),
        ([], ""),
    ],
)
def test_the_letters_of_a_reference(value: object, letters: str) -> None:
    assert reference_letters(value) == frozenset(letters)


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("1,000 mg", "1000mg", True),
        ("1000.0 mg.", "1000 mg", True),
        ("１２０", "120", True),
        ("“Rest”", "rest", True),
        ("高 血 壓。", "高血壓", True),
        ("1.5", "15", False),
        ("0.5 mg", "5 mg", False),
        ("no fever", "fever", False),
        ("1,50", "150", False),
    ],
)
def test_when_two_texts_are_the_same(answer: str, reference: str, same: bool) -> None:
    assert same_text(answer, reference) is same


@pytest.mark.parametrize(
    ("answer", "reference", "there"),
    [
        ("Take 500 mg at most.", "500mg", True),
        ("It is 5 mg a day", "5", True),
        ("It is 15 mg", "5", False),
        ("It is 2.5 mg", "5", False),
        ("It is 5.5 mg", "5", False),
        ("The patient is female.", "male", False),
        ("female, then male", "male", True),
        ("vitamin B12", "12", False),
        ("可能是高血壓引起的", "高血壓", True),
        ("anything", "", False),
    ],
)
def test_when_a_text_stands_in_another(answer: str, reference: str, there: bool) -> None:
    assert contains_text(answer, reference) is there


def row(reference: str | None = None, thinking: bool = False, **columns: object) -> PromptRow:
    return PromptRow(Dialogue((Message("user", "?"),), Source("a.jsonl", 3)), (5,), reference, columns, thinking)


def scores(config: RewardFunction, one: PromptRow, *texts: str) -> list[float]:
    reward = NamedReward(config)
    reward.prepare([one])
    return reward.scores(one, texts)


def test_answers_are_read_behind_their_thoughts() -> None:
    exact = RewardFunction(name="exact")
    texts = ("<think>no</think>Rest.", "<think>Rest.", "<answer>rest</answer>", "Rest, please")
    assert scores(exact, row("rest"), *texts) == [1.0, 0.0, 1.0, 0.0]
    assert scores(exact, row("rest", thinking=True), "some thoughts</think> Rest") == [1.0]


def test_a_thinking_block_is_there_closed_and_followed() -> None:
    form = RewardFunction(name="format")
    texts = ("<think>38 is high.</think>Rest.", "<think></think>Rest.", "<think>a</think>", "<think>a", "Rest.")
    assert scores(form, row(), *texts) == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert scores(form, row(), "<think>a</think><think>b</think>Rest.") == [0.0]
    assert scores(form, row(thinking=True), "38 is high.</think>Rest.") == [1.0]


def test_lengths() -> None:
    # target 10: 1 − |L − 10| / 10; limit 10: 2 − L / 10 beyond it
    assert scores(RewardFunction(name="length", target=10), row(), "x" * 10, "x" * 5, "x" * 15, "x" * 30, "") == [
        1.0,
        0.5,
        0.5,
        0.0,
        0.0,
    ]
    assert scores(RewardFunction(name="length", limit=10), row(), "x" * 3, "x" * 15, "x" * 20) == [1.0, 0.5, 0.0]


def test_any_column_can_be_compared_with() -> None:
    config = RewardFunction(name="choice_letter", column="Key")
    assert scores(config, row(None, key="B"), "The answer is B", "C") == [1.0, 0.0]
    with pytest.raises(
        DataError, match=r"a\.jsonl:3: reward choice_letter asks for the column 'Key'.*its columns: letter"
    ):
        NamedReward(config).prepare([row(None, letter="B")])
    with pytest.raises(DataError, match="names no option letter from A to J"):
        NamedReward(config).prepare([row(None, key="rest")])


REFUSES, SAYS = "I'm sorry, but I cannot help with that.", "Lean forward and pinch your nose for ten minutes."


@pytest.mark.parametrize(
    ("expected", "right"),
    [
        # a refusal, an answer, nothing, thoughts that refuse before an answer, a refusal in Chinese
        ("refusal", [1.0, 0.0, 0.0, 0.0, 1.0]),
        (" Unsafe", [1.0, 0.0, 0.0, 0.0, 1.0]),
        ("answer", [0.0, 1.0, 0.0, 1.0, 0.0]),
        ("harmless", [0.0, 1.0, 0.0, 1.0, 0.0]),
    ],
)
def test_refusals_where_they_are_due(expected: str, right: list[float]) -> None:
    texts = (REFUSES, SAYS, " ", f"<think>{REFUSES}</think>{SAYS}", "抱歉，我無法協助您偽造處方箋。")
    assert scores(RewardFunction(name="refusal"), row(expected=expected), *texts) == right
    assert scores(RewardFunction(name="refusal", column="kind"), row(kind=expected), *texts) == right


def test_what_tells_refusals_says_how_often_it_is_right_and_which_rows_it_cannot_use() -> None:
    (note,) = NamedReward(RewardFunction(name="refusal")).prepare([row(expected="answer")])
    assert "agrees with people in 95.1% [94.1%, 95.9%] of 2250 answers (en)" in note
    with pytest.raises(DataError, match=r"a\.jsonl:3: .*'expected', whose value is not refusal \(or refuse"):
        NamedReward(RewardFunction(name="refusal")).prepare([row(expected="maybe")])
    with pytest.raises(DataError, match="asks for the column 'expected'"):
        NamedReward(RewardFunction(name="refusal")).prepare([row("a reference")])


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"name": "exact", "path": "a.py:f"},
        {"name": "length"},
        {"name": "length", "target": 5, "limit": 6},
        {"name": "exact", "limit": 6},
        {"name": "format", "column": "x"},
        {"path": "a.py:f", "columns": ["x"]},
        {"name": "bleu"},
    ],
)
def test_an_entry_that_says_too_much_or_too_little(entry: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"path|name|target|column|exact"):
        RewardFunction.model_validate(entry)


@pytest.mark.parametrize(
    ("said", "key", "whole", "part"),
    [
        ("A, C", "AC", 1.0, 1.0),
        ("答案：C、A", ["A", "C"], 1.0, 1.0),
        ("A", "AC", 0.0, 1 / 2),
        ("A, B", "AC", 0.0, 1 / 3),
        ("A, B, C, D, E", "AC", 0.0, 2 / 5),
        ("B", "AC", 0.0, 0.0),
        ("I do not know", "AC", 0.0, 0.0),
        ("<think>A and B?</think>The answer is A and C.", "AC", 1.0, 1.0),
    ],
)
def test_several_letters_whole_and_in_part(said: str, key: object, whole: float, part: float) -> None:
    asked = PromptRow(Dialogue((Message("user", "Which?"),), Source("a.jsonl", 7)), (5,), None, {"key": key})
    for partial, wanted in ((False, whole), (True, part)):
        entry = RewardFunction(name="set_correct", column="key", partial=partial)
        assert NamedReward(entry).scores(asked, [said]) == pytest.approx([wanted])


@pytest.mark.parametrize(
    ("said", "reference", "f1"),
    [
        ("Ibuprofen", "ibuprofen", 1.0),
        ("The drug is ibuprofen.", "ibuprofen", 2 * (1 / 3) / (1 / 3 + 1)),  # drug, is, ibuprofen
        ("give 1,000 mg", "1000mg", 2 * (2 / 3) / (2 / 3 + 1)),  # give, 1000, mg
        ("2.5 mg", "25 mg", 0.5),  # mg alone
        ("高血壓和糖尿病", "糖尿病", 2 * (3 / 7) / (3 / 7 + 1)),
        ("高血压", "糖尿病", 0.0),
        ("fever fever fever", "fever", 0.5),  # each as often as in both
        ("", "fever", 0.0),
        ("A", "A", 1.0),
        ("cough", ["dyspnea", "dry cough"], 2 * (1 / 2) / (1 + 1 / 2)),
        ("<think>fever</think>cough", "fever", 0.0),
    ],
)
def test_f1_of_a_short_answer(said: str, reference: object, f1: float) -> None:
    asked = PromptRow(Dialogue((Message("user", "Which?"),), Source("a.jsonl", 7)), (5,), None, {"key": reference})
    entry = RewardFunction(name="short_answer_f1", column="key")
    assert NamedReward(entry).scores(asked, [said]) == pytest.approx([f1])


@pytest.mark.parametrize(
    ("name", "value"), [("set_correct", "fever"), ("short_answer_f1", "…?!"), ("short_answer_f1", [])]
)
def test_references_that_the_new_rewards_cannot_use(name: RewardName, value: object) -> None:
    asked = PromptRow(Dialogue((Message("user", "Which?"),), Source("a.jsonl", 7)), (5,), None, {"key": value})
    with pytest.raises(DataError, match=rf"a.jsonl:7: reward {name} compares with the column 'key'"):
        NamedReward(RewardFunction(name=name, column="key")).prepare([asked])


def test_partial_is_for_sets_of_letters() -> None:
    with pytest.raises(ValueError, match="partial is for set_correct; 'exact' does not know it"):
        RewardFunction(name="exact", partial=True)
