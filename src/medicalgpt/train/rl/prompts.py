"""The prompts of a run: dialogues without their last answer, or rows that are prompts; split, cut and counted."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.files import expand, fingerprint
from medicalgpt.data.formats import BadRow, check_columns, fold_row
from medicalgpt.data.formats.names import rename
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.records import Dialogue, Source
from medicalgpt.data.rows import Row, open_rows
from medicalgpt.data.split import choose_eval, group_key, leaks
from medicalgpt.errors import DataError, RenderError, ServeError
from medicalgpt.generate.prompts import prepare
from medicalgpt.generate.rows import explain_bad, parse_prompt
from medicalgpt.render.build import tokenizer_hash
from medicalgpt.render.template import ChatTemplate


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One prompt: its turns, the ids the model gets, and the answer that stood in the data, if any."""

    dialogue: Dialogue
    ids: tuple[int, ...]
    reference: str | None

    @property
    def source(self) -> Source:
        """The row it came from."""
        return self.dialogue.source


@dataclass
class PromptSet:
    """All prompts of a stage, with what the manifest says of them (as `render.build.Prepared` for other stages)."""

    train: list[PromptRow]
    held_out: list[PromptRow]
    ledger: dict[str, Any]
    hashes: dict[str, str]
    notes: list[str] = field(default_factory=list)


def read_prompt_set(data: DataConfig, template: ChatTemplate, new_tokens: int, seed: int) -> PromptSet:
    """Read, cut and split the prompts of a stage.

    Args:
        new_tokens: room for the answer inside `data.max_tokens`.

    Raises:
        DataError: a bad, empty or (with over_length=drop … drop counts it) too long row, with file:line; no row left.
    """
    check_columns(data.columns)
    ledger, notes = Ledger(), list[str]()
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
        raise DataError(f"no prompt is left to train on: {ledger.as_dict()['reasons'] or 'all were held out'}")
    if not held:
        notes.append("no prompts are held out, so there are no held-out numbers")
    hashes = {
        "data": fingerprint(data.train),
        "template": template.hash,
        "tokenizer": tokenizer_hash(template.tokenizer),
    } | ({"eval": fingerprint(data.eval)} if data.eval else {})
    return PromptSet(train, held, ledger.as_dict(), hashes, notes)


@dataclass
class _Reader:
    data: DataConfig
    template: ChatTemplate
    new_tokens: int
    ledger: Ledger
    bad: Counter[str] = field(default_factory=Counter)

    def rows(self, paths: Sequence[str]) -> list[PromptRow]:
        found = [row for path in expand(paths) for row in self._file(path)]
        seen, bad = sum(self.ledger.seen.values()), self.bad.total()
        if bad > self.data.max_bad_share * seen:
            raise DataError(
                f"{bad} of {seen} rows are bad ({bad / seen:.1%}), more than data.max_bad_share="
                f"{self.data.max_bad_share:.0%}: {dict(self.bad.most_common(3))}; correct the data, or raise it"
            )
        return found

    def _file(self, path: Path) -> Iterator[PromptRow]:
        rows = 0
        for row in open_rows(path, self.data.columns):
            rows += 1
            self.ledger.see(str(path))
            try:
                found, outcome = self._prompt(row, path)
            except BadRow as bad:
                if self.data.on_bad_row == "stop":
                    raise DataError(
                        f"{explain_bad(bad, row, path)}; correct the row, or set data.on_bad_row=drop to count such "
                        "rows and go on"
                    ) from None
                self.bad[bad.reason] += 1
                self.ledger.settle(str(path), "dropped", bad.reason)
                continue
            if found is None:
                self.ledger.settle(str(path), "dropped", outcome)
                continue
            self.ledger.settle(str(path), "truncated" if outcome else "kept")
            yield found
        if not rows:
            raise DataError(f"{path}: the file is empty: it has no rows; take it out of the list or fill it")

    def _prompt(self, row: Row, path: Path) -> tuple[PromptRow | None, str]:
        """The prompt (None: over-length and dropped) and what happened to it; raises BadRow."""
        if row.fields is not None:
            row = replace(row, fields=rename(fold_row(row.fields), self.data.columns)[0])
        asked = parse_prompt(row, path, self.data.system)
        try:
            ready = prepare(asked.prompt, self.template, self.data.max_tokens, self.new_tokens)
        except RenderError as error:
            raise BadRow(str(error)) from None
        except ServeError as error:
            if self.data.over_length == "drop":
                return None, f"the prompt leaves no room for {self.new_tokens} new tokens in {self.data.max_tokens}"
            raise BadRow(
                f"{error} (data.max_tokens, rollout.max_new_tokens), or set data.over_length=drop to count such prompts"
            ) from None
        if ready.dropped_turns and self.data.over_length == "drop":
            return None, f"the prompt leaves no room for {self.new_tokens} new tokens in {self.data.max_tokens}"
        turns = asked.prompt.messages
        if ready.dropped_turns:
            head = tuple(t for t in turns[:1] if t.role == "system")
            turns = (*head, *turns[len(head) + ready.dropped_turns :])
        dialogue = replace(asked.prompt, messages=turns)
        return PromptRow(dialogue, tuple(ready.ids), asked.reference), "truncated" if ready.dropped_turns else ""
