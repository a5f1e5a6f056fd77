"""The JSON schemas of tools' parameters: checked before a call is checked against them."""

from collections.abc import Iterable, Mapping
from typing import Any

from jsonschema import Draft202012Validator, SchemaError

from medicalgpt.errors import DataError


def check_tools(tools: Iterable[Mapping[str, Any]]) -> None:
    """Refuse tools whose parameters no call could be checked against.

    Raises:
        DataError: naming the tool, and what is wrong with its JSON schema.
    """
    for tool in tools:
        function = tool["function"]
        try:
            Draft202012Validator.check_schema(parameters(function))
        except SchemaError as error:
            raise DataError(
                f"tool '{function['name'][:64]}': parameters is no JSON schema (at {error.json_path}: "
                f"'{error.validator}' is not kept); see https://json-schema.org"
            ) from None


def parameters(function: Mapping[str, Any]) -> Any:
    """A tool's JSON schema; one that has none takes anything."""
    value = function.get("parameters")
    return {} if value is None else value
