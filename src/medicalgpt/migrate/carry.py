"""From the words of another tool to keys of ours: what was carried over, with remarks, and what could not be, with the reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from medicalgpt.config.explain import REQUIRED, explain
from medicalgpt.config.foreign import FOREIGN, Meant, meant_by
from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.yaml_text import flow
from medicalgpt.errors import ConfigError
from medicalgpt.migrate.given import Given, Word
from medicalgpt.migrate.shell import is_open
from medicalgpt.migrate.tools import SAME, defaults_of

MISSING: Final = "REPLACE-ME"
_PLACEHOLDERS: Final = {
    "data.train": [MISSING],
    "output_dir": f"runs/{MISSING}",
    "reward.model": MISSING,
    "objective.teacher": MISSING,
}
"""What stands for a required value that the file does not have; training refuses it, as there is no such file."""


@dataclass
class Carried:
    """A value of ours, the words that it was made from, and what is to be said of it."""

    value: object
    sources: list[Word] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Left:
    """A word that was not carried over, and why."""

    word: Word
    reason: str


@dataclass
class Carrying:
    """A file being carried over. `values` are by dotted key, `left` is what could not be, `said` what concerns the whole."""

    given: Given
    keys: frozenset[str]
    values: dict[str, Carried] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def stage(self) -> str:
        """Ours."""
        return self.given.stage

    def put(self, key: str, value: object, *words: Word, note: str = "") -> None:
        """Set a key; where the stage has no such key, the words are left."""
        if key not in self.keys:
            for word in words:
                self.leave(word, f"the stage {self.stage} has no {key}")
            return
        for word in self.values[key].sources if key in self.values else ():
            if word not in words:
                self.leave(word, f"{key} is set by another word")
        self.values[key] = Carried(value, list(words), [note] if note else [])

    def put_as_meant(self, word: Word, note: str = "") -> None:
        """Set the likeliest key that the table of names has for a word, whatever its value is."""
        self.put(FOREIGN[word.name].keys[0], word.value, word, note=note)

    def leave(self, word: Word, reason: str) -> None:
        """Note that a word is not carried over; a default of its tool was nobody's wish."""
        if not is_default(word):
            self.left.append(Left(word, reason))


# Words of the table whose value is ours as it is; of the others the table says what to look at.
_AS_IT_IS: Final = frozenset(
    {
        *("model_name_or_path", "model_path", "base_model", "pretrained_model_name_or_path", "model_name"),
        *("adapter_name_or_path", "peft_path", "default_system", "system_prompt", "ddp_timeout", "kto_chosen_weight"),
        *("kto_rejected_weight", "teacher_model_name_or_path", "teacher_model", "lmbda"),
    }
)

Rule = Callable[[Carrying], None]


def carry(given: Given, rules: Sequence[Rule]) -> Carrying:
    """Apply rules, which take the words that they know, then the table of names to what is left; every word ends up somewhere."""
    keys = frozenset(row.key for row in explain(stage_schema(given.stage)))
    found = Carrying(given, keys)
    for word, reason in given.odd:
        found.leave(word, reason)
    for word in [word for word in given.words.values() if _is_open(word.value)]:
        given.take(word.name)
        found.leave(word, "only running the script would tell its value")
    _add_defaults(found)
    for rule in rules:
        rule(found)
    for word in list(given.words.values()):
        _by_name(found, given.words.pop(word.name))
    _keep_what_is_valid(found)
    return found


def _is_open(value: object) -> bool:
    return any(is_open(one) for one in (value if isinstance(value, list) else [value]) if isinstance(one, str))


def _add_defaults(found: Carrying) -> None:
    for name, value in defaults_of(found.given.tool, found.stage).items():
        if name not in found.given.words:
            found.given.words[name] = Word(name, value, f"default of {found.given.tool}")


def is_default(word: Word) -> bool:
    """Whether nobody set it: it is what its tool takes by itself."""
    return word.place.startswith("default of ")


def _by_name(found: Carrying, word: Word) -> None:
    """A word that no rule knows, by the table of names: its value is taken as it is where that is right, else it is said."""
    same, meant = SAME.get(word.name), meant_by(word.name)
    keys = [same] if same else list(meant.among(found.keys)) if meant else []
    if word.value is None or (word.value in ("", False) and not same):
        found.leave(word, "it is off, or says nothing")
    elif keys and keys[0] in found.values:
        found.leave(word, f"{keys[0]} is set by another word")
    elif keys and (same or word.name in _AS_IT_IS):
        found.put(keys[0], word.value, word, note=meant.note if meant else "")
    elif meant is not None:
        found.leave(word, _what_is_ours(meant, keys, found.stage))
    else:
        found.leave(word, "nothing here is known by that name")


def _what_is_ours(meant: Meant, keys: Sequence[str], stage: str) -> str:
    """What a word of the table is here; its remark and its keys in one template, as a translation matches whole texts."""
    note, named = meant.note, " or ".join(keys or meant.keys)
    if not named:
        return note
    if keys:
        return f"{note}; see {named}" if note else f"see {named}"
    return f"{note}; the stage {stage} has no {named}" if note else f"the stage {stage} has no {named}"


def _keep_what_is_valid(found: Carrying) -> None:
    """Set key after key, in the order of the schema, and leave what our checks refuse; required ones get a placeholder."""
    schema = stage_schema(found.stage)
    rows = explain(schema)
    required = {row.key for row in rows if row.default == REQUIRED} | ({"reward.model"} & found.keys)
    if "reward.functions" in found.values:
        required -= {"reward.model"}
    for key in sorted(required - found.values.keys()):
        found.values[key] = Carried(_PLACEHOLDERS[key], [], [f"{found.given.tool} sets nothing for it; fill this in"])
    order = {row.key: at for at, row in enumerate(rows)}
    waiting = sorted(found.values, key=lambda key: (key not in required, order[key]))
    words: list[str] = [f"{key}={flow(found.values[key].value)}" for key in waiting if key in required]
    _fill_in(found, schema, words, [key for key in waiting if key in required])
    waiting = [key for key in waiting if key not in required]
    reasons: dict[str, str] = {}
    for _ in range(2):  # what needs a key that comes later is right in the second round
        refused = []
        for key in waiting:
            word = f"{key}={flow(found.values[key].value)}"
            try:
                load(schema, None, [*words, word])
                words.append(word)
            except ConfigError as error:
                refused.append(key)
                reasons[key] = str(error).split("\n")[0].partition(": ")[2] or str(error)
        waiting = refused
    for key in waiting:
        for source in found.values.pop(key).sources:
            found.leave(source, f"{key} does not take it: {reasons[key]}")


def _fill_in(found: Carrying, schema: type, words: list[str], keys: Sequence[str]) -> None:
    """Replace a required value that is refused by its placeholder."""
    for at, key in enumerate(keys):
        others = [f"{other}={flow(_PLACEHOLDERS[other])}" for other in keys if other != key]
        try:
            load(schema, None, [*others, words[at]])
        except ConfigError as error:
            for source in found.values[key].sources:
                found.leave(source, f"{key} does not take it: {str(error).partition(': ')[2]}")
            found.values[key] = Carried(_PLACEHOLDERS[key], [], ["what was set cannot be carried over; fill this in"])
            words[at] = f"{key}={flow(_PLACEHOLDERS[key])}"
