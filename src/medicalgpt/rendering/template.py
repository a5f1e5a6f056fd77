"""Chat templates with ids: one object that training and every inference path render and encode with.

A template is the tokenizer's own Jinja text, a named file of this package, or a file of the user's. Whatever it is, its
text is saved with the model, so that inference cannot use another one.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from medicalgpt.data.records import Message, Tools
from medicalgpt.errors import RenderError
from medicalgpt.rendering.conversation import Learned, go_on_from, learned, prompt_parts
from medicalgpt.rendering.dialogue import stop_token
from medicalgpt.rendering.encode import Encoder
from medicalgpt.rendering.template_header import EOS
from medicalgpt.rendering.template_names import Setting
from medicalgpt.rendering.template_text import LONGEST, TemplateText, adds_bos, template_source
from medicalgpt.rendering.tool_formats.choose import stamped

# Separators between documents that pretraining corpora use; an instruct tokenizer's eos ends a turn instead.
_DOCUMENT_ENDS = ("<|endoftext|>", "<|end_of_text|>")
_FOUND_OUT = ("closing", "stop_id", "document_end", "document_start")


class ChatTemplate(TemplateText):
    """A chat template bound to a tokenizer: text, token ids, and the tokens that end an answer."""

    @classmethod
    def load(
        cls, tokenizer: Any, name: str | None = None, tool_format: str | None = None, usual: Sequence[str] = ()
    ) -> "ChatTemplate":
        """Bind the tokenizer's own template (None), a named one, or a .jinja file.

        Args:
            tool_format: how tools and calls are written where the template does not; default: what the template's text
                names, else its family's.
            usual: names of the model family's templates, for the message where the tokenizer has none.

        Raises:
            RenderError: there is no such template or tool format, or the tokenizer lacks what it needs.
        """
        source, name = template_source(tokenizer, name, usual)
        return cls.of_text(tokenizer, source, name, tool_format)

    @classmethod
    def for_documents(cls, tokenizer: Any, name: str | None = None, tool_format: str | None = None) -> "ChatTemplate":
        """The same where documents are read, for which the tokenizer need not have a template, nor one without faults.

        Raises:
            RenderError: as `load`, for a template that was named; the tokenizer has no eos token.
        """
        try:
            return cls.load(tokenizer, name, tool_format)
        except RenderError:
            own = getattr(tokenizer, "chat_template", None)
            if name is not None or (isinstance(own, str) and len(own) > LONGEST):
                raise
        template = cls(tokenizer, "", "none")
        # What is saved with the model is what was there.
        template.source = own if isinstance(own, str) else ""
        template.documents_only = True
        _ = template.document_end
        return template

    @classmethod
    def of_text(cls, tokenizer: Any, source: str, name: str, tool_format: str | None = None) -> "ChatTemplate":
        """Bind a template's text, called `name` in messages. Raises RenderError as `load`."""
        template = cls(tokenizer, stamped(source, tool_format) if tool_format else source, name)
        template.check()
        if tool_format:
            _ = template.tool_use
        return template

    def with_settings(self, settings: Mapping[str, Setting]) -> "ChatTemplate":
        """The same template with values for names that it reads (`template_names.setting_names`), to ask with.

        It need not keep the promises of `check`: settings may write into the opened turn what no finished turn has.
        """
        made = ChatTemplate(self.tokenizer, self.source, self.name)
        made.settings = dict(settings)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process gets the tokenizer and the text, and what has been found out about both."""
        found = {name: self.__dict__[name] for name in _FOUND_OUT if name in self.__dict__}
        settings = dict(self.settings)
        return _again, (self.encoder, self.source, self.name, self.documents_only, settings, found, learned(self))

    def prompt_ids(self, messages: Sequence[Message], tools: Tools = (), prefill: str = "") -> list[int]:
        """Token ids a model is given before it answers: the same ones that training put before the answer.

        `prefill`: the beginning of the answer, which the model is to go on with.
        """
        return self.encoder.join([*prompt_parts(self, messages, tools), *filter(None, [prefill])])

    @cached_property
    def stop_id(self) -> int:
        """The token that ends an assistant turn."""
        return int(self.encoder.special[stop_token(self)])

    @cached_property
    def stop_ids(self) -> list[int]:
        """Every token that ends generation: the template's stops, then the tokenizer's eos and document end."""
        declared = [self.encoder.special[text] for text in self._declared if text in self.encoder.special]
        own = () if self.documents_only else (self.stop_id,)
        ids = [*own, *declared, self.tokenizer.eos_token_id, self.document_end]
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
        return int(bos) if bos is not None and adds_bos(self.tokenizer) else self.document_end

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


def _again(
    encoder: Encoder,
    source: str,
    name: str,
    documents_only: bool,
    settings: Mapping[str, Setting],
    found: dict[str, object],
    known: Learned | None,
) -> ChatTemplate:
    template = ChatTemplate(encoder.tokenizer, "" if documents_only else source, name).with_settings(settings)
    template.source, template.documents_only, template.encoder = source, documents_only, encoder
    template.__dict__.update(found)
    if known is not None:
        go_on_from(template, known)
    return template


def stop_ids(template: ChatTemplate, generation_config: Any) -> list[int]:
    """The template's stop tokens and those that the model's own generation config adds (Llama 3 has three)."""
    return list(dict.fromkeys([*template.stop_ids, *own_stop_ids(generation_config)]))


def own_stop_ids(generation_config: Any) -> list[int]:
    """The stop tokens that a generation config names."""
    own = getattr(generation_config, "eos_token_id", None)
    return [own] if isinstance(own, int) else list(own or [])
