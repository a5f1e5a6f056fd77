"""The web page as people use it: a real server with a tiny model, in headless Chromium.

Pictures go to the folder that MEDICALGPT_SCREENSHOTS names, else to the test's own.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from tests.tiny import save_tiny
from tests.web_page import Server, Visit, chromium, served

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.serve.web.texts import CHINESE, ENGLISH

pytestmark = pytest.mark.slow
QUESTION = "What is a fever? K<abc"
LONG, SHORT = 3000, 200


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # So many layers that an answer of LONG tokens takes several seconds, whatever the machine: time to stop it.
    return save_tiny(tmp_path_factory.mktemp("model") / "tiny", max_position_embeddings=4096, num_hidden_layers=32)


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("server"), "--model", model, "--max-new-tokens", LONG) as found:
        yield found


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
    with chromium() as opened:
        yield opened


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
    bin_of_gradio = tab.page.locator('#chat button[title="清空對話"]')
    assert bin_of_gradio.count() == 1
    assert not bin_of_gradio.is_visible()
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


def test_a_long_conversation_of_a_dark_page_is_printed_whole_in_dark_letters(visit: Any) -> None:
    tab = visit(color_scheme="dark")
    tab.ask("fever " * 900)
    tab.page.wait_for_selector("#chat .bot")
    tab.page.wait_for_timeout(500)
    tab.stop()
    tab.page.emulate_media(media="print")
    whole, end = tab.page.evaluate(
        """() => [document.documentElement.scrollHeight,
                 [...document.querySelectorAll('#chat .message')].at(-1).getBoundingClientRect().bottom + scrollY]"""
    )
    assert end > 1000
    assert end <= whole
    for part in ("#title h1", "#disclaimer p", "#chat .user .message-content", "#chat .bot .message-content"):
        ink = tab.page.evaluate(f"getComputedStyle(document.querySelector('{part}')).color")
        assert _brightness(ink) < 60, part
    clipped = "[...document.querySelectorAll('#chat, #chat *')].filter(e => getComputedStyle(e).overflowY != 'visible')"
    assert tab.page.evaluate(f"{clipped}.filter(e => !e.closest('svg, .katex')).length") == 0


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
