"""The report to sign: what it gathers, what it says is missing, and that no text of others becomes part of the page."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
from tests import chains
from tests.chains import EVIL
from tests.tiny import save_tiny
from tests.unit.runs.test_run_report import Page
from typer.testing import CliRunner

import medicalgpt
from medicalgpt.cli import app
from medicalgpt.errors import ConfigError, MedicalGPTError, ModelError, RunError
from medicalgpt.evaluation.finished import Evaluation
from medicalgpt.evaluation.results import SCHEMA
from medicalgpt.evaluation.stage_gates import StageJudged, of_accuracy
from medicalgpt.export.evaluated import card_lines, evaluated
from medicalgpt.language import choose
from medicalgpt.models.locate import Located
from medicalgpt.pipeline.plan import GATES, PLAN
from medicalgpt.runs import manifest
from medicalgpt.runs.hashes import hash_tree
from medicalgpt.runs.intervals import share
from medicalgpt.runs.trust_file import NAME, PAGE, Trust, read_trust
from medicalgpt.serve.web.info import describe, table
from medicalgpt.serve.web.texts import ENGLISH
from medicalgpt.trust.gather import gather
from medicalgpt.trust.page import page as page_of
from medicalgpt.trust.page import words
from medicalgpt.trust.write import write_report

LANGUAGES = ("en", "zh-TW", "zh-CN")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of two stages with tests of all three models, judged; and beside it a run of its own."""
    top = tmp_path_factory.mktemp("trust")
    tests = chains.ward(top / "tests")
    base, other = save_tiny(top / "base"), save_tiny(top / "other", seed=1)
    data = top / "rows.jsonl"
    data.write_text('{"instruction": "a", "output": "b"}\n' * 5, encoding="utf-8")
    chain = top / "chain"
    first = chains.run(chain / "first", base, base, data)
    second = chains.run(chain / "second", first / "model", other, data, parent=first)
    chains.plan(chain, base, ["first", "second"])
    for name, model in (("base", base), ("first", first / "model"), ("second", second / "model")):
        chains.take(model, tests, chain / "evaluation" / name, ["ward", "contrast-en"], limit=24)
    evaluations = {name: Evaluation.open(chain / "evaluation" / name) for name in ("base", "first", "second")}
    judged = {n: evaluations[n].judged_against(evaluations["base"]) for n in ("first", "second")}
    own = StageJudged("reward_accuracy", 0.6, of_accuracy(share(90, 100), 0.6), 1.0)
    gates = {name: [*(one.as_dict() for one in found), own.as_dict()] for name, found in judged.items()}
    (chain / GATES).write_text(json.dumps(gates), encoding="utf-8")
    return top


@pytest.fixture
def chain(made: Path, tmp_path: Path) -> Path:
    """A copy of the pipeline, at the same depth, to be spoiled; its links to base and data stay absolute."""
    return Path(shutil.copytree(made / "chain", tmp_path / "chain"))


def codes(trust: Trust) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in trust.not_measured:
        found.setdefault(one.what, []).append(one.detail)
    return found


def test_a_pipeline_is_told_whole(made: Path) -> None:
    trust = gather(made / "chain")
    assert (trust.kind, trust.name, [model.name for model in trust.models]) == (
        "pipeline",
        "chain",
        ["base", "first", "second"],
    )
    test = next(test for test in trust.tests if test.name == "ward")
    results = json.loads((made / "chain/evaluation/second/results.json").read_text())["tests"]["ward"]
    assert test.scores["second"].model_dump() == results["scores"]["letter"]
    assert set(test.by_subject) == {"cardiology", "<b>ER</b>"}
    assert set(test.by_subject["cardiology"]) == {"base", "first", "second"}
    assert {group.name for group in trust.groups} == {"hospital", "safety"}
    contrast = next(test for test in trust.tests if test.name == "contrast-en")
    assert set(contrast.refused) == set(contrast.over_refused) == {"base", "first", "second"}
    assert [one.language for one in trust.instruments] == ["en", "zh"]
    assert trust.instruments[0].agreement.value == pytest.approx(0.951, abs=1e-3)
    (data, _) = trust.data
    assert (data.rows, data.kept, data.dropped, data.tokens, data.state) == (5, 4, 1, 1234, "same")
    assert data.files[0].sha256 == hashlib.sha256((made / "rows.jsonl").read_bytes()).hexdigest()
    assert trust.commands == [
        "medicalgpt pipeline run chain.yaml",
        f"medicalgpt report {made / 'chain'}",
    ]


def test_every_link_from_raw_file_to_final_weights_is_looked_at(made: Path) -> None:
    links = gather(made / "chain").lineage
    assert [(link.stage, link.what, link.state) for link in links] == [
        (stage, what, state)
        for stage, last in (("first", "same"), ("second", "unchecked"))
        for what, state in (("data", "same"), ("base", "same"), ("manifest", last), ("weights", "same"))
    ]


def test_an_unchanged_first_stage_and_a_verdict(made: Path) -> None:
    trust = gather(made / "chain")
    mine = [gate for gate in trust.gates if gate.stage == "first"]
    assert [gate.kind for gate in mine] == ["items", "items", "stage"]
    assert all(gate.value == 0 for gate in mine[:2]), "the first stage has the base's very weights"
    assert mine[2].verdict == "PASS"
    assert trust.verdict.word in ("INCONCLUSIVE", "BLOCK")
    assert mine[0].verdict == "INCONCLUSIVE"
    assert (mine[0].needed or 0) > 24


def test_what_has_no_number_is_named(made: Path) -> None:
    found = codes(gather(made / "chain"))
    assert {"clean", "judge", "leak", "phi", "clinical", "served", "answers"} <= set(found)
    assert found["limit"] == ["contrast-en: 24 / 120"]
    assert found["base_license"] == ["/".join((made / "base").parts[-2:])]
    assert found["data_license"] == [str(made / "rows.jsonl")]
    assert not {"tests", "base", "model", "safety", "over_refusal", "held_out", "lineage"} & set(found)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_self_contained_and_escapes_what_is_not_ours(language: str, chain: Path, tmp_path: Path) -> None:
    path = write_report(chain, language, tmp_path / "out")  # type: ignore[arg-type]
    html = path.read_text(encoding="utf-8")
    shown = Page(html)
    assert path == tmp_path / "out" / PAGE
    assert not {"script", "link", "iframe", "img", "b"} & {tag for tag, _ in shown.tags}
    assert not re.search(r"https?://|url\(|@import", html)
    assert f'<html lang="{language}">' in html
    assert shown.texts.count(EVIL) >= 1  # the question
    assert f"{EVIL} 2" in shown.texts
    assert any(EVIL in text for text in shown.texts if "dropped" in text)
    assert "<b>ER</b>" in shown.texts
    assert "built-in method" not in html
    assert [path.stat().st_mode & 0o777 for path in sorted((tmp_path / "out").iterdir())] == [0o600, 0o600]


def test_the_json_is_the_same_in_every_language_and_is_read_back(chain: Path, tmp_path: Path) -> None:
    found = []
    for language in LANGUAGES:
        write_report(chain, language, tmp_path / language)  # type: ignore[arg-type]
        read = read_trust(tmp_path / language / NAME)
        assert read is not None
        found.append(read.model_dump(exclude={"created"}))
    assert found[0] == found[1] == found[2]
    assert found[0]["schema_version"] == 1


def test_all_languages_have_the_same_words() -> None:
    def shape(value: object, at: str = "") -> list[str]:
        if isinstance(value, dict):
            assert all(isinstance(key, str) for key in value), at  # `on` and `no` are no text to YAML
            return [line for key, inner in value.items() for line in shape(inner, f"{at}.{key}")]
        if isinstance(value, list):
            return [f"{at} × {len(value)}"]
        assert isinstance(value, str), at
        return [f"{at} {sorted(re.findall(r'{[a-z0-9_]+}', value))}"]

    first, *others = (shape(words(language)) for language in LANGUAGES)  # type: ignore[arg-type]
    assert all(first == other for other in others)


def test_numbers_of_the_page_are_those_of_the_json(made: Path, tmp_path: Path) -> None:
    html = write_report(made / "chain", "en", tmp_path).read_text(encoding="utf-8")
    texts = [text.replace("\u00a0", " ") for text in Page(html).texts]
    trust = read_trust(tmp_path / NAME)
    assert trust is not None
    for test in trust.tests:
        for one in test.scores.values():
            assert f"{one.value:.1%}".replace("%", " %") in texts
            assert f"[{one.low:.1%}, {one.high:.1%}]".replace("%", " %") in texts
    for gate in trust.gates:
        if gate.kind == "items":
            sign = -1 if gate.lower_is_better else 1
            assert f"{100 * (sign * (gate.value or 0) + 0.0):+.1f} points" in texts


# -- parts that are missing or damaged ----------------------------------------------------------------------------------
def test_a_pipeline_that_is_not_finished_is_said_to_be_so(chain: Path) -> None:
    shutil.rmtree(chain / "second")
    trust = gather(chain)
    assert (trust.verdict.word, trust.verdict.missing) == ("UNFINISHED", ["second"])
    assert "unfinished" in trust.verdict.reasons
    assert [model.name for model in trust.models] == ["base", "first", "second"]
    assert codes(trust)["model"] == ["second"]
    assert codes(trust)["stale"] == ["second: second"], "what it reached before is of no weights that lie here"
    assert {gate.stage for gate in trust.gates} == {"first"}


def test_a_finished_stage_without_its_verdict_is_not_finished_either(chain: Path) -> None:
    gates = json.loads((chain / GATES).read_text())
    (chain / GATES).write_text(json.dumps({"first": gates["first"]}), encoding="utf-8")
    assert gather(chain).verdict.missing == ["second"]


def test_what_was_taken_otherwise_is_not_put_beside(chain: Path, made: Path) -> None:
    shutil.rmtree(chain / "evaluation" / "second")
    model = chain / "second" / "model"
    chains.take(model, made / "tests", chain / "evaluation" / "second", ["ward", "contrast-en"], limit=12)
    trust = gather(chain)
    assert codes(trust)["otherwise"] == ["second: ward", "second: contrast-en"]
    assert all(set(test.scores) == {"base", "first"} for test in trust.tests)
    assert all(set(group.scores) == {"base", "first"} for group in trust.groups)


@pytest.mark.parametrize(("kind", "missing"), [("stage", ["first", "second"]), ("items", [])])
def test_gates_that_were_asked_for_and_not_judged_are_missing(kind: str, missing: list[str], chain: Path) -> None:
    gates = {"number": "answer_loss", "margin": 0.1} if kind == "stage" else {"number": "kl", "at_most": 1.0}
    chains.plan(chain, chain.parent / "nowhere", ["first", "second"], gates=(gates,))
    found = json.loads((chain / GATES).read_text())
    only = {name: [one for one in judged if "number" not in one] for name, judged in found.items()}
    (chain / GATES).write_text(json.dumps(only), encoding="utf-8")
    assert gather(chain).verdict.missing == missing


def test_nothing_but_training(chain: Path) -> None:
    shutil.rmtree(chain / "evaluation")
    (chain / GATES).unlink()
    chains.plan(chain, chain.parent / "nowhere", ["first", "second"], suites=())
    trust = gather(chain)
    assert (trust.verdict.word, trust.tests, trust.groups) == ("NOT JUDGED", [], [])
    assert {"tests", "gates", "safety", "over_refusal"} <= set(codes(trust))
    assert [one.after["eval/loss"] for one in trust.held_out] == [2.0, 2.0]
    html = write_report(chain).read_text(encoding="utf-8")
    assert "No named test was taken, so nothing is known of medical knowledge." in html


def test_what_changed_since_breaks_the_chain(chain: Path) -> None:
    weights = chain / "second" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    trust = gather(chain)
    assert trust.verdict.word == "BROKEN"
    assert [(link.stage, link.what) for link in trust.lineage if link.state == "changed"] == [("second", "weights")]
    assert codes(trust)["stale"] == ["second: second"], "an evaluation of other weights says nothing of these"
    assert all("second" not in test.scores for test in trust.tests)
    # The terminal says it in the words of the page, which the tutorial names; each in its own language.
    for language, word in (("en", "CHANGED SINCE"), ("zh-CN", words("zh-CN")["word"]["BROKEN"])):
        done = CliRunner().invoke(app, ["--lang", language, "report", str(chain)])
        assert done.exit_code == 0, done.output
        assert done.output.startswith(word)
        assert word in (chain / PAGE).read_text(encoding="utf-8")
    choose(None)


def test_an_edited_manifest_is_found_by_the_run_after_it(chain: Path) -> None:
    file = chain / "first" / manifest.NAME
    file.write_text(file.read_text().replace('"seed": 1', '"seed": 2'), encoding="utf-8")
    changed = [(link.stage, link.what) for link in gather(chain).lineage if link.state == "changed"]
    assert changed == [("first", "manifest")]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (PLAN, "{", "pipeline.json is damaged"),
        (PLAN, "{}", "pipeline.json is damaged"),
        (PLAN, '{"gates": [{"number": "luck"}]}', "pipeline.json is damaged"),
        (GATES, "[]", "gates.json is damaged"),
        (GATES, '{"first": [{"name": "x", "verdict": "PASS"}]}', "gates.json is damaged"),
        ("summary.json", "{", "summary.json is damaged"),
        ("summary.json", '{"base": {"numbers": {"stop rate": {"value": "high"}}}}', "summary.json is damaged"),
        ("first/manifest.json", "{", "manifest.json is damaged"),
        ("second/samples.jsonl", '{"step": 0}\n', "samples.jsonl is damaged"),
        ("second/samples.jsonl", "hello\n", "samples.jsonl"),
        (
            "evaluation/first/results.json",
            json.dumps({"schema_version": SCHEMA}),
            "is not the one that results.json was made from",
        ),
        ("first/merged/certificate.json", '{"schema_version": 1}', "certificate.json is damaged"),
        ("first/merged/certificate.json", "{", "certificate.json is damaged"),
        ("first/model/reward.json", "{", "reward.json is damaged"),
        ("first/evaluation/leakage/leakage.json", "[]", "leakage.json is damaged"),
    ],
)
def test_what_is_damaged_is_named(file: str, content: str, message: str, chain: Path) -> None:
    (chain / file).parent.mkdir(parents=True, exist_ok=True)
    (chain / file).write_text(content, encoding="utf-8")
    with pytest.raises((RunError, ModelError), match=message):
        gather(chain)
    assert not (chain / PAGE).exists()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("model", None),
        ("model", {}),
        ("settings", None),
        ("settings", {}),
        ("tests", None),
        ("tests", [1]),
        ("tests", {"ward": {}}),
        ("groups", None),
        ("groups", {"hospital": {}}),
        ("groups", {"hospital": {"tests": ["ward"], "value": "high", "low": 0, "high": 1, "rows": 2}}),
    ],
)
def test_results_that_lack_a_part_are_named(part: str, value: object, chain: Path) -> None:
    file = chain / "evaluation" / "first" / "results.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {part: value}), encoding="utf-8")
    with pytest.raises(RunError, match=r"first/results\.json is damaged"):
        gather(chain)


def test_a_folder_that_is_neither_is_said_to_be_so(chain: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for place, message in (
        (tmp_path / "empty", "neither a run"),
        (tmp_path / "none", "is no folder"),
    ):
        with pytest.raises(RunError, match=message):
            gather(place)
    (chain / PLAN).unlink()
    with pytest.raises(RunError, match=r"pipeline\.json is missing.*trains nothing twice"):
        gather(chain)


# -- what judges in place of people -------------------------------------------------------------------------------------
ESTIMATE = {"value": 0.8, "low": 0.7, "high": 0.9, "rows": 50}


@pytest.mark.parametrize(
    "check", [None, {"labels": ESTIMATE | {"kappa": 0.5}, "swapped": ESTIMATE, "tests": {"hb": {}}}]
)
def test_a_judge_stands_beside_its_own_error(check: dict[str, object] | None, chain: Path, tmp_path: Path) -> None:
    file = chain / "evaluation" / "second" / "results.json"
    results = json.loads(file.read_text())
    results["judge"] = {"url": "http://localhost:8000/v1", "model": EVIL, "check": check}
    results["tests"]["contrast-en"]["answers"] = {
        "scores": {"refusal": ESTIMATE},
        "refused": ESTIMATE,
        "stop": ESTIMATE,
    }
    file.write_text(json.dumps(results), encoding="utf-8")
    trust = gather(chain)
    (judge,) = (one for one in trust.instruments if one.kind == "judge")
    assert (judge.name, judge.agreement is None) == (EVIL, check is None)
    assert codes(trust).get("judge_error", []) == ([EVIL] if check is None else [])
    assert "judge" not in codes(trust)
    contrast = next(test for test in trust.tests if test.name == "contrast-en")
    assert set(contrast.answers) == {"refusal", "refused", "stop"}
    texts = Page(write_report(chain, "en", tmp_path / "out").read_text(encoding="utf-8")).texts
    assert f"Judge {EVIL}" in texts
    assert ("not checked against people" in texts) == (check is None)


def test_what_a_gate_notes_stands_below_it(chain: Path) -> None:
    gates = json.loads((chain / GATES).read_text())
    gates["first"][0]["note"] = EVIL
    (chain / GATES).write_text(json.dumps(gates), encoding="utf-8")
    texts = Page(write_report(chain).read_text(encoding="utf-8")).texts
    at = texts.index(EVIL)
    assert "hospital" in texts[at - 3 : at]


def test_a_plant_that_was_not_trained_on_is_no_number(chain: Path) -> None:
    folder = chain / "second" / "evaluation" / "leakage"
    folder.mkdir(parents=True)
    note = "it was not trained on 3 of 7 canaries (3 held out)"
    told = {"leaks": 0, "verdict": "INCONCLUSIVE", "note": note, "canaries": {"count": 7}}
    told["model"] = hash_tree(chain / "second" / "model", ("*.safetensors", "*.jinja"))
    (folder / "leakage.json").write_text(json.dumps(told), encoding="utf-8")
    gate = gather(chain).gates[-1]
    assert (gate.name, gate.verdict, gate.value, gate.note) == ("leakage", "INCONCLUSIVE", None, note)
    assert note in page_of(gather(chain), "en")


@pytest.mark.parametrize(("leaks", "verdict"), [(0, "PASS"), (2, "BLOCK")])
def test_leaks_are_a_gate(leaks: int, verdict: str, chain: Path) -> None:
    folder = chain / "second" / "evaluation" / "leakage"
    folder.mkdir(parents=True)
    told = {"leaks": leaks, "verdict": verdict, "canaries": {"count": 7}}
    told["model"] = hash_tree(chain / "second" / "model", ("*.safetensors", "*.jinja"))
    (folder / "leakage.json").write_text(json.dumps(told), encoding="utf-8")
    trust = gather(chain)
    gate = trust.gates[-1]
    assert (gate.stage, gate.name, gate.verdict, gate.value, gate.rows) == ("second", "leakage", verdict, leaks, 7)
    assert "leak" not in codes(trust)
    assert ("second" in trust.verdict.blocked) >= (verdict == "BLOCK")
    told["model"] = {"model.safetensors": "0" * 64}
    (folder / "leakage.json").write_text(json.dumps(told), encoding="utf-8")
    assert "leak" in codes(gather(chain)), "it was another model"


# -- one run ------------------------------------------------------------------------------------------------------------
def test_a_run_alone_with_the_runs_before_it(chain: Path) -> None:
    trust = gather(chain / "second")
    assert (trust.kind, trust.verdict.word) == ("run", "NOT JUDGED")
    assert [one.stage for one in trust.data] == ["first", "second"], "from the raw file on"
    assert [model.name for model in trust.models] == ["base", "second"]
    assert {"tests", "gates"} <= set(codes(trust))


def test_a_run_against_the_model_before_it(chain: Path) -> None:
    run = chain / "second"
    shutil.copytree(chain / "evaluation" / "second", run / "evaluation" / "ward+contrast-en")
    trust = gather(run, chain / "evaluation" / "base")
    assert [model.tested for model in trust.models] == [True, True]
    assert len(trust.gates) == 2
    assert set(trust.tests[0].scores) == {"base", "second"}
    assert trust.commands[-1] == f"medicalgpt report {run} --before {chain / 'evaluation' / 'base'}"
    with pytest.raises(RunError, match="holds no evaluation of the same tests"):
        gather(chain / "first", chain / "evaluation" / "base")
    with pytest.raises(ConfigError, match="leave --before out"):
        gather(chain, chain / "evaluation" / "base")


def test_a_run_under_way(tmp_path: Path, made: Path) -> None:
    run = Path(shutil.copytree(made / "chain" / "first", tmp_path / "first"))
    (run / manifest.NAME).unlink()
    trust = gather(run)
    assert (trust.verdict.word, trust.verdict.missing) == ("UNFINISHED", ["first"])
    assert write_report(run).is_file()


# -- command, API and model card ----------------------------------------------------------------------------------------
def test_the_command_and_the_function(chain: Path) -> None:
    done = CliRunner().invoke(app, ["report", str(chain), "--language", "zh-CN"])
    assert done.exit_code == 0, done.output
    assert f"written: {chain / PAGE}, {chain / NAME}" in done.output
    assert "可信度报告" in (chain / PAGE).read_text(encoding="utf-8")
    assert medicalgpt.report(chain) == chain / PAGE
    assert "Trust report" in (chain / PAGE).read_text(encoding="utf-8")
    assert CliRunner().invoke(app, ["report", str(chain / "none")]).exit_code == 2


def test_a_damaged_report_is_made_again_and_not_believed(chain: Path) -> None:
    (chain / NAME).write_text('{"schema_version": 2}', encoding="utf-8")
    with pytest.raises(RunError, match="make it again: medicalgpt report"):
        read_trust(chain / NAME)
    write_report(chain)
    assert read_trust(chain / NAME) is not None


def test_a_damaged_report_stops_no_other_work(chain: Path, caplog: pytest.LogCaptureFixture) -> None:
    (chain / NAME).write_text("{", encoding="utf-8")
    assert evaluated(Located(str(chain / "second" / "model"), "model"), changed=True) is None
    assert "make it again: medicalgpt report" in caplog.text


def test_the_model_card_takes_its_numbers_from_the_report(chain: Path, tmp_path: Path) -> None:
    place = Located(str(chain / "second" / "model"), "model")
    assert evaluated(place, changed=False) is None
    write_report(chain)
    found = evaluated(place, changed=True)
    assert found is not None
    trust, text = found.report, "\n".join(card_lines(found))
    score = next(test for test in trust.tests if test.name == "ward").scores["second"]
    assert f"{score.value:.1%} [{score.low:.1%}, {score.high:.1%}]" in text
    assert f"Gates: **{trust.verdict.word.lower()}**" in text
    assert "before the last step" in text
    # Trained anew, the run is another one, and the report is none of it.
    file = chain / "second" / manifest.NAME
    file.write_text(file.read_text().replace('"seed": 1', '"seed": 2'), encoding="utf-8")
    assert evaluated(place, changed=True) is None


def test_the_web_page_takes_its_scores_from_the_report(chain: Path) -> None:
    origin = {"places": [str(chain / "second" / "model")]}
    assert describe("second", None, origin, 512, "t").tests == ()
    write_report(chain)
    info = describe("second", None, origin, 512, "t")
    trust = read_trust(chain / NAME)
    assert trust is not None
    assert [title for title, _, _ in info.tests] == [test.title for test in trust.tests]
    assert info.tests[0][2].startswith(f"{trust.tests[0].scores['second'].value:.1%} [")
    assert ENGLISH.named_tests in table(info, ENGLISH)
    (chain / NAME).write_text("{", encoding="utf-8")
    assert describe("second", None, origin, 512, "t").tests == (), "a damaged report is no reason not to answer"


def test_a_home_folder_is_named_nowhere(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(chain.parent))
    path = write_report(chain)
    assert str(chain.parent) not in path.read_text(encoding="utf-8") + path.with_name(NAME).read_text(encoding="utf-8")


def test_errors_are_of_the_tree(chain: Path) -> None:
    with pytest.raises(MedicalGPTError):
        write_report(chain, "en", chain / PLAN)
