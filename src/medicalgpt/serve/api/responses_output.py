"""`/v1/responses` on its way out: an answer as items (thoughts, a message, calls), and the events in which they grow."""

import secrets
from collections.abc import Iterator, Sequence

from medicalgpt.generate.answer import AnswerDelta, ReasoningDelta
from medicalgpt.rendering.tool_formats import CallDelta, ContentDelta
from medicalgpt.serve.api.stream import Choice


class OutputItems:
    """The items of one answer. Events are numbered from 0 on."""

    def __init__(self) -> None:
        self.items: list[Choice] = []
        self._open = ""
        self._next = 0

    def event(self, kind: str, **fields: object) -> Choice:
        """The next event."""
        self._next += 1
        return {"type": kind, "sequence_number": self._next - 1, **fields}

    def push(self, deltas: Sequence[AnswerDelta]) -> Iterator[Choice]:
        """What an answer grows by."""
        for delta in deltas:
            if isinstance(delta, CallDelta):
                yield from self._call(delta)
            elif isinstance(delta, ReasoningDelta):
                yield from self._text("reasoning", delta.text)
            elif isinstance(delta, ContentDelta):
                yield from self._text("message", delta.text)

    def finish(self, status: str) -> Iterator[Choice]:
        """The answer is over: `completed` or `incomplete`. One without a word has an empty message."""
        if not self.items:
            yield from self._text("message", "")
        yield from self._close(status)

    @property
    def _at(self) -> dict[str, object]:
        return {"item_id": self.items[-1]["id"], "output_index": len(self.items) - 1}

    def _text(self, kind: str, text: str) -> Iterator[Choice]:
        if self._open != kind:
            yield from self._close("completed")
            yield from self._begin(kind)
        self.items[-1]["content"][0]["text"] += text
        name = "output_text" if kind == "message" else "reasoning_text"
        more: dict[str, object] = {"logprobs": []} if kind == "message" else {}
        if text:
            yield self.event(f"response.{name}.delta", **self._at, content_index=0, delta=text, **more)

    def _begin(self, kind: str) -> Iterator[Choice]:
        self._open = kind
        if kind == "message":
            part: Choice = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            item: Choice = {"id": _name("msg"), "type": "message", "status": "in_progress", "role": "assistant"}
        else:
            part = {"type": "reasoning_text", "text": ""}
            item = {"id": _name("rs"), "type": "reasoning", "status": "in_progress", "summary": []}
        self.items.append(item | {"content": [part]})
        index = len(self.items) - 1
        yield self.event("response.output_item.added", output_index=index, item=item | {"content": []})
        yield self.event("response.content_part.added", **self._at, content_index=0, part=dict(part))

    def _close(self, status: str) -> Iterator[Choice]:
        """End the text that grows."""
        if not self._open:
            return
        item, name = self.items[-1], "output_text" if self._open == "message" else "reasoning_text"
        (part,) = item["content"]
        more: dict[str, object] = {"logprobs": []} if self._open == "message" else {}
        item["status"], self._open = status, ""
        yield self.event(f"response.{name}.done", **self._at, content_index=0, text=part["text"], **more)
        yield self.event("response.content_part.done", **self._at, content_index=0, part=part)
        yield self.event("response.output_item.done", output_index=len(self.items) - 1, item=item)

    def _call(self, call: CallDelta) -> Iterator[Choice]:
        """A call comes whole."""
        yield from self._close("completed")
        item: Choice = {"id": _name("fc"), "type": "function_call", "status": "completed", "call_id": call.id}
        item |= {"name": call.name, "arguments": call.arguments}
        self.items.append(item)
        index = len(self.items) - 1
        begun = item | {"status": "in_progress", "arguments": ""}
        yield self.event("response.output_item.added", output_index=index, item=begun)
        kind = "response.function_call_arguments"
        yield self.event(f"{kind}.delta", **self._at, delta=call.arguments)
        yield self.event(f"{kind}.done", **self._at, name=call.name, arguments=call.arguments)
        yield self.event("response.output_item.done", output_index=index, item=item)


def _name(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(12)}"
