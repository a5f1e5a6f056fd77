"""The components of the page, one region at a time; page.py says where the regions are, and names what is in them."""

from typing import Any, Final

import gradio as gr

from medicalgpt.serve.web.settings import Settings

Parts = dict[str, Any]
"""Components by the names that `Page` has for them."""

FORMULAS: Final[list[dict[str, str | bool]]] = [
    {"left": left, "right": right, "display": display}
    for left, right, display in (("$$", "$$", True), ("\\[", "\\]", True), ("\\(", "\\)", False))
]
"""What begins and ends a formula. A single dollar is none: it stands before prices."""


def talk_parts() -> Parts:
    """Conversation, comparison, and question box."""
    parts: Parts = {}
    parts["chat"] = gr.Chatbot(
        elem_id="chat",
        show_label=False,
        height="100%",
        layout="bubble",
        editable="user",
        buttons=["copy"],
        allow_tags=False,
        latex_delimiters=FORMULAS,
    )
    parts |= _trial_parts()
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


def side_parts(defaults: Settings, longest: int, keeps: bool) -> Parts:
    """What is known, set, kept and saved."""
    parts: Parts = {}
    with gr.Accordion(elem_id="about") as parts["about"]:
        parts["facts"] = gr.HTML()
    parts |= _kept_parts(keeps)
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
            parts["print"] = gr.Button(size="sm", min_width=0, elem_id="print")
        parts["export_hint"] = gr.HTML()
    # Files are made in the browser: text that was asked for never lies on the server's disk.
    parts["file"] = gr.JSON(visible=False)
    return parts


def _trial_parts() -> Parts:
    """Answers side by side, and the verdict on them."""
    parts: Parts = {}
    with gr.Row(elem_id="trial", visible=False) as parts["trial"]:
        for letter in "abc":
            parts[f"answer_{letter}"] = gr.Markdown(
                elem_id=f"answer-{letter}", elem_classes="compared", latex_delimiters=FORMULAS
            )
    with gr.Row(elem_id="verdicts", visible=False) as parts["verdicts"]:
        for name in ("best_a", "best_b", "best_c", "tie", "all_bad", "skip"):
            parts[name] = gr.Button(size="sm", min_width=0, elem_id=name.replace("_", "-"))
    return parts


def _kept_parts(shown: bool) -> Parts:
    """Conversations that were kept."""
    parts: Parts = {}
    with gr.Accordion(open=False, elem_id="kept", visible=shown) as parts["kept"]:
        parts["keep"] = gr.Checkbox(elem_id="keep")
        parts["kept_search"] = gr.Textbox(lines=1, max_lines=1, max_length=200, elem_id="kept-search")
        parts["kept_list"] = gr.Dropdown([], filterable=False, elem_id="kept-list")
        with gr.Row():
            parts["kept_open"] = gr.Button(size="sm", min_width=0, elem_id="kept-open")
            parts["kept_delete"] = gr.Button(size="sm", min_width=0, elem_id="kept-delete")
    return parts
