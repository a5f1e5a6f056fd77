"""Requests with OpenAI's field names. What is not known is refused by name; nothing is ignored unless listed here."""

import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from medicalgpt.config.near_names import did_you_mean
from medicalgpt.data.tool_schemas import MOST_TOOLS
from medicalgpt.generate.sampling import MOST_BIAS, MOST_BIASED, MOST_PENALTY
from medicalgpt.serve.api import bounds
from medicalgpt.serve.api.errors import ApiError

IGNORED: Final = frozenset(
    {
        *("user", "metadata", "store", "service_tier", "safety_identifier"),
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"),
    }
)
"""Fields about book-keeping at OpenAI; they cannot change an answer."""

NEUTRAL: Final[dict[str, tuple[object, ...]]] = {
    "modalities": (["text"],),
    "response_format": ({"type": "text"},),
    "verbosity": ("medium",),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "functions": ([],),
    "parallel_tool_calls": (True,),
}
"""Fields that this server has not got, with the values that mean the same as leaving them out."""

_MOST_SHOWN = 5
T = TypeVar("T", bound="Fields")


class Fields(BaseModel):
    """An object of a request: every field known, none turned into another type, and null as if it were not there."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: object) -> object:
        """OpenAI's clients write null for what was not set."""
        if isinstance(given, dict) and len(given) > bounds.MOST_FIELDS:
            raise PydanticCustomError("fields", f"has more than {bounds.MOST_FIELDS} fields")
        return {k: v for k, v in given.items() if v is not None} if isinstance(given, dict) else given


def without_neutral(
    given: Mapping[str, object], neutral: Mapping[str, tuple[object, ...]], known: Collection[str]
) -> dict[str, object]:
    """A request without the fields that have no effect.

    Args:
        neutral: fields that are not there, with the values that mean the same as leaving them out.
        known: fields that are there, whatever `neutral` says.

    Raises:
        ApiError: 400, one of them would have an effect, which this server cannot give.
    """
    for name, allowed in neutral.items():
        if name not in known and given.get(name) is not None and given[name] not in allowed:
            told = f"{name} is not supported here, except as {json.dumps(allowed[0])}; leave it out"
            raise ApiError(400, told, param=name)
    left_out = (IGNORED | neutral.keys()) - set(known)
    return {name: value for name, value in given.items() if name not in left_out}


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def joined_text(value: object) -> object:
    """The text of a message's content, which may come in parts."""
    if not isinstance(value, list):
        return value
    texts = []
    for part in value:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("image_url", "input_image", "input_audio", "audio", "file", "video_url"):
            raise PydanticCustomError(
                "media", "this model reads text only, and a part of type {kind} came; send text parts", {"kind": kind}
            )
        if kind not in ("text", "refusal") or not isinstance(part.get(kind), str):
            raise PydanticCustomError("part", 'every part must be {"type": "text", "text": "…"}')
        texts.append(part[kind])
    return "\n".join(texts)


class StreamOptions(Fields):
    """What a stream brings beside the answer."""

    include_usage: bool = False
    include_obfuscation: bool = False
    """Padding against listeners on the network; never sent here."""


def few_names(most: int) -> BeforeValidator:
    """Counts an object's fields before they are looked at: a problem told of each of 100,000 takes seconds."""

    def check(value: object) -> object:
        if isinstance(value, dict) and len(value) > most:
            raise PydanticCustomError("names", f"has {len(value)} entries; allowed: at most {most}")
        return value

    return BeforeValidator(check)


_TokenId = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,8})$")]
"""As JSON has the names of fields; one id has one spelling."""
_Bias = Annotated[float, Field(ge=-MOST_BIAS, le=MOST_BIAS)]


class CompletionParams(Fields):
    """What both kinds of completions take."""

    model: str
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int = Field(1, ge=1)
    seed: int | None = None
    stop: Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], BeforeValidator(_as_list)] = Field(
        default_factory=list, max_length=16
    )
    max_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    repetition_penalty: float = Field(1.0, gt=0, le=10)
    min_p: float = Field(0.0, ge=0, le=1)
    frequency_penalty: float = Field(0.0, ge=-MOST_PENALTY, le=MOST_PENALTY)
    presence_penalty: float = Field(0.0, ge=-MOST_PENALTY, le=MOST_PENALTY)
    logit_bias: Annotated[dict[_TokenId, _Bias], few_names(MOST_BIASED)] = Field(
        default_factory=dict, max_length=MOST_BIASED
    )

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: object) -> object:
        """Leave out what has no effect, and say so of what would have one that this server cannot give."""
        return without_neutral(given, NEUTRAL, cls.model_fields) if isinstance(given, dict) else given


class CalledFunction(Fields):
    """A function with its arguments as JSON text."""

    name: str = Field(min_length=1)
    arguments: str = ""


class MadeCall(Fields):
    """A call that an assistant made earlier."""

    id: str = ""
    type: Literal["function"] = "function"
    index: int | None = None
    function: CalledFunction


class ChatMessage(Fields):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str, BeforeValidator(joined_text)] | None = None
    tool_calls: list[MadeCall] = Field(default_factory=list, max_length=bounds.MOST_CALLS)
    tool_call_id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_sent_back(cls, given: object) -> object:
        """An answer of ours may be sent back with all its fields; names and earlier thoughts have no place in a template."""
        if not isinstance(given, dict):
            return given
        empty = [name for name in ("refusal", "annotations") if not given.get(name)]
        return {name: value for name, value in given.items() if name not in ("name", "reasoning_content", *empty)}

    @model_validator(mode="after")
    def _complete(self) -> "ChatMessage":
        if self.tool_calls and self.role != "assistant":
            raise PydanticCustomError("calls", "only an assistant turn has tool_calls")
        if self.content is None and not self.tool_calls:
            raise PydanticCustomError("content", "content is missing")
        return self


class FunctionSpec(Fields):
    """A function that the model may call; `parameters` is a JSON schema."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    """Calls that break their schema are never returned as calls, strict or not; a strict schema must be one that a demanded
    call can be held to while it is written."""


class Tool(Fields):
    """A tool; OpenAI's other kinds run at OpenAI."""

    type: Literal["function"]
    function: FunctionSpec


class ChosenFunction(Fields):
    """The function that a call is demanded of."""

    name: str


class NamedChoice(Fields):
    """`tool_choice` with a name."""

    type: Literal["function"]
    function: ChosenFunction


ChoiceWord = Literal["auto", "none", "required"]


def _as_choice(value: object) -> object:
    """One message for a choice that is neither word nor name."""
    if value in get_args(ChoiceWord):
        return value
    try:
        return NamedChoice.model_validate(value)
    except ValidationError:
        allowed = '"auto", "none", "required", or {"type": "function", "function": {"name": "…"}}'
        raise PydanticCustomError("choice", f"must be {allowed}") from None


class SchemaSpec(Fields):
    """A named JSON schema; `strict` or not, answers are held to it."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str | None = None
    content: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class ResponseFormat(Fields):
    """What an answer must be: text, any JSON object, or JSON that keeps a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaSpec | None = None

    @model_validator(mode="after")
    def _complete(self) -> "ResponseFormat":
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise PydanticCustomError("format", 'json_schema goes with type "json_schema", and that type needs it')
        return self


_Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
_Setting = (
    bool
    | Annotated[int, Field(ge=-(10**9), le=10**9)]
    | Annotated[float, Field(ge=-1e9, le=1e9)]
    | Annotated[str, Field(pattern=r"^[\w .:+-]{0,64}$")]
)
"""Of a template: words and numbers, in which no special token can be spelled."""
TemplateSettings = Annotated[dict[_Name, _Setting], few_names(16), Field(max_length=16)]


class ChatRequest(CompletionParams):
    """`POST /v1/chat/completions`."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=bounds.MOST_TURNS)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)
    tools: list[Tool] = Field(default_factory=list, max_length=MOST_TOOLS)
    tool_choice: Annotated[ChoiceWord | NamedChoice, BeforeValidator(_as_choice)] = "auto"
    response_format: ResponseFormat | None = None
    chat_template_kwargs: TemplateSettings = Field(default_factory=dict)
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None

    @property
    def top(self) -> int | None:
        """How many likeliest tokens are told at each place; None for no log-probabilities."""
        return self.top_logprobs if self.logprobs else None

    @model_validator(mode="after")
    def _agree(self) -> "ChatRequest":
        if self.top_logprobs and not self.logprobs:
            raise ApiError(400, "top_logprobs needs logprobs: true", param="top_logprobs")
        if None not in (self.max_tokens, self.max_completion_tokens) and self.max_tokens != self.max_completion_tokens:
            raise ApiError(400, "max_tokens and max_completion_tokens differ; give one of them", param="max_tokens")
        self.max_tokens = self.max_tokens or self.max_completion_tokens
        return self


def _as_prompts(value: object) -> object:
    """One text, several, one list of token ids, or several: always several."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and value and all(type(item) is int for item in value):
        return [value]
    right = isinstance(value, list) and all(
        isinstance(item, str) or (isinstance(item, list) and item and all(type(token) is int for token in item))
        for item in value
    )
    if not right:
        raise PydanticCustomError("prompt", "must be a text, token ids, or a list of either")
    return value


class CompletionRequest(CompletionParams):
    """`POST /v1/completions`."""

    prompt: Annotated[list[Any], BeforeValidator(_as_prompts)] = Field(min_length=1, max_length=128)
    max_tokens: int | None = Field(None, ge=0)
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: bool = False
    best_of: int | None = Field(None, ge=1)

    @property
    def top(self) -> int | None:
        """See `ChatRequest.top`."""
        return self.logprobs

    @property
    def each(self) -> int:
        """How many answers are made to a prompt, of which `n` are given."""
        return self.best_of or self.n

    @model_validator(mode="after")
    def _agree(self) -> "CompletionRequest":
        if self.max_tokens == 0 and not self.echo:
            raise ApiError(400, "max_tokens is 0; allowed: at least 1, or 0 with echo: true", param="max_tokens")
        if self.each < self.n:
            raise ApiError(400, f"best_of is {self.best_of}; allowed: at least n ({self.n})", param="best_of")
        if self.each > self.n and self.stream:
            raise ApiError(400, "best_of above n cannot be streamed; leave out one of them", param="best_of")
        return self


def parse(kind: type[T], body: bytes) -> T:
    """A request from its JSON text.

    Raises:
        ApiError: 400, naming every field that is wrong, without quoting what stands in it.
    """
    bounds.check_values(body)
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
    if problems[0]["type"] == "json_invalid":
        raise ApiError(400, "the body is not valid JSON in UTF-8")
    if not problems[0]["loc"] and problems[0]["type"].startswith("model_"):
        raise ApiError(400, "the body is not a JSON object")
    told = [_told(kind, problem) for problem in problems[:_MOST_SHOWN]]
    more = f"; and {len(problems) - _MOST_SHOWN} more" if len(problems) > _MOST_SHOWN else ""
    raise ApiError(400, "; ".join(told) + more, param=_place(problems[0]))


_KEY: Final = "[key]"  # pydantic's word for the name of an entry rather than its value


def _place(problem: ErrorDetails) -> str:
    return ".".join(str(part)[:64] for part in problem["loc"] if part != _KEY)


def _told(kind: type[Fields], problem: ErrorDetails) -> str:
    place = _place(problem)
    if problem["type"] == "extra_forbidden":
        near = did_you_mean(place, kind.model_fields) if len(problem["loc"]) == 1 else ""
        return f"unknown field '{place}'{near}"
    if problem["type"] == "missing":
        return f"'{place}' is missing"
    if problem["loc"][:1] == ("logit_bias",) and problem["loc"][-1] == _KEY:
        return f"'{place}' is no token id; allowed: whole numbers in digits, such as \"260\""
    message = problem["msg"]
    where = f"'{place}'" if place else "the body"
    return f"{where}: {message[:1].lower()}{message[1:]}"
