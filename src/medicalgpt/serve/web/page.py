"""The page: what is on it and where. What happens on a click is in events.py."""

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block

from medicalgpt.config.emergency import REGIONS, Emergency, code
from medicalgpt.serve.web.info import ModelInfo, table
from medicalgpt.serve.web.settings import Settings
from medicalgpt.serve.web.texts import ENGLISH, with_emergency
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
        button_primary_text_color_dark="white",
        color_accent="*primary_600",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
    )


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
    ask: gr.Textbox
    send: gr.Button
    stop: gr.Button
    clear: gr.Button
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
    export_hint: gr.HTML
    file: gr.JSON

    @property
    def sampling(self) -> list[gr.components.Component]:
        """The inputs of those `Settings` that have one, in the order in which events hand them over."""
        asked = (self.system, self.max_new_tokens, self.temperature, self.top_p, self.top_k)
        return [*asked, self.repetition_penalty, self.seed]


def build(info: ModelInfo, defaults: Settings, rated: bool, emergency: Emergency | None = None) -> Page:
    """Lay the page out, in English; `words` puts it into another language.

    Args:
        rated: whether ratings are kept, so that the thumbs mean something.
        emergency: what the page opens with.
    """
    parts: dict[str, Any] = {}
    longest = max(defaults.max_new_tokens, min((info.context or 8192) - 1, 8192))
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
        with gr.Row(elem_id="head"):
            gr.HTML(f"<h1>{TITLE}</h1><span>{escape(info.name)}</span>", elem_id="title")
            parts["language"] = gr.Button(size="sm", min_width=0, elem_id="language")
            parts["dark"] = gr.Button("◐", size="sm", min_width=0, elem_id="dark")
        parts["disclaimer"] = gr.HTML(elem_id="disclaimer")
        with gr.Row(elem_id="body"):
            with gr.Column(elem_id="talk", min_width=0):
                parts |= _talk()
            with gr.Column(elem_id="side", min_width=0):
                parts |= _side(defaults, longest)
    page = Page(blocks=blocks, **parts)
    for component, change in words(page, info, with_emergency(ENGLISH, emergency), rated, emergency).items():
        for name, value in change.items():
            if name not in ("__type__", "examples"):  # nothing to click on before the tab has its session
                setattr(component, name, value)
    return page


def _talk() -> dict[str, Any]:
    parts: dict[str, Any] = {}
    parts["chat"] = gr.Chatbot(
        elem_id="chat",
        show_label=False,
        height="100%",
        layout="bubble",
        editable="user",
        buttons=["copy", "copy_all"],
        allow_tags=False,
        latex_delimiters=[],
    )
    parts["status"] = gr.HTML(elem_id="status")
    with gr.Row(elem_id="versions", visible=False) as parts["versions"]:
        parts["earlier"] = gr.Button(size="sm", min_width=0, elem_id="earlier")
        parts["version"] = gr.HTML(elem_id="version")
        parts["later"] = gr.Button(size="sm", min_width=0, elem_id="later")
    with gr.Row(elem_id="asking"):
        # Both wait for the tab's session: what is asked while the page is still being filled gets lost in Gradio's streams.
        parts["ask"] = gr.Textbox(
            lines=1,
            max_lines=6,
            scale=1,
            min_width=0,
            elem_id="ask",
            show_label=False,
            container=False,
            interactive=False,
        )
        parts["send"] = gr.Button(variant="primary", interactive=False, min_width=0, scale=0, elem_id="send")
        parts["stop"] = gr.Button(variant="stop", min_width=0, scale=0, visible=False, elem_id="stop")
        parts["clear"] = gr.Button(min_width=0, scale=0, elem_id="clear")
    return parts


def _side(defaults: Settings, longest: int) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    with gr.Accordion(elem_id="about") as parts["about"]:
        parts["facts"] = gr.HTML()
    with gr.Accordion(open=False, elem_id="settings") as parts["settings"]:
        parts["emergency"] = gr.Dropdown(elem_id="emergency", filterable=False)
        parts["system"] = gr.Textbox(defaults.system, lines=3, max_lines=8, elem_id="system")
        parts["max_new_tokens"] = gr.Slider(1, longest, defaults.max_new_tokens, step=1, elem_id="max-new-tokens")
        parts["temperature"] = gr.Slider(
            0, max(2, defaults.temperature), defaults.temperature, step=0.05, elem_id="temperature"
        )
        parts["top_p"] = gr.Slider(min(0.05, defaults.top_p), 1, defaults.top_p, step=0.01)
        parts["top_k"] = gr.Slider(0, max(200, defaults.top_k), defaults.top_k, step=1)
        penalty = defaults.repetition_penalty
        parts["repetition_penalty"] = gr.Slider(min(1, penalty), max(2, penalty), penalty, step=0.01)
        # Text: a number field that is empty becomes 0 in the browser as soon as it is shown, and every answer the same.
        seed = "" if defaults.seed is None else str(defaults.seed)
        parts["seed"] = gr.Textbox(seed, lines=1, max_lines=1, elem_id="seed")
    with gr.Accordion(elem_id="export") as parts["export"]:
        with gr.Row():
            parts["markdown"] = gr.Button(size="sm", min_width=0, elem_id="markdown")
            parts["json"] = gr.Button(size="sm", min_width=0, elem_id="json")
        parts["export_hint"] = gr.HTML()
    # Files are made in the browser: text that was asked for never lies on the server's disk.
    parts["file"] = gr.JSON(visible=False)
    return parts


def words(
    page: Page, info: ModelInfo, texts: Texts, rated: bool, emergency: Emergency | None = None
) -> dict[Block, dict[str, Any]]:
    """Changes that put every fixed word of the page into a language; `emergency` is what is chosen."""
    hints = [texts.export_hint, texts.feedback_hint] if rated else [texts.export_hint]
    named = {name: {"label": getattr(texts, name)} for name in ("max_new_tokens", "top_p", "repetition_penalty")}
    hinted = {
        name: {"label": getattr(texts, name), "info": getattr(texts, f"{name}_hint")}
        for name in ("system", "temperature", "top_k", "seed")
    }
    buttons = {name: {"value": getattr(texts, name)} for name in ("send", "stop", "clear")}
    changes = named | hinted | buttons
    changes |= {
        "language": {"value": texts.other_language},
        "disclaimer": {"value": f'<p role="note">{escape(texts.disclaimer)}</p>'},
        "chat": {"placeholder": _welcome(texts), "examples": [{"text": text} for text in texts.examples]},
        "earlier": {"value": f"‹ {texts.earlier}"},
        "later": {"value": f"{texts.later} ›"},
        "ask": {"placeholder": texts.ask_here},
        "settings": {"label": texts.settings},
        "emergency": {
            "label": texts.emergency,
            "info": texts.emergency_hint,
            "choices": _emergencies(texts, emergency),
            "value": code(emergency),
        },
        "about": {"label": texts.about},
        "facts": {"value": table(info, texts)},
        "export": {"label": texts.export},
        "markdown": {"value": texts.export_markdown},
        "json": {"value": texts.export_json},
        "export_hint": {"value": "".join(f'<p class="hint">{escape(hint)}</p>' for hint in hints)},
    }
    return {getattr(page, name): gr.update(**change) for name, change in changes.items()}


def _welcome(texts: Texts) -> str:
    return f"<h2>{escape(texts.welcome)}</h2><p>{escape(texts.welcome_more)}</p>"


def _emergencies(texts: Texts, emergency: Emergency | None) -> list[tuple[str, str]]:
    """What may be chosen: nothing, a region, and a number of the user's own where the page was opened with one."""
    regions = [(f"{e.names[texts.language]}: {e.number}", name) for name, e in REGIONS.items()]
    own = [(emergency.number, emergency.number)] if emergency is not None and not emergency.names else []
    return [(texts.not_chosen, ""), *own, *regions]
