"""Test files from a hub: only when asked for, only with the content that the test names, and from the cache without a network.

And a file that is no test stands in nobody's way who does not ask for it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.hubs import Hubs, online
from tests.tiny import save_tiny
from tests.wards import WARD
from typer.testing import CliRunner, Result

from medicalgpt.cli import app
from medicalgpt.errors import ConfigError, DataError
from medicalgpt.evaluation import catalog
from medicalgpt.evaluation.catalog import find_tests

ROWS = b"question,A,B,answer\n" + b"".join(b"Which is %d?,%d,none,A\n" % (n, n) for n in range(6))
SHA = hashlib.sha256(ROWS).hexdigest()


@pytest.fixture
def hubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hubs]:
    found = Hubs()
    with online(found.handler(), tmp_path, monkeypatch):
        yield found


def described(folder: Path, hub: str = "hf://org/ward/data/ward.csv", sha256: str = SHA) -> Path:
    """A folder with a test whose questions lie on a hub."""
    folder.mkdir(exist_ok=True)
    files = f"files: [{{path: ward.csv, sha256: {sha256}, hub: '{hub}'}}]\n"
    (folder / "ward.test.yaml").write_text(WARD + files + "answer_is: letter\n", encoding="utf-8")
    return folder


def command(*words: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, words)])


@pytest.mark.parametrize("hub", ["hf", "ms"])
def test_a_file_is_fetched_when_asked_for_and_kept(
    hub: str, hubs: Hubs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants as constants

    hubs.commit("org/ward", {"data/ward.csv": ROWS, "README.md": b"# Ward"})
    place = described(tmp_path / "tests", f"{hub}://org/ward/data/ward.csv")
    with pytest.raises(DataError, match=r"ward\.csv: missing\n.*let them be fetched from their hub \(--fetch"):
        find_tests(["ward"], place)
    assert hubs.asked == [], "nothing is asked of a hub without being asked to"
    (found,) = find_tests(["ward"], place, fetch=True)
    assert found.files["ward.csv"].read_bytes() == ROWS
    assert found.hashes == {"ward.csv": SHA}
    assert hubs.fetched.count("data/ward.csv") >= 1
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    before = len(hubs.asked)
    (again,) = find_tests(["ward"], place, fetch=True)
    assert (again.files, len(hubs.asked)) == (found.files, before)


def test_an_evaluation_with_fetched_questions(hubs: Hubs, tmp_path: Path) -> None:
    hubs.commit("org/ward", {"data/ward.csv": ROWS})
    place = described(tmp_path / "tests")
    save_tiny(tmp_path / "model")
    words = ["run", "--model", tmp_path / "model", "--suite", "ward", "--tests", place, "--output", tmp_path / "out"]
    refused = command(*words)
    assert refused.exit_code == 2
    assert "--fetch" in refused.output
    done = command(*words, "--fetch")
    assert done.exit_code == 0, done.output
    assert "6 items" in done.stdout


def test_a_file_beside_the_test_is_not_fetched(hubs: Hubs, tmp_path: Path) -> None:
    (described(tmp_path / "tests") / "ward.csv").write_bytes(ROWS)
    assert find_tests(["ward"], tmp_path / "tests", fetch=True)[0].files["ward.csv"] == tmp_path / "tests" / "ward.csv"
    assert hubs.asked == []


def test_other_content_is_not_used(hubs: Hubs, tmp_path: Path) -> None:
    hubs.commit("org/ward", {"data/ward.csv": ROWS + b"One more?,a,b,A\n"})
    with pytest.raises(DataError, match=rf"has other content than the test says: .* not {SHA}; it is not used"):
        find_tests(["ward"], described(tmp_path / "tests"), fetch=True)


@pytest.mark.parametrize(
    ("hub", "said"),
    [
        ("hf://org/nothing/ward.csv", "does not exist or is private"),
        ("hf://org/ward/other.csv", "has no 'other.csv'"),
        ("hf://org/ward/train", "there is no such file"),
    ],
)
def test_what_is_not_there_is_said(hub: str, said: str, hubs: Hubs, tmp_path: Path) -> None:
    hubs.commit("org/ward", {"train.csv": ROWS})
    with pytest.raises(DataError, match=said):
        find_tests(["ward"], described(tmp_path / "tests", hub), fetch=True)


def test_without_a_network_it_is_said_what_to_do(hubs: Hubs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        DataError, match=r"HF_HUB_OFFLINE=1 keeps this from asking Hugging Face; unset it once, or name a"
    ):
        find_tests(["ward"], described(tmp_path / "tests"), fetch=True)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("[{path: w.csv, hub: hf://org/ward/w.csv}]", "a file with `hub` needs its sha256"),
        (f"[{{path: w.csv, sha256: {SHA}, hub: org/ward}}]", "write hf://owner/name@revision/path/of/file"),
        (f"[{{path: w.csv, sha256: {SHA}, hub: hf://org/ward}}]", "write hf://owner/name@revision/path/of/file"),
        (f"[{{path: w.csv, sha256: {SHA}, hub: hf://org/../x}}]", "not an address of a hub"),
        (f"[{{path: w.csv, answers: {{path: k.json, hub: hf://o/w/k.json}}, sha256: {SHA}}}]", "needs its sha256"),
    ],
)
def test_an_address_that_is_none(files: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "ward.test.yaml").write_text(f"{WARD}files: {files}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        find_tests(["ward"], tmp_path)


# -- files that are no tests --------------------------------------------------------------------------------------------
BROKEN = {
    "no.test.yaml": "name: [\ngroup: nights\n",
    "clinic.test.yaml": WARD.replace("name: ward", "name: clinic").replace("hospital", "days") + "files: 3\n",
    "second.test.yaml": WARD.replace("group: hospital", "group: days") + "files: [{path: ward.csv}]\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A right test among files that are none: bad YAML, a bad key, a name that is taken."""
    (tmp_path / "a-ward.test.yaml").write_text(WARD + "files: [{path: ward.csv}]\n", encoding="utf-8")
    (tmp_path / "ward.csv").write_bytes(ROWS)
    for name, text in BROKEN.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_a_file_that_is_no_test_is_named_and_passed_over(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "second.test.yaml").unlink()
    (found,) = find_tests(["hospital"], folder)
    assert found.config.name == "ward"
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert all(f"{folder / name} is no test and is passed over: " in " ".join(said) for name in list(BROKEN)[:2])


@pytest.mark.parametrize(
    ("asked", "file"),
    [
        ("no", "no"),
        ("nights", "no"),
        ("clinic", "clinic"),
        ("days", "clinic"),
        ("ward", "second"),
        ("hospital,no", "no"),
    ],
)
def test_who_asks_for_it_is_stopped(asked: str, file: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=rf"{file}\.test\.yaml"):
        find_tests(asked.split(","), folder)


def test_the_list_names_them_beside_the_others(folder: Path) -> None:
    done = command("tests", "--tests", folder)
    assert done.exit_code == 0, done.output
    assert "ward " in done.stdout
    assert all(f"{name}" in done.stdout for name in BROKEN)
    assert done.stdout.count("is no test: ") == 3


def test_a_file_is_hashed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = Counter[Path]()
    original = catalog.hash_file

    def counted(path: Any) -> str:
        hashed[path] += 1
        return original(path)

    monkeypatch.setattr(catalog, "hash_file", counted)
    (folder / "second.test.yaml").unlink()
    (found,) = find_tests(["ward"], folder)
    assert found.hashes == {"ward.csv": SHA}
    assert hashed == {folder / "ward.csv": 1}
