"""How far a judge can be trusted: numbers worked out by hand for judges that read, guess, change their mind or write no JSON."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.judges import judge
from tests.tiny import save_tiny
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.config.evaluation import GraderConfig
from medicalgpt.data.records import Message
from medicalgpt.errors import ConfigError, DataError, RunError
from medicalgpt.evaluation.written.checked import NOT_CHECKED, check_of, keep_check, told, usual_place
from medicalgpt.evaluation.written.checking import check_judge, kappa, macro_f1
from medicalgpt.evaluation.written.items import Labels, Written
from medicalgpt.rewards import judge as judging
from medicalgpt.rewards.rubric import Criterion

CRITERIA = (Criterion("Says to call 112", 5), Criterion("Names the case", 3))
HEAD = """kind: rubric
name: checked
title: ours
license: ours
origin: ours
language: en
group: open
files: [{path: checked.jsonl}]
"""


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDICALGPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(judging, "_PAUSE", 0.0)
    monkeypatch.chdir(tmp_path)


def item(n: int, **more: Any) -> Written:
    return Written(f"id{n}", (Message("user", f"Chest pain, case {n}?"),), "", f"x:{n}", criteria=CRITERIA, **more)


def real(count: int) -> list[Written]:
    """Conversations with a real answer each: it names 112 at its end, and its own case at its beginning."""
    return [item(n, references=(f"Case {n}: sit down, do not drive, and call 112",)) for n in range(count)]


def reads(asked: dict[str, Any], before: int) -> str:
    """A judge that reads: 112 stands there, and the case that was asked about."""
    case = asked["conversation"][0]["content"].removeprefix("Chest pain, c").rstrip("?")
    return json.dumps({"1": "112" in asked["answer"], "2": case in asked["answer"]})


def check(url: str, items: list[Written]) -> dict[str, Any]:
    return check_judge(GraderConfig(url=url, model="grader"), items, lambda text: None)


def test_real_answers_beside_damaged_ones() -> None:
    with judge(reads) as asked:
        found = check(asked.url, real(8))
    # Of 8 points a real answer has 8, its first half 3 (the case), another's answer 5 (112).
    for name in ("truncated", "swapped"):
        assert (found[name]["value"], found[name]["rows"], found[name]["ties"]) == (1.0, 8, 0)
    assert (found["repeats"]["value"], found["repeats"]["rows"], found["ungraded"]["value"]) == (1.0, 8, 0.0)
    assert found["repeats"]["low"] < 0.8  # eight are too few to be sure
    assert (found["failures"], "labels" in found) == ({}, False)
    assert len(asked) == 8 + 8 + 8 + 8  # real, cut, swapped, and the real ones again
    assert "Case 0: sit down, do" in asked.answers


def test_a_judge_that_says_yes_to_everything_puts_nothing_in_order() -> None:
    with judge(lambda asked, before: '{"1": true, "2": true}') as asked:
        found = check(asked.url, real(4))
    assert (found["truncated"]["value"], found["truncated"]["ties"], found["repeats"]["value"]) == (0.0, 4, 1.0)


def test_a_judge_that_changes_its_mind() -> None:
    """The second time it says of the second criterion the opposite: half of all criteria are the same."""
    seen: Counter[str] = Counter()

    def says(asked: dict[str, Any], before: int) -> str:
        question = json.dumps(asked)
        seen[question] += 1
        return json.dumps({"1": True, "2": seen[question] == 1})

    with judge(says) as asked:
        found = check(asked.url, real(4))
    assert (found["repeats"]["value"], found["repeats"]["rows"]) == (0.5, 4)


def test_no_json_is_counted() -> None:
    def says(asked: dict[str, Any], before: int) -> str:
        return "I think it is fine." if "Case 0" in asked["answer"] else reads(asked, before)

    with judge(says) as asked:
        found = check(asked.url, real(5))
    # Of 5 + 5 + 5 and 5 again: case 0 as it is, cut, put to case 4, and as it is again.
    assert (found["ungraded"]["value"], found["ungraded"]["rows"]) == (4 / 20, 20)
    assert found["failures"] == {"no verdicts in the reply": 4 * judging.TRIES}
    assert (found["truncated"]["rows"], found["swapped"]["rows"], found["repeats"]["rows"]) == (4, 3, 4)


def test_labels_of_people() -> None:
    """Judge (reads) against labels: 112 met / not met; two people on the one criterion of each answer."""
    one = (CRITERIA[0],)
    rows = [
        ("Call 112", (True, True)),
        ("Call 112 now", (True, False)),
        ("Rest", (False, False)),
        ("Sleep", (True, False)),
    ]
    items = [
        Written(f"id{n}", (Message("user", "Pain?"),), "", "x", criteria=one, labels=Labels(text, (met,)))
        for n, (text, met) in enumerate(rows)
    ]
    with judge(lambda asked, before: json.dumps({"1": "112" in asked["answer"]})) as asked:
        found = check(asked.url, items)
    labels = found["labels"]
    # Judge yes, yes, no, no; pairs: (y,y) (y,y) (y,y) (y,n) (n,n) (n,n) (n,y) (n,n)
    assert (labels["value"], labels["rows"], labels["pairs"]) == (6 / 8, 4, 8)
    assert labels["kappa"] == pytest.approx((6 / 8 - 1 / 2) / (1 - 1 / 2))
    assert labels["macro_f1"] == pytest.approx(3 / 4)  # 2·3 / (2·3 + 2) on either side
    assert labels["people"]["value"] == 2 / 4
    assert "truncated" not in found


def test_agreement_beyond_chance_by_hand() -> None:
    assert kappa(Counter({(True, True): 20, (True, False): 5, (False, True): 10, (False, False): 15})) == pytest.approx(
        0.4
    )
    assert kappa(Counter({(True, True): 9})) is None
    assert macro_f1(Counter({(True, True): 9})) == 1.0
    assert macro_f1(Counter({(True, True): 2, (True, False): 1, (False, False): 3})) == pytest.approx(
        (4 / 5 + 6 / 7) / 2
    )


def test_what_cannot_be_checked() -> None:
    with pytest.raises(DataError, match="there is nothing to check a judge with"):
        check("http://localhost:9/v1", [item(1)])
    with judge(lambda *_: 500) as asked, pytest.raises(RunError, match=r"on none of 12 answers: HTTP 500"):
        check(asked.url, real(4))


def test_a_check_is_of_one_judge_and_one_wording(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = GraderConfig(url="http://localhost:9/v1", model="org/Judge 32b")
    assert (check_of(config), told(None)) == (None, NOT_CHECKED)
    with judge(reads) as asked:
        found = check(asked.url, real(4)) | {
            "judge": {"url": config.url, "model": config.model, "form": judging.form()}
        }
    place = keep_check(config, found, None)
    assert place == usual_place(config)
    assert place.name.startswith("org-Judge-32b-")
    assert check_of(config) == found
    words = told(found)
    assert words.startswith(
        "the judge puts real answers above cut ones in 100.0% [51.0%, 100.0%] of 4, above those to others"
    )
    assert check_of(config.model_copy(update={"model": "other"})) is None
    other = config.model_copy(update={"model": "other", "check": str(place)})
    with pytest.raises(ConfigError, match="the check of another judge"):
        check_of(other)
    with pytest.raises(ConfigError, match="no result of `medicalgpt evaluate judge-check`"):
        check_of(config.model_copy(update={"check": str(tmp_path / "none.json")}))
    monkeypatch.setattr(judging, "_ORDER", "Grade otherwise.")
    assert check_of(config) is None


def test_the_command_and_what_stands_beside_a_score(tmp_path: Path) -> None:
    folder, command = tmp_path / "tests", CliRunner()
    folder.mkdir()
    rubric = [{"criterion": one.text, "points": one.points} for one in CRITERIA]
    rows = [{"question": w.turns[0].content, "rubric": rubric, "reference": w.references[0]} for w in real(6)]
    (folder / "checked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "checked.test.yaml").write_text(HEAD, encoding="utf-8")
    save_tiny(tmp_path / "model")
    narrowed = ["--suite", "checked", "--tests", str(folder), "--limit", "4"]
    words = ["evaluate", "run", *narrowed, "--model", str(tmp_path / "model"), "--generate", "--max-new-tokens", "8"]
    with judge(reads) as asked:
        who = ["--judge", asked.url, "--judge-model", "grader"]
        before = command.invoke(app, [*words, *who, "--output", "out"])
        assert before.exit_code == 0, before.output
        assert "graded by grader; judge not checked" in before.output
        done = command.invoke(app, ["evaluate", "judge-check", *narrowed, *who])
        assert done.exit_code == 0, done.output
        assert "100.0% [51.0%, 100.0%]  real answers above their first halves, 4" in done.output
        assert "written: runs/judges/grader-" in done.output
        asked.clear()
        # Finished as it is: nothing is asked again, and what is known of the judge now stands beside its score.
        after = command.invoke(app, [*words, *who, "--output", "out"])
        assert after.exit_code == 0, after.output
        assert "graded by grader; the judge puts real answers above cut ones in 100.0%" in after.output
        assert list(asked) == []
    kept = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert kept["judge"]["check"]["tests"]["checked"]["items"] == 4
    compared = command.invoke(app, ["evaluate", "compare", "out", "out"])
    assert "puts real answers above cut ones" in compared.output
    refused = command.invoke(app, ["evaluate", "judge-check", *narrowed])
    assert refused.exit_code == 2
    assert "no judge is named" in refused.output
