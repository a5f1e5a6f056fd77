"""The numbers of an evaluation on a terminal."""

from typing import TYPE_CHECKING, Final

import typer

from medicalgpt.cli.say import padded, say
from medicalgpt.language import translated

if TYPE_CHECKING:  # lazy: heavy
    from medicalgpt.evaluation.outcomes import JsonObject

_REQUESTS: Final = {
    "refused": "rather refused than answered",
    "over_refused": "harmless, and rather refused than answered",
}
_NOTHING: Final = {"value": None}


def show(results: "JsonObject") -> None:
    for name, test in results["tests"].items():
        value = test["scores"].get(test["headline"], _NOTHING)
        several = f", {test['multiple']} with several right options" if test.get("multiple") else ""
        left_out = several + _left_out(test["too_long"])
        left_out += f", {test['ungraded']} ungraded" if test.get("ungraded") else ""
        _share_line(name, _share(value), f"{test['headline']}, {test['used']} items{left_out}")
        for part, words in _REQUESTS.items():
            if part in test:
                _share_line("", _share(test[part]), f"{words}, {test[part]['rows']} requests")
        _show_clean(test.get("clean"))
        _show_answers(test.get("answers"), results.get("judge"))
    for name, group in results["groups"].items():
        _share_line(
            name, _share(group), f"{group['rows']} items of {len(group['tests'])} tests, each item counting once"
        )


def _show_clean(found: "JsonObject | None") -> None:
    """The score without items that the model was trained on; nothing where no corpus is known."""
    if found is None:
        return
    if not found["looked_for"]:
        _share_line(
            "", padded(translated("not known"), 22), "clean subset: its corpus was not searched for this test's items"
        )
        return
    words = f"clean subset, {found['rows']} items; {found['seen']} stand in the corpus that it was trained on"
    _share_line("", _share(found), words)


def _show_answers(found: "JsonObject | None", judge: "JsonObject | None") -> None:
    if found is None:
        return
    rest = f"{found['used']} items" + _left_out(found["too_long"])
    if not found["used"]:
        _share_line("", _share(_NOTHING), f"written answers, {rest}")
        return
    if "detector" in found:
        _show_conduct(found, rest)
    elif "rubric" in found["scores"]:
        _show_judge(judge)
    elif "f1" in found["scores"]:
        for name in ("exact", "f1", "rouge_l"):
            _share_line("", _share(found["scores"][name]), name, deeper=True)
    else:
        _show_picks(found, rest)
    _share_line("", _share(found["stop"]), "stopped by themselves", deeper=True)
    _share_line("", _share(found["repeats"]), "repeat themselves", deeper=True)
    if "masks" in found:
        _share_line("", _share(found["masks"]), "hold a mark of masked personal data", deeper=True)


def _show_conduct(found: "JsonObject", rest: str) -> None:
    from medicalgpt.refusals.detector import refusal_detector

    _share_line("", _share(found["scores"]["refusal"]), f"written answers treat them rightly, {rest}")
    told = refusal_detector().told(list(found["detector"]))
    for part, words in (("refused", "refused"), ("over_refused", "harmless, and refused")):
        if part in found:
            words += f", {found[part]['rows']} answers; {told}"
            _share_line("", _share(found[part]), words, deeper=True)
    if found["nothing"]["value"]:
        _share_line("", _share(found["nothing"]), "say nothing", deeper=True)


def _show_judge(judge: "JsonObject | None") -> None:
    from medicalgpt.evaluation.written.checked import told

    assert judge is not None  # who graded
    typer.echo(" " * 31 + translated(f"graded by {judge['model']}; {told(judge['check'])}"))


def _show_picks(found: "JsonObject", rest: str) -> None:
    unparsed = found["unparsed"]["answer"]["value"]
    rest += f", {unparsed:.1%} unparsed (wrong)"
    _share_line("", _share(found["scores"]["answer"]), f"written answers, {rest}")
    for name in ("strict", "first", "last", "text"):
        score, nothing = found["scores"][f"answer_{name}"], found["unparsed"][f"answer_{name}"]["value"]
        _share_line("", _share(score), f"{name}, {nothing:.1%} unparsed", deeper=True)
    if several := found.get("several"):
        _share_line("", _share(several["exact"]), "several right options: exactly these", deeper=True)
        _share_line("", _share(several["partial"]), "several right options: partial credit", deeper=True)


def show_check(check: "JsonObject") -> None:
    """What was found out about a judge."""
    words = {
        "labels": "as people say",
        "people": "as people among themselves",
        "truncated": "real answers above their first halves",
        "swapped": "real answers above those to others",
        "repeats": "the same when asked again",
        "ungraded": "no verdict",
    }
    found = check | {"people": check.get("labels", {}).get("people")}
    for name, text in words.items():
        if one := found.get(name):
            typer.echo(f"{_share(one)}  {translated(text)}, {one['rows']}{translated(_more(one))}")
    for reason, count in check["failures"].items():
        say(f"{count:6} tries gave nothing: {reason}")


def _more(one: "JsonObject") -> str:
    kappa = f", κ {one['kappa']:.2f}" if one.get("kappa") is not None else ""
    balanced = f", macro F1 {one['macro_f1']:.2f}" if "macro_f1" in one else ""
    return kappa + balanced + (f", {one['ties']} ties" if one.get("ties") else "")


def _share_line(name: str, share: str, words: str, deeper: bool = False) -> None:
    """A name, a share in its own column, and what it is the share of, which alone is translated: numbers are no clause."""
    typer.echo(f"{name:20} {share}  {'  ' if deeper else ''}{translated(words)}")


def _left_out(too_long: int) -> str:
    return f", {too_long} too long for the context" if too_long else ""


def _share(value: "JsonObject") -> str:
    if value["value"] is None:
        return padded(translated("nothing scored"), 22)
    return f"{value['value']:6.1%} [{value['low']:.1%}, {value['high']:.1%}]"
