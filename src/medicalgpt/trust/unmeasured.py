"""What has no number in a report: said part by part, as silence would be taken for "nothing was found"."""

from collections.abc import Iterator, Sequence

from medicalgpt.runs.trust_corpus import Corpus
from medicalgpt.runs.trust_parts import Certificate, Data, GateLine, Instrument, License, Link, Model, Test, Unmeasured
from medicalgpt.trust.corpora import uncurated
from medicalgpt.trust.data import stage_config
from medicalgpt.trust.subject import Subject
from medicalgpt.trust.verdict import LEAKAGE, LEAKS


def not_measured(
    subject: Subject,
    models: Sequence[Model],
    tests: Sequence[Test],
    gates: Sequence[GateLine],
    links: Sequence[Link],
    certificates: Sequence[Certificate],
    licenses: Sequence[License],
    data: Sequence[Data],
    instruments: Sequence[Instrument],
    curated: Sequence[Corpus],
) -> list[Unmeasured]:
    """Everything that a reader may look for and not find, with what it is about."""
    return [
        *_of_tests(models, tests, gates),
        *_of_corpora(subject, tests, curated),
        *_of_safety(tests, gates),
        *_of_judges(instruments),
        *_of_training(subject, data),
        *_of_files(subject, links, certificates, licenses),
    ]


def _of_tests(models: Sequence[Model], tests: Sequence[Test], gates: Sequence[GateLine]) -> Iterator[Unmeasured]:
    if not tests:
        yield Unmeasured(what="tests")
    elif not models[0].tested:
        yield Unmeasured(what="base")
    if tests:
        yield from (Unmeasured(what="model", detail=m.name) for m in models[1:] if not m.tested)
    if not gates:
        yield Unmeasured(what="gates")
    for gate in gates:
        if gate.value is None:
            yield Unmeasured(what="gates", detail=f"{gate.stage}: {gate.name}")
    for test in tests:
        if test.of is not None and test.items < test.of:
            yield Unmeasured(what="limit", detail=f"{test.name}: {test.items:,} / {test.of:,}")
        if test.too_long:
            yield Unmeasured(what="too_long", detail=f"{test.name}: {test.too_long:,}")
        if test.several and not test.answers:
            yield Unmeasured(what="several", detail=f"{test.name}: {test.several:,}")
    if any(test.kind == "choice" for test in tests) and not any(test.answers for test in tests):
        yield Unmeasured(what="answers")


def _of_corpora(subject: Subject, tests: Sequence[Test], curated: Sequence[Corpus]) -> Iterator[Unmeasured]:
    """What was not searched for: where a stage was trained on rows that no curation wrote, nothing was."""
    uncleared = uncurated(subject) or not curated
    searched = [{test.name for test in corpus.tests} for corpus in curated]
    if uncleared or not tests or not all(test.name in names for test in tests for names in searched):
        yield Unmeasured(what="clean")
    if uncleared or not all(corpus.personal_data for corpus in curated):
        yield Unmeasured(what="phi")


def _of_judges(instruments: Sequence[Instrument]) -> Iterator[Unmeasured]:
    judges = [one for one in instruments if one.kind == "judge"]
    if not judges:
        yield Unmeasured(what="judge")
    yield from (Unmeasured(what="judge_error", detail=j.name) for j in judges if j.agreement is None and not j.checks)


def _of_safety(tests: Sequence[Test], gates: Sequence[GateLine]) -> Iterator[Unmeasured]:
    if not any(test.refused or "refused" in test.answers for test in tests):
        yield Unmeasured(what="safety")
    if not any(test.over_refused or "over_refused" in test.answers for test in tests):
        yield Unmeasured(what="over_refusal")
    if not any(gate.name in (LEAKAGE, LEAKS) for gate in gates):
        yield Unmeasured(what="leak")


def _of_training(subject: Subject, data: Sequence[Data]) -> Iterator[Unmeasured]:
    yield from (Unmeasured(what="held_out", detail=one.stage) for one in data if one.held_out is None)
    for stage, _ in subject.finished:
        reward = getattr(stage_config(stage), "reward", None)
        if any("rubric" in str(one) for one in getattr(reward, "functions", ())):
            yield Unmeasured(what="judge_error", detail=stage.name)
    yield Unmeasured(what="clinical")


def _of_files(
    subject: Subject, links: Sequence[Link], certificates: Sequence[Certificate], licenses: Sequence[License]
) -> Iterator[Unmeasured]:
    for link in links:
        if link.state == "gone" or (link.state == "unchecked" and link.what != "manifest"):
            yield Unmeasured(what="lineage", detail=f"{link.stage}: {link.what} {link.name}".rstrip())
    certified = {one.stage for one in certificates}
    for stage, _ in subject.finished:
        if (stage.folder / "model" / "adapter_config.json").is_file() and stage.name not in certified:
            yield Unmeasured(what="certificate", detail=stage.name)
    if not any(one.place != "merged" for one in certificates):
        yield Unmeasured(what="served")
    for one in licenses:
        if one.license is None and one.kind != "test":
            yield Unmeasured(what="base_license" if one.kind == "base" else "data_license", detail=one.what)
