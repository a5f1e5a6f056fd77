"""The terminal chat, with an engine that plays a script."""

import io
from collections.abc import Iterator
from typing import Literal

import pytest
from rich.console import Console

from medicalgpt.config.emergency import find
from medicalgpt.data.records import Message
from medicalgpt.errors import ServeError
from medicalgpt.generate.engine import Completion
from medicalgpt.generate.prompts import EncodedPrompt
from medicalgpt.generate.sampling import Sampling
from medicalgpt.serve.chat import Chat
from medicalgpt.serve.disclaimer import disclaimers


class Script:
    """Answers with the given pieces; an exception among them is raised in its place."""

    def __init__(self, *answers: list, drops: int = 0, stopped: bool = True, thinking: bool = False) -> None:
        self.answers, self.drops, self.stopped, self.thinking = iter(answers), drops, stopped, thinking
        self.prompts: list[list[Message]] = []
        self.indices: list[int] = []
        self.closed = 0

    def prepare(self, prompt: list[Message], sampling: Sampling) -> EncodedPrompt:
        if "too long" in prompt[-1].content:
            raise ServeError("the question has 900 tokens")
        return EncodedPrompt([1], self.drops if len(prompt) > self.drops else 0, self.thinking)

    def stream(self, prompt: list[Message], sampling: Sampling, *, index: int) -> Iterator[str]:
        self.prompts.append(prompt)
        self.indices.append(index)
        pieces = next(self.answers)
        try:
            for piece in pieces:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            self.closed += 1
        return Completion("".join(pieces), [1, 2, 3], self.stopped, 1)


def chat(engine: Script, *lines: object, system: str | None = None, thinking: Literal["show", "hide"] = "show") -> str:
    """What is printed when these lines are typed."""
    typed = iter(lines)

    def read() -> str:
        line = next(typed, EOFError())
        if isinstance(line, BaseException):
            raise line
        return str(line)

    console = Console(file=io.StringIO(), width=200)
    Chat(engine, Sampling(), read, console, system, thinking=thinking).run()  # type: ignore[arg-type]
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def texts(prompt: list[Message]) -> list[str]:
    return [m.content for m in prompt]


def test_the_disclaimer_comes_first_in_both_languages() -> None:
    out = chat(Script())
    assert out.startswith(disclaimers())
    assert "not a doctor" in out
    assert "不是醫師" in out
    assert "不是医生" in out


def test_the_disclaimer_names_the_number_that_was_chosen() -> None:
    console = Console(file=io.StringIO(), width=200)

    def ended() -> str:
        raise EOFError

    Chat(Script(), Sampling(), ended, console, emergency=find("CN")).run()  # type: ignore[arg-type]
    head = console.file.getvalue().split("/help")[0]  # type: ignore[attr-defined]
    assert head.count("120") == 3
    assert "119" not in head


def test_the_conversation_is_remembered() -> None:
    engine = Script(["38 ", "degrees"], ["A day"])
    out = chat(engine, "What is a fever?", "", "How long?", system="Be brief.")
    assert "38 degrees\n" in out
    assert texts(engine.prompts[1]) == ["Be brief.", "What is a fever?", "38 degrees", "How long?"]
    assert [m.role for m in engine.prompts[1]] == ["system", "user", "assistant", "user"]
    assert engine.indices[0] != engine.indices[1]  # else a sampled answer would reuse the first one's numbers


def test_clear_and_system_start_over() -> None:
    engine = Script(["one"], ["two"], ["three"])
    out = chat(engine, "a", "/clear", "b", "/system Be kind.", "/system", "c")
    assert texts(engine.prompts[1]) == ["b"]
    assert texts(engine.prompts[2]) == ["Be kind.", "c"]
    assert "system message: Be kind." in out


def test_help_exit_and_unknown_commands() -> None:
    engine = Script()
    out = chat(engine, "/help", "/claer", "/exit", "never asked")
    assert out.count("/system TEXT") == 2
    assert "/claer is no command; did you mean '/clear'?" in out
    assert engine.prompts == []


def test_ctrl_c_stops_the_answer_and_keeps_what_was_shown() -> None:
    engine = Script(["half ", KeyboardInterrupt()], [KeyboardInterrupt()], ["ok"])
    out = chat(engine, "a", "b", "c")
    assert "half \n(stopped)" in out
    assert texts(engine.prompts[2]) == ["a", "half ", "c"]  # nothing of b was shown, so it is forgotten
    assert engine.closed == 3


def test_ctrl_c_at_the_prompt_leaves_nothing() -> None:
    engine = Script(["fine"])
    assert "Ctrl-D or /exit" in chat(engine, KeyboardInterrupt(), "a")
    assert len(engine.prompts) == 1


def test_an_answer_that_was_cut_off_says_so() -> None:
    assert "(cut off after 3 tokens (--max-new-tokens))" in chat(Script(["long"], stopped=False), "a")


def test_dropped_turns_are_said_and_forgotten() -> None:
    engine = Script(["one"], ["two"], drops=2)
    out = chat(engine, "a", "b")
    assert "oldest 2 turns" in out
    assert texts(engine.prompts[1]) == ["b"]


@pytest.mark.parametrize("second", ["too long", "fails"])
def test_an_error_is_shown_and_the_question_forgotten(second: str) -> None:
    answers = [["one"], ["three"]] if second == "too long" else [["one"], [ServeError("the model failed")], ["three"]]
    engine = Script(*answers)
    out = chat(engine, "a", second, "c")
    assert "error: the question has 900 tokens" in out or "error: the model failed" in out
    assert texts(engine.prompts[-1]) == ["a", "one", "c"]


def test_a_model_cannot_send_commands_to_the_terminal() -> None:
    out = chat(Script(["\x1b[2Jred [bold]text[/bold]\x9b\tx\n"]), "a")
    assert "[2Jred [bold]text[/bold]\tx\n" in out.replace("        ", "\t")
    assert "\x1b" not in out
    assert "\x9b" not in out


@pytest.mark.parametrize("opened", [False, True])
def test_thoughts_are_shown_or_hidden_and_remembered(opened: bool) -> None:
    pieces = [
        "" if opened else "<thi",
        "" if opened else "nk>",
        "\n38 is ",
        "a fever.\n</thi",
        "nk>\n\n",
        "Yes, ",
        "it is.",
    ]
    shown, hidden = (Script(pieces, ["Drink."], thinking=opened) for _ in range(2))
    out = chat(shown, "a", "b", thinking="show")
    assert "38 is a fever.\n\nYes, it is.\n" in out
    out = chat(hidden, "a", "b", thinking="hide")
    assert "(thinking …)\n\nYes, it is.\n" in out
    assert "38 is" not in out
    for text in ("think>", "</thi"):
        assert text not in out
    # What the model sees of past thoughts is the template's choice, so they stay in the turn.
    assert texts(shown.prompts[1]) == texts(hidden.prompts[1]) == ["a", "".join(pieces), "b"]


@pytest.mark.parametrize("end", [[KeyboardInterrupt()], []])
def test_half_a_thought_is_forgotten(end: list) -> None:
    engine = Script(["<think>38", *end], ["ok"], stopped=False)
    out = chat(engine, "a", "b")
    assert texts(engine.prompts[1]) == ["b"]
    assert ("stopped" if end else "still thinking") in out
