"""The page: what is on it and where. What happens on a click is in events.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block

from medicalgpt.config.emergency import REGIONS, Emergency, code
from medicalgpt.serve.web.info import ModelInfo, table
from medicalgpt.serve.web.page_parts import Parts, side_parts, talk_parts
from medicalgpt.serve.web.served import MOST_COMPARED
from medicalgpt.serve.web.settings import Settings
from medicalgpt.serve.web.texts import ENGLISH, with_emergency
from medicalgpt.serve.web.trial import LETTERS
from medicalgpt.serve.web.words import Texts

HERE = Path(__file__).parent
TITLE = "MedicalGPT"
_FONTS = ("system-ui", "Segoe UI", "Noto Sans", "PingFang TC", "Microsoft JhengHei", "Noto Sans TC", "sans-serif")


def theme() -> gr.themes.Base:
    """Calm colors with enough contrast, and only fonts that the machine has."""
    return gr.themes.Default(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        font=_FONTS,
        font_mono=("ui-monospace", "Consolas", "monospace"),
    ).set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_text_color="white",
        button_cancel_background_fill="#b91c1c",
        button_cancel_background_fill_dark="#b91c1c",
        button_cancel_background_fill_hover="#991b1b",
        button_cancel_background_fill_hover_dark="#991b1b",
        button_primary_text_color_dark="white",
        color_accent="*primary_600",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
    )


@dataclass(frozen=True, slots=True)
class Offer:
    """What a page is for: the models that answer, by name; whether ratings and whether conversations can be kept."""

    models: Mapping[str, ModelInfo]
    rated: bool = False
    keeps: bool = False

    @property
    def title(self) -> str:
        """The models in one line."""
        infos = list(self.models.values())
        return infos[0].name if len(infos) == 1 else ", ".join(self.models)

    @property
    def context(self) -> int | None:
        """The least of them."""
        return min((info.context for info in self.models.values() if info.context), default=None)


@dataclass
class Page:
    """Every component that is read or changed."""

    blocks: gr.Blocks
    language: gr.Button
    dark: gr.Button
    disclaimer: gr.HTML
    chat: gr.Chatbot
    status: gr.HTML
    earlier: gr.Button
    version: gr.HTML
    later: gr.Button
    versions: gr.Row
    trial: gr.Row
    answer_a: gr.Markdown
    answer_b: gr.Markdown
    answer_c: gr.Markdown
    verdicts: gr.Row
    best_a: gr.Button
    best_b: gr.Button
    best_c: gr.Button
    tie: gr.Button
    all_bad: gr.Button
    skip: gr.Button
    ask: gr.Textbox
    send: gr.Button
    stop: gr.Button
    clear: gr.Button
    who: gr.Dropdown
    kept: gr.Accordion
    keep: gr.Checkbox
    kept_search: gr.Textbox
    kept_list: gr.Dropdown
    kept_open: gr.Button
    kept_delete: gr.Button
    settings: gr.Accordion
    emergency: gr.Dropdown
    system: gr.Textbox
    max_new_tokens: gr.Slider
    temperature: gr.Slider
    top_p: gr.Slider
    top_k: gr.Slider
    repetition_penalty: gr.Slider
    seed: gr.Textbox
    about: gr.Accordion
    facts: gr.HTML
    export: gr.Accordion
    markdown: gr.Button
    json: gr.Button
    print: gr.Button
    export_hint: gr.HTML
    file: gr.JSON

    @property
    def sampling(self) -> list[gr.components.Component]:
        """The inputs of those `Settings` that have one, in the order in which events hand them over."""
        asked = (self.system, self.max_new_tokens, self.temperature, self.top_p, self.top_k)
        return [*asked, self.repetition_penalty, self.seed]

    @property
    def compared(self) -> list[gr.Markdown]:
        """Where the answers of a comparison stand, in the order of their letters."""
        return [self.answer_a, self.answer_b, self.answer_c]

    @property
    def best(self) -> list[gr.Button]:
        """The buttons that call one of them the best, in the same order."""
        return [self.best_a, self.best_b, self.best_c]


def build(offer: Offer, defaults: Settings, emergency: Emergency | None = None) -> Page:
    """Lay the page out, in English; `words` puts it into another language. `emergency` is what the page opens with."""
    parts: Parts = {}
    longest = max(defaults.max_new_tokens, min((offer.context or 8192) - 1, 8192))
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
        with gr.Row(elem_id="head"):
            gr.HTML(f"<h1>{TITLE}</h1><span>{escape(offer.title)}</span>", elem_id="title")
            parts["language"] = gr.Button(size="sm", min_width=0, elem_id="language")
            parts["dark"] = gr.Button("◐", size="sm", min_width=0, elem_id="dark")
        parts["disclaimer"] = gr.HTML(elem_id="disclaimer")
        with gr.Row(elem_id="body"):
            with gr.Column(elem_id="talk", min_width=0):
                parts |= talk_parts()
            with gr.Column(elem_id="side", min_width=0):
                parts["who"] = gr.Dropdown(
                    list(offer.models),
                    value=list(offer.models)[:1],
                    multiselect=True,
                    max_choices=MOST_COMPARED,
                    filterable=False,
                    visible=len(offer.models) > 1,
                    elem_id="who",
                )
                parts |= side_parts(defaults, longest, offer.keeps)
    page = Page(blocks=blocks, **parts)
    for component, change in words(page, offer, with_emergency(ENGLISH, emergency), emergency).items():
        for name, value in change.items():
            if name not in ("__type__", "examples"):  # nothing to click on before the tab has its session
                setattr(component, name, value)
    return page


def words(
    page: Page,
    offer: Offer,
    texts: Texts,
    emergency: Emergency | None = None,
    chosen: Sequence[str] = (),
) -> dict[Block, dict[str, Any]]:
    """Changes that put every fixed word of the page into a language; `emergency` and models are those `chosen`."""
    named = {
        name: {"label": getattr(texts, name)}
        for name in (
            "max_new_tokens",
            "top_p",
            "repetition_penalty",
            "settings",
            "about",
            "export",
            "kept",
            "kept_search",
        )
    }
    hinted = {
        name: {"label": getattr(texts, name), "info": getattr(texts, f"{name}_hint")}
        for name in ("system", "temperature", "top_k", "seed")
    }
    buttons = {
        name: {"value": getattr(texts, name)}
        for name in ("send", "stop", "clear", "tie", "all_bad", "skip", "kept_open", "print")
    }
    changes = named | hinted | buttons | _of_models(offer, texts, chosen)
    changes |= {
        "language": {"value": texts.other_language},
        "disclaimer": {"value": f'<p role="note">{escape(texts.disclaimer)}</p>'},
        "chat": {"placeholder": _welcome(texts), "examples": [{"text": text} for text in texts.examples]},
        "kept_delete": {"value": texts.kept_delete, "variant": "secondary"},
        "earlier": {"value": f"‹ {texts.earlier}"},
        "later": {"value": f"{texts.later} ›"},
        "ask": {"placeholder": texts.ask_here},
        "keep": {"label": texts.keep_this, "info": texts.keep_hint},
        "emergency": {
            "label": texts.emergency,
            "info": texts.emergency_hint,
            "choices": _emergencies(texts, emergency),
            "value": code(emergency),
        },
        "markdown": {"value": texts.export_markdown},
        "json": {"value": texts.export_json},
        "export_hint": {"value": _hints(offer, texts)},
    }
    return {getattr(page, name): gr.update(**change) for name, change in changes.items()}


def _of_models(offer: Offer, texts: Texts, chosen: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What is said of those that answer, the first one where nothing is chosen."""
    infos = [info for name, info in offer.models.items() if name in chosen] or [next(iter(offer.models.values()))]
    letters = dict(zip(("best_a", "best_b", "best_c"), LETTERS))
    return {
        "who": {"label": texts.who_answers, "info": texts.who_hint},
        "facts": {"value": "".join(table(info, texts) for info in infos)},
    } | {name: {"value": texts.best.format(letter=letter)} for name, letter in letters.items()}


def _hints(offer: Offer, texts: Texts) -> str:
    told = [] if offer.keeps else [texts.export_hint]
    told += [texts.feedback_hint] if offer.rated else []
    return "".join(f'<p class="hint">{escape(hint)}</p>' for hint in told)


def _welcome(texts: Texts) -> str:
    return f"<h2>{escape(texts.welcome)}</h2><p>{escape(texts.welcome_more)}</p>"


def _emergencies(texts: Texts, emergency: Emergency | None) -> list[tuple[str, str]]:
    """What may be chosen: nothing, a region, and a number of the user's own where the page was opened with one."""
    regions = [(f"{e.names[texts.language]}{texts.colon}{e.number}", name) for name, e in REGIONS.items()]
    own = [(emergency.number, emergency.number)] if emergency is not None and not emergency.names else []
    return [(texts.not_chosen, ""), *own, *regions]
