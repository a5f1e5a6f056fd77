"""Look at data as training will see it: shape and encoding per file, lengths in tokens, the ledger, rendered rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.text import Text

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.files import expand
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Kind
from medicalgpt.data.report import FileReport, detect
from medicalgpt.errors import RenderError
from medicalgpt.models.console import quiet
from medicalgpt.models.load import load_tokenizer
from medicalgpt.models.locate import locate
from medicalgpt.rendering.build import Renderer
from medicalgpt.rendering.rows import VerificationError
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.tree import TokenTree
from medicalgpt.training.preflight import show


@dataclass
class Inspection:
    """Everything `medicalgpt data inspect` prints. `lengths` are tokens of each tree, `refused` (row, text, decoded)."""

    files: list[FileReport]
    kinds: dict[str, Ledger]
    lengths: dict[str, np.ndarray]
    rows: list[tuple[str, Text]]
    refused: list[tuple[str, str, str]]


def inspect(paths: Sequence[str], data: DataConfig, model: str, count: int = 3) -> Inspection:
    """Read and render every row; bad rows are counted, not fatal.

    Raises:
        DataError: a file that cannot be read at all. ModelError, RenderError: the tokenizer or template.
    """
    quiet()
    template = ChatTemplate.load(load_tokenizer(locate(model).path_or_id), data.template, data.tool_format)
    found = Inspection([detect(f, data.columns) for f in expand(paths)], {}, {}, [], [])
    for kind in dict.fromkeys(f.kind for f in found.files if f.kind):
        files = [f.path for f in found.files if f.kind == kind]
        _render(found, kind, files, Renderer(data, kind, template, "assistant", seed=0), count)
    return found


def _render(found: Inspection, kind: Kind, files: list[str], renderer: Renderer, count: int) -> None:
    ledger, lengths, shown = Ledger(), list[int](), 0
    for record in read(files, kind, columns=renderer.data.columns, on_bad_row="drop", max_bad_share=1.0, ledger=ledger):
        trees: Sequence[TokenTree] = ()
        try:
            rendered = renderer.render(record)
            trees = rendered.trees
            ledger.settle(record.source.file, rendered.outcome, rendered.reason, over_length=rendered.over_length)
        except RenderError as error:
            ledger.settle(record.source.file, "dropped", f"cannot be rendered: {error}")
            if isinstance(error, VerificationError):
                found.refused.append((str(record.source), error.expected, error.decoded))
        lengths += [len(t) for t in trees]
        if trees and shown < count:
            shown += 1
            found.rows.append((f"{kind} {record.source}", show(trees[0], renderer.template)))
    ledger.check()
    found.kinds[kind], found.lengths[kind] = ledger, np.asarray(lengths)
