"""Data sets of hubs: which files an address names, at which commit, fetched once, and what is refused; against stand-ins."""

import json

import pytest
from tests.hubs import Hubs, online

from medicalgpt.config.data_source import DataSource
from medicalgpt.data.fingerprint import fingerprint
from medicalgpt.data.sources import find, pinned
from medicalgpt.errors import DataError

ROW = {"instruction": "What does a high ferritin mean?", "output": "It is a sign of inflammation or of iron overload."}
ROWS = b"".join(json.dumps({**ROW, "input": f"case {i}"}).encode() + b"\n" for i in range(6))


@pytest.fixture
def hubs(tmp_path, monkeypatch):
    found = Hubs()
    with online(found.handler(), tmp_path, monkeypatch):
        yield found


def _offline(monkeypatch):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def _names(found):
    return [file.name for file in found.files]


@pytest.mark.parametrize("hub", ["hf", "ms"])
def test_the_training_split_is_fetched_and_nothing_else(hubs, hub):
    commit = hubs.commit("org/med", {"train.jsonl": ROWS, "test.jsonl": ROWS[:9], "notes.pdf": b"%PDF"})
    found = find([f"{hub}://org/med"])
    assert _names(found) == ["train.jsonl"]
    assert found.files[0].read_bytes() == ROWS
    assert commit in str(found.files[0])
    assert hubs.fetched == ["train.jsonl"]
    assert found.named == [{"path": f"{hub}://org/med", "files": 1, "commit": commit}]


@pytest.mark.parametrize("hub", ["hf", "ms"])
def test_a_second_look_and_one_without_a_network_read_the_cache(hubs, hub, monkeypatch):
    hubs.commit("org/med", {"train.jsonl": ROWS, "test.jsonl": ROWS})
    before = fingerprint([f"{hub}://org/med"])
    find([f"{hub}://org/med"])
    assert hubs.fetched == ["train.jsonl"]
    _offline(monkeypatch)
    asked = len(hubs.asked)
    assert fingerprint([f"{hub}://org/med"]) == before
    assert len(hubs.asked) == asked
    with pytest.raises(DataError, match=r"test\.jsonl is not in the cache, and HF_HUB_OFFLINE=1"):
        find([f"{hub}://org/med/test"])
    with pytest.raises(DataError, match=r"which commit it is is not in the cache"):
        find([f"{hub}://org/med@v2"])


@pytest.mark.parametrize("hub", ["hf", "ms"])
def test_a_pin_outlives_the_branch(hubs, hub):
    old = hubs.commit("org/med", {"train.jsonl": ROWS})
    entry = pinned(f"{hub}://org/med#4")
    assert entry == DataSource(path=f"{hub}://org/med#4", commit=old)
    new = hubs.commit("org/med", {"train.jsonl": ROWS[:200]})
    assert find([entry]).files[0].read_bytes() == ROWS
    assert pinned(f"{hub}://org/med#4", [entry]) == entry
    assert pinned(f"{hub}://org/med#4").commit == new
    assert pinned(f"{hub}://org/med@{old}").commit == old
    assert pinned("here.jsonl") == "here.jsonl"


def test_rows_stop_the_fetching(hubs):
    shards = {f"data/train-{i:05}-of-00003.jsonl": ROWS.replace(b"case", b"case %d" % i) for i in range(3)}
    hubs.commit("org/med", shards | {"data/test-00000-of-00001.jsonl": ROWS})
    found = find(["hf://org/med#8"])
    assert hubs.fetched == ["data/train-00000-of-00003.jsonl", "data/train-00001-of-00003.jsonl"]
    assert list(found.limits.values()) == [2]
    assert found.named[0]["cut"]
    assert find([DataSource(path="hf://org/med", rows=18)]).limits == {}


CARD = b"""---
license: cc-by-4.0
configs:
- config_name: english
  default: true
  data_files:
  - split: train
    path: "en/*.jsonl"
  - split: validation
    path: ["en/held/*.jsonl"]
- config_name: chinese
  data_dir: zh
---
# About
"""


@pytest.mark.parametrize(
    ("address", "files"),
    [
        ("hf://org/med", ["a.jsonl", "b.jsonl"]),
        ("hf://org/med/validation", ["v.jsonl"]),
        ("hf://org/med/english/train", ["a.jsonl", "b.jsonl"]),
        ("hf://org/med/chinese", ["train.csv"]),
        ("hf://org/med/chinese/test", ["test.csv"]),
        ("hf://org/med/en/held/v.jsonl", ["v.jsonl"]),
        ("hf://org/med/en/held", ["v.jsonl"]),
        ("hf://datasets/org/med@main/chinese/test", ["test.csv"]),
        ("modelscope://org/med/chinese/test", ["test.csv"]),
    ],
)
def test_the_card_says_which_files_are_which_split(hubs, address, files):
    names = ["en/b.jsonl", "en/a.jsonl", "en/held/v.jsonl", "zh/train.csv", "zh/test.csv"]
    hubs.commit("org/med", {name: name.encode() + b"\n" for name in names} | {"README.md": CARD})
    assert _names(find([address])) == files


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["data/train-00000-of-00001.parquet", "x/train.csv"], {"train": 1}),
        (["train/a.jsonl", "train/b.jsonl", "dev/a.jsonl"], {"train": 2, "validation": 1}),
        (["my_train_file.csv", "my-test.csv", "trainer.csv"], {"train": 1, "test": 1}),
        (["a.json", "b.json"], {"train": 2}),
        (["train.jsonl", "train.parquet", ".hidden/train.parquet"], {"train": 1}),
        (["training.jsonl.gz", "eval.jsonl.gz", "val.jsonl.gz"], {"train": 1, "test": 1, "validation": 1}),
        (["data/2020/train/a.csv", "data/2020/valid/a.csv"], {"train": 1, "validation": 1}),
    ],
)
def test_names_say_it_as_they_do_for_the_hubs_own_library(tmp_path, names, splits):
    from datasets.data_files import DataFilesDict, get_data_patterns

    from medicalgpt.data.files import readable_type
    from medicalgpt.hub.splits import splits_of

    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    theirs = DataFilesDict.from_patterns(get_data_patterns(str(tmp_path)), base_path=str(tmp_path))
    wanted = {".parquet"} if "train.parquet" in names else None  # their reader takes one type, which they choose later
    expected = {
        str(split): sorted(
            str(f).removeprefix(f"{tmp_path}/") for f in files if wanted is None or f.endswith(tuple(wanted))
        )
        for split, files in theirs.items()
    }
    found, default = splits_of(sorted(names), [], readable_type, "hf://org/med")
    assert found[default] == expected
    assert {split: len(files) for split, files in found[default].items()} == splits


@pytest.mark.parametrize(
    ("files", "address", "message"),
    [
        ({"train.jsonl": ROWS, "test.jsonl": ROWS}, "hf://org/med/dev", r"has no 'dev'.*default: train, test"),
        ({"dev.jsonl": ROWS, "test.jsonl": ROWS}, "hf://org/med", r"several configurations.*validation, test"),
        ({"a.bin": b"x"}, "hf://org/med", "there is: default: nothing"),
        ({"a.bin": b"x", "a.csv": b"x"}, "hf://org/med/a.bin", r"file type is not read; hf://org/med has a\.csv"),
        ({"med.py": b"raise SystemExit", "a.jsonl": ROWS}, "hf://org/med", r"its own script.*never run.*refs/convert"),
        ({"train.jsonl": ROWS}, "hf://org/med@v9", "has no revision 'v9'"),
        ({"train.jsonl": ROWS}, "ms://org/med@v9", r"HTTP 404"),
        ({"train.jsonl": ROWS}, "hf://org/none", "does not exist or is private"),
        ({"train.jsonl": ROWS}, "ms://org/none", "is not there or not for everyone"),
        ({"../train.jsonl": ROWS}, "hf://org/med", "damaged or hostile"),
        ({"/etc/train.jsonl": ROWS}, "ms://org/med", "damaged or hostile"),
        ({"a\\train.jsonl": ROWS}, "hf://org/med", "damaged or hostile"),
        ({"a/./train.jsonl": ROWS}, "ms://org/med", "damaged or hostile"),
        (
            {"README.md": b"---\nconfigs: [{config_name: a, data_files: 'https://x/y'}]\n---\n"},
            "hf://org/med",
            "outside",
        ),
        ({"README.md": b"---\nconfigs: [{data_files: x}]\n---\n"}, "hf://org/med", "another form"),
        ({"README.md": b"---\nconfigs: {a: [\n---\n"}, "hf://org/med", "no YAML"),
    ],
)
def test_what_cannot_be_read_says_why_and_what_there_is(hubs, files, address, message):
    hubs.commit("org/med", files)
    with pytest.raises(DataError, match=message):
        find([address])


def test_an_explicit_file_beside_a_script_is_read(hubs):
    hubs.commit("org/med", {"med.py": b"raise SystemExit", "raw/a.jsonl": ROWS})
    assert _names(find(["hf://org/med/raw"])) == ["a.jsonl"]
    assert "med.py" not in hubs.fetched


@pytest.mark.parametrize(
    "written",
    [
        "hf://",
        "hf://org",
        "hf://org/med/../x",
        "hf://org/med#",
        "hf://org/med#0",
        "hf://org/med#x",
        "hf:///etc/x",
        "ms://o/n//x",
    ],
)
def test_no_address(written):
    with pytest.raises(DataError, match=r"not an address of a hub; allowed: hf://owner/name"):
        find([written])


def test_what_is_no_hubs_stays_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "a.jsonl").write_bytes(ROWS)
    assert _names(find(["hf/a.jsonl"])) == ["a.jsonl"]


@pytest.mark.parametrize("size", [3, len(ROWS) + 1])
def test_modelscope_files_that_are_not_what_was_said_are_not_kept(hubs, size, tmp_path):
    hubs.commit("org/med", {"train.jsonl": ROWS})
    hubs.sizes["train.jsonl"] = size
    with pytest.raises(DataError, match="is not what ModelScope says it is"):
        find(["ms://org/med"])
    assert not list((tmp_path / "cache").rglob("*train.jsonl*"))


def test_more_than_the_disk_holds_is_refused_before_it_is_fetched(hubs):
    hubs.commit("org/med", {"train.jsonl": ROWS})
    hubs.sizes["train.jsonl"] = 1 << 60
    with pytest.raises(DataError, match="MB are free for the cache"):
        find(["hf://org/med"])
    assert hubs.fetched == []


def test_tokens_go_to_their_hub_alone_and_into_no_message(hubs, monkeypatch):
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-secret")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hubs.commit("org/med", {"train.jsonl": ROWS})
    hubs.redirects["train.jsonl"] = "/store/train.jsonl?signature=1"
    assert find(["ms://org/med"]).files[0].read_bytes() == ROWS
    assert ("/store/train.jsonl?signature=1", None) in hubs.asked
    assert "Bearer ms-secret" in {token for _, token in hubs.asked}
    hubs.commit("org/gated", {"train.jsonl": ROWS})
    for address, message in (("hf://org/gated", "is gated"), ("ms://org/none", "MODELSCOPE_API_TOKEN")):
        with pytest.raises(DataError, match=message) as caught:
            find([address])
        assert "secret" not in str(caught.value)
    assert "Bearer hf_secret" in {token for _, token in hubs.asked}


def test_a_redirect_to_another_kind_of_address_is_not_followed(hubs):
    hubs.commit("org/med", {"train.jsonl": ROWS})
    hubs.redirects["train.jsonl"] = "file:///etc/passwd"
    with pytest.raises(DataError, match="cannot be fetched"):
        find(["ms://org/med"])


def test_what_is_fetched_is_for_its_owner_alone(hubs):
    hubs.commit("org/med", {"train.jsonl": ROWS})
    for hub in ("hf", "ms"):
        (file,) = find([f"{hub}://org/med"]).files
        assert file.resolve().stat().st_mode & 0o077 == 0


def test_an_unreachable_hub_is_one_clear_line(hubs, monkeypatch):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "http://127.0.0.1:9")
    with pytest.raises(DataError, match=r"hf://org/med: the data set cannot be reached.*HF_ENDPOINT"):
        find(["hf://org/med"])
    with pytest.raises(DataError, match=r"ms://org/med: the list of its files cannot be reached.*MODELSCOPE_DOMAIN"):
        find(["ms://org/med"])
