"""report.html: one self-contained page for people. Every text in it is escaped; it loads nothing from elsewhere.

It is there while a run is under way and after an interruption, too, then from a `Draft` in place of the manifest.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from medicalgpt.language import chosen, translated
from medicalgpt.language.marks import colon
from medicalgpt.runs import figures, metrics
from medicalgpt.runs import manifest as manifests
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.folder import RunFolder
from medicalgpt.runs.headline import headline, held_out_rows
from medicalgpt.runs.manifest import Draft, Manifest, Record
from medicalgpt.runs.page import environment, number
from medicalgpt.runs.settings import settings

_TITLES = {
    "loss": "Loss by optimizer step",
    "learning_rate": "Learning rate by optimizer step",
    "rewards": "Rewards by optimizer step",
    "rollouts": "Rollouts by optimizer step",
}
_OUTCOMES = ("rows", "kept", "truncated", "split", "dropped")


def write(folder: str | Path, manifest: Manifest | None = None) -> Path:
    """Draw the figures and write report.html of a finished run; returns its path.

    The manifest is written last of all, so a run that is about to finish passes it in; without one it is read.

    Raises:
        RunError: the run is not finished, a log is damaged, or a file cannot be written.
    """
    return _write(folder, manifest or manifests.read(RunFolder(folder).path), curves=True)


def write_draft(folder: str | Path, draft: Draft, *, curves: bool = True) -> Path:
    """The same for a run that is under way or was interrupted; without `curves` no figure is drawn, which takes a second.

    Raises:
        RunError: a log is damaged, or a file cannot be written.
    """
    return _write(folder, draft, curves)


def _write(folder: str | Path, record: Record, curves: bool) -> Path:
    run = RunFolder(folder)
    pictures = figures.draw(run.metrics, run.figures) if curves and run.metrics.exists() else []
    samples = metrics.read(run.samples) if run.samples.exists() else []
    lines = headline(record.before, record.after)
    page = (
        environment(Path(__file__).parent)
        .get_template("report.html.jinja")
        .render(
            run=record,
            files=record.files if isinstance(record, Manifest) else {},
            running=record.status == "running",
            facts=_facts(record),
            settings=settings(run.config),
            config=_config_text(run.config),
            ledgers=_ledgers(record.ledger),
            language=chosen(),
            colon=colon(),
            measured_on=_measured_on(held_out_rows(record.after) or held_out_rows(record.before)),
            headline=lines,
            meanings=[(line.name, line.meaning) for line in lines if line.meaning],
            figures=[(translated(_TITLES[path.stem]), _data_uri(path)) for path in pictures],
            samples=_samples(samples),
            rounds=_rounds(len({sample["step"] for sample in samples})),
        )
    )
    write_text(run.report, page)
    return run.report


def _measured_on(rows: int | None) -> str:
    if rows is None:
        return translated("Held-out numbers.")
    return translated(f"Held-out numbers, on {number(rows)} {'row' if rows == 1 else 'rows'} that were not trained on.")


def _rounds(count: int) -> str:
    said = f"The first and last of {count} rounds; all of them are in samples.jsonl."
    return translated(said) if count > 2 else ""


def _config_text(path: Path) -> str:
    """The resolved configuration with the origin of each value; "" where there is none."""
    return manifests.homeless(path.read_text(encoding="utf-8")) if path.is_file() else ""


def _facts(record: Record) -> list[tuple[str, str]]:
    when = {"running": translated("Written"), "interrupted": translated("Interrupted")}.get(
        record.status, translated("Finished")
    )
    minutes, seconds = divmod(round(record.seconds), 60)
    progress = [(translated("Step"), f"{record.step:,} / {record.steps:,}")] if isinstance(record, Draft) else []
    return [
        (translated("Base model"), record.base),
        *progress,
        *_published(record),
        (when, record.created.strftime("%Y-%m-%d %H:%M UTC")),
        (translated("Time"), translated(f"{minutes} min {seconds} s")),
        (translated("Training tokens"), number(record.tokens)),
        (translated("Device"), record.device),
        (translated("Processes"), str(record.world_size)),
        (translated("Seed"), str(record.seed)),
    ]


def _published(record: Record) -> list[tuple[str, str]]:
    """Which step's model it is, where `train.keep_best` chose it."""
    if (best := record.best) is None:
        return []
    ended = " (train.patience ended the run)" if best.stopped else ""
    which = "the start, no step was better" if best.step == 0 else f"step {best.step:,}"
    said = f"published: {which}, where {best.metric} was best ({best.value:.4g}), of {best.last:,}{ended}"
    return [(translated("Model"), translated(said))]


def _ledgers(ledger: Mapping[str, Any]) -> list[dict[str, object]]:
    """One table per ledger: the manifest holds a single one, or one per data set (train, eval, …)."""
    named = {"": ledger} if "rows" in ledger else {k: v for k, v in ledger.items() if isinstance(v, dict)}
    return [
        {
            "name": name,
            "total": [one.get(outcome, 0) for outcome in _OUTCOMES],
            "files": [(f, [n.get(outcome, 0) for outcome in _OUTCOMES]) for f, n in one.get("files", {}).items()],
            "reasons": [
                *one.get("reasons", {}).items(),
                *((f"warning: {warning}", rows) for warning, rows in one.get("warnings", {}).items()),
                *_held_out(one.get("held_out", {})),
                *(
                    (f"not read in {place}: {w}", n)
                    for place, ws in one.get("skipped", {}).items()
                    for w, n in ws.items()
                ),
            ],
        }
        for name, one in named.items()
    ]


def _held_out(found: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """How much text of each file is held out."""
    for file, counts in found.get("files", {}).items():
        yield f"held out of {file}, in characters of {counts['of']:,}", counts["characters"]


def _samples(samples: Sequence[metrics.Line]) -> list[dict[str, object]]:
    """Per prompt its turns, the reference and the first and last answer; the answers between stay in samples.jsonl."""
    by_prompt: dict[str, list[metrics.Line]] = {}
    for sample in sorted(samples, key=lambda sample: sample["step"]):
        key = json.dumps([sample.get("source"), sample["prompt"]], sort_keys=True)
        by_prompt.setdefault(key, []).append(sample)
    shown = []
    for answers in by_prompt.values():
        first, last = answers[0], answers[-1]
        turns = first["prompt"] if isinstance(first["prompt"], list) else [{"role": "text", "content": first["prompt"]}]
        shown.append(
            {
                "turns": [(turn.get("role", ""), turn.get("content", "")) for turn in turns],
                "answers": [first] if first is last else [first, last],
                "reference": last.get("reference"),
            }
        )
    return shown


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
