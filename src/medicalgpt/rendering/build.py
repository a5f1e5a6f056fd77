"""From the data section of a config to token stores for training and held-out evaluation, cached by content."""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.files import fingerprint
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Dialogue, Document, Feedback, Kind, Message, Record
from medicalgpt.data.split import choose_eval, group_key, leaks
from medicalgpt.errors import DataError, RenderError
from medicalgpt.rendering import store
from medicalgpt.rendering.first_rows import FirstRows, held_out_files, read_first_rows
from medicalgpt.rendering.rows import (
    Rendered,
    TrainOn,
    render_dialogue,
    render_document,
    render_feedback,
    render_preference,
)
from medicalgpt.rendering.store import StoreWriter, TreeStore
from medicalgpt.rendering.template import ChatTemplate


@dataclass
class Prepared:
    """Token stores of a stage, and its first rows in words. `held_out` is None when the run has no held-out set."""

    train: TreeStore
    held_out: TreeStore | None
    replay: TreeStore | None
    ledger: dict[str, Any]
    hashes: dict[str, str]
    notes: list[str] = field(default_factory=list)
    cached: bool = False
    first_rows: FirstRows = field(default_factory=FirstRows)


@dataclass(frozen=True)
class Renderer:
    """The settings under which one stage's rows become trees."""

    data: DataConfig
    kind: Kind
    template: ChatTemplate
    train_on: TrainOn
    seed: int

    def render(self, record: Record) -> Rendered:
        """Trees of one record, and how its row ends in the ledger; raises RenderError."""
        limit = self.data.max_tokens
        if isinstance(record, Document):
            return render_document(record, self.template, limit)
        if isinstance(record, Dialogue):
            record = replace(record, messages=_with_system(record.messages, self.data.system))
            return render_dialogue(record, self.template, limit, self.train_on, self.data.over_length)
        record = replace(record, prompt=_with_system(record.prompt, self.data.system))
        if isinstance(record, Feedback) or self.kind == "feedback":
            return render_feedback(record, self.template, limit, self.data.over_length)
        return render_preference(record, self.template, limit, self.data.over_length)

    def read_train(self, ledger: Ledger) -> Iterator[Record]:
        """Records of data.train; every column of data.columns must be in some of its files. Raises DataError."""
        return self._read(self.data.train, ledger, strict_columns=True)

    def read_eval(self, ledger: Ledger) -> Iterator[Record]:
        """Records of data.eval; data.columns was written for data.train and need not fit. Raises DataError."""
        return self._read(self.data.eval, ledger, strict_columns=False)

    def _read(self, paths: Sequence[str], ledger: Ledger, strict_columns: bool) -> Iterator[Record]:
        d = self.data
        return read(
            paths,
            self.kind,
            columns=d.columns,
            on_bad_row=d.on_bad_row,
            max_bad_share=d.max_bad_share,
            ledger=ledger,
            strict_columns=strict_columns,
        )


def prepare(
    data: DataConfig, kind: Kind, template: ChatTemplate, cache: Path, seed: int, train_on: TrainOn = "assistant"
) -> Prepared:
    """Read, split, render and store; a second call with the same content finds the first one's stores.

    Raises:
        DataError, RenderError: the first bad row (or too many of them), a leak of every held-out row, no row left.
    """
    job = Renderer(data, kind, template, train_on, seed)
    hashes = {
        "data": fingerprint(data.train),
        "template": template.hash,
        "tokenizer": tokenizer_hash(template.tokenizer),
    }
    hashes |= {"eval": fingerprint(data.eval)} if data.eval else {}
    hashes |= {"replay": fingerprint(data.replay)} if data.replay else {}
    folder = cache / "tokens" / _key(job, hashes)
    cached = (folder / "ledger.json").is_file()
    if not cached:
        _build(job, folder)
    first_rows = _first_rows(job, folder)
    meta = json.loads((folder / "ledger.json").read_text(encoding="utf-8"))
    stores = {name: TreeStore(folder / name) for name in ("train", "held_out", "replay") if (folder / name).is_dir()}
    return Prepared(
        stores["train"],
        stores.get("held_out"),
        stores.get("replay"),
        meta["ledger"],
        hashes,
        meta["notes"],
        cached,
        first_rows,
    )


def tokenizer_hash(tokenizer: Any) -> str:
    """SHA-256 over everything that decides a tokenizer's ids."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    text = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    special = json.dumps([str(t) for t in tokenizer.all_special_tokens])
    return hashlib.sha256((text + special).encode()).hexdigest()


def _key(job: Renderer, hashes: dict[str, str]) -> str:
    settings = job.data.model_dump(exclude={"train", "eval", "replay", "template", "tool_format", "replay_share"})
    facts = {"format": store.FORMAT, "kind": job.kind, "train_on": job.train_on, "seed": job.seed, **settings, **hashes}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _build(job: Renderer, folder: Path) -> None:
    """Write all stores under a temporary folder beside `folder`; the ledger file comes last and marks it complete."""
    ledger, first_rows = Ledger(), FirstRows()
    notes: list[str] = []
    held = _held_out_keys(job, notes)
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".build-") as temp:
        writers = {
            name: StoreWriter(Path(temp) / name)
            for name in ("train", "held_out")
            if name == "train" or job.data.eval or held
        }
        for record in job.read_train(ledger):
            held_out = bool(held) and group_key(record) in held
            first_rows.add_training(record)
            if held_out:
                first_rows.add_held_out(record)
            _write(job, record, writers["held_out" if held_out else "train"], ledger)
        for record in job.read_eval(ledger) if job.data.eval else ():
            first_rows.add_held_out(record)
            _write(job, record, writers["held_out"], ledger)
        if job.data.replay and job.kind == "document":
            writers["replay"] = StoreWriter(Path(temp) / "replay")
            for record in read(job.data.replay, "document", ledger=ledger, strict_columns=False):
                _write(job, record, writers["replay"], ledger)
        ledger.check()
        _check_share(job, ledger)
        for name, writer in writers.items():
            writer.close({"kind": job.kind})
            _publish(Path(temp) / name, folder / name)
    if len(TreeStore(folder / "train")) == 0:
        raise DataError(
            f"no row of data.train is left to train on: {ledger.as_dict()['reasons'] or 'all were held out'}"
        )
    if job.kind != "document":
        first_rows.save(folder, held_out_files(job.data))
    text = json.dumps({"ledger": ledger.as_dict(), "notes": notes}, ensure_ascii=False, indent=1)
    partial = folder / ".ledger.json"
    partial.write_text(text, encoding="utf-8")
    partial.replace(folder / "ledger.json")


def _first_rows(job: Renderer, folder: Path) -> FirstRows:
    """The first rows kept beside the stores. Stores of an earlier version have none: the data is read once more for them."""
    if job.kind == "document":
        return FirstRows()
    files = held_out_files(job.data)
    found = FirstRows.load(folder, files)
    if found is None:
        found = read_first_rows(job.data, job.kind, job.seed)
        with suppress(OSError):  # a cache that may not be written to serves as it is
            found.save(folder, files)
    return found


def _publish(built: Path, target: Path) -> None:
    if target.exists():  # another process finished first; its content is the same by construction
        return
    built.replace(target)


def _write(job: Renderer, record: Record, writer: StoreWriter, ledger: Ledger) -> None:
    file = record.source.file
    try:
        rendered = job.render(record)
    except RenderError as error:
        if job.data.on_bad_row == "stop":
            raise RenderError(
                f"{record.source}: {error}; fix the row, or set data.on_bad_row=drop to count and skip such rows"
            ) from error
        rendered = Rendered((), "dropped", f"cannot be rendered: {type(error).__name__}")
    for tree in rendered.trees:
        writer.add(tree)
    ledger.settle(file, rendered.outcome, rendered.reason, over_length=rendered.over_length)


def _check_share(job: Renderer, ledger: Ledger) -> None:
    """Rows that cannot be rendered count as bad rows too; over-length drops do not."""
    bad = ledger.total("dropped") - ledger.over_length
    rows = sum(ledger.seen.values())
    if rows and bad / rows > job.data.max_bad_share:
        raise DataError(
            f"{bad} of {rows} rows are bad ({bad / rows:.1%}), more than data.max_bad_share={job.data.max_bad_share:.0%}: "
            f"{ledger.as_dict()['reasons']}"
        )


def _held_out_keys(job: Renderer, notes: list[str]) -> set[str]:
    """Keys of the questions or documents held out of data.train; empty when data.eval is given or nothing is held out."""
    data = job.data
    if data.eval:
        ours = {group_key(r) for r in job.read_train(Ledger())}
        shared = leaks(ours, {group_key(r) for r in job.read_eval(Ledger())})
        if shared:
            notes.append(
                f"warning: {shared} held-out questions or documents also stand in data.train; held-out numbers flatter"
            )
        return set()
    if data.eval_fraction == 0:
        return set()
    keys = [group_key(r) for r in job.read_train(Ledger())]
    if len(set(keys)) < 2:
        notes.append("one distinct question or document: nothing can be held out, so there are no held-out numbers")
        return set()
    return choose_eval(keys, data.eval_fraction, job.seed)


def _with_system(turns: tuple[Message, ...], system: str | None) -> tuple[Message, ...]:
    """The turns with the configured system message in front, unless they have one."""
    return turns if not system or turns[0].role == "system" else (Message("system", system), *turns)


def replay_choice(train: TreeStore, replay: TreeStore, share: float, seed: int) -> np.ndarray:
    """Indices of replay trees whose tokens make up `share` of the mix, repeated when there are too few."""
    wanted = share / (1 - share) * float(train.lengths.sum())
    chosen: list[int] = []
    taken, turn = 0, 0
    while taken < wanted and len(replay):
        for i in np.random.default_rng([seed, 7, turn]).permutation(len(replay)):
            if taken >= wanted:
                break
            chosen.append(int(i))
            taken += int(replay.lengths[i])
        turn += 1
    return np.asarray(chosen, np.int64)
