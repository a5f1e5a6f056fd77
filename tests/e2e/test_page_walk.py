"""Every state of the web page at five widths, in two themes and three languages: nothing reaches beyond its place, is pale, or
speaks another language.

Pictures of the narrowest and the widest go to the folder that MEDICALGPT_SCREENSHOTS names.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import save_tiny, tiny_model
from tests.web_page import Server, Visit, chromium, served

from medicalgpt.serve.web.simplified import SIMPLIFIED
from medicalgpt.serve.web.texts import CHINESE, ENGLISH
from medicalgpt.serve.web.words import Texts

pytestmark = pytest.mark.slow
WIDTHS = (320, 360, 390, 430, 1280)
LONG_NAME = "a-model-with-a-long-name-of-its-own"
ADAPTERS = ("ward", "endocrinology-and-diabetes-outpatients-2026")
# One long word, a formula on a line of its own that is wider than a phone, and a table.
QUESTION = (
    "Pneumonoultramicroscopicsilicovolcanoconiosis" * 3
    + r" \[ \frac{a + b + c + d + e + f + g + h}{1 + 2 + 3 + 4 + 5} = \sum_{i=1}^{n} x_i^2 + y_i^2 + z_i^2 + k_i^2 \]"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("walk")
    base, words = save_tiny(folder / LONG_NAME), []
    for name in ADAPTERS:
        adapted = get_peft_model(tiny_model(), LoraConfig(r=4, target_modules="all-linear"))
        adapted.peft_config["default"].base_model_name_or_path = str(base)
        adapted.save_pretrained(folder / name)
        words += ["--named-adapter", f"{name}={folder / name}"]
    with served(
        folder,
        "--model",
        base,
        "--max-new-tokens",
        60,
        "--temperature",
        1,
        "--seed",
        1,
        "--keep",
        folder / "kept",
        *words,
    ) as found:
        yield found


@pytest.fixture(scope="module")
def tab(server: Server) -> Iterator[Visit]:
    """One tab for all states, which follow from each other."""
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
        found = Visit(context.new_page(), Path(os.environ.get("MEDICALGPT_SCREENSHOTS", "")))
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.goto(server.url)
        found.page.wait_for_selector("#chat [class*=example]", timeout=60_000)
        yield found


def _beyond(tab: Visit, state: str, list_open: str = "") -> dict[str, list[str]]:
    """What is wrong in a state, by language, theme and width; the page is as before when it has been looked at.

    Args:
        list_open: a field whose list of choices is opened each time.
    """
    found: dict[str, list[str]] = {}
    for texts in (ENGLISH, SIMPLIFIED, CHINESE):  # the order in which the button goes through them
        tab.page.wait_for_function("(t) => document.querySelector('#disclaimer').innerText == t", arg=texts.disclaimer)
        for theme in ("light", "dark"):
            assert tab.page.evaluate("document.body.classList.contains('dark')") == (theme == "dark")
            for width in WIDTHS:
                tab.page.set_viewport_size({"width": width, "height": 800})
                if list_open:
                    tab.page.locator(list_open).click()
                    tab.page.wait_for_selector("[role=option]")
                # Two frames: the browser has laid out anew, and told whoever watches sizes.
                tab.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
                wrong = tab.overflowing()
                if width in (WIDTHS[0], WIDTHS[-1]):
                    if list_open:
                        tab.page.wait_for_timeout(300)  # the list unfolds, pale at first
                    wrong += [*tab.pale(), *tab.foreign(texts), *_language(tab, texts)]
                if wrong:
                    found[f"{texts.language} {theme} {width}"] = wrong
                if str(tab.shots) != "." and width in (320, 1280):
                    tab.shot(f"{state}-{texts.language}-{theme}-{width}")
                if list_open:
                    tab.page.evaluate("document.activeElement.blur()")
                    tab.page.wait_for_selector("[role=option]", state="hidden")
            tab.page.click("#dark")
        tab.page.set_viewport_size({"width": 1280, "height": 800})
        tab.page.click("#language")
    tab.page.wait_for_function("(t) => document.querySelector('#disclaimer').innerText == t", arg=ENGLISH.disclaimer)
    return found


def _language(tab: Visit, texts: Texts) -> list[str]:
    """Where the page is said to be in another language than it is, which screen readers would then speak."""
    said = tab.page.evaluate("document.documentElement.lang")
    return [] if said == texts.language else [f"html lang={said}"]


def _choose(tab: Visit, name: str) -> None:
    tab.page.click("#who input")
    tab.page.wait_for_timeout(300)  # the list unfolds
    tab.page.locator("[role=option]").filter(has_text=name).click()
    tab.page.locator("#who .token").filter(has_text=name).wait_for()
    tab.page.evaluate("document.activeElement.blur()")
    tab.page.wait_for_selector("[role=option]", state="hidden")


def test_every_state_of_the_page_is_in_its_place_readable_and_in_one_language(tab: Visit) -> None:
    page: Any = tab.page
    found = {"empty": _beyond(tab, "empty")}
    page.click("#settings button >> nth=0")
    page.wait_for_selector("#seed", state="visible")
    found["settings"] = _beyond(tab, "settings")
    page.click("#settings button >> nth=0")

    page.click("#kept button >> nth=0")
    page.check("#keep input")
    tab.ask(QUESTION)
    tab.wait_for_answer()
    found["answer"] = _beyond(tab, "answer")
    tab.click("Retry")
    page.wait_for_function("document.querySelector('#version')?.innerText == 'Answer 2 of 2'", timeout=60_000)
    tab.wait_for_answer()
    tab.click("Like")
    found["rated"] = _beyond(tab, "rated")
    found["kept"] = _beyond(tab, "kept", "#kept-list input")

    for name in (ADAPTERS[1], LONG_NAME):  # beside the first, who answers from the start
        _choose(tab, name)
    found["chosen"] = _beyond(tab, "chosen", "#who input")
    tab.ask(QUESTION)
    page.wait_for_selector("#verdicts", state="visible", timeout=60_000)
    found["comparison"] = _beyond(tab, "comparison")
    page.click("#best-b")
    page.wait_for_selector("#verdicts", state="hidden")
    found["judged"] = _beyond(tab, "judged")
    wrong = {state: beyond for state, beyond in found.items() if beyond}
    assert not wrong, json.dumps(wrong, ensure_ascii=False, indent=1)
    assert tab.complaints == []


def test_the_walk_sees_what_overflows(tab: Visit) -> None:
    """A walk that finds nothing proves nothing unless it would have found something."""
    tab.page.set_viewport_size({"width": 320, "height": 800})
    assert tab.overflowing() == []
    tab.page.evaluate("document.querySelector('#title').style.minWidth = '400px'")
    assert any("title" in line for line in tab.overflowing())
    assert (tab.pale(), tab.foreign(ENGLISH)) == ([], [])
    tab.page.evaluate("document.querySelector('#title h1').style.color = '#888'")
    assert any("MedicalGPT" in line for line in tab.pale())
    assert SIMPLIFIED.about not in tab.foreign(SIMPLIFIED)
    assert ENGLISH.about in tab.foreign(SIMPLIFIED)


def test_controls_stand_beside_each_other_on_a_narrow_phone(tab: Visit) -> None:
    tab.page.set_viewport_size({"width": 320, "height": 640})
    send, new = (tab.page.locator(name).bounding_box() for name in ("#send", "#clear"))
    assert (send["y"], send["height"]) == (new["y"], new["height"])
    if not tab.page.is_visible("#seed"):
        tab.page.click("#settings button >> nth=0")
        tab.page.wait_for_selector("#seed", state="visible")
    end_of_text, arrow = tab.page.evaluate(
        """() => {
            const input = document.querySelector('#emergency input'), box = input.getBoundingClientRect();
            const arrow = document.querySelector('#emergency svg').getBoundingClientRect();
            return [box.right - parseFloat(getComputedStyle(input).paddingRight), arrow.left];
        }"""
    )
    assert end_of_text <= arrow
