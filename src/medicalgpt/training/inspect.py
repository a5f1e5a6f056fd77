"""Look at data as training will see it: shape and encoding per file, lengths in tokens, the ledger, rendered rows."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from rich.console import Console
from rich.text import Text

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.files import by_folder
from medicalgpt.data.formats.fields import named
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.records import Dialogue, Document, Message, Record
from medicalgpt.data.report import FileReport, reports
from medicalgpt.data.rows import Reading
from medicalgpt.data.sources import Given, find
from medicalgpt.data.split import Split
from medicalgpt.models.adapter_config import down_to_base
from medicalgpt.models.console import quiet
from medicalgpt.models.families import identify
from medicalgpt.models.load import load_tokenizer
from medicalgpt.models.locate import config_of, locate
from medicalgpt.rendering.progress import Progress
from medicalgpt.rendering.remarks import SAMPLED, system_remark, trained_ids, unknown_languages
from medicalgpt.rendering.renderer import Renderer
from medicalgpt.rendering.row_stream import Input, RowStream
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.training.preflight import show


@dataclass
class Inspection:
    """Everything `medicalgpt data inspect` prints. `lengths` are tokens of each tree, `refused` (row, text, decoded).

    `skipped` counts files of folders and archives that are not read: folder → reason → files;
    `remarks` by kind: languages that the model hardly knows, a system prompt that the template adds by itself;
    `sources`: what was named that is a hub's or is not read to its end.
    """

    files: list[FileReport]
    kinds: dict[str, Ledger]
    lengths: dict[str, np.ndarray]
    rows: list[tuple[str, Text]]
    refused: list[tuple[str, str, str]]
    skipped: dict[str, dict[str, int]] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)
    sources: list[dict[str, object]] = field(default_factory=list)


def inspect(paths: Sequence[Given], data: DataConfig, model: str, count: int = 3) -> Inspection:
    """Read and render every row; bad rows are counted, not fatal.

    Raises:
        DataError: a file that cannot be read at all. ModelError, RenderError: the tokenizer or template.
    """
    quiet()
    behind = find(paths, Reading.of(data), named(data.columns))
    reading = behind.limited(Reading.of(data))
    found = Inspection(
        list(reports(behind, data.columns, reading)), {}, {}, [], [], by_folder(behind.skipped), sources=behind.named
    )
    located = locate(model)
    tokenizer = load_tokenizer(located.folder)
    if all(f.kind in ("document", None) for f in found.files):
        template = ChatTemplate.for_documents(tokenizer, data.template, data.tool_format)
    else:
        own = getattr(tokenizer, "chat_template", None)
        usual = () if own or data.template else identify(config_of(down_to_base(located)[1])).templates
        template = ChatTemplate.load(tokenizer, data.template, data.tool_format, usual)
    all_rows = data.model_copy(update={"on_bad_row": "drop", "max_bad_share": 1.0})
    for kind in dict.fromkeys(f.kind for f in found.files if f.kind):
        files = [f.path for f in found.files if f.kind == kind]
        job = Renderer(all_rows, kind, template, "assistant", seed=0)
        with RowStream(data.workers, Progress(Console(stderr=True))) as rows:
            given = replace(Input.of(job, files, Ledger(), kind, strict=True), reading=reading)
            _render(found, given, rows, count)
    return found


def _render(found: Inspection, given: Input, rows: RowStream, count: int) -> None:
    """Every row of one kind, its trees in words for the first of them."""
    ledger, template, kind = given.policy.ledger, given.work.renderer.template, given.work.kind
    lengths, shown = array("q"), 0
    seen, talks = list[list[int]](), list[Sequence[Message]]()
    for row in rows.trees(given, Split(), lambda: "all" if len(seen) < SAMPLED else "none"):
        refused = f"cannot be rendered: {row.error}" if row.error else ""
        (replace(row.row, reason=refused) if refused else row.row).settle(ledger, row.source.file)
        if row.refused is not None:
            found.refused.append((str(row.source), *row.refused))
        packed = row.packed[0]
        if packed is None:
            continue
        lengths.extend(packed.lengths.tolist())
        trees = packed.trees(row.source.file) if len(seen) < SAMPLED or shown < count else []
        if len(seen) < SAMPLED:
            seen.append(trained_ids(trees[0]))
            talks += [turns] if row.record and (turns := _turns(row.record)) else []
        if shown < count:
            shown += 1
            found.rows.append((f"{kind} {row.source}", show(trees[0], template)))
    ledger.check()
    found.kinds[kind] = ledger
    found.lengths[kind] = np.asarray(lengths, np.int64)
    said = system_remark(template, given.work.renderer.data.system, talks) if talks else []
    found.remarks[kind] = [*unknown_languages(seen, template), *said]


def _turns(record: Record) -> Sequence[Message]:
    """The turns a record begins with; nothing of a document."""
    if isinstance(record, Document):
        return ()
    return record.messages if isinstance(record, Dialogue) else record.prompt
