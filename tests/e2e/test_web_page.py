"""The web page as people use it: a real server with a tiny model, in headless Chromium.

Pictures go to the folder that MEDICALGPT_SCREENSHOTS names, else to the test's own.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from tests.tiny import save_tiny

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.serve.web.simplified import SIMPLIFIED
from medicalgpt.serve.web.texts import CHINESE, ENGLISH

pytestmark = pytest.mark.slow
QUESTION = "What is a fever? K<abc"
LONG, SHORT = 3000, 200
_OVERFLOWING = """() => {
    const found = [];
    for (const e of document.querySelectorAll('body *')) {
        const style = getComputedStyle(e), box = e.getBoundingClientRect();
        // What has no size is hidden, and what is one pixel wide is for screen readers.
        if (style.display == 'none' || style.visibility == 'hidden' || box.width < 2 || box.height < 2) continue;
        const name = [e.tagName, e.id, String(e.getAttribute('class')).slice(0, 40)].join(' ');
        if (box.left < -1 || box.right > innerWidth + 1) found.push(`${name}: ${box.left}–${box.right} of ${innerWidth}`);
        const cut = e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1 && style.display != 'inline'
            && style.textOverflow != 'ellipsis';
        if (cut && (style.overflowX != 'visible' || !e.children.length))
            found.push(`${name}: ${e.scrollWidth} in ${e.clientWidth}`);
    }
    return found;
}"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """`medicalgpt demo` in a process of its own."""

    url: str
    ratings: Path
    process: subprocess.Popen[str]
    log: Path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # So many layers that an answer of LONG tokens takes several seconds, whatever the machine: time to stop it.
    return save_tiny(tmp_path_factory.mktemp("model") / "tiny", max_position_embeddings=4096, num_hidden_layers=32)


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, port = tmp_path_factory.mktemp("server"), _free_port()
    log = folder / "log.txt"
    words = ["--model", str(model), "--port", str(port), "--feedback", str(folder / "ratings.jsonl")]
    with log.open("w") as out:
        command = [
            sys.executable,
            "-m",
            "medicalgpt",
            "demo",
            *words,
            "--max-new-tokens",
            str(LONG),
            "--temperature",
            "0",
        ]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 300
    while "Ctrl-C ends it" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    yield Server(f"http://127.0.0.1:{port}", folder / "ratings.jsonl", process, log)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


@pytest.fixture(scope="module")
def seed(model: Path) -> int:
    """A seed whose answer ends by itself, and so does that of the next one, which asking again takes."""
    from medicalgpt.data.records import Message
    from medicalgpt.generate.engine import Engine
    from medicalgpt.generate.sampling import (
        Sampling,
        row_seed,  # noqa: F401
    )

    engine, ended = Engine.open(str(model)), -1
    for seed in range(200):
        sampling = Sampling(max_new_tokens=SHORT, temperature=0.7, top_p=0.9, seed=seed)
        (found,) = engine.generate([[Message("user", QUESTION)]], sampling)
        if found.stopped and len(found.token_ids) > 10:
            if ended == seed - 1 >= 0:
                return ended
            ended = seed
    raise AssertionError("no seed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@dataclass
class Visit:
    """A tab, and what the tests want to do and see in it."""

    page: Any
    shots: Path
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    def ask(self, question: str) -> None:
        self.page.fill("#ask textarea", question)
        self.page.press("#ask textarea", "Enter")
        # The box is emptied when the server has the question; a refused question comes back, with the reason.
        self.page.wait_for_function(
            "document.querySelector('#ask textarea').value == '' || document.querySelector('#status .error')"
        )

    def stop(self) -> None:
        """At temperature 0 the tiny model repeats itself up to the longest answer, so there is time to."""
        self.page.click("#stop")
        self.wait_for_answer()
        assert self.status() in (ENGLISH.stopped, CHINESE.stopped)

    def wait_for_answer(self) -> None:
        self.page.wait_for_selector("#stop", state="hidden", timeout=120_000)
        self.page.wait_for_function("document.querySelector('#status').innerText != ''")

    def set(self, box: str, value: object) -> None:
        """Until it stays: sliders just shown take their first value a moment later, and no hand is as quick as this one."""
        field = f"#{box} input[type=number], #{box} textarea, #{box} input[type=text]"
        for _ in range(20):
            self.page.fill(field, str(value))
            self.page.press(field, "Tab")
            self.page.wait_for_timeout(500)
            if self.page.input_value(field) == str(value):
                return
        raise AssertionError(f"{box} shows {self.page.input_value(field)}, not {value}")

    def bubbles(self, role: str) -> list[str]:
        return [e.inner_text() for e in self.page.query_selector_all(f"#chat .message.{role}, #chat .{role}.message")]

    def click(self, label: str) -> None:
        self.page.locator(f'#chat button[aria-label="{label}"]').last.click()

    def status(self) -> str:
        return str(self.page.inner_text("#status")).strip()

    def status_becomes(self, text: str) -> None:
        wanted = "(t) => document.querySelector('#status').innerText.includes(t)"
        try:
            self.page.wait_for_function(wanted, arg=text)
        except Exception as error:
            box, stop = self.page.input_value("#ask textarea")[:80], self.page.is_visible("#stop")
            seen = f"status {self.status()!r}, box {box!r}, stop shown {stop}, complaints {self.complaints}"
            raise AssertionError(f"never saw {text!r}: {seen}") from error

    def shot(self, name: str) -> None:
        self.page.wait_for_timeout(400)
        self.page.screenshot(path=str(self.shots / f"{name}.png"))

    def width_fits(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))

    def overflowing(self) -> list[str]:
        """What is seen and reaches beyond the window, or beyond a box that would have to be scrolled sideways for it."""
        return list(self.page.evaluate(_OVERFLOWING))

    def disclaimer_in_sight(self) -> bool:
        box = self.page.locator("#disclaimer p").bounding_box()
        return bool(box and box["y"] >= 0 and box["y"] + box["height"] <= self.page.viewport_size["height"])


@pytest.fixture
def visit(browser: Any, server: Server, tmp_path: Path) -> Iterator[Any]:
    shots = Path(os.environ.get("MEDICALGPT_SCREENSHOTS", tmp_path))
    shots.mkdir(parents=True, exist_ok=True)
    contexts = []

    def opened(width: int = 1280, height: int = 800, **more: Any) -> Visit:
        context = browser.new_context(viewport={"width": width, "height": height}, **{"locale": "en-US", **more})
        contexts.append(context)
        tab = Visit(context.new_page(), shots)
        tab.page.on("request", lambda request: tab.hosts.add(request.url.split("/")[2] if "//" in request.url else ""))
        tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
        tab.page.goto(server.url)
        tab.page.wait_for_selector("#chat .examples, #chat [class*=example]", timeout=60_000)
        return tab

    yield opened
    for context in contexts:
        context.close()


def test_a_conversation_from_the_first_question_to_the_file(visit: Any, server: Server, seed: int) -> None:
    tab = visit()
    tab.shot("empty")
    tab.page.click("#settings button")
    tab.set("max-new-tokens", SHORT)
    tab.set("temperature", 0.7)
    tab.set("seed", seed)
    tab.shot("settings")
    tab.ask(QUESTION)
    tab.wait_for_answer()
    assert tab.bubbles("user")[0].strip().replace("\u2060", "") == QUESTION
    first = tab.bubbles("bot")[0]
    assert "a second" in tab.status()
    tab.click("Dislike")
    tab.status_becomes(ENGLISH.rated)
    tab.click("Retry")
    tab.page.wait_for_selector("#stop", state="visible")
    tab.wait_for_answer()
    assert tab.bubbles("bot")[0] != first
    assert tab.page.inner_text("#version") == "Answer 2 of 2"
    tab.click("Like")
    tab.status_becomes(ENGLISH.paired.format(pairs=1))
    tab.shot("rated")
    (pair,) = read([server.ratings], "preference", ledger=Ledger())
    verdicts = list(read([server.ratings.with_name("ratings.kto.jsonl")], "feedback", ledger=Ledger()))
    assert [turn.content for turn in pair.prompt] == [QUESTION]  # type: ignore[union-attr]
    assert [v.desirable for v in verdicts] == [False, True]  # type: ignore[union-attr]
    assert verdicts[0].answer == pair.rejected  # type: ignore[union-attr]
    tab.page.click("#earlier")
    tab.page.wait_for_function("document.querySelector('#version').innerText == 'Answer 1 of 2'")
    assert tab.bubbles("bot")[0] == first
    for button in ("markdown", "json"):
        with tab.page.expect_download() as download:
            tab.page.click(f"#{button}")
        text = Path(download.value.path()).read_text(encoding="utf-8")
        assert QUESTION in text
        assert download.value.suggested_filename.endswith({"markdown": ".md", "json": ".json"}[button])
    assert json.loads(text)["messages"][0] == {"role": "user", "content": QUESTION}
    assert tab.hosts == {server.url.split("/")[2], ""} or tab.hosts == {server.url.split("/")[2]}
    assert tab.complaints == []
    tab.page.reload()
    tab.page.wait_for_selector("#chat [class*=example]")
    assert tab.bubbles("user") == []
    log = server.log.read_text()
    assert QUESTION not in log
    assert "Traceback" not in log


def test_tokens_stream_and_an_answer_can_be_stopped_and_its_question_edited(visit: Any) -> None:
    tab = visit()
    tab.ask("fever")
    lengths = tab.page.evaluate(
        """async () => {
            const seen = new Set();
            for (let i = 0; i < 200 && seen.size < 5; i++) {
                const bot = document.querySelector('#chat .bot');
                if (bot) seen.add(bot.innerText.length);
                await new Promise(done => setTimeout(done, 50));
            }
            return [...seen];
        }"""
    )
    assert len(lengths) == 5
    assert lengths == sorted(lengths)
    tab.shot("streaming")
    tab.page.fill("#ask textarea", "pulse")
    tab.page.press("#ask textarea", "Enter")
    tab.status_becomes(ENGLISH.still_answering)
    assert tab.page.input_value("#ask textarea") == "pulse"
    assert tab.page.is_visible("#stop")
    tab.stop()
    stopped = tab.bubbles("bot")[0]
    tab.click("Like")
    tab.status_becomes(ENGLISH.not_rated)
    tab.page.locator('#chat button[aria-label="Edit"]').first.click()
    tab.page.locator("#chat textarea").first.fill("blood pressure")
    tab.page.locator('#chat button[aria-label="Submit"]').first.click()
    tab.page.wait_for_selector("#stop", state="visible")
    tab.page.wait_for_timeout(500)
    tab.stop()
    assert [b.strip() for b in tab.bubbles("user")] == ["blood pressure"]
    assert tab.bubbles("bot")[0] != stopped
    tab.page.click("#clear")
    tab.page.wait_for_selector("#chat [class*=example]")
    assert tab.bubbles("user") == []


def test_errors_are_words_on_the_page(visit: Any, server: Server) -> None:
    tab = visit()
    tab.ask("fever " * 4000)
    tab.status_becomes("The question has")
    assert tab.page.input_value("#ask textarea").startswith("fever fever")
    tab.shot("too-long")
    tab.page.click("#settings button")
    tab.set("max-new-tokens", 4090)
    tab.ask("fever")
    tab.status_becomes("6 fit, as 4090 are kept for the answer")
    assert "Traceback" not in server.log.read_text()


def test_a_phone_in_chinese_and_a_dark_screen(visit: Any) -> None:
    tab = visit(width=390, height=800, locale="zh-TW", color_scheme="dark", has_touch=True, is_mobile=True)
    tab.shot("phone-empty-zh-dark")
    tab.page.wait_for_function("(t) => document.body.innerText.includes(t)", arg=CHINESE.welcome)
    assert CHINESE.disclaimer in tab.page.inner_text("#disclaimer")
    assert ENGLISH.welcome not in tab.page.inner_text("body")
    assert tab.width_fits()
    tab.shot("phone-empty-zh-dark")
    tab.page.locator("#chat button", has_text=CHINESE.examples[0]).click()
    tab.page.wait_for_selector("#chat .bot")
    tab.page.wait_for_timeout(1500)
    tab.stop()
    tab.shot("phone-zh-dark")
    assert tab.width_fits()
    assert tab.disclaimer_in_sight()
    tab.page.evaluate("document.querySelector('#export').scrollIntoView()")
    tab.shot("phone-below")
    assert tab.disclaimer_in_sight()
    color = "getComputedStyle(document.querySelector('gradio-app')).backgroundColor"
    assert _brightness(tab.page.evaluate(color)) < 60
    tab.page.click("#dark")
    tab.page.wait_for_function(f"{color} == 'rgb(255, 255, 255)'")
    tab.page.click("#language")
    tab.page.wait_for_function("(t) => document.querySelector('#disclaimer').innerText == t", arg=ENGLISH.disclaimer)
    tab.shot("phone-en-light")


def test_nothing_overflows_at_five_widths_in_two_themes_and_three_languages(visit: Any) -> None:
    tab = visit(width=1280)
    for opened in ("settings", "export"):
        if not tab.page.is_visible("#seed" if opened == "settings" else "#markdown"):
            tab.page.click(f"#{opened} button")
    found: dict[str, list[str]] = {}
    for texts in (ENGLISH, SIMPLIFIED, CHINESE):  # the order in which the button goes through them
        tab.page.set_viewport_size({"width": 1280, "height": 800})
        tab.page.wait_for_function(
            "(t) => document.querySelector('#chat').innerText.includes(t)", arg=texts.examples[0]
        )
        for theme in ("light", "dark"):
            for width in (320, 360, 390, 430, 1280):
                tab.page.set_viewport_size({"width": width, "height": 800})
                tab.page.wait_for_timeout(150)
                if width in (320, 1280):
                    tab.shot(f"walk-{texts.language}-{theme}-{width}")
                if beyond := tab.overflowing():
                    found[f"{texts.language} {theme} {width}"] = beyond
            tab.page.click("#dark")
        tab.page.click("#language")
    assert found == {}


def test_the_line_below_the_answer_is_empty_while_it_is_seen_to_grow(visit: Any) -> None:
    tab = visit()
    tab.ask("fever")
    tab.page.wait_for_selector("#chat .bot")
    tab.page.wait_for_function("document.querySelector('#chat .bot').innerText.length > 20")
    assert tab.page.is_visible("#stop")
    assert tab.status() == ""
    tab.stop()


def test_dark_on_a_desktop(visit: Any) -> None:
    tab = visit(color_scheme="dark")
    tab.ask("fever")
    tab.page.wait_for_selector("#chat .bot")
    tab.page.wait_for_timeout(1000)
    tab.stop()
    tab.shot("dark")
    of = "getComputedStyle(document.querySelector('{}')).{}".format
    body, text = map(tab.page.evaluate, (of("gradio-app", "backgroundColor"), of("#title h1", "color")))
    assert _brightness(body) < 60 < 160 < _brightness(text)


def test_a_picture_in_an_answer_asks_no_other_host(visit: Any, server: Server) -> None:
    tab = visit()
    tab.ask("![x](https://example.org/x.png) <img src=https://example.org/y.png>")
    tab.page.wait_for_selector("#chat .bot")
    tab.page.wait_for_timeout(500)
    tab.stop()
    blocked = tab.page.evaluate("""() => fetch('https://example.org/').then(() => 'loaded', () => 'blocked')""")
    assert blocked == "blocked"
    assert tab.page.evaluate(
        "[...document.images].every(i => i.naturalWidth == 0 || i.src.startsWith(location.origin))"
    )


def test_what_the_page_does_not_need_is_not_there(server: Server) -> None:
    with urlopen(server.url, timeout=30) as page:
        policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    for path in (
        "/gradio_api/info",
        "/gradio_api/file=/etc/hostname",
        "/monitoring",
        "/openapi.json",
        "/gradio_api/runs",
    ):
        with pytest.raises(HTTPError, match="404"):
            urlopen(server.url + path, timeout=30)


def test_a_closed_tab_frees_the_model(visit: Any, server: Server) -> None:
    tab = visit()
    tab.ask("fever")
    tab.page.wait_for_selector("#chat .bot")
    tab.page.close()
    other = visit()
    other.page.click("#settings button")
    other.set("max-new-tokens", 5)
    other.ask("fever")
    other.wait_for_answer()
    assert "Cut off after 5 tokens" in other.status()


def _brightness(color: str) -> float:
    numbers = [float(n) for n in color[color.index("(") + 1 : -1].split(",")[:3]]
    return sum(numbers) / 3
