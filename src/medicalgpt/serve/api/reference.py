"""The description of the API as a page for people. It is made here, without scripts: nothing is loaded from elsewhere."""

import json
from collections.abc import Iterator
from html import escape
from typing import Final

from starlette.responses import HTMLResponse

from medicalgpt.serve.api.openapi import Described

PATH: Final = "/docs"
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.3rem .6rem;"
    "border-bottom:1px solid #ddd}code{background:#f3f3f3;padding:0 .2rem;overflow-wrap:anywhere}"
    "@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}code{background:#2a2a2a}td,th{border-color:#444}}"
)
_LIMITS: Final = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "above",
    "maxItems": "items at most",
    "minItems": "items at least",
    "maxProperties": "names at most",
    "maxLength": "characters at most",
    "minLength": "characters at least",
    "pattern": "as",
}


def page(described: Described) -> HTMLResponse:
    """A page about an OpenAPI description: paths, their fields with types, limits and defaults, their errors."""
    schemas: Described = described["components"]["schemas"]
    body = "".join(_operations(described["paths"], schemas))
    kinds = "".join(
        f"<h2 id='{escape(name)}'>{escape(name)}</h2>{_table(schema)}"
        for name, schema in schemas.items()
        if schema.get("properties")
    )
    title = f"{described['info']['title']} {described['info']['version']}"
    text = (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>{body}{kinds}</html>"
    )
    safe = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
    return HTMLResponse(text, headers=safe)


def _operations(paths: Described, schemas: Described) -> Iterator[str]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            yield f"<h2>{escape(method.upper())} {escape(path)}</h2>"
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content:
                yield f"<p>Takes {_kind(content['schema'])} as JSON.</p>"
            answers = operation["responses"].items()
            rows = (
                f"<tr><td>{escape(code)}</td><td>{escape(answer['description'])}</td></tr>" for code, answer in answers
            )
            yield f"<table><tr><th>Status</th><th></th></tr>{''.join(rows)}</table>"


def _table(schema: Described) -> str:
    needed = schema.get("required", ())
    rows = (
        f"<tr><td><code>{escape(name)}</code></td><td>{_kind(field)}</td><td>{_limits(field)}</td>"
        f"<td>{'needed' if name in needed else _default(field)}</td></tr>"
        for name, field in schema["properties"].items()
    )
    about = escape(schema.get("description", ""))
    heads = "".join(f"<th>{head}</th>" for head in ("Field", "Type", "Limits", "Default"))
    return f"<p>{about}</p><table><tr>{heads}</tr>{''.join(rows)}</table>"


def _kind(field: Described) -> str:
    if "$ref" in field:
        name = escape(field["$ref"].rpartition("/")[2])
        return f"<a href='#{name}'>{name}</a>"
    if "anyOf" in field:
        return " or ".join(_kind(one) for one in field["anyOf"] if one.get("type") != "null")
    if "enum" in field or "const" in field:
        return " or ".join(f"<code>{escape(json.dumps(v))}</code>" for v in field.get("enum", [field.get("const")]))
    kind = escape(str(field.get("type", "any")))
    return f"{kind} of {_kind(field['items'])}" if field.get("items") else kind


def _limits(field: Described) -> str:
    told = [field, *(one for one in field.get("anyOf", ()))]
    found = [f"{words} {escape(str(one[key]))}" for one in told for key, words in _LIMITS.items() if key in one]
    return ", ".join(found)


def _default(field: Described) -> str:
    value = field.get("default")
    return "" if value is None else f"<code>{escape(json.dumps(value))}</code>"
