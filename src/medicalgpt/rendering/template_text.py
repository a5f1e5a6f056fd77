"""Chat templates as text: conversations rendered with a Jinja template, and what the template does with tools.

Knows nothing of token ids beyond which texts are special tokens; `render.template` puts ids and stops on top.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from medicalgpt.data.records import Message, Tools
from medicalgpt.data.time_limit import within
from medicalgpt.errors import RenderError
from medicalgpt.rendering.encode import Encoder
from medicalgpt.rendering.frames import Frames
from medicalgpt.rendering.template_header import (
    EOS,
    TemplateInfo,
    check_system,
    named_source,
    named_templates,
    read_info,
)
from medicalgpt.rendering.template_names import Setting
from medicalgpt.rendering.tool_turns import ToolUse, as_turns, find_tool_use
from medicalgpt.rendering.unwanted import go_on
from medicalgpt.rendering.verbatim import Verbatim

SECONDS: Final = 10.0
"""What one rendering may take; a long conversation takes milliseconds."""

LONGEST: Final = 1 << 20
"""Characters of a template; the longest published ones have some ten thousand."""


class TemplateText:
    """A chat template's text bound to a tokenizer: renders conversations, but encodes none.

    Args:
        tokenizer: a transformers tokenizer; renders the Jinja text and names the special tokens.
        source: the Jinja text.
        name: what messages call the template.
    """

    documents_only = False
    """True for what stands in where a tokenizer has no template and only documents are read: it has no turns."""

    settings: Mapping[str, Setting] = MappingProxyType({})
    """Values of names that the text reads beside the conversation, such as `enable_thinking`."""

    def __init__(self, tokenizer: Any, source: str, name: str) -> None:
        if len(source) > LONGEST:
            raise RenderError(f"chat template '{name}' has {len(source):,} characters; allowed: up to {LONGEST:,}")
        self.tokenizer = tokenizer
        self.source = source
        self.name = name
        self.info: TemplateInfo | None = read_info(source, name)
        """What the template says about itself; None for one without a head, as most tokenizers' own are."""
        self.closing: str | None = None
        """What stands behind the last turn's end in a finished conversation; None until `dialogue.closing` looked."""
        self.frames: Frames | None = None
        """What stands between the turns of ordinary conversations; None until `conversation.framed_parts` looked."""
        self.verbatim: Verbatim | None = None
        """The texts around their words, likewise; None also for a tokenizer that changes turns before the template has them."""
        stop = self.info.stop if self.info else ()
        self.encoder = Encoder(tokenizer, [text for text in stop if text != EOS])

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the template's text, in hex."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    def text(self, messages: Sequence[Message], tools: Tools = (), generation_prompt: bool = False) -> str:
        """The rendered conversation; tools and calls that the template does not write itself go into ordinary turns.

        Raises:
            RenderError: the template has no place for a system message, or refuses the conversation.
            UnwantedError: nobody waits for it (`unwanted.unless`).
        """
        if self.documents_only:
            raise RenderError(
                "the tokenizer has no chat template that could be used; name one (data.template, --template)"
            )
        go_on()
        if self.info:
            check_system(self.info, self.name, messages)
        if tools or any(m.role == "tool" or m.tool_calls for m in messages):
            turns, tools = as_turns(self.tool_use, messages, tools)
        else:
            turns = [m.as_dict() for m in messages]
        try:
            return self._apply(turns, tools, generation_prompt)
        except RenderError:
            raise
        except Exception as error:  # Jinja raises many kinds; the row is refused, not the program
            raise RenderError(f"chat template '{self.name}' cannot render this conversation: {error}") from error

    def _apply(self, turns: list[dict[str, Any]], tools: Tools, generation_prompt: bool) -> str:
        """The template's own text of turns; raises what Jinja raises, and RenderError for a template that does not end."""
        render = partial(
            self.tokenizer.apply_chat_template,
            turns,
            tools=list(tools) or None,
            chat_template=self.source,
            add_generation_prompt=generation_prompt,
            tokenize=False,
            **self.settings,
        )
        try:
            return str(within(SECONDS, render))
        except TimeoutError:
            raise RenderError(
                f"chat template '{self.name}' was not done with a conversation of {len(turns)} turns after {SECONDS:g} s; "
                "look for a loop in it, or choose another data.template"
            ) from None

    @cached_property
    def tool_use(self) -> ToolUse:
        """How tools and calls come into this template's text; raises RenderError as `find_tool_use`."""
        found = find_tool_use(self._apply, self.source, self.name)
        # Some templates without a place for a system message write it all the same, but outside of any turn.
        return replace(found, system_turn=False) if self.info and self.info.system == "none" else found


def template_source(tokenizer: Any, name: str | None, usual: Sequence[str] = ()) -> tuple[str, str]:
    """The text of a template, and what to call it: the tokenizer's own (None), a named one, or a .jinja file.

    `usual` are names that the message recommends where the tokenizer has none.
    `bos` and `default_system` are set at the top of the text, so that the saved file renders the same anywhere.

    Raises:
        RenderError: there is no such template.
    """
    if name is not None:
        return _bound(tokenizer, _read(name), name), name
    source = getattr(tokenizer, "chat_template", None)
    if not isinstance(source, str) or not source:
        known = named_templates()
        fit = " or ".join(f"data.template={name}" for name in usual if name in known)
        raise RenderError(
            "the tokenizer has no chat template of its own; set data.template to one of "
            f"{', '.join(known)} or to a .jinja file" + (f"; usual for models of this family: {fit}" if fit else "")
        )
    return source, "tokenizer"


def _read(name: str) -> str:
    if name.endswith(".jinja"):
        return _read_file(Path(name))
    if name not in named_templates():
        raise RenderError(
            f"data.template: '{name}' is not known; named templates are {', '.join(named_templates())}; "
            "or give a .jinja file, or null for the tokenizer's own"
        )
    return named_source(name)


def _read_file(path: Path) -> str:
    if not path.is_file():
        raise RenderError(f"data.template: there is no file {path}")
    try:
        with path.open("rb") as file:
            data = file.read(4 * LONGEST + 1)  # bytes of as many characters
        return data.decode("utf-8-sig")
    except OSError as error:
        raise RenderError(f"data.template: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RenderError(f"data.template: {path}:{line}: the file is not UTF-8; save it as UTF-8") from None


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
