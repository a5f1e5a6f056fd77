"""The prompts of a reinforcement-learning run: read, cut to length, encoded and split."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.fingerprint import Content
from medicalgpt.data.formats import BadRow, check_columns, fold_name
from medicalgpt.data.formats.fields import named
from medicalgpt.data.formats.weights import as_a_whole, weight_of
from medicalgpt.data.guess import hint
from medicalgpt.data.ledger import BadRowPolicy, Ledger, Outcome
from medicalgpt.data.prompts import ALLOWED, columns_of, prompt_of
from medicalgpt.data.records import Kind, Source
from medicalgpt.data.rows import Reading, Row, open_rows
from medicalgpt.data.sources import Given, find, in_ledger
from medicalgpt.data.split import choose_eval, group_key, leaks
from medicalgpt.errors import DataError, RenderError, ServeError
from medicalgpt.generate.prompts import prepare
from medicalgpt.rendering.build import tokenizer_hash
from medicalgpt.rendering.mix import mixed
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rewards.answers import PromptRow

_KINDS: tuple[Kind, ...] = ("dialogue",)


@dataclass
class PromptSet:
    """All prompts of a stage, with what the manifest says of them (as `render.build.Prepared` for other stages)."""

    train: list[PromptRow]
    held_out: list[PromptRow]
    counts: Ledger
    hashes: dict[str, str]
    notes: list[str] = field(default_factory=list)
    sources: list[dict[str, object]] = field(default_factory=list)

    @property
    def ledger(self) -> dict[str, Any]:
        """The form written to the manifest."""
        return self.counts.as_dict() | ({"sources": self.sources} if self.sources else {})

    def columns_read(self, names: Iterable[str]) -> None:
        """These columns are read after all, by a reward."""
        read = {
            fold_name(part) for name in names for part in (name, name.removesuffix("s"))
        }  # as `rewards.columns.value`
        self.counts.unread = Counter({at: n for at, n in self.counts.unread.items() if at[1] not in read})


def read_prompt_set(data: DataConfig, template: ChatTemplate, new_tokens: int, seed: int) -> PromptSet:
    """Read, cut and split the prompts of a stage.

    Args:
        new_tokens: room for the answer inside `data.max_tokens`.

    Raises:
        DataError: a bad, empty or (with over_length=drop … drop counts it) too long row, with file:line; no row left.
    """
    check_columns(data.columns)
    ledger, notes = Ledger(), list[str]()
    reading, columns = Reading.of(data), named(data.columns)
    given = {"data": data.train, "eval": data.eval}
    contents = {name: Content.of(paths, reading, columns) for name, paths in given.items() if paths}
    reader = _Reader(data, template, new_tokens, ledger)
    train, held = reader.rows(data.train), reader.rows(data.eval) if data.eval else []
    keys = [group_key(row.dialogue) for row in train]
    if data.eval:
        if shared := leaks(set(keys), {group_key(row.dialogue) for row in held}):
            notes.append(f"warning: {shared} held-out questions also stand in data.train; held-out numbers flatter")
    else:
        chosen = choose_eval(keys, data.eval_fraction, seed)
        held = [row for row, key in zip(train, keys) if key in chosen]
        train = [row for row, key in zip(train, keys) if key not in chosen]
    ledger.check()
    if not train:
        why = ledger.reasons_said() or "all were held out"
        raise DataError(f"no prompt is left to train on: {why}")
    if not held:
        notes.append("no prompts are held out, so there are no held-out numbers")
    said = {name: content.found.named for name, content in contents.items()}
    parts = contents["data"].found.parts
    if any(part.share is not None for part in parts):
        numbers = {str(file): number for number, part in enumerate(parts) for file in part.files}
        part_of = np.asarray([numbers[row.dialogue.source.file] for row in train])
        mix = mixed(np.ones(len(train)), part_of, parts, seed, "prompts")
        train, said["data"] = [train[i] for i in mix.index], mix.named(parts)
    for content in contents.values():
        content.check()
    hashes = {name: content.hash for name, content in contents.items()} | {
        "template": template.hash,
        "tokenizer": tokenizer_hash(template.tokenizer),
    }
    return PromptSet(train, held, ledger, hashes, notes, in_ledger(said))


@dataclass(frozen=True)
class _Reader:
    data: DataConfig
    template: ChatTemplate
    new_tokens: int
    ledger: Ledger

    def rows(self, paths: Sequence[Given]) -> list[PromptRow]:
        """The usable prompts of some files. Raises DataError as `BadRowPolicy`."""
        reading = Reading.of(self.data)
        suggest = partial(hint, self.data.columns, _KINDS, reading)
        kept = []
        behind = find(paths, reading, named(self.data.columns))
        reading = behind.limited(reading)
        policy = BadRowPolicy(self.data.on_bad_row, self.data.max_bad_share, self.ledger, suggest, behind.inside)
        self.ledger.pass_over(behind.skipped)
        for path in behind.files:
            rows = open_rows(path, named(self.data.columns), reading)
            for found in policy.read(path, rows, partial(self._prompt, path), lambda: ALLOWED):
                self.ledger.settle(str(path), found.outcome, found.reason, over_length=found.row is None)
                self.ledger.leave(str(path), found.left)
                if found.row is not None:
                    kept.append(found.row)
        policy.finish()
        return kept

    def _prompt(self, path: Path, row: Row) -> "_Encoded":
        """One row with the ids the model gets; raises BadRow."""
        fields = columns_of(row, self.data.columns)
        as_a_whole(weight_of(fields, "the row"), "a prompt")
        asked = prompt_of(fields, Source(str(path), row.number), self.data.system)
        too_long = f"the prompt leaves no room for {self.new_tokens} new tokens in {self.data.max_tokens}"
        try:
            ready = prepare(asked.prompt, self.template, self.data.max_tokens, self.new_tokens)
        except RenderError as error:
            raise BadRow(str(error)) from None
        except ServeError as error:
            if self.data.over_length == "drop":
                return _Encoded(None, "dropped", too_long)
            raise BadRow(
                f"{error} (data.max_tokens, rollout.max_new_tokens), or set data.over_length=drop to count such prompts"
            ) from None
        if ready.dropped_turns and self.data.over_length == "drop":
            return _Encoded(None, "dropped", too_long)
        turns = asked.prompt.messages
        if ready.dropped_turns:
            head = tuple(t for t in turns[:1] if t.role == "system")
            turns = (*head, *turns[len(head) + ready.dropped_turns :])
        dialogue = replace(asked.prompt, messages=turns)
        columns = {**(row.fields or {}), **{name: fields.fields[name] for name in self.data.columns if name in fields}}
        found = PromptRow(dialogue, tuple(ready.ids), asked.reference, columns, ready.thinking)
        return _Encoded(found, "truncated" if ready.dropped_turns else "kept", left=fields.left())


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A prompt, or None where it is over-length and dropped, and how its row ends in the ledger."""

    row: PromptRow | None
    outcome: Outcome
    reason: str = ""
    left: tuple[str, ...] = ()
