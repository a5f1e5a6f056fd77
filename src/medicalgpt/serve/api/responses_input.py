"""`POST /v1/responses` on its way in: OpenAI's newer form of a conversation, turned into the older one, which says the same."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from medicalgpt.data.tool_schemas import MOST_TOOLS
from medicalgpt.serve.api import bounds
from medicalgpt.serve.api.errors import ApiError
from medicalgpt.serve.api.schema import (
    ChatRequest,
    Fields,
    FunctionSpec,
    TemplateSettings,
    joined_text,
    without_neutral,
)

_NEEDS_STATE: Final = ("previous_response_id", "conversation", "prompt")
_NEUTRAL: Final[dict[str, tuple[object, ...]]] = {
    "background": (False,),
    "include": ([],),
    "parallel_tool_calls": (True,),
    "top_logprobs": (0,),
    "stream_options": ({}, {"include_obfuscation": False}),
}
"""Fields that this server has not got, with the values that mean the same as leaving them out."""


def _joined_parts(value: object) -> object:
    """Text of parts: `input_text` and `output_text` are what the older form calls `text`."""
    if not isinstance(value, list):
        return value
    known = ("input_text", "output_text")
    return joined_text(
        [{**part, "type": "text"} if isinstance(part, dict) and part.get("type") in known else part for part in value]
    )


class InputItem(Fields):
    """A turn, a call that was made, or its result."""

    type: Literal["message", "function_call", "function_call_output", "reasoning"] = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: Annotated[str, BeforeValidator(_joined_parts)] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: Annotated[str, BeforeValidator(_joined_parts)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_sent_back(cls, given: object) -> object:
        """Items of ours may be sent back with all their fields; earlier thoughts have no place in a template."""
        if not isinstance(given, dict):
            return given
        if given.get("type") == "reasoning":
            return {"type": "reasoning"}
        return {name: value for name, value in given.items() if name not in ("id", "status", "phase")}

    @model_validator(mode="after")
    def _complete(self) -> "InputItem":
        needed = {
            "message": ("role", "content"),
            "function_call": ("call_id", "name", "arguments"),
            "function_call_output": ("call_id", "output"),
            "reasoning": (),
        }[self.type]
        given = [name for name in type(self).model_fields if name != "type" and getattr(self, name) is not None]
        if set(given) != set(needed):
            names = " and ".join(needed)
            raise PydanticCustomError("item", "an item of type {type} has {names}", {"type": self.type, "names": names})
        return self


def _as_items(value: object) -> object:
    """A text is one question."""
    if isinstance(value, list) and len(value) > bounds.MOST_TURNS:
        raise PydanticCustomError("items", f"has {len(value)} items; allowed: at most {bounds.MOST_TURNS}")
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


class FunctionTool(FunctionSpec):
    """A function that the model may call; OpenAI's other tools run at OpenAI."""

    type: Literal["function"]


class TextFormat(Fields):
    """What the answer's text must be."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    content: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class TextSettings(Fields):
    """Of the answer's text."""

    format: TextFormat | None = None
    verbosity: Literal["medium"] | None = None


class Reasoning(Fields):
    """How much the model thinks."""

    effort: str | None = None


class NamedTool(Fields):
    """`tool_choice` with a name."""

    type: Literal["function"]
    name: str


class ResponsesRequest(Fields):
    """`POST /v1/responses`."""

    model: str
    input: Annotated[list[InputItem], BeforeValidator(_as_items, json_schema_input_type=str | list[InputItem])] = Field(
        min_length=1, max_length=bounds.MOST_TURNS
    )
    instructions: str | None = None
    stream: bool = False
    max_output_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    tools: list[FunctionTool] = Field(default_factory=list, max_length=MOST_TOOLS)
    tool_choice: Literal["auto", "none", "required"] | NamedTool = "auto"
    text: TextSettings | None = None
    reasoning: Reasoning | None = None
    truncation: Literal["auto", "disabled"] = "auto"
    chat_template_kwargs: TemplateSettings = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: object) -> object:
        """Leave out what has no effect, and say so of what this server cannot do."""
        if not isinstance(given, dict):
            return given
        for name in _NEEDS_STATE:
            if given.get(name) is not None:
                reason = "this server keeps no conversations; send all of it as input"
                raise ApiError(400, f"{name}: {reason}", param=name)
        return without_neutral(given, _NEUTRAL, cls.model_fields)

    def as_chat(self) -> ChatRequest:
        """The same request as a conversation.

        Raises:
            ApiError: 400, a name or format is not one that the older form has.
        """
        found: dict[str, object] = {
            "model": self.model,
            "messages": _messages(self),
            "max_tokens": self.max_output_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "tools": [
                {"type": "function", "function": tool.model_dump(exclude={"type"}, exclude_none=True)}
                for tool in self.tools
            ],
            "tool_choice": _choice(self.tool_choice),
            "response_format": _format(self.text),
            "chat_template_kwargs": self.chat_template_kwargs,
            "reasoning_effort": self.reasoning.effort if self.reasoning else None,
        }
        try:
            return ChatRequest.model_validate(found)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            place = _place([str(part)[:64] for part in problem["loc"]])
            message = problem["msg"]
            raise ApiError(400, f"'{place}': {message[:1].lower()}{message[1:]}", param=place) from None


def _place(found: Sequence[str]) -> str:
    """Where it stands in this form; turns have other numbers here, so of them only that it is in the input."""
    if found[:1] == ["messages"]:
        return "input"
    if found[:1] == ["response_format"]:
        found = ["text", "format", *found[1:]]
    return ".".join(part for part in found if part not in ("function", "json_schema"))


def _choice(choice: str | NamedTool) -> object:
    return choice if isinstance(choice, str) else {"type": "function", "function": {"name": choice.name}}


def _format(text: TextSettings | None) -> object:
    form = text.format if text else None
    if form is None:
        return None
    named = {"name": form.name, "description": form.description, "schema": form.content, "strict": form.strict}
    schema = {key: value for key, value in named.items() if value is not None}
    return {"type": form.type} | ({"json_schema": schema} if schema or form.type == "json_schema" else {})


def _messages(asked: ResponsesRequest) -> list[dict[str, object]]:
    """Turns; calls join the assistant's turn before them, and instructions the system message that opens the input."""
    found: list[dict[str, object]] = []
    for item in asked.input:
        if item.type == "message":
            found.append({"role": item.role, "content": item.content})
        elif item.type == "function_call":
            call = {"id": item.call_id, "function": {"name": item.name, "arguments": item.arguments}}
            if not found or found[-1]["role"] != "assistant":
                found.append({"role": "assistant"})
            calls = found[-1].setdefault("tool_calls", [])
            assert isinstance(calls, list)
            calls.append(call)
        elif item.type == "function_call_output":
            found.append({"role": "tool", "tool_call_id": item.call_id, "content": item.output})
    if asked.instructions is None:
        return found
    if found and found[0]["role"] in ("system", "developer"):
        return [{"role": "system", "content": f"{asked.instructions}\n\n{found[0]['content']}"}, *found[1:]]
    return [{"role": "system", "content": asked.instructions}, *found]
