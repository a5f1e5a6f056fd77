"""A template that never ends is broken off, and nothing else is: not what comes after it, and not other threads."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from tests.texts import byte_level
from tests.tiny import CHATML

from medicalgpt.data.records import Message
from medicalgpt.data.time_limit import within
from medicalgpt.errors import RenderError
from medicalgpt.rendering import template_text
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.template_header import read_info

LOOP = "".join(f"{{%- for {i} in range(90000) -%}}" for i in "abc") + "{%- endfor -%}" * 3


def spin(seconds: float) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(50))
    return "done"


def test_a_call_in_time_gives_what_it_gives() -> None:
    assert within(5.0, lambda: "text") == "text"
    with pytest.raises(KeyError):
        within(5.0, lambda: {}["x"])


def test_a_call_over_time_is_broken_off_and_what_follows_is_not() -> None:
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(TimeoutError, match=r"not done after 0\.2 s"):
            within(0.2, lambda: spin(60))
        assert time.monotonic() - began < 30
        assert spin(0.3) == "done"
    assert within(5.0, lambda: spin(0.3)) == "done"


def test_the_exception_may_come_between_any_two_lines() -> None:
    """With a tracer, as a debugger or a coverage tool sets one, it came behind a lock taken and before the block that would
    give it back, and the thread waited for itself.
    """
    ended: list[str] = []

    def slowed(frame: FrameType, event: str, _: object) -> Callable[..., object] | None:
        if not frame.f_code.co_filename.endswith("time_limit.py"):
            return None
        if event == "line":
            time.sleep(0.02)
        return slowed

    def work() -> None:
        sys.settrace(slowed)
        for call_takes in (0.1, 0.2, 0.25, 0.3, 0.35, 0.4):
            try:
                within(0.1, lambda seconds=call_takes: time.sleep(seconds))
                ended.append("done")
            except TimeoutError:
                ended.append("over time")
        sys.settrace(None)
        assert within(5.0, lambda: spin(0.3)) == "done"
        ended.append("all")

    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ended.count("all") == 4
    assert len(ended) == 28


@pytest.mark.filterwarnings("ignore:Exception ignored in")
def test_an_exception_that_nobody_could_see_ends_the_call_all_the_same() -> None:
    """What is raised in a finalizer is printed, and lost."""

    class Last:
        def __del__(self) -> None:
            spin(1.0)

    def call() -> str:
        del_me = Last()
        del del_me
        return "done"

    with pytest.raises(TimeoutError):
        within(0.1, call)
    assert within(5.0, lambda: spin(0.5)) == "done"


def test_a_call_that_swallows_every_error_is_broken_off_too() -> None:
    def stubborn() -> None:
        while True:
            with contextlib.suppress(Exception):
                spin(60)

    with pytest.raises(TimeoutError):
        within(0.2, stubborn)


def test_only_the_thread_that_takes_too_long_is_broken_off() -> None:
    found: dict[str, str] = {}

    def work(name: str, seconds: float, limit: float) -> None:
        try:
            found[name] = within(limit, lambda: spin(seconds))
        except TimeoutError:
            found[name] = "over time"

    jobs = [("quick", 0.1, 5.0), ("slow", 0.8, 20.0), ("endless", 60.0, 0.2)]
    threads = [threading.Thread(target=work, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {"quick": "done", "slow": "done", "endless": "over time"}


@pytest.mark.parametrize("where", ["always", "with tools", "in long conversations"])
def test_a_template_that_never_ends_is_refused(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_text, "SECONDS", 0.3)
    when = {"always": "true", "with tools": "tools", "in long conversations": "messages|length > 3"}[where]
    source = f"{{%- if {when} -%}}{LOOP}{{%- endif -%}}{CHATML}"
    began = time.monotonic()

    def use() -> str:
        template = ChatTemplate.of_text(byte_level(), source, "x")
        _ = template.tool_use
        return template.text(messages(4))

    with pytest.raises(RenderError, match=r"'x' was not done with a conversation of \d turns after 0\.3 s"):
        use()
    assert time.monotonic() - began < 20


def messages(count: int) -> list[Message]:
    return [Message("user" if i % 2 == 0 else "assistant", "text") for i in range(count)]


def test_the_sandbox_stays() -> None:
    """What a template may not do is refused by Jinja, not run until it is over time."""
    source = "{{ ''.__class__.__mro__[1].__subclasses__() }}" + CHATML
    with pytest.raises(RenderError, match="cannot render this conversation"):
        ChatTemplate.of_text(byte_level(), source, "x")


# -- files --------------------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_utf_8_is_placed_on_its_line(tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_bytes(CHATML.encode() + "\n{# 高血壓 #}".encode("big5"))
    line = CHATML.count("\n") + 2
    with pytest.raises(RenderError, match=rf"own\.jinja:{line}: the file is not UTF-8; save it as UTF-8"):
        ChatTemplate.load(byte_level(), str(file))
    file.write_bytes(b"\xef\xbb\xbf" + CHATML.encode())
    assert ChatTemplate.load(byte_level(), str(file)).source.endswith(CHATML)


def test_a_template_of_megabytes_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text(CHATML + "{#" + "x" * (5 << 20) + "#}", encoding="utf-8")
    with pytest.raises(RenderError, match=r"has 4,194,3\d\d characters; allowed: up to 1,048,576"):
        ChatTemplate.load(byte_level(), str(file))


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("stop: " + "[" * 5000 + "\n", "it is nested too deep"),
        ("when: 2024-13-45\n", "is not YAML"),
        ("url: " + "x" * 30_000 + "\n", r"has 30,0\d\d characters, allowed: 20,000"),
        ("source: [unclosed\n", "is not YAML"),
    ],
    ids=["deep", "no date", "long", "unclosed"],
)
def test_a_hostile_head_is_an_error(head: str, said: str) -> None:
    with pytest.raises(RenderError, match=f"chat template 'x': the comment at its head {said}|{said}"):
        read_info("{#- medicalgpt template\n" + head + "-#}" + CHATML, "x")


def test_heads_that_never_close_take_no_time() -> None:
    began = time.monotonic()
    assert read_info("{# medicalgpt template\n" * 40_000, "x") is None
    assert time.monotonic() - began < 20  # the square of it took minutes
