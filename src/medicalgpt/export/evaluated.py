"""What a report says of a model (trust.json), for its card: found beside the run that made it, and only where it is this run's."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from medicalgpt.errors import RunError
from medicalgpt.language import translated
from medicalgpt.models.locate import Located
from medicalgpt.runs import manifest
from medicalgpt.runs.bases import run_of
from medicalgpt.runs.hashes import hash_file
from medicalgpt.runs.trust_file import NAME, Trust, read_trust
from medicalgpt.runs.trust_parts import Estimate

_BASE = "base"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluated:
    """A report and the name that the model has in it. `changed`: it was merged or quantized since, of which no test knows."""

    report: Trust
    model: str
    changed: bool


def evaluated(place: Located, changed: bool) -> Evaluated | None:
    """The report on a run's model, in its folder or in that of its pipeline; None where there is none of just this run.

    Args:
        changed: the card is that of a model made from it.

    A report that cannot be read stops nothing that others do with the model: that is said in the log.
    """
    run = run_of(place)
    if run is None:
        return None
    sha256 = hash_file(run / manifest.NAME)
    for folder in (run, run.parent):
        try:
            report = read_trust(folder / NAME)
        except RunError as error:
            _log.warning("%s; until then no card or page has its scores", error)
            continue
        for model in report.models if report is not None else ():
            if report is not None and model.manifest_sha256 == sha256 and model.tested:
                return Evaluated(report, model.name, changed)
    return None


def score_lines(found: Evaluated) -> Iterator[tuple[str, str, str]]:
    """Every test's title, and the share right, with its interval, of the base and of this model; a dash where it was not taken."""
    for test in found.report.tests:
        if found.model in test.scores:
            yield test.title, _cell(test.scores.get(_BASE)), _cell(test.scores[found.model])


def card_lines(found: Evaluated | None) -> list[str]:
    """The card's section on named tests; nothing where there is no report."""
    if found is None:
        return []
    report, model = found.report, found.model
    verdict = report.verdict.word.lower()
    out = [
        f"## {translated('Evaluation')}\n",
        translated(
            f"Named tests, share of items answered rightly with its 95 % interval; by `medicalgpt report` of "
            f"{report.created:%Y-%m-%d}. Gates: **{verdict}**."
        )
        + "\n",
        translated("| test | items | asked as | base | this model |"),
        "|---|---|---|---|---|",
    ]
    for test in report.tests:
        if model in test.scores:
            cells = (_cell(test.scores.get(name)) for name in (_BASE, model))
            title = translated(test.title, exact=True).replace("|", "\\|").replace("\n", " ")
            out.append(f"| {title} | {test.scores[model].rows:,} | {test.profile} | {' | '.join(cells)} |")
    for test in report.tests:
        for name, values in (
            (translated("refused"), test.refused),
            (translated("refused although harmless"), test.over_refused),
        ):
            if model in values:
                out.append(f"\n{test.name}, {name}: {_cell(values.get(_BASE))} → {_cell(values[model])}")
    out += _corpora(report)
    if found.changed:
        said = "The tests were taken before the last step below; its certificate says how little that changed."
        out.append("\n" + translated(said))
    return [*out, ""]


def _corpora(report: Trust) -> Iterator[str]:
    """What is known of the curated corpora behind the model."""
    for corpus in report.corpora:
        found = ", ".join(f"{kind} {count:,}" for kind, count in corpus.personal_found.items())
        looked = f"searched ({', '.join(corpus.detectors)}; {corpus.operator}), in {corpus.personal_rows:,} rows"
        personal = looked + (f": {found}" if found else "") if corpus.personal_data else "**not searched**"
        tests = "; ".join(
            f"{test.name} {test.found:,} of {test.items:,} found, {test.in_corpus:,} still in it"
            for test in corpus.tests
        )
        said = (
            f"Training data was curated: {corpus.kept:,} of {corpus.rows:,} raw rows kept. Personal data: {personal}. Items of "
            f"tests: {tests or '**not searched**'}."
        )
        yield "\n" + translated(said)


def _cell(value: Estimate | None) -> str:
    if value is None or value.value is None or value.low is None or value.high is None:
        return "–"
    return f"{value.value:.1%} [{value.low:.1%}, {value.high:.1%}]"
