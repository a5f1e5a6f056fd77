"""Pictures of pages as a reader sees them, in headless Chromium."""

import io
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 1180, 760
QUESTION = "How can I lower my blood pressure without medicines?"


def report(folder: Path, out: Path) -> None:
    """The head of the DPO stage's report."""
    with _tab() as tab:
        tab.goto((folder.resolve() / "dpo/report.html").as_uri())
        _shot(tab, out / "report.png")


def page(folder: Path, out: Path) -> None:
    """The web page with a question and the model's answer to it."""
    with _served(folder / "dpo") as address, _tab() as tab:
        tab.goto(address)
        tab.wait_for_selector("#chat .examples, #chat [class*=example]", timeout=60_000)  # then it is ready
        tab.fill("#ask textarea", QUESTION)
        tab.press("#ask textarea", "Enter")
        tab.wait_for_function("document.querySelector('#ask textarea').value == ''")
        tab.wait_for_selector("#stop", state="hidden", timeout=300_000)
        tab.wait_for_function("document.querySelector('#status').innerText != ''", timeout=300_000)
        _shot(tab, out / "web-page.png")


@contextmanager
def _served(model: Path) -> Any:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    words = f"--port {port} --temperature 0 --max-new-tokens 120".split()
    command = [sys.executable, "-m", "medicalgpt", "demo", "--model", str(model), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            if not any("Ctrl-C ends it" in line for line in server.stdout or ()):
                raise SystemExit(f"the page did not start: {server.wait()}")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@contextmanager
def _tab() -> Any:
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise SystemExit("no Chromium on this machine (Debian: apt install chromium)")
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", locale="en")
        browser.close()


def _shot(tab: Any, file: Path) -> None:
    """A screenshot in 256 colors, which halves its size."""
    from PIL import Image

    time.sleep(1)  # the browser's own transitions
    picture = Image.open(io.BytesIO(tab.screenshot())).convert("RGB").quantize(256)
    picture.save(file, optimize=True)
