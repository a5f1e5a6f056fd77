"""The training that a script calls: its program, its arguments, the file that it names, and how many processes there are."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from medicalgpt.config.foreign import FOREIGN, fold_word
from medicalgpt.config.stages import STAGES
from medicalgpt.config.yaml_text import YamlError, parse
from medicalgpt.errors import ConfigError
from medicalgpt.migrate.given import AGAIN, Given, Word, mapping_words, of_mapping, read_text, stage_of
from medicalgpt.migrate.shell import Command, commands_of, is_open
from medicalgpt.migrate.tools import SAME, TRL_COMMANDS, WORDS, Tool, script_tool

_LAUNCHERS: Final = ("torchrun", "accelerate", "deepspeed")
_STARTERS: Final = frozenset({"python", "python3", *_LAUNCHERS, "uv", "poetry", "srun", "env", "sudo", "bash", "sh"})
_PROGRAMS: Final = frozenset({"trl", "llamafactory-cli", "llamafactory"})
_UNTOLD: Final = "only running the script would tell which options it is"
_ENDINGS: Final = (".yaml", ".yml", ".json")
Words = Sequence[tuple[str, int]]


def read_given(path: Path, stage: str | None = None) -> Given:
    """Read a YAML or JSON file, or a shell script that calls a training.

    Args:
        stage: our stage, where the file does not tell it, or holds several trainings.

    Raises:
        ConfigError: it cannot be read, is of no tool that is known, or does not tell its stage.
    """
    if stage is not None and stage not in STAGES:
        raise ConfigError(f"unknown stage '{stage}'; stages are {', '.join(STAGES)}")
    return of_mapping(path, stage) if path.suffix.lower() in _ENDINGS else _of_script(path, stage)


def _of_script(path: Path, stage: str | None) -> Given:
    commands = commands_of(read_text(path), str(path))
    found = [one for command in commands if (one := _training(path, command, stage)) is not None]
    if not found:
        raise ConfigError(
            f"{path}: no command in it is a training of {', '.join(WORDS)}; it should call supervised_finetuning.py, "
            "llamafactory-cli train, trl sft or the like"
        )
    chosen = found if len(found) == 1 else [one for one in found if one.stage == stage]
    if len(chosen) != 1:
        stages = ", ".join(one.stage for one in found)
        raise ConfigError(
            f"{path}: it has {len(found)} trainings ({stages}); choose one with --stage, or split the file"
        )
    chosen[0].stage = stage or chosen[0].stage
    return chosen[0]


def _training(path: Path, command: Command, stage: str | None) -> Given | None:
    """The training that a command is; None of any other command."""
    words = [word for word, _ in command.words]
    names = [word.rpartition("/")[2] for word in words]
    if names[0] not in _STARTERS | _PROGRAMS:
        return None
    at = next((n for n, name in enumerate(names) if name.endswith(".py") or name in _PROGRAMS), None)
    if at is None:
        return None
    behind, file = command.words[at + 1 :], None
    if names[at] in _PROGRAMS:  # its first word is what it does, and a file may follow
        file = next((word for word, _ in behind[1:2] if word.endswith(_ENDINGS)), None)
        behind = behind[1 if file is None else 2 :]
    arguments, odd = _arguments(behind, path.name)
    known: tuple[Tool, str] | None
    if names[at] == "trl":
        trained = TRL_COMMANDS.get(words[at + 1]) if at + 1 < len(words) else None
        known = ("TRL", trained) if trained else None
    else:
        known = script_tool(words[at], frozenset(arguments))
    if known is None:
        return None
    given = Given(*known, arguments, path.parent, _processes(words[:at], command.variables), odd)
    _lay_over_file(path, given, file)
    given.stage = given.stage or stage or stage_of(given, path)
    given.take("stage")
    return given


def _arguments(words: Words, file: str) -> tuple[dict[str, Word], list[tuple[Word, str]]]:
    """The options of a command by name, and what is none: set again, or not to be told without running the script."""
    found: dict[str, Word] = {}
    odd: list[tuple[Word, str]] = []
    for name, values, line in _options(words):
        word = Word(fold_word(name), _value(values), f"{file}:{line}")
        if word.name.startswith("no_") and not values and word.name not in FOREIGN and word.name not in SAME:
            word = Word(word.name[3:], False, word.place)
        if is_open(name) or not re.fullmatch(r"\w[\w.]*", word.name):
            odd.append((Word(name, True, word.place), _UNTOLD if is_open(name) else "it is no option"))
            continue
        if word.name in found:
            odd.append((found[word.name], AGAIN))
        found[word.name] = word
    return found, odd


def _options(words: Words) -> Iterator[tuple[str, list[str], int]]:
    """`--key value`, `--key=value`, `--key a b c`, `--flag`, `key=value`; and words that are none of these, by themselves."""
    name, values, at = "", list[str](), 0
    for word, line in words:
        if re.match(r"(\d|&)?>", word):
            break  # where the output goes is no argument
        option = word.startswith("--") and len(word) > 2
        if name and not option and not (values and is_open(word)):
            values.append(word)
            continue
        if name:
            yield name, values, at
        name, _, value = word.partition("=")
        values, at = [value] if "=" in word else [], line
        if not option:
            yield name, values, at
            name = ""
    if name:
        yield name, values, at


def _value(values: Sequence[str]) -> object:
    """An argument's value, of the type that YAML gives its text; a flag alone is true, several words are a list."""
    found = [_scalar(value) for value in values]
    return True if not found else found[0] if len(found) == 1 else found


def _scalar(text: str) -> object:
    if text == "None":
        return None
    if not re.fullmatch(r"[\w.+-]+", text):  # YAML would fold its lines, and take what stands behind a # for a comment
        return text
    try:
        parsed = parse(text)
    except YamlError:
        return text
    plain = parsed.value is None or isinstance(parsed.value, str | int | float)
    return parsed.value if plain and not parsed.empty and not parsed.faults else text


def _processes(words: Sequence[str], variables: dict[str, str]) -> int | None:
    """How many processes a launcher starts; None where that is not said in plain words."""
    for at, word in enumerate(words):
        name, _, value = word.partition("=")
        if fold_word(name) in ("nproc_per_node", "num_processes", "num_gpus"):
            text = value or (words[at + 1] if at + 1 < len(words) else "")
            return int(text) if text.isascii() and text.isdigit() and 0 < int(text) <= 4096 else None
    launched = any(word.rpartition("/")[2] in _LAUNCHERS for word in words)
    devices = variables.get("CUDA_VISIBLE_DEVICES", "")
    return 1 if devices and "," not in devices and not launched else None


def _lay_over_file(path: Path, given: Given, named: str | None) -> None:
    """The YAML that a command names (`--config`, or `llamafactory-cli train FILE`) below its arguments."""
    said = given.take("config")
    named = str(said.value) if said is not None else named
    if named is None:
        return
    file = next((place for place in (Path(named), path.parent / named) if place.is_file()), None)
    if file is None:
        raise ConfigError(f"{path}: it names {named}, which is not here; give that file itself")
    below, odd = mapping_words(file)
    given.words = {**below, **given.words}
    given.odd += odd
    given.folder = file.parent
