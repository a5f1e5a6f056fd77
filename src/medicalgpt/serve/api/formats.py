"""What the answers to a request are held to: its response format, and the call that it demands."""

from medicalgpt.errors import ServeError
from medicalgpt.generate.engine import Engine
from medicalgpt.serve.api.errors import ApiError
from medicalgpt.serve.api.schema import ChatRequest, ResponseFormat
from medicalgpt.serve.api.turns import Offer
from medicalgpt.structured.constraint import Constraint


def constraint_of(asked: ChatRequest, offer: Offer, engine: Engine) -> Constraint | None:
    """What answers are held to, made ready; None where they are free. May take a second: not for the event loop.

    A demanded call comes before a response format. Where tools are offered beside one, an answer is either.

    Raises:
        ApiError: 400, the model's backend cannot do it, or it cannot be done for this schema.
    """
    if offer.demanded:
        return _of_call(asked, offer, engine)
    form = asked.response_format
    if form is None or form.type == "text":
        return None
    try:
        wanted = _of_format(form)
        if offer.format is not None:
            wanted = wanted | Constraint.call(offer.format, offer.tools)
        engine.require(wanted)
    except ServeError as error:
        raise ApiError(400, f"response_format: {error}", param="response_format") from None
    return wanted


def _of_format(form: ResponseFormat) -> Constraint:
    if form.json_schema is None or form.json_schema.content is None:
        return Constraint.json_object()
    return Constraint.json_schema(form.json_schema.content, f"schema '{form.json_schema.name}'")


def _of_call(asked: ChatRequest, offer: Offer, engine: Engine) -> Constraint | None:
    """A call that is demanded. Where its schema or the backend has no way to hold it, it is begun and the rest left to the model."""
    assert offer.format is not None  # `offer_of` demands calls in a format only
    wanted = Constraint.call(offer.format, offer.demanded, offer.prefill)
    try:
        engine.require(wanted)
    except ServeError as error:
        names = {tool["function"]["name"] for tool in offer.demanded}
        if any(tool.function.strict and tool.function.name in names for tool in asked.tools):
            raise ApiError(400, f"tools: strict: {error}", param="tools") from None
        if not offer.prefill:
            reason = f"in the format {offer.format.name} name the function to call ({error})"
            raise ApiError(400, f"tool_choice: {reason}", param="tool_choice") from None
        return None
    return wanted
