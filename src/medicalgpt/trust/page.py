"""trust.html: the report for people, one language, one file that loads nothing from elsewhere; every text in it is escaped."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import yaml

from medicalgpt.evaluation.outcomes import JsonObject
from medicalgpt.language import Language, translated
from medicalgpt.language.marks import colon
from medicalgpt.runs.headline import Line, headline
from medicalgpt.runs.page import environment, number
from medicalgpt.runs.trust_file import Trust
from medicalgpt.runs.trust_parts import Estimate, GateLine, Test
from medicalgpt.serve.web.texts import TEXTS
from medicalgpt.trust.verdict import LEAKAGE, LEAKS

_HERE: Final = Path(__file__).parent
_PERCENT: Final = ("preference accuracy", "stop rate")
_MOST_DETAILS: Final = 5
_MOST_FILES: Final = 12  # of a stage; trust.json has more of them
_TONE: Final = {"PASS": "better", "BLOCK": "worse", "BROKEN": "worse"}
Form = Callable[[float | None], str]
Cells = dict[str, tuple[str, str]]
"""A number and its interval, as texts, by model."""


@dataclass(frozen=True)
class Grid:
    """A table of models: the columns are those that have any number in it, for an empty one says less than the list of what was
    not measured. A row is a name, what is said under it, and its cells."""

    models: list[str]
    rows: list[tuple[str, str, Cells]]


def words(language: Language) -> JsonObject:
    """Every word of the page in a language."""
    found: JsonObject = yaml.safe_load((_HERE / "words" / f"{language}.yaml").read_text(encoding="utf-8"))
    return found


def verdict_word(word: str, language: Language) -> str:
    """How the page calls a verdict of trust.json: BROKEN is CHANGED SINCE there."""
    return str(words(language)["word"][word])


def page(trust: Trust, language: Language) -> str:
    """The page's HTML."""
    t = words(language)
    trust = _titled(trust, language)
    models = [model.name for model in trust.models]
    grid = partial(_grid, models)
    values = {
        "gates": [(gate, *_gate(gate, t)) for gate in trust.gates],
        "tests": grid(_tests(trust, t)),
        "subjects": [(test.title, grid(_subjects(test))) for test in trust.tests if len(test.by_subject) > 1],
        "answers": grid(_answers(trust, t)),
        "safety": grid(_safety(trust, t)),
        "compared": grid(_compared(trust, t)),
        "missing": list(_missing(trust, t)),
        "data": [(one, one.files[:_MOST_FILES], len(one.files) - _MOST_FILES) for one in trust.data],
        "most_files": _MOST_FILES,
        "licenses": _terms(trust),
        "held_out": [
            (one, [_named(line, t, language) for line in headline(one.before, one.after)]) for one in trust.held_out
        ],
    }
    template = environment(_HERE).get_template("trust.html.jinja")
    return template.render(t=t, r=trust, language=language, colon=colon(language), tone=_TONE, share=_share, **values)


def _grid(models: Sequence[str], rows: Iterable[tuple[str, str, Cells]]) -> Grid:
    found = list(rows)
    return Grid([model for model in models if any(model in cells for _, _, cells in found)], found)


def _cells(values: Mapping[str, Estimate], form: Form) -> Cells:
    return {model: (form(value.value), _interval(value, form)) for model, value in values.items()}


def _share(value: Estimate) -> tuple[str, str]:
    """A share and its interval, in percent."""
    return _percent(value.value), _interval(value, _percent)


def _interval(value: Estimate, form: Form) -> str:
    if value.low is None or value.high is None:
        return ""
    return f"[{form(value.low)}, {form(value.high)}]"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}".replace("%", "\u00a0%")


def _name(t: JsonObject, table: str, key: str) -> str:
    return str(t[table].get(key, key))


def _gate(gate: GateLine, t: JsonObject) -> tuple[str, str, str, str]:
    """A gate's name, what was found, its interval, and what is allowed."""
    if gate.value is None or gate.low is None or gate.high is None:
        return _name(t, "gate_number", gate.name), t["not_there"], "", ""
    if gate.kind == "items":
        value, low, high = gate.value, gate.low, gate.high
        if gate.lower_is_better:
            value, low, high = 0 - value, 0 - high, 0 - low  # as users hear of it: a rise is a rise
        form = t["may_rise" if gate.lower_is_better else "may_lose"]
        texts = [f"{100 * one:+.1f}" for one in (value, low, high)]
        return (
            gate.name,
            f"{texts[0]} {t['points']}",
            f"[{texts[1]}, {texts[2]}]",
            form.format(limit=f"{gate.margin:g}"),
        )
    name = _name(t, "gate_number", gate.name)
    if gate.name == "certificate":
        return name, gate.note or t["within_tolerance"], "", t["within_tolerance"]
    if gate.name in (LEAKAGE, LEAKS):
        return name, number(int(gate.value)), "", t["at_most"].format(limit=f"{gate.limit or 0:g}")
    show = _percent if gate.at_least else "{:.3f}".format if gate.name == "kl" else "{:+.3f}".format
    form = t["at_least" if gate.at_least else "at_most" if gate.name == "kl" else "may_rise"]
    limit = show(gate.limit or 0.0).removeprefix("+")
    return name, show(gate.value), f"[{show(gate.low)}, {show(gate.high)}]", form.format(limit=limit)


def _tests(trust: Trust, t: JsonObject) -> Iterator[tuple[str, str, Cells]]:
    """Suites with their tests below them."""
    told: set[str] = set()
    for group in trust.groups:
        inside = [test for test in trust.tests if test.name in group.tests]
        if len(inside) != 1:
            yield t["all_of"].format(name=group.name), "", _cells(group.scores, _percent)
        for test in inside:
            told.add(test.name)
            yield _row(test, t)
    for test in trust.tests:
        if test.name not in told:
            yield _row(test, t)


def _titled(trust: Trust, language: Language) -> Trust:
    """The same with the titles of our tests in a language; those of users' own stay."""
    titles = [translated(test.title, language=language, exact=True) for test in trust.tests]
    tests = [test.model_copy(update={"title": title}) for test, title in zip(trust.tests, titles)]
    return trust.model_copy(update={"tests": tests})


def _row(test: Test, t: JsonObject) -> tuple[str, str, Cells]:
    said = t["asked"].format(items=number(test.items), profile=test.profile, headline=test.headline)
    return test.title, f"{test.name} · {said}", _cells(test.scores, _percent)


def _subjects(test: Test) -> Iterator[tuple[str, str, Cells]]:
    for subject, scores in test.by_subject.items():
        yield subject, "", _cells(scores, _percent)


def _answers(trust: Trust, t: JsonObject) -> Iterator[tuple[str, str, Cells]]:
    for test in trust.tests:
        for name, values in test.answers.items():
            yield test.title, _name(t, "answer_number", name), _cells(values, _percent)


def _safety(trust: Trust, t: JsonObject) -> Iterator[tuple[str, str, Cells]]:
    for test in trust.tests:
        for name, values in (
            ("refused", test.refused),
            ("over_refused", test.over_refused),
            ("control", test.control),
        ):
            if values:
                yield test.title, t[name], _cells(values, _percent)


def _compared(trust: Trust, t: JsonObject) -> Iterator[tuple[str, str, Cells]]:
    for name, values in trust.compared.items():
        yield _name(t, "compared_number", name), "", _cells(values, _percent if name in _PERCENT else number)


def _terms(trust: Trust) -> list[tuple[str, str, str | None]]:
    """What, its kind and its license; files of data under the same terms together, by the first of them."""
    files: dict[str | None, list[str]] = {}
    for one in trust.licenses:
        if one.kind == "data":
            files.setdefault(one.license, []).append(one.what)
    told = [(one.what, str(one.kind), one.license) for one in trust.licenses if one.kind != "data"]
    at = sum(kind == "base" for _, kind, _ in told)
    same = [(f"{n[0]} (+{len(n) - 1})" if len(n) > 1 else n[0], "data", terms) for terms, n in files.items()]
    return [*told[:at], *same, *told[at:]]


def _missing(trust: Trust, t: JsonObject) -> Iterator[str]:
    """A sentence for each kind of thing that has no number, with the first few that it is about; trust.json has all of them."""
    details: dict[str, list[str]] = {}
    for one in trust.not_measured:
        details.setdefault(one.what, []).append(one.detail)
    for what, found in details.items():
        more = f" … (+{len(found) - _MOST_DETAILS})" if len(found) > _MOST_DETAILS else ""
        yield t["unmeasured"][what].format(detail="; ".join(found[:_MOST_DETAILS]) + more)


def _named(line: Line, t: JsonObject, language: Language) -> tuple[str, Line, str]:
    """A line of held-out numbers with its name in the page's language, where the web page has one, too; and its change."""
    metric = line.name.removeprefix("eval/")
    change = line.change.replace(" points", f" {t['points']}")
    return TEXTS[language].metrics.get(metric, metric), line, change
