"""What a folder holds beside its data: every file is read or said, and an empty one does not refuse the others."""

import bz2
import json
import zipfile
from pathlib import Path

import pytest
from tests.tiny import tiny_tokenizer

from medicalgpt.api.data import read as front_read
from medicalgpt.config.sections import DataConfig
from medicalgpt.data.ledger import EmptyFile, Ledger, warning_lines
from medicalgpt.data.reader import read
from medicalgpt.data.report import detect, reports
from medicalgpt.data.sources import find
from medicalgpt.data.texts import texts
from medicalgpt.errors import DataError
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.training.rl.prompts import read_prompt_set

ROW = '{"question": "Is 38 °C a fever?", "answer": "Yes."}\n'
LISTED = {"ward": {"file_name": "ward.json", "columns": {"prompt": "ask", "response": "reply"}}}
SAVED = {"builder_name": "json", "features": {"text": {"dtype": "string", "_type": "Value"}}}


def _write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def _reasons(root: Path) -> dict[str, int]:
    return {reason: n for (_, reason), n in find([root]).skipped.items()}


HIDDEN = {
    **{"rows.jsonl": ROW, ".DS_Store": "x", "._rows.jsonl": "x", ".gitattributes": "x", "sub/.rows.jsonl": ROW},
    **{".git/HEAD": "x", ".git/config.txt": "x", "sub/.cache/a.jsonl": ROW, "__MACOSX/._rows.jsonl": "x"},
}
HIDDEN_REASONS = {"hidden folder": 3, "hidden": 3, "hidden .jsonl (named by itself it is read)": 1}


@pytest.mark.parametrize("packed", [False, True])
def test_hidden_files_and_folders_are_counted(packed: bool, tmp_path: Path) -> None:
    root = tmp_path / "ward"
    _write(root, HIDDEN)
    if packed:
        with zipfile.ZipFile(tmp_path / "ward.zip", "w") as archive:
            for name, content in HIDDEN.items():
                archive.writestr(name, content)
        root = tmp_path / "ward.zip"
    assert [path.name for path in find([root]).files] == ["rows.jsonl"]
    assert _reasons(root) == HIDDEN_REASONS
    hidden = root / "sub/.rows.jsonl"
    named = find([root, hidden])
    assert named.files[-1] == hidden
    assert sum(named.skipped.values()) == sum(HIDDEN_REASONS.values()) - 1


def test_a_folder_without_data_says_what_it_holds(tmp_path: Path) -> None:
    _write(tmp_path, {".rows.jsonl": ROW, "a.rtf": "x", "b.rtf": "x"})
    with pytest.raises(DataError, match=r"holds no data file \(2 × \.rtf, 1 × hidden \.jsonl \(named by itself"):
        find([tmp_path])


def test_what_describes_data_sets_is_no_data(tmp_path: Path) -> None:
    _write(tmp_path, {"listed/ward.json": ROW, "listed/dataset_info.json": json.dumps(LISTED)})
    assert _reasons(tmp_path / "listed") == {
        "dataset_info.json (LLaMA-Factory's list; what it calls columns goes into data.columns)": 1
    }
    saved = {name: json.dumps(SAVED) for name in ("dataset_info.json", "state.json", "dataset_dict.json")}
    _write(tmp_path / "saved", {"rows.jsonl": ROW, "dataset_infos.json": "{}", **saved})
    described = {f"{name} (a description; named by itself it is read)": 1 for name in (*saved, "dataset_infos.json")}
    assert _reasons(tmp_path / "saved") == described
    named = tmp_path / "saved/state.json"
    assert named in find([named, tmp_path / "saved"]).files


@pytest.mark.parametrize("content", ["[", "[1]", '{"ward": 3}', "[" * 5000])
def test_a_list_of_sets_that_is_none_is_a_description_like_others(content: str, tmp_path: Path) -> None:
    _write(tmp_path, {"rows.jsonl": ROW, "dataset_info.json": content})
    assert _reasons(tmp_path) == {"dataset_info.json (a description; named by itself it is read)": 1}


def test_states_that_nothing_describes_are_data(tmp_path: Path) -> None:
    _write(tmp_path, {"state.json": ROW})
    assert [path.name for path in find([tmp_path]).files] == ["state.json"]


EMPTY = {"b.jsonl": b"", "c.json": b"[]", "d.txt": b"", "e.csv": b"question,answer\n", "f.parquet": b""}
EMPTY |= {
    "g.jsonl.bz2": bz2.compress(b""),
    "h.jsonl.xz": b"",
    "i.jsonl.zst": b"",
    "j.jsonl.gz": b"",
    "k.jsonl": b"\n \n",
}


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    """A folder with one good file and ten empty ones."""
    for name, content in {"a.jsonl": ROW.encode(), **EMPTY}.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_an_empty_file_in_a_folder_is_named_and_the_others_are_read(ward: Path) -> None:
    ledger = Ledger()
    assert len(list(read([ward], "dialogue", ledger=ledger))) == 1
    ledger.settle(str(ward / "a.jsonl"), "kept")
    ledger.check()
    whole = ledger.as_dict()
    assert [name for name, found in whole["files"].items() if found["rows"] == 0] == [
        str(ward / name) for name in EMPTY
    ]
    assert (
        f"  warning: {ward / 'b.jsonl'}: the file is empty: it has no rows; the other files are read"
        in warning_lines(whole)
    )
    assert len(list(texts([ward]))) == 2
    assert len(list(front_read([ward]))) == 1
    found = {Path(report.path).name: report for report in reports(find([ward]), {})}
    assert (found["a.jsonl"].rows, found["b.jsonl"].rows, found["b.jsonl"].notes) == (
        1,
        0,
        ("the file is empty: it has no rows",),
    )


def test_prompts_pass_an_empty_file_over_as_well(ward: Path) -> None:
    data = DataConfig(train=[str(ward)], eval_fraction=0)
    found = read_prompt_set(data, ChatTemplate.load(tiny_tokenizer(), None), new_tokens=8, seed=0)
    assert len(found.train) == 1
    assert found.ledger["files"][str(ward / "e.csv")] == {"rows": 0}


@pytest.mark.parametrize("name", list(EMPTY))
def test_an_empty_file_that_was_named_stays_an_error(ward: Path, name: str) -> None:
    for call in (
        lambda: list(read([ward / name], "dialogue", ledger=Ledger())),
        lambda: list(read([ward, ward / name], "dialogue", ledger=Ledger())),
        lambda: detect(ward / name),
        lambda: list(texts([ward / name])),
    ):
        with pytest.raises(EmptyFile, match=f"{name}: the file is empty: it has no rows"):
            call()


def test_a_folder_of_empty_files_is_an_error(ward: Path) -> None:
    (ward / "a.jsonl").write_text("")
    for call in (
        lambda: list(read([ward], "dialogue", ledger=Ledger())),
        lambda: list(reports(find([ward]), {})),
    ):
        with pytest.raises(EmptyFile, match="the file is empty"):
            call()


def test_of_many_empty_files_the_first_are_named() -> None:
    ledger = Ledger()
    for number in range(25):
        ledger.see(f"{number:02}.jsonl", 0)
    lines = warning_lines(ledger.as_dict())
    assert len(lines) == 11
    assert lines[-1] == "  warning: 15 more files are empty"
