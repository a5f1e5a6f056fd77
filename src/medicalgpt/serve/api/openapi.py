"""A description of the API for tools that read OpenAPI: paths, fields, errors. Off by default, as it tells strangers what there is.

Request bodies are parsed by `schema.parse`, not by FastAPI, so they are described here from the same classes.
"""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from medicalgpt import __version__
from medicalgpt.serve.api.responses_input import ResponsesRequest
from medicalgpt.serve.api.schema import ChatRequest, CompletionRequest, Fields

Described = dict[str, Any]
"""A description, or a part of one."""

PATH: Final = "/openapi.json"
_BODIES: Final[dict[str, type[Fields]]] = {
    "/v1/chat/completions": ChatRequest,
    "/v1/completions": CompletionRequest,
    "/v1/responses": ResponsesRequest,
}
_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
# What `text/event-stream` says in OpenAPI 3.1: one event, not the whole body (3.2 has `itemSchema` for it).
_EVENT: Final = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "description": "a chunk, or an error as elsewhere; of completions the last one is [DONE]",
        }
    },
}
_TOLD: Final = {
    "400": "a field is unknown, missing, out of range, or this server cannot do it",
    "401": "no valid API key",
    "403": "another host was named",
    "404": "no such model or path",
    "408": "the body did not come",
    "413": "the body is too large",
    "415": "not JSON",
    "429": "no room now",
    "500": "the model failed on this request",
    "503": "the server shuts down, or has too many connections",
    "504": "not done in time",
}
_OF_GET: Final = ("401", "403")


def describe(app: FastAPI, keys: bool) -> Described:
    """The description of an app's routes as OpenAPI 3.1; `keys`: whether one is needed."""
    found = get_openapi(title="MedicalGPT", version=__version__, routes=app.routes)
    parts = found.setdefault("components", {})
    schemas: Described = {"Error": _ERROR, "Event": _EVENT}
    for path, operations in found["paths"].items():
        for operation in operations.values():
            body = _BODIES.get(path)
            if body is not None:
                operation["requestBody"] = {
                    "required": True,
                    "content": {"application/json": {"schema": _ref(body.__name__)}},
                }
                schemas |= _definitions(body)
                operation["responses"]["200"]["content"]["text/event-stream"] = {"schema": _ref("Event")}
            operation["responses"].pop("422", None)  # FastAPI's own form of refusing, which no route here has
            codes = _TOLD if body is not None else [*_OF_GET, *(["404"] if "{" in path else [])]
            operation["responses"] |= {code: _problem(code) for code in codes if path != "/health"}
    _health(found)
    parts["schemas"] = schemas
    if keys:
        parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"key": []}]
    return found


def _health(found: Described) -> None:
    operation = found["paths"]["/health"]["get"]
    operation["responses"]["503"] = {"description": "stopping", "content": operation["responses"]["200"]["content"]}
    operation["security"] = []


def _definitions(body: type[Fields]) -> Described:
    schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs", {}), body.__name__: schema}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _problem(code: str) -> Described:
    return {"description": _TOLD[code], "content": {"application/json": {"schema": _ref("Error")}}}
