"""Files of every type and storage with seeded damage, put through every reader: each is read or refused, and all is counted.

`python -m tests.damaged_files FILES [SEED]` puts that many through; the tests do it with a few hundred. One core takes about 8 ms a
file.
"""

import bz2
import gzip
import io
import json
import lzma
import random
import resource
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import get_args

import pyarrow
import pyarrow.parquet

from medicalgpt.config.sections import Encodings, TxtRows
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.report import detect
from medicalgpt.data.rows import Reading
from medicalgpt.data.sources import expand
from medicalgpt.data.texts import texts
from medicalgpt.errors import DataError
from medicalgpt.generate.rows import BadPrompt, read_rows
from tests.mutations import SEEDS, kind_of, where
from tests.papers import Put, pdf, word, workbook

ROWS = 12
_PAIRS = [
    {
        "question": f"{n} 號病人發燒{n}天，怎麼辦？" if n % 2 else f"Is {n} mg of folic acid a usual dose?",
        "answer": "多喝水，必要時就醫。" if n % 2 else 'Ask a "pharmacist",\nplease.',
        "topic": None if n % 3 else "dose",
    }
    for n in range(ROWS)
]
_SIMPLE = "发烧怎么办？多喝水，必要时就医。高血压的症状包括头痛。\n"
_SQUAD = {
    "data": [
        {
            "paragraphs": [
                {"context": "Folic acid.", "qas": [{"question": "What?", "answers": [{"text": "An acid."}]}] * ROWS}
            ]
        }
    ]
}


def _table(delimiter: str) -> str:
    lines = [delimiter.join(("question", "answer", "topic"))]
    for pair in _PAIRS:
        lines.append(delimiter.join('"' + str(value or "").replace('"', '""') + '"' for value in pair.values()))
    return "\n".join(lines) + "\n"


def _parquet(compression: str) -> bytes:
    sink = io.BytesIO()
    columns = {name: [pair[name] for pair in _PAIRS] for name in _PAIRS[0]}
    columns |= {"turns": [[{"role": "user", "n": n}] for n in range(ROWS)], "seen": list(range(ROWS))}
    pyarrow.parquet.write_table(pyarrow.table(columns), sink, compression=compression, row_group_size=5)
    return sink.getvalue()


def _arrow(new: Callable[[io.BytesIO, pyarrow.Schema], pyarrow.ipc.RecordBatchStreamWriter]) -> bytes:
    sink = io.BytesIO()
    table = pyarrow.parquet.read_table(io.BytesIO(_parquet("none")))
    with new(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=5)
    return sink.getvalue()


def _xlsx() -> bytes:
    """As much of a workbook as its name and types say: none that can be opened."""
    return _zipped({"[Content_Types].xml": b"<Types/>", "xl/worksheets/sheet1.xml": b"<worksheet/>"})


def _zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return sink.getvalue()


def _zstd(content: bytes) -> bytes:
    return pyarrow.compress(content, "zstd", asbytes=True)  # type: ignore[no-any-return]


_PACK: dict[str, Callable[[bytes], bytes]] = {
    "": lambda content: content,
    ".gz": lambda content: gzip.compress(content, mtime=0),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": _zstd,
}
_PACKED = tuple(ending for ending in _PACK if ending)
_CODECS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "gb18030", "big5")


_MARKUP = (
    (
        ".html",
        '<!DOCTYPE html><meta charset="gbk"><h1>发烧</h1><table><tr><td>a<td>10<sup>9</sup></table><p>多喝水&amp;休息<br>'
        * 9,
    ),
    (".htm", "<ul><li hidden>no<li>yes</ul><pre>高血压\n头痛</pre><script>x</script>" * 9),
    (".xml", "<d>" + "<p>the <i>BRCA1</i> gene &lt; 高血压</p><!-- no --><![CDATA[x]]>" * 9 + "</d>"),
)


@lru_cache
def good_files() -> tuple[tuple[str, bytes], ...]:
    """(name, content) of every type, encoding and storage that there is."""
    lines = "".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in _PAIRS)
    dialogues = "".join(json.dumps(row) + "\n" for row in SEEDS if kind_of(row) == "dialogue")
    columns = {name: [pair[name] for pair in _PAIRS] for name in _PAIRS[0]}
    plain = [
        (".jsonl", lines),
        (".jsonl", dialogues),
        (".json", json.dumps(_PAIRS, ensure_ascii=False, indent=1)),
        (".json", json.dumps({"version": "1", "data": _PAIRS})),
        (".json", json.dumps({f"id-{n}": pair for n, pair in enumerate(_PAIRS)}, ensure_ascii=False)),
        (".json", json.dumps(columns, ensure_ascii=False)),
        (".json", json.dumps([list(columns), *map(list, zip(*columns.values()))])),
        (".json", json.dumps(_SQUAD)),
        (".csv", _table(",")),
        (".tsv", _table("\t")),
        (".txt", _SIMPLE * 20),
        (".md", "# 發燒\n\n高血壓的症狀包括頭痛。\n\nA fever is a temperature of 38 °C or more.\n" * 5),
    ]
    encoded = [
        (ending, text.encode(codec, "replace" if codec in ("big5",) else "strict"))
        for ending, text in plain
        for codec in _CODECS
    ]
    encoded += [(".parquet", _parquet(name)) for name in ("none", "snappy", "zstd", "gzip")]
    encoded += [(".arrow", _arrow(new)) for new in (pyarrow.ipc.new_stream, pyarrow.ipc.new_file)]
    encoded += [
        (".docx", word("Fever is 38 °C.", "高血壓的症狀包括頭痛。" * 30, table=[["WBC", "5.6"], ["HGB", "130"]]))
    ]
    encoded += [
        (".xlsx", workbook([list(columns), *map(list, zip(*columns.values()))], [["text"], ["Wash your hands."]]))
    ]
    written = [[Put("Fever is 38 C or more."), Put("高血压的症状包括头痛。", y=680)], bytes(64), [Put("Drink.")]]
    encoded += [(".pdf", pdf(written))]
    encoded += [(ending, page.encode(codec)) for ending, page in _MARKUP for codec in ("utf-8", "utf-16", "gb18030")]
    packed = [(ending + pack, press(content)) for ending, content in encoded for pack, press in _PACK.items()]
    archived = [
        (".zip", _zipped({f"ward/rows{ending}": content, "README.md": b"What it is."}, method))
        for (ending, content), method in zip(
            packed[::7], (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_LZMA) * 99
        )
    ]
    return (*packed, *archived, (".xlsx", _xlsx()), (".pdf", b"%PDF-1.4\n"))


_ENDINGS = (
    ".jsonl",
    ".json",
    ".csv",
    ".tsv",
    ".parquet",
    ".arrow",
    ".txt",
    ".md",
    ".docx",
    ".xlsx",
    ".pdf",
    ".html",
    ".xml",
    ".zip",
    *_PACK,
    ".JSON",
    ".Jsonl.Gz",
    ".csv.xz",
)
_GIVEN: tuple[Encodings, ...] = (*("auto",) * 12, "utf-16-le", "gb18030", "big5", "cp1252", "shift_jis")
_MAGICS = (
    b"\x1f\x8b\x08",
    b"BZh9",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"PK\x03\x04",
    b"PAR1",
    b"ARROW1\0\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"%PDF-1.7\n",
    b"\xd0\xcf\x11\xe0",
    b"<!DOCTYPE d [<!ENTITY a 'b'>]>",
    b"sep=;\n",
    b"{",
    b"[",
)


def damaged(rng: random.Random) -> tuple[str, bytes]:
    """The ending and the content of a file with up to three things wrong."""
    files = good_files()
    if rng.random() < 0.6:  # what is packed shows its damage at once
        files = tuple(file for file in files if not file[0].endswith((*_PACKED, ".zip")))
    ending, content = rng.choice(files)
    bad = bytearray(content)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        ending = _damage(bad, ending, rng)
    return ending, bytes(bad)


def _damage(bad: bytearray, ending: str, rng: random.Random) -> str:
    """One thing goes wrong; gives the ending of the name afterwards."""
    size = len(bad)
    at = rng.randrange(size + 1)
    match rng.randrange(12):
        case 0:  # bits anywhere
            for _ in range(min(size, rng.choice((1, 2, 8, 64)))):
                bad[rng.randrange(size)] ^= 1 << rng.randrange(8)
        case 1:  # the header, where sizes and counts stand
            for _ in range(min(size, 4)):
                bad[rng.randrange(min(size, 64))] = rng.randrange(256)
        case 2:  # the end, where Parquet and zip have theirs
            for _ in range(min(size, 4)):
                bad[size - 1 - rng.randrange(min(size, 96))] = rng.randrange(256)
        case 3:
            del bad[at:]
        case 4:
            del bad[:at]
        case 5:
            del bad[at : at + rng.randrange(1, 200)]
        case 6:
            bad[at:at] = rng.randbytes(rng.randrange(1, 64))
        case 7:
            bad[at:at] = bad[max(0, at - 300) : at]
        case 8:
            bad[at : at + 40] = bytes(40)
        case 9:
            magic = rng.choice(_MAGICS)
            bad[: rng.choice((0, len(magic)))] = magic
        case 10:
            return rng.choice(_ENDINGS) + (rng.choice(tuple(_PACK)) if rng.random() < 0.2 else "")
        case 11:  # packed once more, under the same name or with its ending
            pack = rng.choice(_PACKED)
            bad[:] = _PACK[pack](bytes(bad))
            return ending + rng.choice(("", pack))
    return ending


@dataclass
class Result:
    """What became of the files and of the rows in them. A file is read when its last row was; `uncaught` as of rows."""

    files: int = 0
    read: int = 0
    refused: int = 0
    rows: int = 0
    kept: int = 0
    dropped: int = 0
    slowest: float = 0.0
    """CPU seconds that one file took, at most."""
    grown: int = 0
    """Bytes by which the process grew beyond what it took for the first fifty files."""
    uncaught: Counter[str] = field(default_factory=Counter)

    @property
    def exact(self) -> bool:
        """Whether every file and every row of those read is accounted for, and none met a traceback."""
        return not self.uncaught and self.read + self.refused == self.files and self.kept + self.dropped == self.rows


def put_through(count: int, seed: int = 0) -> Result:
    """So many damaged files through the report, the reader of its kind, texts and prompts, each by itself and in its folder."""
    result, rng = Result(), random.Random(seed)
    before = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            ending, content = damaged(rng)
            path = Path(folder) / str(number) / f"rows{ending}"
            path.parent.mkdir()
            path.write_bytes(content)
            began = time.process_time()
            reading = Reading(rng.choice(_GIVEN), rng.choice(get_args(TxtRows)))
            _count(result, path, path.parent if number % 4 == 0 else path, reading)
            result.slowest = max(result.slowest, time.process_time() - began)
            path.unlink()
            path.parent.rmdir()
            if number == 50:
                before = _size()
    result.grown = _size() - before if count > 50 else 0
    return result


def is_read(ending: str, content: bytes) -> bool:
    """Whether a file is read as it stands."""
    result = Result()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"rows{ending}"
        path.write_bytes(content)
        _count(result, path, path, Reading())
    return result.read == 1


def _size() -> int:
    """The most that the process took so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _count(result: Result, path: Path, given: Path, reading: Reading) -> None:
    result.files += 1
    ledger = Ledger()
    try:
        _whole(path, given, ledger, reading)
    except DataError as error:
        result.refused += 1
        placed = str(path.parent) in str(error) or f"of {sum(ledger.seen.values())} rows read are bad" in str(error)
        result.uncaught.update([] if placed else [f"{path.suffixes}: an error without its place"])
    except Exception as error:
        result.uncaught[f"{path.suffixes}: {where(error)}"] += 1
    else:
        result.read += 1
        result.rows += sum(ledger.seen.values())
        result.kept += ledger.total("kept")
        result.dropped += ledger.total("dropped")


def _whole(path: Path, given: Path, ledger: Ledger, reading: Reading) -> None:
    """Every reader over one file; those after the first see the same rows, or refuse it, too."""
    reports = [detect(file, reading=reading) for file in expand([path])]
    kinds = {report.kind for report in reports if report.kind}
    list(_quietly(texts, path))
    list(_quietly(_prompts, path))
    for kind in sorted(kinds)[:1] or ["dialogue"]:
        for record in read([given], kind, on_bad_row="drop", max_bad_share=1.0, ledger=ledger, reading=reading):  # type: ignore[arg-type]
            ledger.settle(record.source.file, "kept")
    ledger.check()
    for report in reports:
        if len(reports) == 1:
            assert report.rows == sum(ledger.seen.values()), "a report counts the rows that are read"


def _quietly(reader: Callable[[list[Path]], Iterator[object]], path: Path) -> Iterator[object]:
    """What a reader gives until it refuses the file, which the others do as well, or do not: a prompt needs no answer."""
    try:
        yield from reader([path])
    except DataError:
        return


def _prompts(paths: list[Path]) -> Iterator[object]:
    for row in read_rows(paths[0]):
        assert not isinstance(row, BadPrompt) or row.problem.startswith(f"{paths[0]}:"), "with its place"
        yield row


if __name__ == "__main__":
    total = put_through(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(
        f"{total.files} files: {total.read} read, {total.refused} refused; of those read {total.rows} rows: {total.kept} kept, "
        f"{total.dropped} dropped; uncaught: {dict(total.uncaught) or 'none'}; the slowest took {total.slowest:.2f} CPU s, the "
        f"process grew by {total.grown >> 20} MiB"
    )
    sys.exit(not total.exact)
