"""Whether a model was trained on the canaries at all: that one that was not learned from does not leak proves nothing.

The data of the run, and of the runs that it goes on from, is read once more: a canary may be in none of it, held out, or longer
than data.max_tokens, so that its row was dropped or cut.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from medicalgpt.config.base import StageConfig
from medicalgpt.config.data_source import path_of
from medicalgpt.config.loader import load
from medicalgpt.config.sections import DataConfig
from medicalgpt.config.stages import STAGES
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Dialogue, Document, Message, Record, Source
from medicalgpt.data.rows import Reading
from medicalgpt.data.split import Split, group_key, split_records
from medicalgpt.errors import ConfigError, MedicalGPTError, RunError
from medicalgpt.evaluation.leakage.canaries import Canary, CanaryKey
from medicalgpt.hub.address import parse
from medicalgpt.rendering.renderer import Renderer
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.runs import manifest
from medicalgpt.runs.folder import RunFolder

Reason = Literal["not in the data", "held out", "longer than data.max_tokens"]
USUAL_TOKENS: Final = 1024
_PLANTED: Final = Source("canaries", 0)


@dataclass(frozen=True)
class Planted:
    """`left_out`: canaries by id that the model was not trained on, and why. `read`: the data of its runs was looked at; without
    that, only their length is known."""

    read: bool
    left_out: dict[str, Reason] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """A run that a model was trained in: its config, None where it cannot be read by today's schema, and its seed."""

    config: StageConfig | None
    seed: int


def run_of(model: str) -> Path | None:
    """The finished run that a model's folder is, or lies in; None where it is none's."""
    place = Path(model).expanduser()
    return next((folder for folder in (place, place.parent) if (folder / manifest.NAME).is_file()), None)


def base_of(model: str) -> str:
    """The model that a finished run began with. Raises ConfigError where it is no such run."""
    with suppress(RunError):
        return str(Path(manifest.read(model).base).expanduser())
    raise ConfigError(
        f"{model} is no finished run, so its base is not known: name a model that has not seen the data with --control "
        "(control=…)"
    )


def trainings(run: Path) -> Iterator[Training]:
    """A run and those it goes on from. Raises RunError where a manifest is damaged."""
    waiting, seen = [run], set[Path]()
    while waiting:
        folder = waiting.pop().resolve()
        if folder in seen or not (folder / manifest.NAME).is_file():
            continue
        seen.add(folder)
        record = manifest.read(folder)
        waiting += [folder / Path(parent.path).expanduser() for parent in record.parents]
        config = None
        with suppress(MedicalGPTError, OSError):
            config = load(STAGES[record.stage], str(RunFolder(folder).config)).value if record.stage in STAGES else None
        yield Training(config, record.seed)


def longest_row(run: Path | None) -> int:
    """Tokens of the longest row that a model's runs took: the most of their data.max_tokens."""
    found = [
        one.config.data.max_tokens for one in (trainings(run) if run is not None else ()) if one.config is not None
    ]
    return max(found, default=USUAL_TOKENS)


def planted(key: CanaryKey, run: Path | None, template: ChatTemplate, max_tokens: int) -> Planted:
    """Which canaries a model was not trained on.

    Args:
        run: of the model; None where it is of none.
        max_tokens: longest row of a training whose config is not known.

    Raises:
        RunError: a manifest is damaged.
    """
    known = list(trainings(run)) if run is not None else []
    mine = [(one.config, one.seed) for one in known if one.config is not None and _learns(one.config, key)]
    if not known or any(one.config is None for one in known) or any(map(_elsewhere, (c.data for c, _ in mine))):
        data = DataConfig(train=["-"], max_tokens=max_tokens)
        return Planted(
            False, {c.id: "longer than data.max_tokens" for c in key.canaries if not _fits(c, key, data, template)}
        )
    left_out: dict[str, Reason] = {canary.id: "not in the data" for canary in key.canaries}
    for config, seed in mine:
        try:
            hits, split = _looked(key, config.data, seed)
        except (MedicalGPTError, OSError):
            return planted(key, None, template, config.data.max_tokens)
        for canary in key.canaries:
            if canary.id not in left_out or not hits[canary.id]:
                continue
            if group_key(_record(canary, key)) in split.whole:
                left_out[canary.id] = "held out"
            elif not _fits(canary, key, config.data, template):
                left_out[canary.id] = "longer than data.max_tokens"
            else:
                del left_out[canary.id]
    return Planted(True, left_out)


def _learns(config: StageConfig, key: CanaryKey) -> bool:
    """Whether a stage learns rows of the canaries' kind word by word."""
    return config.kind == key.kind and not config.rollouts and not config.scores


def _elsewhere(data: DataConfig) -> bool:
    """Whether some of the data is a hub's, which is not fetched to be looked at."""
    return any(parse(path_of(entry)) is not None for entry in data.train)


def _looked(key: CanaryKey, data: DataConfig, seed: int) -> tuple[Counter[str], Split]:
    """How often each canary stands in the data of a training, and what of it is held out. Errors as of `read`."""
    ids = {_said(_record(canary, key)): canary.id for canary in key.canaries}
    hits = Counter[str]()

    def records() -> Iterator[Record]:
        rows = read(
            data.train,
            key.kind,
            columns=data.columns,
            on_bad_row="drop",
            max_bad_share=1.0,
            ledger=Ledger(),
            strict_columns=False,
            reading=Reading.of(data),
        )
        for record in rows:
            hits.update([ids[said]] if (said := _said(record)) in ids else ())
            yield record

    return hits, split_records(records(), 0.0 if data.eval else data.eval_fraction, seed)


def _record(canary: Canary, key: CanaryKey) -> Document | Dialogue:
    """The row that was planted."""
    text = canary.with_secret(canary.secret)
    if key.kind == "document":
        return Document(text, _PLANTED)
    return Dialogue((Message("user", canary.question), Message("assistant", text)), _PLANTED)


def _said(record: Record) -> Sequence[tuple[str, str]]:
    """By what a row is known again: its turns but for a system message, or its text."""
    if isinstance(record, Document):
        return (("text", record.text.strip()),)
    turns = record.messages if isinstance(record, Dialogue) else ()
    return tuple((turn.role, turn.content.strip()) for turn in turns if turn.role != "system")


def _fits(canary: Canary, key: CanaryKey, data: DataConfig, template: ChatTemplate) -> bool:
    """Whether the row is trained on as it stands, neither cut nor dropped."""
    return Renderer(data, key.kind, template, "assistant", 0).render(_record(canary, key)).outcome == "kept"
