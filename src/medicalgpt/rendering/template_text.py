"""Chat templates as text: conversations rendered with a Jinja template, and what the template does with tools.

Knows nothing of token ids beyond which texts are special tokens; `render.template` puts ids and stops on top.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from medicalgpt.data.records import Message
from medicalgpt.errors import RenderError
from medicalgpt.rendering.encode import Encoder
from medicalgpt.rendering.template_header import (
    EOS,
    TemplateInfo,
    check_system,
    named_source,
    named_templates,
    read_info,
)
from medicalgpt.rendering.tool_turns import ToolUse, as_turns, find_tool_use


class TemplateText:
    """A chat template's text bound to a tokenizer: renders conversations, but encodes none.

    Args:
        tokenizer: a transformers tokenizer; renders the Jinja text and names the special tokens.
        source: the Jinja text.
        name: what messages call the template.
    """

    def __init__(self, tokenizer: Any, source: str, name: str) -> None:
        self.tokenizer = tokenizer
        self.source = source
        self.name = name
        self.info: TemplateInfo | None = read_info(source, name)
        """What the template says about itself; None for one without a head, as most tokenizers' own are."""
        stop = self.info.stop if self.info else ()
        self.encoder = Encoder(tokenizer, [text for text in stop if text != EOS])

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the template's text, in hex."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    def text(
        self, messages: Sequence[Message], tools: Sequence[dict[str, Any]] = (), generation_prompt: bool = False
    ) -> str:
        """The rendered conversation; tools and calls that the template does not write itself go into ordinary turns.

        Raises:
            RenderError: the template has no place for a system message, or refuses the conversation.
        """
        if self.info:
            check_system(self.info, self.name, messages)
        if tools or any(m.role == "tool" or m.tool_calls for m in messages):
            turns, tools = as_turns(self.tool_use, messages, tools)
        else:
            turns = [m.as_dict() for m in messages]
        try:
            return self._apply(turns, tools, generation_prompt)
        except Exception as error:  # Jinja raises many kinds; the row is refused, not the program
            raise RenderError(f"chat template '{self.name}' cannot render this conversation: {error}") from error

    def _apply(self, turns: list[dict[str, Any]], tools: Sequence[dict[str, Any]], generation_prompt: bool) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                turns,
                tools=list(tools) or None,
                chat_template=self.source,
                add_generation_prompt=generation_prompt,
                tokenize=False,
            )
        )

    @cached_property
    def tool_use(self) -> ToolUse:
        """How tools and calls come into this template's text; raises RenderError as `find_tool_use`."""
        found = find_tool_use(self._apply, self.source, self.name)
        # Some templates without a place for a system message write it all the same, but outside of any turn.
        return replace(found, system_turn=False) if self.info and self.info.system == "none" else found


def template_source(tokenizer: Any, name: str | None) -> tuple[str, str]:
    """The text of a template, and what to call it: the tokenizer's own (None), a named one, or a .jinja file.

    `bos` and `default_system` are set at the top of the text, so that the saved file renders the same anywhere.

    Raises:
        RenderError: there is no such template.
    """
    if name is not None:
        return _bound(tokenizer, _read(name), name), name
    source = getattr(tokenizer, "chat_template", None)
    if not isinstance(source, str) or not source:
        raise RenderError(
            "the tokenizer has no chat template of its own; set data.template to one of "
            f"{', '.join(named_templates())} or to a .jinja file"
        )
    return source, "tokenizer"


def _read(name: str) -> str:
    if name.endswith(".jinja"):
        path = Path(name)
        if not path.is_file():
            raise RenderError(f"data.template: there is no file {name}")
        return path.read_text(encoding="utf-8")
    if name not in named_templates():
        raise RenderError(
            f"data.template: '{name}' is not known; named templates are {', '.join(named_templates())}; "
            "or give a .jinja file, or null for the tokenizer's own"
        )
    return named_source(name)


def _bound(tokenizer: Any, source: str, name: str) -> str:
    bos = tokenizer.bos_token if tokenizer.bos_token_id is not None and adds_bos(tokenizer) else ""
    values = {"bos": bos}
    info = read_info(source, name)
    if info is not None and info.default_system is not None:
        values["default_system"] = info.default_system
    lines = [f"{{%- set {key} = {json.dumps(value, ensure_ascii=False)} -%}}\n" for key, value in values.items()]
    return "".join(lines) + source


def adds_bos(tokenizer: Any) -> bool:
    """Whether this tokenizer puts bos before plain text by itself."""
    ids = tokenizer("a")["input_ids"]
    return len(ids) > 0 and ids[0] == tokenizer.bos_token_id
