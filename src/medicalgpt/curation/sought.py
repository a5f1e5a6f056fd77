"""The items that must not stand in a corpus: of named tests, and of any file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import regex

from medicalgpt.config.curation import ContaminationConfig, Script
from medicalgpt.curation.overlap import SoughtItem
from medicalgpt.curation.rows import answers_of, questions_of
from medicalgpt.data.formats import BadRow
from medicalgpt.data.read_row import row_record
from medicalgpt.data.records import Document
from medicalgpt.data.rows import open_rows
from medicalgpt.data.sources import find
from medicalgpt.errors import DataError
from medicalgpt.evaluation.catalog import FoundTest, find_tests
from medicalgpt.evaluation.items import read_items
from medicalgpt.evaluation.safety.requests import read_requests
from medicalgpt.evaluation.written.items import read_written
from medicalgpt.runs.hashes import hash_file

_HAN: Final = regex.compile(r"\p{Han}")


def sought_items(config: ContaminationConfig) -> tuple[list[SoughtItem], dict[str, dict[str, str]]]:
    """All items in order, and by test the hashes of its files.

    Raises:
        ConfigError: no test has a name. DataError: a file is missing or has other content, or rows that are no items.
    """
    found = find_tests(config.tests, Path(config.folder)) if config.tests else []
    items = [item for test in found for item in named_items(test)]
    hashes = {test.config.name: dict(sorted(test.hashes.items())) for test in found}
    for given in config.files:
        for file in find([given]).files:
            if file.name in hashes:
                raise DataError(f"{file}: two tests are called {file.name}; give the file another name")
            items += file_items(file)
            hashes[file.name] = {file.name: hash_file(file)}
    return items, hashes


def named_items(test: FoundTest) -> Iterator[SoughtItem]:
    """The items of a named test, under the ids that an evaluation has for them."""
    config = test.config
    if config.kind == "choice":
        for item in read_items(config, test.files):
            yield SoughtItem(config.name, item.id, (item.question, *item.options), config.language)
    elif config.kind == "requests":
        for request in read_requests(config, test.files):
            for text in request.texts:
                yield SoughtItem(config.name, request.id, (text,), config.language)
    else:
        for written in read_written(config, test.files):
            asked = "\n".join(turn.content for turn in written.turns if turn.role == "user")
            yield SoughtItem(config.name, written.id, (asked,), config.language)


def file_items(file: Path) -> Iterator[SoughtItem]:
    """The rows of a file of any shape: what is asked, or of a document all of it. Raises DataError where a row is none."""
    for row in open_rows(file, {}):
        try:
            record = row_record(row, str(file), {}).record
        except BadRow as bad:
            raise DataError(
                f"{file}:{row.number}: {bad.reason}; rows that must not be trained on need a question and an answer, or text"
            ) from None
        texts: Sequence[str] = answers_of(record) if isinstance(record, Document) else questions_of(record)
        text = "\n".join(texts)
        yield SoughtItem(file.name, str(row.number), (text,), _language(text))


def _language(text: str) -> Script:
    return "zh" if 4 * len(_HAN.findall(text)) > len(text) else "en"
