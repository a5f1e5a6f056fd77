"""Chat templates: one object that training and every inference path render and encode with.

A template is the tokenizer's own Jinja text, a named file of this package, or a file of the user's. Whatever it is, its
text is saved with the model, so that inference cannot use another one.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from medicalgpt.data.records import Message
from medicalgpt.errors import RenderError
from medicalgpt.render.encode import Encoder
from medicalgpt.render.tool_formats.choose import stamped
from medicalgpt.render.tool_turns import ToolUse, as_turns, find_tool_use

# Separators between documents that pretraining corpora use; an instruct tokenizer's eos ends a turn instead.
_DOCUMENT_ENDS = ("<|endoftext|>", "<|end_of_text|>")


def named_templates() -> list[str]:
    """Names of the templates that ship with this package."""
    return sorted(
        p.name[: -len(".jinja")]
        for p in files("medicalgpt.render").joinpath("templates").iterdir()
        if p.name.endswith(".jinja")
    )


class ChatTemplate:
    """A chat template bound to a tokenizer."""

    def __init__(self, tokenizer: Any, source: str, name: str) -> None:
        self.tokenizer = tokenizer
        self.source = source
        self.name = name
        self.encoder = Encoder(tokenizer)

    @classmethod
    def load(cls, tokenizer: Any, name: str | None = None, tool_format: str | None = None) -> "ChatTemplate":
        """Bind the tokenizer's own template (None), a named one, or a .jinja file.

        Args:
            tool_format: how tools and calls are written where the template does not; default: what the template's text
                names, else its family's.

        Raises:
            RenderError: there is no such template or tool format, or the tokenizer lacks what it needs.
        """
        if name is None:
            source = getattr(tokenizer, "chat_template", None)
            if not isinstance(source, str) or not source:
                raise RenderError(
                    "the tokenizer has no chat template of its own; set data.template to one of "
                    f"{', '.join(named_templates())} or to a .jinja file"
                )
            name = "tokenizer"
        else:
            source = _with_bos(tokenizer, _read(name))
        template = cls(tokenizer, stamped(source, tool_format) if tool_format else source, name)
        template.check()
        if tool_format:
            _ = template.tool_use
        return template

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the template's text."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    def text(
        self, messages: Sequence[Message], tools: Sequence[dict[str, Any]] = (), generation_prompt: bool = False
    ) -> str:
        """The rendered conversation; tools and calls that the template does not write itself go into ordinary turns."""
        turns, tools = as_turns(self, messages, tools)
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
        return find_tool_use(self._apply, self.source, self.name)

    def prompt_ids(self, messages: Sequence[Message], tools: Sequence[dict[str, Any]] = ()) -> list[int]:
        """Token ids a model is given before it answers: the same ones that training put before the answer."""
        from medicalgpt.render.dialogue import prompt_parts

        return self.encoder.join(prompt_parts(self, messages, tools))

    @cached_property
    def stop_id(self) -> int:
        """The token that ends an assistant turn."""
        from medicalgpt.render.dialogue import stop_token

        return int(self.encoder.special[stop_token(self)])

    @cached_property
    def stop_ids(self) -> list[int]:
        """Every token that ends generation: the template's stop first, then the tokenizer's eos and document end."""
        ids = [self.stop_id, self.tokenizer.eos_token_id, self.document_end]
        return list(dict.fromkeys(int(i) for i in ids if i is not None))

    @cached_property
    def document_end(self) -> int:
        """The token between documents in continued pretraining."""
        for token in _DOCUMENT_ENDS:
            if token in self.encoder.special:
                return self.encoder.special[token]
        if self.tokenizer.eos_token_id is None:
            raise RenderError("the tokenizer has no eos token; training could never teach the model to stop")
        return int(self.tokenizer.eos_token_id)

    @cached_property
    def document_start(self) -> int:
        """The token before a document's first: bos where the tokenizer adds one, else the document end."""
        bos = self.tokenizer.bos_token_id
        return int(bos) if bos is not None and _adds_bos(self.tokenizer) else self.document_end

    @cached_property
    def pad_id(self) -> int | None:
        """A pad token that is no stop token, or None: padding never enters a loss here, so none is needed to train."""
        pad = self.tokenizer.pad_token_id
        if pad is not None and pad not in self.stop_ids:
            return int(pad)
        for token, index in self.encoder.special.items():
            if "pad" in token.lower() and index not in self.stop_ids:
                return index
        unk = self.tokenizer.unk_token_id
        return int(unk) if unk is not None and unk not in self.stop_ids else None

    def check(self) -> None:
        """Prove that a turn ends in one known token and that the template opens the assistant's turn by itself.

        Raises:
            RenderError: saying which promise is broken.
        """
        if self.tokenizer.eos_token_id is None:
            raise RenderError("the tokenizer has no eos token; set one (tokenizer.eos_token) before training")
        _ = self.stop_id


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
    return files("medicalgpt.render").joinpath("templates", f"{name}.jinja").read_text(encoding="utf-8")


def _adds_bos(tokenizer: Any) -> bool:
    """Whether this tokenizer puts bos before plain text by itself."""
    ids = tokenizer("a")["input_ids"]
    return len(ids) > 0 and ids[0] == tokenizer.bos_token_id


def _with_bos(tokenizer: Any, source: str) -> str:
    """Bind `bos` in the template's text, so that the saved file renders the same anywhere."""
    bos = tokenizer.bos_token if tokenizer.bos_token_id is not None and _adds_bos(tokenizer) else ""
    return "{%- set bos = " + json.dumps(bos) + " -%}\n" + source
