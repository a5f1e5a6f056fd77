"""YAML as configs use it: the JSON types with comments, each value with its line, and text that reads back equal.

Plain YAML 1.1 has traps (`2e-4` is text, `no` is false, `1:30` is 90, `010` is 8). Reading follows the YAML 1.2 core
schema instead; writing quotes whatever either version would misread.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

KeyPath = tuple[str | int, ...]

LONGEST: Final = 1 << 19
"""Characters of a text; the longest configs that people write are lists of some thousand files."""

MOST: Final = 20_000
"""Values of a text, those behind an alias counted each time: nine lines of aliases may stand for a billion."""

DEEPEST: Final = 32
"""Lists and mappings within each other."""

_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?$")
_INT = re.compile(r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")
_TAG = "tag:yaml.org,2002:"


class YamlError(Exception):
    """Text that is not YAML; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line, self.message = line, message


@dataclass
class Parsed:
    """The values of a YAML text, the line of every key and list item, and the faults that did not stop the reading."""

    value: Any = None
    empty: bool = False
    lines: dict[KeyPath, int] = field(default_factory=dict)
    faults: list[tuple[int, str]] = field(default_factory=list)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (pyyaml's own attribute, replaced as a whole)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


_Loader.add_implicit_resolver(f"{_TAG}bool", re.compile("(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(f"{_TAG}null", re.compile("(~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(f"{_TAG}int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+.0123456789"))
_Loader.add_implicit_resolver(f"{_TAG}merge", re.compile("<<$"), ["<"])
_Dumper.add_implicit_resolver(f"{_TAG}int", _INT, list("-+0123456789"))
_Dumper.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+.0123456789"))


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Double quotes keep line breaks as \n, so that every value stays on the line of its key.
    breaks = text.splitlines() not in ([], [text])
    return dumper.represent_scalar(f"{_TAG}str", text, style='"' if breaks else None)


_Dumper.add_representer(str, _text_node)


def flow(value: Any) -> str:
    """One line of YAML for a value of JSON types; `parse` gives the value back."""
    text = yaml.dump([value], Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=2**31, sort_keys=False)
    return text.strip()[1:-1]


def parse(text: str) -> Parsed:
    """Read one YAML document of JSON types.

    Duplicate keys, foreign tags and infinite numbers are listed in `faults`. Raises YamlError where reading must stop.
    """
    if len(text) > LONGEST:
        raise YamlError(1, f"the text has {len(text):,} characters, allowed are {LONGEST:,}")
    try:
        return _Reader(text).read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else 1, _told(error)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(line, f"character U+{ord(text[error.position]):04X} is not allowed") from None
    except RecursionError:
        raise YamlError(1, "the nesting is too deep") from None


def _told(error: yaml.MarkedYAMLError) -> str:
    """Where and what, apart: clauses behind semicolons are translated one by one, and names of tokens are no quotations."""
    clauses = (part.removesuffix(",") for part in (error.context, error.problem) if part)
    return re.sub(r"'(<[a-z ]+>)'", r"\1", "; ".join(clauses))


class _Reader:
    """Turns composed nodes into plain values while noting lines."""

    def __init__(self, text: str) -> None:
        self.loader = _Loader(text)
        self.parsed = Parsed()
        self.checked: dict[int, yaml.MappingNode] = {}  # mappings whose duplicate keys were looked for
        self.open: list[yaml.Node] = []  # the nodes being read, to notice an alias that contains itself
        self.values = 0

    def read(self) -> Parsed:
        node = self.loader.get_single_node()
        if node is None:
            self.parsed.empty = True
        else:
            self.parsed.value = self._value(node, ())
        return self.parsed

    def _fault(self, node: yaml.Node, message: str) -> None:
        self.parsed.faults.append((node.start_mark.line + 1, message))

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        if any(node is outer for outer in self.open):
            raise YamlError(node.start_mark.line + 1, "an alias contains itself")
        if len(self.open) == DEEPEST:
            raise YamlError(node.start_mark.line + 1, "the nesting is too deep")
        self.values += 1
        if self.values > MOST:
            raise YamlError(node.start_mark.line + 1, f"more than {MOST:,} values, those of aliases counted each time")
        self.open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return self._sequence(node, path)
            if isinstance(node, yaml.ScalarNode):
                return self._scalar(node)
            raise TypeError(f"pyyaml composed a {type(node).__name__}")
        finally:
            self.open.pop()

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        self._expect_tag(node, "map")
        if id(node) not in self.checked:  # merging (<<) puts keys into the node: look for duplicates once, before that
            self.checked[id(node)] = node
            self._find_duplicates(node, path)
        if _merged_keys(node, {}) > MOST:
            raise YamlError(
                node.start_mark.line + 1, f"more than {MOST:,} keys, those of merged mappings counted each time"
            )
        self.loader.flatten_mapping(node)
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault(key_node, "a key must be a word, not a list or mapping")
                continue
            key = key_node.value  # as written: `on:` and `1:` are the words "on" and "1"
            self.parsed.lines[(*path, key)] = key_node.start_mark.line + 1
            values[key] = self._value(value_node, (*path, key))
        return values

    def _find_duplicates(self, node: yaml.MappingNode, path: KeyPath) -> None:
        first: dict[str, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue
            key, line = key_node.value, key_node.start_mark.line + 1
            if key in first:
                name = ".".join(str(part) for part in (*path, key))
                self._fault(key_node, f"key '{name}' is set twice, on lines {first[key]} and {line}; keep one")
            first.setdefault(key, line)

    def _sequence(self, node: yaml.SequenceNode, path: KeyPath) -> list[Any]:
        self._expect_tag(node, "seq")
        values = []
        for index, item in enumerate(node.value):
            self.parsed.lines[(*path, index)] = item.start_mark.line + 1
            values.append(self._value(item, (*path, index)))
        return values

    def _expect_tag(self, node: yaml.Node, kind: str) -> None:
        if node.tag != f"{_TAG}{kind}":
            self._fault(node, f"tag '{node.tag}' is not allowed; write plain values, lists and mappings")

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        if kind in ("str", "merge"):
            return text
        try:
            if kind == "null":
                return None
            if kind == "bool":
                return {"true": True, "false": False}[text.lower()]
            if kind == "int":
                return int(text, 0 if text[:2] in ("0o", "0x") else 10)
            if kind == "float" and math.isfinite(number := float(text)):
                return number
        except (ValueError, KeyError):
            pass
        self._fault(node, f"'{text}' with tag '{node.tag}' is not a value that a config can hold")
        return None


def _merged_keys(node: yaml.Node, known: dict[int, int]) -> int:
    """How many keys a mapping has once all that it merges (`<<`) is in it, or a list of mappings together.

    Raises:
        YamlError: it merges itself.
    """
    if id(node) in known:
        if known[id(node)] < 0:
            raise YamlError(node.start_mark.line + 1, "an alias contains itself")
        return known[id(node)]
    known[id(node)] = -1
    if isinstance(node, yaml.SequenceNode):
        count = sum(_merged_keys(item, known) for item in node.value)
    elif isinstance(node, yaml.MappingNode):
        merges = [value for key, value in node.value if key.tag == f"{_TAG}merge"]
        count = len(node.value) - len(merges) + sum(_merged_keys(value, known) for value in merges)
    else:
        count = 1
    known[id(node)] = count
    return count
