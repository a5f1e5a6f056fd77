"""What a file of another toolkit sets: its words with values and places, the tool, the stage, the processes."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from medicalgpt.config.foreign import fold_word
from medicalgpt.config.stages import STAGES
from medicalgpt.config.yaml_text import LONGEST, YamlError, flow, parse
from medicalgpt.errors import ConfigError
from medicalgpt.migrate.tools import WORDS, Tool

_LF_STAGES: Final = {"pt": "pt", "sft": "sft", "rm": "rm", "ppo": "ppo", "dpo": "dpo", "kto": "kto", "orpo": "orpo"}
AGAIN: Final = "it is set again further down, where the last one counts"


@dataclass(frozen=True)
class Word:
    """A word that was set: its name in small letters with underscores, its value, and where ("run.sh:12")."""

    name: str
    value: object
    place: str

    @property
    def text(self) -> str:
        """As it is shown, on one line."""
        shown = f"{self.name}: {flow(self.value)}"
        return shown if len(shown) <= 200 else shown[:199] + "…"


@dataclass
class Given:
    """A training of another tool. `processes` is None where the file does not tell; `odd` are words that say nothing, with the
    reason of each."""

    tool: Tool
    stage: str
    words: dict[str, Word]
    folder: Path
    processes: int | None = None
    odd: list[tuple[Word, str]] = field(default_factory=list)

    def take(self, *names: str) -> Word | None:
        """The first of these words that is set; it is taken out, as it is being seen to."""
        for name in names:
            if name in self.words:
                return self.words.pop(name)
        return None

    def value(self, name: str) -> object:
        """The value of a word, which stays; None where it is not set."""
        return self.words[name].value if name in self.words else None


def read_text(path: Path) -> str:
    """A file's text, if it is short enough for a configuration. Raises ConfigError."""
    try:
        if path.stat().st_size > LONGEST:
            raise ConfigError(
                f"{path} has more than {LONGEST:,} bytes; give the configuration or script of one training"
            )
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no UTF-8'}") from None


def of_mapping(path: Path, stage: str | None) -> Given:
    """What a YAML or JSON file sets. Raises ConfigError as `read_given`."""
    words, odd = mapping_words(path)
    found = Given(_tool_of(frozenset(words)), "", words, path.parent, None, odd)
    found.stage = stage or stage_of(found, path)
    return found


def mapping_words(path: Path) -> tuple[dict[str, Word], list[tuple[Word, str]]]:
    """The words of a YAML or JSON file, and those that are set twice. Raises ConfigError."""
    try:
        parsed = parse(read_text(path))
    except YamlError as error:
        raise ConfigError(f"{path}:{error.line}: this is no YAML or JSON: {error.message}") from None
    if parsed.faults:
        line, message = parsed.faults[0]
        raise ConfigError(f"{path}:{line}: {message}")
    if not isinstance(parsed.value, dict) or not parsed.value:
        raise ConfigError(f"{path}: its top level is no mapping of words to values; give a configuration of a training")
    words: dict[str, Word] = {}
    odd = []
    for key, value in parsed.value.items():
        word = Word(fold_word(key), value, f"{path.name}:{parsed.lines[(key,)]}")
        if word.name in words:
            odd.append((words[word.name], AGAIN))
        words[word.name] = word
    return words, odd


def _tool_of(names: frozenset[str]) -> Tool:
    if names & {"train_file_dir", "template_name", "model_max_length"}:
        return "MedicalGPT"
    if names & {"finetuning_type", "cutoff_len", "lora_rank", "dataset", "stage"}:
        return "LLaMA-Factory"
    if names & WORDS["TRL"]:
        return "TRL"
    raise ConfigError(
        f"none of its words ({', '.join(sorted(names)[:8])}) is known of {', '.join(WORDS)}; a file of ours needs no import: "
        "medicalgpt config validate STAGE FILE"
    )


def stage_of(given: Given, path: Path) -> str:
    """Our stage, of the word `stage` (LLaMA-Factory) and of the loss."""
    said = given.take("stage")
    stage = _LF_STAGES.get(str(said.value)) if said is not None else None
    if stage == "dpo" and given.value("pref_loss") in ("orpo", "simpo"):
        return str(given.value("pref_loss"))
    if stage is None:
        known = f"its stage is '{said.value}'" if said is not None else "it does not say which stage it trains"
        raise ConfigError(f"{path}: {known}; give one of ours: --stage {' | '.join(STAGES)}")
    return stage


def read_dataset_info(folder: Path, given: Path | None = None) -> dict[str, dict[str, object]]:
    """The data sets of LLaMA-Factory's dataset_info.json by name; empty where there is none.

    Raises:
        ConfigError: it is damaged, or the file that was named is not there.
    """
    path = given or folder / "dataset_info.json"
    if not path.is_file():
        if given is not None:
            raise ConfigError(f"{given} is no file; give LLaMA-Factory's dataset_info.json")
        return {}
    try:
        if path.stat().st_size > 16 * LONGEST:
            raise ConfigError(f"{path} is too large to be a list of data sets")
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        raise ConfigError(f"{path} is no JSON; mend it, or give another with --dataset-info") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is no mapping of names to data sets; give LLaMA-Factory's dataset_info.json")
    return {str(name): dict(one) for name, one in found.items() if isinstance(one, dict)}
