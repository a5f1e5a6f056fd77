"""Schema types in plain words, and the walk from a key to its type. Used by error messages and by `config explain`."""

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

import annotated_types as limits
from pydantic import BaseModel

from medicalgpt.config.yaml_text import KeyPath, flow

_NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", type(None): "null"}


@dataclass(frozen=True)
class Kind:
    """A type and the limits that come with it."""

    annotation: Any
    metadata: tuple[Any, ...] = ()


def _unwrap(kind: Kind) -> Kind:
    if get_origin(kind.annotation) is Annotated:
        inner, *extra = get_args(kind.annotation)
        return _unwrap(Kind(inner, (*kind.metadata, *extra)))
    return kind


def _branches(kind: Kind) -> list[Kind]:
    """The alternatives of a union, else the type itself."""
    kind = _unwrap(kind)
    if get_origin(kind.annotation) in (Union, types.UnionType):
        return [branch for option in get_args(kind.annotation) for branch in _branches(Kind(option))]
    return [kind]


def is_section(annotation: Any) -> TypeGuard[type[BaseModel]]:
    """Whether a type is a section class itself, not a union or list with one inside."""
    return get_origin(annotation) is None and isinstance(annotation, type) and issubclass(annotation, BaseModel)


def section_of(kind: Kind) -> type[BaseModel] | None:
    """The section class behind a type (also behind `Section | None`), or None for a plain value."""
    for branch in _branches(kind):
        annotation = branch.annotation
        if is_section(annotation):
            return annotation
    return None


def _inside(kind: Kind, key: str | int) -> Kind | None:
    for branch in _branches(kind):
        annotation, origin, args = branch.annotation, get_origin(branch.annotation), get_args(branch.annotation)
        if is_section(annotation) and key in annotation.model_fields:
            found = annotation.model_fields[str(key)]
            return Kind(found.annotation, tuple(found.metadata))
        if origin in (dict, Mapping) and isinstance(key, str):
            return Kind(args[1])
        if origin in (list, Sequence) and isinstance(key, int):
            return Kind(args[0])
    return None


def walk(schema: type[BaseModel], path: KeyPath) -> Iterator[Kind]:
    """The types along `path`, as far as the schema knows them; the schema itself comes first."""
    kind: Kind | None = Kind(schema)
    for key in (*path, None):
        if kind is None:
            return
        yield kind
        if key is not None:
            kind = _inside(kind, key)


def type_words(kind: Kind, choices: bool = False) -> str:
    """The type in plain words, e.g. "number or null"; with `choices` the words of a Literal are spelled out."""
    words = []
    for branch in sorted(_branches(kind), key=lambda branch: branch.annotation is type(None)):
        annotation, origin, args = branch.annotation, get_origin(branch.annotation), get_args(branch.annotation)
        if origin is Literal:
            words.append(" | ".join(flow(option) for option in args) if choices else "choice")
        elif origin in (list, Sequence):
            words.append(f"list of {type_words(Kind(args[0]), choices)}")
        elif origin in (dict, Mapping):
            words.append(f"mapping of {type_words(Kind(args[0]))} to {type_words(Kind(args[1]), choices)}")
        elif section := section_of(branch):
            some = " / ".join(list(section.model_fields)[:3])
            words.append(f"section with keys such as {some}" if choices else "section")
        else:
            words.append(_NAMES.get(annotation, getattr(annotation, "__name__", str(annotation))))
    return " or ".join(dict.fromkeys(words))


def options(kind: Kind) -> list[str]:
    """Every word a Literal anywhere in the type allows."""
    found = []
    for branch in _branches(kind):
        args = get_args(branch.annotation)
        if get_origin(branch.annotation) is Literal:
            found += [flow(option) for option in args]
        else:
            found += [option for arg in args for option in options(Kind(arg))]
    return found


def range_words(kind: Kind) -> str:
    """The limits of a value in words, e.g. "≥ 0 and < 1"; "" without limits."""
    words = []
    for limit in _unwrap(kind).metadata:
        if isinstance(limit, limits.Ge):
            words.append(f"≥ {limit.ge}")
        elif isinstance(limit, limits.Gt):
            words.append(f"> {limit.gt}")
        elif isinstance(limit, limits.Le):
            words.append(f"≤ {limit.le}")
        elif isinstance(limit, limits.Lt):
            words.append(f"< {limit.lt}")
        elif isinstance(limit, limits.MinLen):
            words.append(f"at least {limit.min_length} of them")
        elif isinstance(limit, limits.MaxLen):
            words.append(f"at most {limit.max_length} of them")
        elif isinstance(limit, limits.MultipleOf):
            words.append(f"a multiple of {limit.multiple_of}")
    return " and ".join(words)


def expected_words(kind: Kind) -> str:
    """What a key takes, for error messages: "number > 0", "sigmoid | hinge | ipo"."""
    limits_of = range_words(kind)
    return f"{type_words(kind, choices=True)}{', ' if limits_of.startswith('at ') else ' '}{limits_of}".strip()
