"""Shell scripts, read and never run: the commands in them with their arguments, variables filled in where they are plain."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from medicalgpt.errors import ConfigError

_ASSIGNED: Final = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_VARIABLE: Final = re.compile(r"\$(?:([A-Za-z_]\w*|\d|[@*#?])|\{([A-Za-z_]\w*|\d+)(?::?-([^}]*))?\})")
_OPEN: Final = re.compile(r"\$[A-Za-z_\d@*#?{(]")
_RUN: Final = re.compile(r"\$\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)|`[^`]*`")
_TEXT: Final = re.compile(r"(?<!<)<<-?\s*[\"']?(\w+)[\"']?")
_TOLD: Final = "$(…)"
"""Stands for what only running a command would tell; its words are not ours to split."""
_ENDS: Final = frozenset({";", ";;", "&&", "||", "|", "&"})
_SKIPPED: Final = frozenset({"export", "local", "then", "do", "else", "time", "nohup", "exec", "!", "{", "("})
_MOST_LINES: Final = 20_000
_JOINED: Final = 50  # lines that a quote may go over
_LONGEST: Final = 20_000  # characters of a word, variables filled in


@dataclass
class Command:
    """Words of one command with the lines that they stand on, and the variables that were set in front of it or before it."""

    words: list[tuple[str, int]]
    variables: dict[str, str] = field(default_factory=dict)


def commands_of(text: str, name: str) -> Iterator[Command]:
    """The commands of a script in order; a variable that was never set, or what only running it would tell, stays as it is written.

    Raises:
        ConfigError: a quote is never closed, or it is too long.
    """
    variables: dict[str, str] = {}
    for number, pieces in _lines_of_words(text, name):
        own: dict[str, str] = {}
        words: list[tuple[str, int]] = []
        for word, at in [*pieces, (";", number)]:
            if word in _ENDS:
                if words:
                    yield Command(words, {**variables, **own})
                else:
                    variables |= own  # an assignment alone stays; one in front of a command is that command's
                own, words = {}, []
            elif not words and (assigned := _ASSIGNED.fullmatch(word)):
                own[assigned[1]] = _filled(assigned[2], {**variables, **own})
            elif words or word not in _SKIPPED:
                words += [(part, at) for part in _parts(_filled(word, {**variables, **own}))]


def is_open(value: str) -> bool:
    """Whether a word still has something in it that only a shell could tell."""
    return bool(_OPEN.search(value))


def _lines_of_words(text: str, name: str) -> Iterator[tuple[int, list[tuple[str, int]]]]:
    """The words of each line; where a quote goes on, those of the lines up to its end."""
    lines = list(_logical_lines(text, name))
    at = 0
    while at < len(lines):
        number = lines[at][0]
        for more in range(at + 1, min(at + _JOINED, len(lines)) + 1):
            try:
                pieces = list(_split("\n".join(line for _, line in lines[at:more]), number))
            except ValueError:  # a quote is open
                continue
            yield number, pieces
            at = more
            break
        else:
            raise ConfigError(f"{name}:{number}: a quote that begins here does not end within {_JOINED} lines; mend it")


def _logical_lines(text: str, name: str) -> Iterator[tuple[int, str]]:
    """Lines with those that a backslash joins to them; the breaks stay, so that words can be counted to lines."""
    lines = text.splitlines()
    if len(lines) > _MOST_LINES:
        raise ConfigError(
            f"{name} has {len(lines):,} lines, allowed are {_MOST_LINES:,}; give the script of one training"
        )
    held: list[str] = []
    start, text_until = 1, ""
    for number, line in enumerate(lines, 1):
        if text_until:  # a text for a command, `<<EOT`, is no command
            text_until = "" if line.strip() == text_until else text_until
            continue
        if not held:
            start = number
        bare = line.strip()
        if bare.startswith("#") or (not bare and not held):
            if held:
                held.append("")  # a comment among continued lines
            continue
        joined = line.rstrip().endswith("\\")
        held.append(line.rstrip()[:-1] if joined else line)
        if not joined and (opened := _TEXT.search(line)):
            text_until = opened[1]
        if not joined:
            yield start, "\n".join(held)
            held = []
    if held:
        yield start, "\n".join(held)


def _split(line: str, start: int) -> Iterator[tuple[str, int]]:
    """Words as a shell would split them, with their lines; the operators are words of their own."""
    told = _RUN.sub(_TOLD, line)
    lexer = shlex.shlex(told, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    while (word := lexer.get_token()) is not None:
        yield word, start + lexer.lineno - 1


def _parts(word: str) -> list[str]:
    """A variable that holds several options is several words, as a shell takes it where it is not quoted."""
    try:
        return shlex.split(word) if word.startswith("--") and " " in word else [word]
    except ValueError:
        return [word]


def _filled(word: str, variables: dict[str, str]) -> str:
    """A word with the variables in it that are known."""

    def value(found: re.Match[str]) -> str:
        default = found[3] if found[3] is not None else found[0]
        return variables.get(found[1] or found[2], default)

    filled = _VARIABLE.sub(value, word)
    return filled if len(filled) <= _LONGEST else word
