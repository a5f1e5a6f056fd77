"""A served web page with a tiny model, and a tab of headless Chromium in which tests do and see what people would."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from medicalgpt.serve.web.texts import CHINESE, ENGLISH, TEXTS
from medicalgpt.serve.web.words import Texts
from tests.http_server import free_port

OVERFLOWING = """() => {
    const found = [];
    for (const e of document.querySelectorAll('body *')) {
        const style = getComputedStyle(e), box = e.getBoundingClientRect();
        // What has no size is hidden, and what is one pixel wide is for screen readers.
        // A wide formula has a box of its own that scrolls.
        if (e.closest('.katex-display')) continue;
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

PALE = """() => {
    const read = color => { const n = (color.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number); return n.length < 4 ? [...n, 1] : n; };
    const over = (ink, ground) => [0, 1, 2].map(i => ink[i] * ink[3] + ground[i] * (1 - ink[3])).concat(1);
    const part = v => v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
    const light = c => 0.2126 * part(c[0]) + 0.7152 * part(c[1]) + 0.0722 * part(c[2]);
    const found = [];
    // A theme that was just changed fades in; what goes on forever (dots while one waits) has no end to go to.
    for (const fading of document.getAnimations()) try { fading.finish(); } catch {}
    for (const e of document.querySelectorAll('body *')) {
        const box = e.getBoundingClientRect();
        const text = [...e.childNodes].filter(n => n.nodeType == 3).map(n => n.textContent).join('').trim();
        if (!text || box.width < 2 || box.height < 2 || !e.checkVisibility() || e.closest('[disabled], .katex-mathml')) continue;
        const grounds = [], ink = read(getComputedStyle(e).color);
        for (let at = e; at; at = at.parentElement) {
            ink[3] *= getComputedStyle(at).opacity;
            grounds.unshift(read(getComputedStyle(at).backgroundColor));
            if (grounds[0][3] == 1) break;
        }
        const ground = grounds.reduce((below, above) => over(above, below), [255, 255, 255, 1]);
        const [less, more] = [light(over(ink, ground)), light(ground)].sort((a, b) => a - b);
        const contrast = (more + 0.05) / (less + 0.05);
        if (contrast < 4.5) found.push(`${e.tagName} ${e.id} "${text.slice(0, 30)}": ${contrast.toFixed(2)}`);
    }
    return found;
}"""
"""Text with less contrast than 4.5 : 1, which WCAG 2.2 asks for (1.4.3, level AA)."""


@dataclass
class Server:
    """`medicalgpt demo` in a process of its own."""

    url: str
    ratings: Path
    process: subprocess.Popen[str]
    log: Path


@contextmanager
def served(folder: Path, *words: object) -> Iterator[Server]:
    """`medicalgpt demo` with these words, until the tests are done with it; it must end well."""
    port, log = free_port(), folder / "log.txt"
    given = ["--port", port, "--feedback", folder / "ratings.jsonl", "--temperature", 0, *words]
    with log.open("w") as out:
        command = [sys.executable, "-m", "medicalgpt", "demo", *map(str, given)]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, text=True)
    try:
        deadline = time.monotonic() + 300
        while "Ctrl-C ends it" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield Server(f"http://127.0.0.1:{port}", folder / "ratings.jsonl", process, log)
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


def _fixed(languages: list[Texts]) -> list[str]:
    """Every text of these languages but the name of the next one; a text that is all placeholder says nothing."""
    found = (v for texts in languages for n, v in asdict(texts).items() if isinstance(v, str) and n != "other_language")
    return [text for text in found if re.sub(r"{\w+}|\W", "", text)]


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
        return list(self.page.evaluate(OVERFLOWING))

    def pale(self) -> list[str]:
        """Text that is hard to read on its ground."""
        return list(self.page.evaluate(PALE))

    def foreign(self, texts: Texts) -> list[str]:
        """Lines that are fixed words of the page in another language than this one."""
        ours, theirs = (
            re.compile("|".join(re.sub(r"\\\{\w+\\\}", ".+", re.escape(text)) for text in found))
            for found in (_fixed([texts]), _fixed([other for other in TEXTS.values() if other != texts]))
        )
        lines = [line.strip() for line in self.page.inner_text("body").splitlines()]
        return [line for line in lines if line and theirs.fullmatch(line) and not ours.fullmatch(line)]

    def disclaimer_in_sight(self) -> bool:
        box = self.page.locator("#disclaimer p").bounding_box()
        return bool(box and box["y"] >= 0 and box["y"] + box["height"] <= self.page.viewport_size["height"])
