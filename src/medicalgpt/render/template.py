"""Chat templates: one object that training and every inference path render and encode with.

A template is the tokenizer's own Jinja text, a named file of this package, or a file of the user's. Whatever it is, its
text is saved with the model, so that inference cannot use another one.
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
from medicalgpt.render.encode import Encoder
from medicalgpt.render.template_header import EOS, TemplateInfo, check_system, named_source, named_templates, read_info
from medicalgpt.render.tool_formats.choose import stamped
from medicalgpt.render.tool_turns import ToolUse, as_turns, find_tool_use

# Separators between documents that pretraining corpora use; an instruct tokenizer's eos ends a turn instead.
_DOCUMENT_ENDS = ("<|endoftext|>", "<|end_of_text|>")


class ChatTemplate:
    """A chat template bound to a tokenizer."""

    def __init__(self, tokenizer: Any, source: str, name: str) -> None:
        self.tokenizer = tokenizer
        self.source = source
        self.name = name
        self.info: TemplateInfo | None = read_info(source, name)
        """What the template says about itself; None for one without a head, as most tokenizers' own are."""
        stop = self.info.stop if self.info else ()
        self.encoder = Encoder(tokenizer, [text for text in stop if text != EOS])

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
            source = _bound(tokenizer, _read(name), name)
        return cls.of_text(tokenizer, source, name, tool_format)

    @classmethod
    def of_text(cls, tokenizer: Any, source: str, name: str, tool_format: str | None = None) -> "ChatTemplate":
        """Bind a template's text, called `name` in messages. Raises RenderError as `load`."""
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
        """The rendered conversation; tools and calls that the template does not write itself go into ordinary turns.

        Raises:
            RenderError: the template has no place for a system message, or refuses the conversation.
        """
        if self.info:
            check_system(self.info, self.name, messages)
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
        found = find_tool_use(self._apply, self.source, self.name)
        # Some that have no place for a system message write it all the same, as text of nobody's.
        return replace(found, system_turn=False) if self.info and self.info.system == "none" else found

    def prompt_ids(
        self, messages: Sequence[Message], tools: Sequence[dict[str, Any]] = (), prefill: str = ""
    ) -> list[int]:
        """Token ids a model is given before it answers: the same ones that training put before the answer.

        `prefill`: the beginning of the answer, which the model is to go on with.
        """
        from medicalgpt.render.dialogue import prompt_parts

        return self.encoder.join([*prompt_parts(self, messages, tools), *filter(None, [prefill])])

    @cached_property
    def stop_id(self) -> int:
        """The token that ends an assistant turn."""
        from medicalgpt.render.dialogue import stop_token

        return int(self.encoder.special[stop_token(self)])

    @cached_property
    def stop_ids(self) -> list[int]:
        """Every token that ends generation: the template's stops, then the tokenizer's eos and document end."""
        declared = [self.encoder.special[text] for text in self._declared if text in self.encoder.special]
        ids = [self.stop_id, *declared, self.tokenizer.eos_token_id, self.document_end]
        return list(dict.fromkeys(int(i) for i in ids if i is not None))

    @cached_property
    def stop_texts(self) -> tuple[str, ...]:
        """Stops of the template that are no single token of this tokenizer: generation looks for their text."""
        return tuple(text for text in self._declared if text not in self.encoder.special)

    @cached_property
    def _declared(self) -> tuple[str, ...]:
        stop = self.info.stop if self.info else ()
        return tuple(str(self.tokenizer.eos_token) if text == EOS else text for text in stop)

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
        if self._declared and self._declared[0] not in self.encoder.special:
            raise RenderError(
                f"chat template '{self.name}' ends an answer with {self._declared[0]!r}, which is no single token of this "
                "tokenizer, so no stop token could be trained; choose the template that belongs to this model, or one that "
                "ends answers with eos_token (alpaca, vicuna and plain do)"
            )
        stop = self.stop_id
        if self._declared and stop != self.encoder.special[self._declared[0]]:
            raise RenderError(
                f"chat template '{self.name}' names {self._declared[0]!r} as its first stop, but ends an answer with "
                f"{self.encoder.decode([stop])!r}; correct the comment at its head"
            )


def stop_ids(template: ChatTemplate, generation_config: Any) -> list[int]:
    """The template's stop tokens and those that the model's own generation config adds (Llama 3 has three)."""
    own = getattr(generation_config, "eos_token_id", None)
    return list(dict.fromkeys([*template.stop_ids, *([own] if isinstance(own, int) else own or [])]))


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


def _adds_bos(tokenizer: Any) -> bool:
    """Whether this tokenizer puts bos before plain text by itself."""
    ids = tokenizer("a")["input_ids"]
    return len(ids) > 0 and ids[0] == tokenizer.bos_token_id


def _bound(tokenizer: Any, source: str, name: str) -> str:
    """Bind `bos` and `default_system` in the template's text, so that the saved file renders the same anywhere."""
    bos = tokenizer.bos_token if tokenizer.bos_token_id is not None and _adds_bos(tokenizer) else ""
    values = {"bos": bos}
    info = read_info(source, name)
    if info is not None and info.default_system is not None:
        values["default_system"] = info.default_system
    lines = [f"{{%- set {key} = {json.dumps(value, ensure_ascii=False)} -%}}\n" for key, value in values.items()]
    return "".join(lines) + source
