"""From the data section of a config to token stores for training and held-out evaluation, cached by content."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.files import by_folder
from medicalgpt.data.fingerprint import Content
from medicalgpt.data.formats.fields import named
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.records import Kind
from medicalgpt.data.rows import Reading
from medicalgpt.data.sources import in_ledger
from medicalgpt.data.split import RULE
from medicalgpt.disk.failures import LARGER_CACHE, writing
from medicalgpt.disk.private import private_files
from medicalgpt.disk.scratch import scratch
from medicalgpt.errors import DataError
from medicalgpt.rendering import store
from medicalgpt.rendering.filling import Filling
from medicalgpt.rendering.first_rows import FirstRows, held_out_files, read_first_rows
from medicalgpt.rendering.mix import draw, mixed
from medicalgpt.rendering.progress import Progress
from medicalgpt.rendering.renderer import Renderer
from medicalgpt.rendering.row_stream import RowStream
from medicalgpt.rendering.rows import TrainOn
from medicalgpt.rendering.store import TreeStore
from medicalgpt.rendering.template import ChatTemplate

ROWS_READ = 3  # how rows become trees; stores of another number are not found again. 3: options of multiple-choice rows
BUILD = ".build-"  # how folders of stores in the making begin


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


def prepare(
    data: DataConfig,
    kind: Kind,
    template: ChatTemplate,
    cache: Path,
    seed: int,
    train_on: TrainOn = "assistant",
    progress: Progress | None = None,
) -> Prepared:
    """Read, split, render and store; a second call with the same content finds the first one's stores.

    The work is that of `data.workers` processes; the stores are the same for any number of them.

    Raises:
        DataError, RenderError: the first bad row (or too many of them), a leak of every held-out row, no row left.
        RunError: the cache cannot be written.
    """
    job = Renderer(data, kind, template, train_on, seed)
    given = {"data": data.train, "eval": data.eval, "replay": data.replay}
    contents = {
        name: Content.of(paths, Reading.of(data), {} if name == "replay" else named(data.columns))
        for name, paths in given.items()
        if paths
    }
    hashes = {name: content.hash for name, content in contents.items()} | {
        "template": template.hash,
        "tokenizer": tokenizer_hash(template.tokenizer),
    }
    folder = cache / "tokens" / _key(job, hashes)
    cached = (folder / "ledger.json").is_file()
    if not cached:
        shown = progress or Progress()
        for name, content in contents.items():
            shown.expect("train" if name == "data" else name, content.lines)
        with RowStream(data.workers, shown) as rows:
            _build(job, folder, rows, list(contents.values()))
    first_rows = _first_rows(job, folder)
    meta = json.loads(_moved((folder / "ledger.json").read_text(encoding="utf-8"), _files(contents.values())))
    stores = {name: TreeStore(folder / name) for name in ("train", "held_out", "replay") if (folder / name).is_dir()}
    named_parts = {name: content.found.named for name, content in contents.items()}
    train = stores["train"]
    parts = contents["data"].found.parts
    if any(part.share is not None for part in parts):
        mix = mixed(train.lengths, np.asarray(meta["parts"])[train.sources[:, 0]], parts, seed)
        train = train.take(mix.index)
        named_parts["data"] = mix.named(parts)
    return Prepared(
        train,
        stores.get("held_out"),
        stores.get("replay"),
        meta["ledger"] | _skipped(contents.values()) | ({"sources": said} if (said := in_ledger(named_parts)) else {}),
        hashes,
        meta["notes"],
        cached,
        first_rows,
    )


def _files(contents: Iterable[Content]) -> list[str]:
    return [str(file) for content in contents for part in content.found.parts for file in part.files]


def _moved(ledger: str, files: list[str]) -> str:
    """The ledger of a store, with its files named where they lie now: a store is found by their content, wherever that was."""
    before = json.loads(ledger).get("files", files)
    inner = [[json.dumps(name, ensure_ascii=False)[1:-1] for name in names] for names in (before, files)]
    names = dict(zip(*inner))  # those that stay among them: another may be a part of one
    any_of = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.sub(any_of, lambda found: names[found[0]], ledger) if before != files else ledger


def _skipped(contents: Iterable[Content]) -> dict[str, Any]:
    """The ledger's entry on files that are not read; as they lie now, for stores are found by what is read."""
    passed = Ledger()
    for content in contents:
        passed.pass_over(content.skipped)
    return {"skipped": by_folder(passed.skipped)}


def tokenizer_hash(tokenizer: Any) -> str:
    """SHA-256 over everything that decides a tokenizer's ids."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    text = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    special = json.dumps([str(t) for t in tokenizer.all_special_tokens])
    return hashlib.sha256((text + special).encode()).hexdigest()


def _key(job: Renderer, hashes: dict[str, str]) -> str:
    settings = job.data.model_dump(
        exclude={"train", "eval", "replay", "template", "tool_format", "replay_share", "workers"}
    )
    for name in ("encoding", "txt"):  # younger than the oldest stores, which were read with their defaults
        if settings[name] == DataConfig.model_fields[name].default:
            del settings[name]
    facts = {
        "format": store.FORMAT,
        "split": RULE,
        "rows": ROWS_READ,
        "kind": job.kind,
        "train_on": job.train_on,
        "seed": job.seed,
        **settings,
        **hashes,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


@private_files()
def _build(job: Renderer, folder: Path, rows: RowStream, contents: Sequence[Content]) -> None:
    """Write all stores under a temporary folder beside `folder`; the ledger file comes last and marks it complete.

    Nothing is published when the data is no longer what `folder` is named after.
    """
    with ExitStack() as stack:
        with writing("the token cache", folder.parent, remedy=LARGER_CACHE):
            folder.parent.mkdir(parents=True, exist_ok=True)
            temp = stack.enter_context(scratch(folder.parent, BUILD))
        making = Filling(job, rows, temp, stack)
        making.read()
        with _checking(contents):
            making.divide()
            making.ledger.check()
            _check_share(job, making.ledger)
        making.read_again()
        for writer in making.writers.values():
            writer.close({"kind": job.kind})
        with writing("the token stores", folder, remedy=LARGER_CACHE):
            folder.mkdir(exist_ok=True)
            for name in making.writers:
                _publish(temp / name, folder / name)
    ledger = making.ledger.as_dict()
    if len(TreeStore(folder / "train")) == 0:
        why = making.ledger.reasons_said() or "all were held out"
        raise DataError(f"no row of data.train is left to train on: {why}")
    numbers = {str(file): number for number, part in enumerate(contents[0].found.parts) for file in part.files}
    parts = [numbers[file] for file in TreeStore(folder / "train").meta["files"]]
    text = json.dumps(
        {"ledger": ledger, "notes": making.notes, "parts": parts, "files": _files(contents)},
        ensure_ascii=False,
        indent=1,
    )
    with writing("the ledger of the token stores", folder, remedy=LARGER_CACHE):
        if job.kind != "document":
            making.first_rows.save(folder, held_out_files(job.data))
        partial = folder / ".ledger.json"
        partial.write_text(text, encoding="utf-8")
        partial.replace(folder / "ledger.json")


@contextmanager
def _checking(contents: Sequence[Content]) -> Iterator[None]:
    """The data is read once more beside what is done in the block, whose own errors come first, and at once.

    Raises:
        DataError: as `Content.check`.
    """
    unwanted = Event()
    with ThreadPoolExecutor(1, thread_name_prefix="medicalgpt-check") as beside:
        try:
            checks = [beside.submit(content.check, unwanted.is_set) for content in contents]
            yield
            for check in checks:
                check.result()
        finally:
            unwanted.set()


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


def _check_share(job: Renderer, ledger: Ledger) -> None:
    """Rows that cannot be rendered count as bad rows too; over-length drops do not."""
    bad = ledger.bad
    rows = sum(ledger.seen.values())
    if rows and bad / rows > job.data.max_bad_share:
        raise DataError(
            f"{bad} of {rows} rows are bad ({bad / rows:.1%}), more than data.max_bad_share={job.data.max_bad_share:.0%}: "
            f"{ledger.reasons_said()}"
        )


def replay_choice(train: TreeStore, replay: TreeStore, share: float, seed: int) -> np.ndarray:
    """Indices of replay trees whose tokens make up `share` of the mix, repeated when there are too few."""
    return draw(replay.lengths, share / (1 - share) * float(train.lengths.sum()), (seed, 7))
