"""A row that no detector could look at does not pass, and neither does one that still holds what was found."""

from collections.abc import Sequence

import pytest

from medicalgpt.config.curation import PersonalDataConfig
from medicalgpt.curation.personal import FAILED, LEAKED, Cleaner, refuse
from medicalgpt.curation.rows import texts_in, with_texts
from medicalgpt.phi import Detector, Kind, Span

CONFIG = PersonalDataConfig(detectors=["patterns"])


class Fake:
    """Finds the word in the first field where it stands, and breaks at another one."""

    def __init__(self, word: str = "", breaks_at: str = "\0") -> None:
        self.word, self.breaks_at, self.calls = word, breaks_at, 0

    def find_documents(self, documents: Sequence[Sequence[str]]) -> list[list[list[Span]]]:
        self.calls += 1
        if any(self.breaks_at in text for fields in documents for text in fields):
            raise ValueError(f"the words of a row: {self.breaks_at}")
        found = []
        for fields in documents:
            first = next((n for n, text in enumerate(fields) if self.word and self.word in text), None)
            found.append([[self._span(text)] if n == first else [] for n, text in enumerate(fields)])
        return found

    def _span(self, text: str) -> Span:
        at = text.index(self.word)
        return Span(at, at + len(self.word), Kind.NAME, "fake", 1.0)


def row(question: str, answer: str = "好好休息。") -> dict[str, object]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def test_one_row_on_which_a_detector_fails_does_not_pass_and_the_others_do() -> None:
    cleaner = Cleaner(CONFIG, Fake(breaks_at="坏"))
    cleaned = cleaner.clean([row("好的"), row("坏的"), row("也好")])
    assert [one.row is None for one in cleaned] == [False, True, False]
    assert cleaned[1].reason == FAILED
    assert "坏" not in str(refuse("rows.jsonl:2", cleaned[1]))


def _knows(word: str) -> Detector:
    """A detector whose finder of its own finds a word at its first place alone."""

    def finder(texts: Sequence[str]) -> list[list[Span]]:
        first = next((n for n, text in enumerate(texts) if word in text), None)
        return [
            [Span(text.index(word), text.index(word) + len(word), Kind.NAME, "mine", 0.5)] if n == first else []
            for n, text in enumerate(texts)
        ]

    return Detector(("zh",), ("patterns",), more=[finder])


def test_what_was_found_in_one_field_is_masked_in_all_and_within_words() -> None:
    (cleaned,) = Cleaner(CONFIG, _knows("欧阳建国")).clean([row("我叫欧阳建国", "老欧阳建国们您好，欧阳您好")])
    assert cleaned.row == row("我叫[姓名1]", "老[姓名1]们您好，欧阳您好")
    assert cleaned.found == {"name": 2}


def test_a_detector_that_leaves_a_second_place_does_not_let_the_row_pass() -> None:
    (cleaned,) = Cleaner(CONFIG, Fake("欧阳建国")).clean([row("我叫欧阳建国", "老欧阳建国们您好")])
    assert (cleaned.row, cleaned.reason, cleaned.kinds_left) == (None, LEAKED, ("name",))


def test_a_short_latin_name_within_a_word_is_no_leak_and_a_long_one_is() -> None:
    (cleaned,) = Cleaner(CONFIG, Fake("Mark")).clean([row("Mark came", "Marked improvement, Markers fell.")])
    assert cleaned.row == row("[NAME1] came", "Marked improvement, Markers fell.")
    (cleaned,) = Cleaner(CONFIG, Fake("Mark Lindqvist")).clean([row("Mark Lindqvist came", "SeenMark Lindqvists")])
    assert cleaned.reason == LEAKED


def test_what_stands_there_still_does_not_pass() -> None:
    (cleaned,) = Cleaner(CONFIG, Fake("NAME1")).clean([row("Mr. NAME1 came", "Rest well.")])
    assert cleaned.row is None, "the mask [NAME1] holds the value itself"
    assert (cleaned.reason, cleaned.kinds_left) == (LEAKED, ("name",))
    told = str(refuse("rows.jsonl:1", cleaned))
    assert told.startswith("rows.jsonl:1: ")
    assert "(name)" in told
    assert "Mr." not in told


def test_found_once_it_is_masked_and_counted() -> None:
    (cleaned,) = Cleaner(CONFIG, Fake("欧阳建国")).clean([row("我叫欧阳建国")])
    assert cleaned.row == row("我叫[姓名1]")
    assert cleaned.found == {"name": 1}


def test_arguments_of_calls_are_looked_at_and_names_of_functions_are_not() -> None:
    call = {
        "type": "function",
        "function": {"name": "find", "arguments": {"patient": {"name2": ["13812345678", 5, None]}}},
    }
    given: dict[str, object] = {"messages": [{"role": "assistant", "content": "查一下", "tool_calls": [call]}]}
    assert list(texts_in(given)) == ["查一下", "13812345678"]
    (cleaned,) = Cleaner(CONFIG).clean([given])
    assert cleaned.row is not None
    assert list(texts_in(cleaned.row)) == ["查一下", "[电话1]"]
    assert with_texts(cleaned.row, lambda text: text) == cleaned.row


@pytest.mark.parametrize("operator", ["mask", "drop"])
def test_operators_that_need_no_key(operator: str) -> None:
    config = PersonalDataConfig(detectors=["patterns"], operator=operator)  # type: ignore[arg-type]
    (cleaned,) = Cleaner(config).clean([row("电话13812345678")])
    assert cleaned.row == row("电话[电话1]" if operator == "mask" else "电话")
