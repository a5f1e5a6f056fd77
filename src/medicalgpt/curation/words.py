"""A curation's report for people."""

from collections.abc import Iterator, Mapping
from typing import Final

from medicalgpt.curation.report import Report

_NOT_LOOKED: Final = "personal data: NOBODY LOOKED (personal_data.enabled is false)"


def report_lines(report: Report) -> Iterator[str]:
    """The report, a line each, for a terminal."""
    rows = _number(report, "rows")
    yield f"{rows:,} rows: {_number(report, 'kept'):,} kept, {_number(report, 'dropped'):,} dropped"
    for reason, count in _part(report, "reasons").items():
        yield f"  {count:>9,} {reason}"
    yield from _personal_lines(_part(report, "personal_data"))
    duplicates = _part(report, "duplicates")
    if again := _number(duplicates, "same_question_kept"):
        yield f"duplicates: {again:,} dialogues kept that ask what an earlier one asks, with another answer"
    for name, test in _part(report, "tests").items():
        assert isinstance(test, dict)  # as `report.tests_of` has it
        yield (
            f"test {name}: {test['found']:,} of {test['items']:,} items found ({test['verbatim']:,} word for word) in "
            f"{test['rows']:,} rows{_sources(test['by_source'])}; {test['in_corpus']:,} in the corpus"
        )
    for name, taken in _part(_part(report, "mix"), "sources").items():
        assert isinstance(taken, dict)  # as `mix.Taken.as_dict` has it
        bound = ", bounded by max_epochs" if taken["capped"] else ""
        yield f"source {name}: {taken['share']:.1%} of the corpus, {taken['epochs']:g} epochs of {taken['rows']:,} rows{bound}"


def _personal_lines(found: Mapping[str, object]) -> Iterator[str]:
    if not found["looked_for"]:
        yield _NOT_LOOKED
        return
    kinds: dict[str, int] = {}
    for counts in _part(found, "found").values():
        assert isinstance(counts, dict)  # as `report._nested` has it
        for kind, count in counts.items():
            kinds[kind] = kinds.get(kind, 0) + count
    listed = ", ".join(f"{kind} {count:,}" for kind, count in sorted(kinds.items(), key=lambda one: (-one[1], one[0])))
    yield f"personal data: in {_number(found, 'rows'):,} rows{': ' + listed if listed else ''}"


def _sources(by_source: Mapping[str, int]) -> str:
    listed = ", ".join(f"{name} {count:,}" for name, count in by_source.items())
    return f" ({listed})" if listed else ""


def markdown(report: Report) -> str:
    """The report as a page."""
    out = ["# Curation", "", *(f"- {line.strip()}" for line in report_lines(report)), ""]
    out += ["## Quality", "", "| rule | rows | share |", "|---|---|---|"]
    for rule, told in _part(report, "quality").items():
        assert isinstance(told, dict)  # as `report._quality` has it
        out.append(f"| {rule} | {told['rows']:,} | {told['share']:.2%} |")
    if tests := _part(report, "tests"):
        out += ["", "## Items of tests", "", "| test | items | found | word for word | in the corpus | by source |"]
        out.append("|---|---|---|---|---|---|")
        for name, test in tests.items():
            assert isinstance(test, dict)  # as `report.tests_of` has it
            cells = (test["items"], test["found"], test["verbatim"], test["in_corpus"])
            sources = ", ".join(f"{source} {count:,}" for source, count in test["by_source"].items()) or "–"
            out.append(f"| {name} | {' | '.join(f'{cell:,}' for cell in cells)} | {sources} |")
    limits = report["limits"]
    assert isinstance(limits, list)  # as `report_of` has it
    return "\n".join([*out, "", "## Limits", "", *(f"- {one}" for one in limits), ""])


def _part(report: Mapping[str, object], name: str) -> dict[str, object]:
    found = report[name]
    assert isinstance(found, dict)  # sections are
    return found


def _number(report: Mapping[str, object], name: str) -> int:
    found = report[name]
    assert isinstance(found, int)  # counts are
    return found
