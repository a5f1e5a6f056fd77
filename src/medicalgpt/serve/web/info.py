"""What is known about the model on the page: where it comes from, how it was trained, what it reached, its license."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import yaml

from medicalgpt.errors import RunError
from medicalgpt.export.evaluated import evaluated, score_lines
from medicalgpt.language import translated
from medicalgpt.models.embedded.registry import EMBEDDED, ORIGIN_FILE, embedded, model_folder
from medicalgpt.models.locate import Located
from medicalgpt.runs.hashes import hash_file
from medicalgpt.runs.manifest import NAME, Manifest, read
from medicalgpt.serve.web.words import Texts

_PERCENT = ("accuracy", "rewards/accuracy", "stop_rate")
_VERSION = 12  # characters of a hash
_DEPTH = 16  # stages in a chain, so that folders that name each other end


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """`stages` are those of the chain, the oldest first; `numbers` are (metric, before, after) of the last one, measured on
    `rows` held-out rows (None: the run did not note how many).
    """

    name: str
    base: str
    adapter: str
    stages: tuple[str, ...]
    finished: str
    license: str
    numbers: tuple[tuple[str, str, str], ...]
    context: int | None
    weights: str
    template: str
    rows: int | None = None
    tests: tuple[tuple[str, str, str], ...] = ()
    """Named tests as a report has them: title, share right of the base and of this model, with intervals."""
    version: str = ""
    """Which one of its name: the beginning of the SHA-256 of its run's manifest, else of its revision on a hub."""

    def as_dict(self) -> dict[str, object]:
        """For an exported conversation."""
        return {
            "name": self.name,
            "base": self.base,
            "adapter": self.adapter,
            "stages": list(self.stages),
            "version": self.version,
        }


def describe(
    name: str, adapter: str | None, origin: Mapping[str, Any], context: int | None, template: str
) -> ModelInfo:
    """Everything that can be read from the folders of a model; nothing is fetched.

    Args:
        name, adapter: as the user called them.
        origin: what an engine says of itself (`Engine.origin`).
    """
    places = [Path(place) for place in origin.get("places", ())]
    chain = list(_chain(places, name, adapter))
    runs = [run for _, run in chain]
    weights = [str(origin.get(key, "")).removeprefix("torch.") for key in ("dtype", "quantization")]
    return ModelInfo(
        name=plain_name(name),
        base=plain_name(runs[-1].base if runs else name),
        adapter=plain_name(adapter or ""),
        stages=tuple(run.stage for run in reversed(runs)),
        finished=runs[0].created.date().isoformat() if runs else "",
        license=_license([*(run.base for run in runs), name, *map(str, reversed(places))]),
        numbers=tuple(_numbers(runs[0])) if runs else (),
        context=context,
        weights=" ".join(word for word in weights if word not in ("", "none")),
        template=template,
        rows=_rows(runs[0]) if runs else None,
        tests=tuple(_tests(places)),
        version=_version(chain[0][0] if chain else None, name, [str(place) for place in origin.get("places", ())]),
    )


def _version(run: Path | None, name: str, places: Sequence[str]) -> str:
    """Of the run's manifest, which has the hashes of everything that went in and came out; else of an embedded model's
    pinned file, or the last place's revision on a hub.
    """
    if run is not None:
        with suppress(OSError):  # gone since it was read
            return hash_file(run / NAME)[:_VERSION]
    if name in EMBEDDED:
        return embedded(name).gguf_sha256[:_VERSION]
    revision = places[-1].rpartition("@")[2] if places and "@" in places[-1] else ""
    return revision[:_VERSION] if re.fullmatch("[0-9a-f]{40}", revision) else ""


def _chain(places: Sequence[Path], *called: str | None) -> Iterator[tuple[Path, Manifest]]:
    """The folder and manifest of the run that made the model and of the runs before it, the newest first."""
    starts = [Path(word) for word in reversed(called) if word] + [place.parent for place in reversed(places)]
    folder = next((start for start in starts if (start / NAME).is_file()), None)
    for _ in range(_DEPTH):
        if folder is None:
            return
        try:
            run = read(folder)
        except RunError:  # a damaged one is no reason not to answer
            return
        yield folder, run
        base = Path(run.base).expanduser()
        earlier = [folder / parent.path for parent in reversed(run.parents)]
        if base.name in ("merged", "model"):
            earlier.insert(0, base.parent)
        folder = next((place for place in earlier if (place / NAME).is_file()), None)


def _license(names: Sequence[str]) -> str:
    """The license of the first place that states one."""
    for name in names:
        if name in EMBEDDED:
            return embedded(name).license
        for model in EMBEDDED.values():
            if Path(name) == model_folder(model):
                return model.license
        with suppress(OSError, ValueError):
            return str(json.loads((Path(name) / ORIGIN_FILE).read_text(encoding="utf-8"))["licence"])
        if stated := _on_card(Path(name) / "README.md"):
            return stated
    return ""


def _on_card(card: Path) -> str:
    """What the head of a model card says."""
    with suppress(OSError, ValueError, yaml.YAMLError, RecursionError):
        text = card.read_text(encoding="utf-8")
        if text.startswith("---\n"):
            head = yaml.safe_load(text[4:].split("\n---", 1)[0])
            if isinstance(head, dict):
                return str(head.get("license_name") or head.get("license") or "")
    return ""


def _numbers(run: Manifest) -> Iterator[tuple[str, str, str]]:
    """Held-out numbers that mean something without the manual."""
    for metric in ("loss", "perplexity", "accuracy", "rewards/accuracy", "score", "reward", "stop_rate", "kl"):
        key = f"eval/{metric}"
        if run.after.get(key) is not None:
            yield metric, _number(run.before, key, metric), _number(run.after, key, metric)


def _tests(places: Sequence[Path]) -> Iterator[tuple[str, str, str]]:
    """From trust.json of the run that made the model, where there is one of just this run."""
    for place in reversed(places):
        if found := evaluated(Located(str(place), "model"), changed=False):
            yield from score_lines(found)
            return


def _rows(run: Manifest) -> int | None:
    count = run.after.get("eval/rows")
    return None if count is None else int(count)


def _number(values: dict[str, float | None], key: str, metric: str) -> str:
    value, low, high = (values.get(name) for name in (key, f"{key}_low", f"{key}_high"))
    if value is None:
        return "–"
    form = ".1%" if metric in _PERCENT else ".1f" if metric == "perplexity" else ".3f"
    interval = f" [{low:{form}}, {high:{form}}]" if low is not None and high is not None else ""
    return f"{value:{form}}{interval}"


def plain_name(name: str) -> str:
    """A model's name without the folders of this machine: the page may be seen by others."""
    path = Path(name)
    if not path.is_absolute():
        return name
    return str(Path(*path.parts[-2:])) if path.name in ("model", "merged") else path.name


def table(info: ModelInfo, texts: Texts) -> str:
    """The side panel's HTML."""
    rows = [
        (texts.model, info.name),
        (texts.model_version, info.version),
        (texts.base, info.base if info.base != info.name else ""),
        (texts.adapter, info.adapter),
        (texts.stages, " → ".join(stage.upper() for stage in info.stages)),
        (texts.finished, info.finished),
        (texts.license, info.license or texts.license_unknown),
        (texts.context, f"{info.context:,}" if info.context else ""),
        (texts.weights, info.weights),
        (texts.template, info.template),
    ]
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows if value)
    return f'<dl class="facts">{facts}</dl>{_results(info, texts)}{_named_tests(info, texts)}'


def _results(info: ModelInfo, texts: Texts) -> str:
    if not info.numbers:
        return "" if info.stages else f'<p class="hint">{escape(texts.no_run)}</p>'
    held_out = texts.held_out + ("" if info.rows is None else f" ({texts.rows.format(rows=f'{info.rows:,}')})")
    head = "".join(f"<th>{escape(word)}</th>" for word in (held_out, texts.before, texts.after))
    rows = "".join(
        f"<tr><th>{escape(texts.metrics[name])}</th><td>{escape(before)}</td><td>{escape(after)}</td></tr>"
        for name, before, after in info.numbers
    )
    shown = [texts.meanings[name] for name, _, _ in info.numbers if name in texts.meanings]
    meanings = "".join(f'<p class="hint">{escape(text)}</p>' for text in shown)
    return f'<table class="numbers"><tr>{head}</tr>{rows}</table>{meanings}'


def _named_tests(info: ModelInfo, texts: Texts) -> str:
    if not info.tests:
        return ""
    head = "".join(f"<th>{escape(word)}</th>" for word in (texts.named_tests, texts.base, texts.model))
    named = [(translated(title, language=texts.language, exact=True), *shares) for title, *shares in info.tests]
    rows = "".join(
        f"<tr><th>{escape(title)}</th><td>{escape(before)}</td><td>{escape(after)}</td></tr>"
        for title, before, after in named
    )
    return f'<table class="numbers"><tr>{head}</tr>{rows}</table>'
