"""The prompts of a reinforcement-learning run: read, cut to length, encoded and split."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.bad_rows import BadRowPolicy
from medicalgpt.data.files import expand, fingerprint
from medicalgpt.data.formats import BadRow, check_columns, fold_row
from medicalgpt.data.formats.names import rename
from medicalgpt.data.ledger import Ledger, Outcome
from medicalgpt.data.prompts import ALLOWED, parse_prompt
from medicalgpt.data.rows import Row, open_rows
from medicalgpt.data.split import choose_eval, group_key, leaks
from medicalgpt.errors import DataError, RenderError, ServeError
from medicalgpt.generate.prompts import prepare
from medicalgpt.rendering.build import tokenizer_hash
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rewards.answers import PromptRow


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


@dataclass(frozen=True)
class _Reader:
    data: DataConfig
    template: ChatTemplate
    new_tokens: int
    ledger: Ledger

    def rows(self, paths: Sequence[str]) -> list[PromptRow]:
        """The usable prompts of some files. Raises DataError as `BadRowPolicy`."""
        policy = BadRowPolicy(self.data.on_bad_row, self.data.max_bad_share, self.ledger)
        kept = []
        for path in expand(paths):
            convert = partial(self._prompt, path)
            for found in policy.read(path, open_rows(path, self.data.columns), convert, lambda: ALLOWED):
                self.ledger.settle(str(path), found.outcome, found.reason, over_length=found.row is None)
                if found.row is not None:
                    kept.append(found.row)
        policy.finish()
        return kept

    def _prompt(self, path: Path, row: Row) -> "_Encoded":
        """One row with the ids the model gets; raises BadRow."""
        if row.fields is not None:
            row = replace(row, fields=rename(fold_row(row.fields), self.data.columns)[0])
        asked = parse_prompt(row, path, self.data.system)
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
        found = PromptRow(dialogue, tuple(ready.ids), asked.reference)
        return _Encoded(found, "truncated" if ready.dropped_turns else "kept")


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A prompt, or None where it is over-length and dropped, and how its row ends in the ledger."""

    row: PromptRow | None
    outcome: Outcome
    reason: str = ""
