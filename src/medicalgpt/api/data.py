"""Look at data as training will see it: rows as records, records as token trees, and counts of all of it."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

from medicalgpt.config.loader import load
from medicalgpt.config.overrides import override_words
from medicalgpt.config.sections import DataConfig, Encodings, TxtRows
from medicalgpt.data import reader
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.records import Kind, Record
from medicalgpt.data.report import reports
from medicalgpt.data.rows import Reading
from medicalgpt.data.sources import find
from medicalgpt.errors import DataError, RenderError
from medicalgpt.models.load import load_tokenizer
from medicalgpt.models.locate import locate
from medicalgpt.rendering.renderer import Renderer
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.tree import TokenTree
from medicalgpt.training import inspect as inspection
from medicalgpt.training.inspect import Inspection

PathLike = str | os.PathLike[str]
Paths = PathLike | Sequence[PathLike]


def _listed(paths: Paths) -> list[str]:
    return [os.fspath(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]


def _data(paths: list[str], settings: Mapping[str, Any]) -> DataConfig:
    values = {**settings, "train": paths}
    return load(DataConfig, None, override_words({k: v for k, v in values.items() if v is not None})).value


def inspect(
    paths: Paths,
    *,
    model: PathLike = "smollm2-135m",
    rows: int = 3,
    columns: Mapping[str, str] | None = None,
    **settings: Any,
) -> Inspection:
    """What is in files: shapes, encodings, the row ledger, token lengths, and some rendered rows.

    Args:
        model: whose tokenizer and template render the rows.
        rows: how many rendered rows of each kind are kept.
        columns: canonical names to the files' columns, as `data.columns`.
        settings: other keys of the `data` section: `max_tokens`, `over_length`, `template`, `tool_format`, `encoding`, `txt` …

    Returns:
        `.files`, `.kinds` (a ledger for each kind), `.lengths` (tokens of each tree), `.rows`, `.refused`, `.skipped`.

    Raises:
        DataError: a file that cannot be read at all. ConfigError, ModelError, RenderError: a setting, the tokenizer or template.
    """
    files = _listed(paths)
    return inspection.inspect(files, _data(files, {"columns": dict(columns or {}), **settings}), os.fspath(model), rows)


def read(
    paths: Paths,
    kind: Kind | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    on_bad_row: Literal["stop", "drop"] = "stop",
    max_bad_share: float = 0.05,
    encoding: Encodings = "auto",
    txt: TxtRows = "file",
) -> Iterator[Record]:
    """Rows of files and folders as records: documents, dialogues, preferences or feedback.

    Args:
        kind: "document", "dialogue", "preference" or "feedback"; None: what the files hold.
        columns: canonical names to the files' columns.
        on_bad_row: "stop" at the first row that cannot be used, or "drop" up to `max_bad_share` of them.
        encoding: of text files that are no UTF-8, as `data.encoding`.
        txt: what a row of a .txt file is, as `data.txt`.

    Raises:
        DataError: at once for paths, kind and columns; while iterating for a bad file or row, with its place.
        ConfigError: another word for bad rows, or a share that is none.
    """
    files = _listed(paths)
    settings = {"on_bad_row": on_bad_row, "max_bad_share": max_bad_share, "encoding": encoding, "txt": txt}
    reading = Reading.of(_data(files or ["none"], settings))
    if kind is None:
        kinds = dict.fromkeys(report.kind for report in reports(find(files), columns or {}, reading) if report.kind)
        if len(kinds) != 1:
            raise DataError(
                f"{', '.join(files)}: holds {', '.join(map(str, kinds)) or 'no known kind of row'}; name one with kind=…"
            )
        (kind,) = kinds
    if kind not in get_args(Kind):
        raise DataError(f"kind is {kind!r}; allowed: {', '.join(get_args(Kind))}")
    return reader.read(
        files,
        kind,
        columns=columns,
        on_bad_row=on_bad_row,
        max_bad_share=max_bad_share,
        ledger=Ledger(),
        reading=reading,
    )


def render(
    records: Record | Iterable[Record],
    *,
    model: PathLike = "smollm2-135m",
    train_on: Literal["assistant", "last", "all"] = "assistant",
    **settings: Any,
) -> Iterator[TokenTree]:
    """Token trees of records, as training would see them: token ids, loss weights and parents of every segment.

    Args:
        records: one record or many.
        model: whose tokenizer and template are used.
        train_on: which turns of a dialogue carry loss.
        settings: keys of the `data` section: `max_tokens`, `over_length`, `template`, `tool_format`, `system`, `on_bad_row` …

    Returns:
        The trees of one record after the other: one each, or several for a split or long one; none for one that is dropped
        because it is too long, or because the template refuses it and `on_bad_row` is "drop".

    Raises:
        RenderError: while iterating, for a row that the template refuses, with its place.
        ConfigError, ModelError: a setting, the tokenizer.
    """
    data = _data(["records"], settings)  # no file is read; the section must name one
    template = ChatTemplate.load(load_tokenizer(locate(os.fspath(model)).path_or_id), data.template, data.tool_format)
    return _trees([records] if isinstance(records, Record) else records, data, template, train_on)


def _trees(records: Iterable[Record], data: DataConfig, template: ChatTemplate, train_on: Any) -> Iterator[TokenTree]:
    renderers: dict[str, Renderer] = {}
    for record in records:
        kind = type(record).__name__.lower()
        renderer = renderers.setdefault(kind, Renderer(data, kind, template, train_on, seed=0))  # type: ignore[arg-type]  # the class's name is its kind
        try:
            trees = renderer.render(record).trees
        except RenderError as error:
            if data.on_bad_row == "drop":
                continue
            raise RenderError(
                f"{record.source}: {error}; fix the row, or leave it out with on_bad_row='drop'"
            ) from error
        yield from trees
