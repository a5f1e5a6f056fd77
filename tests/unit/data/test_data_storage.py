"""Compressed files and archives: read, named by their place, bounded in what they may expand to, never waited for."""

import bz2
import gzip
import io
import json
import lzma
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest

from medicalgpt.data import storage
from medicalgpt.data.files import skipped_lines
from medicalgpt.data.fingerprint import fingerprint
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.report import detect
from medicalgpt.data.rows import open_rows
from medicalgpt.data.sources import expand, find
from medicalgpt.errors import DataError

ROWS = [{"question": f"May I halve tablet {i}?", "answer": "Only when it is scored."} for i in range(40)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def zstd(data: bytes) -> bytes:
    out = io.BytesIO()
    with pyarrow.CompressedOutputStream(out, "zstd") as stream:
        stream.write(data)
        stream.flush()
        return _finished(stream, out)


def _finished(stream: pyarrow.CompressedOutputStream, out: io.BytesIO) -> bytes:
    """pyarrow closes what it writes to."""
    kept, out.close = bytearray(), lambda: kept.extend(out.getvalue())  # type: ignore[method-assign]
    stream.close()
    return bytes(kept)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd,
}


def pack(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("ending", PACKERS)
def test_every_compression_gives_the_same_rows_and_documents(tmp_path: Path, ending: str) -> None:
    rows, text = tmp_path / f"a.jsonl{ending}", tmp_path / f"b.txt{ending}"
    rows.write_bytes(PACKERS[ending](LINES))
    text.write_bytes(PACKERS[ending]("量血壓前先坐五分鐘。".encode("big5") * 9))
    assert [row.fields for row in open_rows(rows, {})] == ROWS
    assert [row.fields for row in open_rows(text, {})] == [{"text": "量血壓前先坐五分鐘。" * 9}]
    assert expand([tmp_path]) == [rows, text]
    names = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
    assert (detect(rows).compression, detect(text).encoding) == (names[ending], "big5")


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("damage", ["cut", "other"])
def test_damaged_files_are_named_whatever_packed_them(tmp_path: Path, ending: str, damage: str) -> None:
    path = tmp_path / f"a.jsonl{ending}"
    packed = PACKERS[ending](random.Random(0).randbytes(20_000).hex().encode())
    path.write_bytes(packed[:-4000] if damage == "cut" else b"plain text, no archive")
    with pytest.raises(
        DataError, match=r"a\.jsonl\S+: the file is not \w+ data or is damaged; fetch or compress it again"
    ):
        list(open_rows(path, {}))


@pytest.mark.parametrize("ending", PACKERS)
def test_a_compressed_file_under_another_name_is_told(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(PACKERS[ending](LINES))
    with pytest.raises(DataError, match=rf"give the file a name that ends in \{ending}$"):
        list(open_rows(path, {}))


def test_members_of_an_archive_are_files_with_a_place(tmp_path: Path) -> None:
    ward = pack(
        tmp_path / "ward.zip",
        {
            "b/rows.jsonl": LINES,
            "a.txt": b"Wash your hands.",
            "b/more.jsonl.gz": gzip.compress(LINES),
            ".x.jsonl": LINES,
            "__MACOSX/b/rows.jsonl": b"\0\5",
        },
    )
    files = expand([tmp_path])
    assert [f.relative_to(tmp_path).as_posix() for f in files] == [
        "ward.zip/a.txt",
        "ward.zip/b/more.jsonl.gz",
        "ward.zip/b/rows.jsonl",
    ]
    assert expand([ward]) == files
    found = list(read([ward / "b/rows.jsonl"], "dialogue", ledger=Ledger()))
    assert str(found[2].source) == f"{ward}/b/rows.jsonl:3"
    assert [row.fields for row in open_rows(ward / "b/more.jsonl.gz", {})] == ROWS
    assert [detect(f).compression for f in files] == ["zip", "gzip in zip", "zip"]


def test_an_archive_s_fingerprint_follows_its_bytes_and_the_members_asked_for(tmp_path: Path) -> None:
    ward = pack(tmp_path / "ward.zip", {"a.jsonl": LINES, "b.jsonl": LINES})
    prints = {fingerprint([ward]), fingerprint([ward / "a.jsonl"]), fingerprint([ward / "b.jsonl"])}
    assert len(prints) == 3
    pack(ward, {"a.jsonl": LINES, "b.jsonl": LINES + LINES})
    assert fingerprint([ward]) not in prints
    assert len(list(open_rows(ward / "b.jsonl", {}))) == 80  # and what is read is the new one


def test_names_in_gbk_are_readable(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("wwww.jsonl", LINES)
    path.write_bytes(path.read_bytes().replace(b"wwww", "门诊".encode("gbk")))
    assert expand([path]) == [path / "门诊.jsonl"]
    assert len(list(open_rows(path / "门诊.jsonl", {}))) == 40


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"a.rtf": b"x"}, "the archive holds no data file"),
        ({"../a.jsonl": b"x", "/etc/a.jsonl": b"x"}, "the archive holds no data file"),
        (None, "not a zip archive, or a damaged one"),
    ],
)
def test_archives_without_use_are_errors(tmp_path: Path, members: dict[str, bytes] | None, words: str) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"no archive") if members is None else pack(path, members)
    with pytest.raises(DataError, match=rf"a\.zip: {words}"):
        expand([path])


def test_entries_that_overlap_are_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {f"{i}.jsonl": LINES for i in range(3)})
    with zipfile.ZipFile(path) as archive:
        sizes = [entry.compress_size for entry in archive.infolist()]
    directory = path.read_bytes()
    at = directory.index(b"PK\x01\x02") + 20
    path.write_bytes(directory[:at] + (sum(sizes) * 9).to_bytes(4, "little") + directory[at + 4 :])
    with pytest.raises(DataError, match="the archive has 3 entries, which are more than 100000 or overlap"):
        expand([path])


def test_encrypted_and_missing_members_are_errors(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"a.jsonl": LINES})
    with pytest.raises(DataError, match=r"a\.zip/b\.jsonl: the archive has no such file"):
        list(open_rows(path / "b.jsonl", {}))
    data = path.read_bytes()
    at = data.index(b"PK\x01\x02") + 8
    path.write_bytes(data[:at] + b"\x01\x00" + data[at + 2 :])
    with pytest.raises(DataError, match=r"a\.zip/a\.jsonl: the file is encrypted"):
        list(open_rows(path / "a.jsonl", {}))


@pytest.mark.parametrize("ending", [*PACKERS, ".zip"])
def test_a_bomb_is_stopped_at_its_line(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "FREE_SIZE", 1 << 20)
    monkeypatch.setattr(storage, "MOST_EXPANSION", 20)
    bomb = '{"text": "Fever is 38 °C."}\n'.encode() + b'{"text": "Drink water."}\n' * 80_000
    if ending == ".zip":
        path = pack(tmp_path / "a.zip", {"a.jsonl.bz2": bz2.compress(bomb)}) / "a.jsonl.bz2"
    else:
        path = tmp_path / f"a.jsonl{ending}"
        path.write_bytes(PACKERS[ending](bomb))
    with pytest.raises(DataError, match=r"a\.jsonl\S*:\d{5,}: the file expands to more than \d+ MiB") as error:
        for _ in open_rows(path, {}):
            pass
    assert "water" not in str(error.value)


def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "a.jsonl"
    os.mkfifo(pipe)
    with pytest.raises(DataError, match=r"a\.jsonl: this is no regular file"):
        expand([pipe])
    with pytest.raises(DataError, match=r"a\.jsonl: this is no regular file"):
        storage.open_bytes(pipe)
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"zero\.txt: this is no regular file"):
        expand([tmp_path / "zero.txt"])
    (tmp_path / "b.jsonl").write_bytes(LINES)
    found = find([tmp_path])
    assert found.files == [tmp_path / "b.jsonl"]
    assert found.skipped == {(str(tmp_path), "pipe or device"): 2}


def test_one_line_says_what_was_skipped_and_why(tmp_path: Path) -> None:
    ward = tmp_path / "ward [3]"
    (ward / "sub").mkdir(parents=True)
    (ward / "rows.jsonl").write_bytes(LINES)
    pack(ward / "more.zip", {"scan.dcm": b"x", "more.jsonl": LINES})
    for name in (
        "a.rtf",
        "b.RTF",
        "c.xls",
        "README.md",
        "sub/README.md",
        "notes",
        ".hidden.rtf",
        "x.jsonl.rar",
        "q.J Doe",
    ):
        (ward / name).write_text("x")
    (ward / "linked").symlink_to(tmp_path)
    (ward / "lost.jsonl").symlink_to(tmp_path / "nowhere.jsonl")
    found = find([ward])
    assert [f.name for f in found.files] == ["more.jsonl", "rows.jsonl"]
    ledger = Ledger()
    ledger.pass_over(found.skipped)
    ledger.pass_over(found.skipped)  # two passes over one folder do not double what is in it
    (line,) = skipped_lines(ledger.as_dict()["skipped"])
    assert line.startswith(f"{ward}: 12 not read: ")
    assert sorted(line.partition("not read: ")[2].split(", ")) == sorted(
        [
            "2 × .rtf",
            "1 × .xls",
            "2 × README.md (a description; named by itself it is read)",
            "1 × .rar",
            "1 × .dcm",
            "2 × without an ending",
            "1 × link to a folder (name the folder itself)",
            "1 × broken link",
            "1 × hidden",
        ]
    )
    named = find([ward, ward / "README.md"])
    assert sum(n for (_, reason), n in named.skipped.items() if "README" in reason) == 1


def test_a_reader_leaves_it_in_the_ledger(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(LINES)
    (tmp_path / "guide.doc").write_text("x")
    ledger = Ledger()
    assert len(list(read([tmp_path], "dialogue", ledger=ledger))) == 40
    assert ledger.as_dict()["skipped"] == {str(tmp_path): {".doc": 1}}
    assert "skipped" not in Ledger().as_dict()
