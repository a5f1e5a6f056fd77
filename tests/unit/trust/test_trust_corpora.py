"""A model trained on a corpus: the report says what was taken out of which raw files, and follows them to the weights."""

import hashlib
import json
from pathlib import Path

import pytest
from tests import chains
from tests.curating import PHONE, made, qa, write
from tests.tiny import save_tiny
from tests.unit.runs.test_run_report import Page

from medicalgpt.errors import RunError
from medicalgpt.export.evaluated import Evaluated, card_lines
from medicalgpt.runs.trust_file import NAME, Trust, read_trust
from medicalgpt.trust.gather import gather
from medicalgpt.trust.page import page
from medicalgpt.trust.write import write_report

LEAK = f"请拨打{PHONE}。"


class Ward:
    """Raw rows, a corpus of them searched for a test, and a run that was trained on it."""

    def __init__(self, top: Path) -> None:
        self.tests = chains.ward(top / "tests")
        planted = {
            "question": "Which of these is number 3?\none 3\ntwo\nthree times 3",
            "answer": "It is the first of them.",
        }
        rows = [*(qa(n) for n in range(20)), qa(3), qa(30, LEAK), planted]
        self.raw = write(top / "raw/notes.jsonl", rows)
        exam = [{"question": planted["question"], "answer": planted["answer"]}]
        self.exam = write(top / "exam.jsonl", exam)
        self.corpus = made({"notes": {"paths": [str(self.raw)]}}, top / "corpus", f"contamination.files=[{self.exam}]")
        self.base = save_tiny(top / "base")
        train = self.corpus / "train" / "dialogue"
        self.run = chains.run(top / "run", self.base, self.base, train, parent=self.corpus)


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Ward:
    return Ward(tmp_path_factory.mktemp("corpora"))


@pytest.fixture
def own(tmp_path: Path) -> Ward:
    """One to be spoiled."""
    return Ward(tmp_path)


def test_the_report_says_what_was_taken_out_of_which_files(ward: Ward) -> None:
    (corpus,) = gather(ward.run).corpora
    assert (corpus.name, corpus.stages, corpus.rows, corpus.kept, corpus.dropped, corpus.written) == (
        "corpus",
        ["run"],
        23,
        21,
        2,
        21,
    )
    assert (corpus.personal_data, corpus.detectors, corpus.operator) == (True, ["patterns"], "mask")
    assert (corpus.personal_rows, sum(corpus.personal_found.values())) == (1, 1)
    assert [(t.found, t.verbatim, t.rows, t.in_corpus) for t in corpus.tests] == [(1, 1, 1, 0)]
    assert corpus.shares == {"notes": 1.0}
    (file,) = corpus.files
    assert (file.name, file.rows, file.sha256) == (str(ward.raw), 23, hashlib.sha256(ward.raw.read_bytes()).hexdigest())


def test_every_link_from_raw_file_to_weights_is_there(ward: Ward) -> None:
    found = [(link.stage, link.what, link.state) for link in gather(ward.run).lineage]
    assert found == [
        *(("corpus", what, "same") for what in ("raw", "curation", "corpus", "manifest")),
        *(
            ("run", what, state)
            for what, state in (("data", "same"), ("base", "same"), ("manifest", "unchecked"), ("weights", "same"))
        ),
    ]


def changed(trust: Trust) -> set[tuple[str, str]]:
    return {(link.stage, link.what) for link in trust.lineage if link.state in ("changed", "gone")}


def test_what_was_changed_since_breaks_the_chain(own: Ward) -> None:
    own.raw.write_text(own.raw.read_text(encoding="utf-8") + "{}\n", encoding="utf-8")
    trust = gather(own.run)
    assert changed(trust) == {("corpus", "raw")}
    assert trust.verdict.word == "BROKEN"
    own.raw.unlink()
    assert changed(gather(own.run)) == {("corpus", "raw")}
    (part,) = (own.corpus / "train/dialogue").glob("*.jsonl")
    part.write_bytes(part.read_bytes() + b'{"text": "more"}\n')
    assert changed(gather(own.run)) == {("corpus", "raw"), ("corpus", "corpus"), ("run", "data")}


def test_a_report_that_was_edited_is_no_evidence(own: Ward) -> None:
    path = own.corpus / "curation.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(told | {"dropped": 0}), encoding="utf-8")
    assert changed(gather(own.run)) == {("corpus", "curation")}
    path.write_text(json.dumps(told | {"tests": {"exam": 3}}), encoding="utf-8")
    with pytest.raises(RunError, match=r"curation\.json is damaged; make the corpus again"):
        gather(own.run)


def test_what_was_searched_for_is_not_named_as_missing(ward: Ward, tmp_path: Path) -> None:
    assert "phi" not in {one.what for one in gather(ward.run).not_measured}
    other = write(tmp_path / "other.jsonl", [qa(1)])
    plain = chains.run(tmp_path / "plain", ward.base, ward.base, other, parent=ward.corpus)
    assert "phi" in {one.what for one in gather(plain).not_measured}, "rows of no corpus were trained on, too"


@pytest.mark.parametrize(
    ("language", "said"), [("en", "found in 1 rows"), ("zh-TW", "在 1 列中找到"), ("zh-CN", "在 1 行中找到")]
)
def test_the_page_and_the_card_show_it(ward: Ward, language: str, said: str) -> None:
    trust = gather(ward.run)
    shown = " ".join(Page(page(trust, language)).texts)  # type: ignore[arg-type]
    assert said in shown
    assert hashlib.sha256(ward.raw.read_bytes()).hexdigest() in shown
    assert PHONE not in shown
    card = "\n".join(card_lines(Evaluated(trust, "run", False)))
    assert "21 of 23 raw rows kept. Personal data: searched (patterns; mask), in 1 rows" in card
    assert "1 of 1 found, 0 still in it" in card


def test_the_file_keeps_it(own: Ward) -> None:
    write_report(own.run, "en")
    found = read_trust(own.run / NAME)
    assert found is not None
    assert found.corpora == gather(own.run).corpora
