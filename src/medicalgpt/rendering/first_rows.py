"""The first rows of a stage's data as they were written, kept beside its token stores.

Samples during training ask a few held-out prompts, and preflight compares a few conversations between training and
inference. Both need messages, which token stores no longer hold; without this file the data would be read again for them.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.formats.fields import named
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.read_row import read_row
from medicalgpt.data.reader import read
from medicalgpt.data.records import Dialogue, Document, Feedback, Kind, Message, Preference, Record, Source
from medicalgpt.data.rows import DETECTED, Reading, Row, open_raw_rows, parsed
from medicalgpt.data.sources import Given, find
from medicalgpt.data.split import split_records
from medicalgpt.disk.private import private_files
from medicalgpt.errors import DataError
from medicalgpt.rendering.row_work import Records

FILE: Final = "first_rows.json"
FORMAT: Final = 1
MOST_CONVERSATIONS: Final = 8
MOST_PROMPTS: Final = 64  # train.sample_count allows no more


@dataclass(frozen=True, slots=True)
class SamplePrompt:
    """A held-out prompt, the text of the answer that stood in the data, and the row both came from."""

    prompt: tuple[Message, ...]
    reference: str
    source: Source


@dataclass
class FirstRows:
    """At most MOST_CONVERSATIONS finished conversations of data.train and MOST_PROMPTS held-out prompts, in reading order.

    Messages are those of the rows, without the system message of data.system. Documents have neither.
    """

    conversations: list[tuple[Message, ...]] = field(default_factory=list)
    prompts: list[SamplePrompt] = field(default_factory=list)

    def add_training(self, record: Record) -> None:
        """Note a row of data.train, in reading order and whether or not it is held out."""
        messages = _conversation(record)
        if len(self.conversations) < MOST_CONVERSATIONS and _is_json(messages):
            self.conversations.append(messages)

    def add_held_out(self, record: Record) -> None:
        """Note a held-out row; an undesirable answer is no reference, so its row is passed over."""
        if len(self.prompts) == MOST_PROMPTS:
            return
        sample = _sample(record)
        if sample is not None and _is_json(sample.prompt):
            self.prompts.append(sample)

    @property
    def wanted(self) -> Records:
        """Which of the rows to come could be kept, given that all before them were added."""
        if len(self.conversations) < MOST_CONVERSATIONS:
            return "all"
        return "none" if self.full else "held out"

    @property
    def wanted_held_out(self) -> Records:
        """The same where all that come are held out."""
        return "none" if self.full else "all"

    @property
    def full(self) -> bool:
        """Whether no further held-out row would be kept."""
        return len(self.prompts) == MOST_PROMPTS

    @private_files()
    def save(self, folder: Path, held_out_files: Sequence[str]) -> None:
        """Write FILE into `folder`, readable for its owner only.

        Args:
            held_out_files: the files that held-out rows are read from. Places are kept by a file's position among them:
                a store is found by content, so the files may lie elsewhere the next time.
        """
        value = {
            "format": FORMAT,
            "conversations": [[_written(m) for m in messages] for messages in self.conversations],
            "prompts": [
                {
                    "prompt": [_written(m) for m in sample.prompt],
                    "reference": sample.reference,
                    "file": held_out_files.index(sample.source.file),
                    "row": sample.source.row,
                }
                for sample in self.prompts
            ],
        }
        partial = folder / f".{FILE}.{uuid.uuid4().hex[:8]}"
        with partial.open("x", encoding="utf-8") as file:
            json.dump(value, file)
        partial.replace(folder / FILE)

    @classmethod
    def load(cls, folder: Path, held_out_files: Sequence[str]) -> "FirstRows | None":
        """What `save` wrote; None where the file is missing (stores of earlier versions), damaged or of another format."""
        try:
            value = json.loads((folder / FILE).read_text(encoding="utf-8"))
            if value["format"] != FORMAT:
                return None
            conversations = [tuple(map(_read, messages)) for messages in value["conversations"]]
            prompts = [
                SamplePrompt(
                    tuple(map(_read, sample["prompt"])),
                    sample["reference"],
                    Source(held_out_files[sample["file"]], sample["row"]),
                )
                for sample in value["prompts"]
            ]
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return None
        return cls(conversations, prompts)


def held_out_files(data: DataConfig) -> list[str]:
    """The files that held-out rows are read from, in reading order. Raises DataError as `find`."""
    return [str(path) for path in find(data.eval or data.train, Reading.of(data), named(data.columns)).files]


def read_first_rows(data: DataConfig, kind: Kind, seed: int) -> FirstRows:
    """The first rows of a data set whose stores are there already; rows that cannot be used are passed over.

    Raises:
        DataError: a file that cannot be read.
    """
    found = FirstRows()
    for record in islice(_records(data.train, data, kind), MOST_CONVERSATIONS):
        found.add_training(record)
    if data.eval:
        held_out = _records(data.eval, data, kind)
    else:
        split = split_records(_records(data.train, data, kind), data.eval_fraction, seed)
        held_out = (r for r in _records(data.train, data, kind) if split.parts(r)[0][1]) if split else iter(())
    for record in held_out:
        found.add_held_out(record)
        if found.full:
            break
    return found


def records_at(
    places: Iterable[Source], kind: Kind, columns: dict[str, str], reading: Reading = DETECTED
) -> Iterator[Record]:
    """The records of rows that were read before, once more; `places` are in reading order.

    Lines of a .jsonl file that are not wanted are not parsed.

    Raises:
        DataError: a file that cannot be read.
    """
    places = iter(places)
    place = next(places, None)
    while place is not None:
        file = place.file
        for raw in open_raw_rows(Path(file), named(columns), reading):
            if (raw.number if isinstance(raw, Row) else raw[0]) != place.row:
                continue
            record = read_row(parsed(raw), file, columns, kind, lambda record: record).value
            if record is not None:
                yield record
            place = next(places, None)
            if place is None or place.file != file:
                break
        else:
            raise DataError(f"{place}: the row is gone; see that nothing writes to the file any more, and start again")


def _records(paths: Sequence[Given], data: DataConfig, kind: Kind) -> Iterator[Record]:
    ledger = Ledger()  # these rows were accounted for when they were rendered
    return read(
        paths,
        kind,
        columns=data.columns,
        on_bad_row="drop",
        max_bad_share=1.0,
        ledger=ledger,
        strict_columns=False,
        reading=Reading.of(data),
    )


def _conversation(record: Record) -> tuple[Message, ...]:
    """The row's messages, an assistant turn last; none for documents."""
    match record:
        case Document():
            return ()
        case Dialogue():
            return record.messages
        case Preference():
            return (*record.prompt, record.chosen[0])
        case Feedback():
            return (*record.prompt, record.answer[0])


def _sample(record: Record) -> SamplePrompt | None:
    match record:
        case Dialogue():
            last = max(i for i, m in enumerate(record.messages) if m.role == "assistant" and m.weight != 0)
            return SamplePrompt(record.messages[:last], record.messages[last].content, record.source)
        case Preference():
            return SamplePrompt(record.prompt, record.chosen[-1].content, record.source)
        case Feedback() if record.desirable:
            return SamplePrompt(record.prompt, record.answer[-1].content, record.source)
        case _:
            return None


def _is_json(messages: Sequence[Message]) -> bool:
    """Whether there are messages, and JSON can hold them: a call's arguments from Parquet may be dates, say."""
    try:
        json.dumps([message.tool_calls for message in messages])
    except (TypeError, ValueError):
        return False
    return bool(messages)


def _written(message: Message) -> dict[str, Any]:
    calls = {"tool_calls": list(message.tool_calls)} if message.tool_calls else {}
    return {"role": message.role, "content": message.content, **calls}


def _read(value: dict[str, Any]) -> Message:
    return Message(value["role"], value["content"], tuple(value.get("tool_calls", ())))
