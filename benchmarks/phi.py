"""How much personal data is found and how much is masked for nothing, in Chinese and English; see docs/deidentification.md.

usage: phi.py [--data FOLDER] [--half tune|report|second|third|fourth|fifth|sixth|seventh|eighth|eighth-tune|eighth-held|ninth|ninth-tune|ninth-held|tenth|tenth-tune|tenth-held|build|forms|further] [--notes 2000] [--seed 0] [--texts 1500] [--misses 0] [--only notes,queries,general,clean]
       [--english patterns,names,spacy:MODEL]
FOLDER (or MEDICALGPT_REAL_DATA) holds the public sets named there. Every set is split by blake2b of an item's text (of the template,
for made-up notes): the lowest bit of its first byte is 0 for `tune`, which rules and lists were written on, and 1 for `report`.
`second` and `third` have notes of other templates and values (phi_second.yaml, phi_third.yaml, seeds 1 and 2) around consultations of the
report half that no earlier portion used, and those consultations themselves; the other sets have no rows left, and are the report half.
`build` is what the present version was tuned on: notes of phi_build.yaml (seed 4) around the first 2,600 consultations of the tuning half, and of
that half 3,000 exam questions and the classics. `fourth` (phi_fourth.yaml, seed 3) has the other 1,035 consultations of that half and exam questions
of the report half that no portion used; the classics have no rows left. `fifth` (phi_fifth.yaml, seed 5) has exam questions that no portion used,
of the tuning half around its notes and of the report half by themselves; no consultations are left. `forms` (phi_forms.yaml) is a further
portion to build on, with the carriers of `build`, `further` (phi_further.yaml) a third. `sixth` (phi_sixth.yaml, seed 6) stands in questions of CMMLU and
abstracts of CSL, of the report half. These are used up: phi_fit.py reads their templates, names and texts, but not `tune`'s reported half; its --left-out
fits without some of them, so that they can be measured on. `seventh` (phi_seventh.yaml, seed 7) stands in the subjects and abstracts of the tuning half,
which no portion used; exam questions are the sixth's, since none are left. Its author had seen neither the detector nor any misses; it is used up.
`eighth` (phi_eighth.yaml, seed 8) has everyday forms by a fourth author, as blind; its carriers are questions on health of SafetyBench and on food of CMMLU and abstracts of
CSL near medicine, of the tuning half, which no portion used. No exam questions are left: those measured with it are the sixth's.
`eighth-tune` and `eighth-held` are its templates parted by that same hash, 0 and 1: rules were written on the misses of the first, the other was measured once afterwards and then tuned on as well.
`ninth` (phi_ninth.yaml, seed 9) has forms of many desks by a fifth author, as blind; its carriers are the report half of the eighth's sets and of
SafetyBench's questions on mental health, which no portion used. Exam questions are the sixth's. `ninth-tune` and `ninth-held` are parted as the eighth's are.
`tenth` (phi_tenth.yaml, seed 10) has whole documents by a sixth author, as blind; its carriers are questions on management and marketing of CMMLU and abstracts
of CSL far from medicine, of the report half, which no portion used. Exam questions measured with it are the sixth's. `tenth-tune` and `tenth-held` are parted as the eighth's are.
An identifier is found when every letter, digit or Chinese character of it is covered, titles (Dr.) and labels (patient ID) left out.
--misses N prints up to N misses and false finds of each table; they hold text of the sets."""

import argparse
import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medicalgpt.phi import Detector, Kind, Span
from medicalgpt.phi.lists import words
from phi_notes import (
    BUILD,
    EIGHTH,
    FIFTH,
    FORMS,
    FOURTH,
    FURTHER,
    MORE,
    NINTH,
    SECOND,
    SEVENTH,
    SIXTH,
    TENTH,
    THIRD,
    VALUES,
    Note,
    all_templates,
    notes,
)
from phi_sets import (
    answers,
    chosen,
    classics,
    consultations,
    distant,
    exams,
    general,
    half,
    health,
    queries,
    subjects,
    wellbeing,
)


@dataclass(frozen=True)
class Portion:
    """Which rows: `carriers` (what stands around notes: "consultations", "exams", "subjects", "health", "wellbeing" or "distant") of `half` and the other sets of `others`, and the halves of templates; of carriers and
    exam questions, how many come first that others use, and how many at most are read."""

    half: int
    others: int
    values: dict[str, list[str]]
    carriers_after: int = 0
    exams_after: int = 0
    most_carriers: int | None = None
    most_exams: int | None = None
    carriers: str = "consultations"
    templates: tuple[int, ...] = (0, 1)


PORTIONS = {
    "tune": Portion(0, 0, VALUES, templates=(0,)),
    "report": Portion(1, 1, VALUES, templates=(1,)),
    "second": Portion(1, 1, SECOND, 1500),
    "third": Portion(1, 1, THIRD, 3000),
    "fourth": Portion(0, 1, FOURTH, 2600, 1500),
    "fifth": Portion(0, 1, FIFTH, 3000, 3000, carriers="exams"),
    "sixth": Portion(1, 1, SIXTH, 0, 4500, carriers="subjects"),
    # Of exam questions none are left; carriers are no portion's but this one's.
    "seventh": Portion(0, 1, SEVENTH, 0, 4500, carriers="subjects"),
    "eighth": Portion(0, 1, EIGHTH, 0, 4500, carriers="health"),
    "eighth-tune": Portion(0, 1, EIGHTH, 0, 4500, carriers="health", templates=(0,)),
    "eighth-held": Portion(0, 1, EIGHTH, 0, 4500, carriers="health", templates=(1,)),
    "ninth": Portion(1, 1, NINTH, 0, 4500, carriers="wellbeing"),
    "ninth-tune": Portion(1, 1, NINTH, 0, 4500, carriers="wellbeing", templates=(0,)),
    "ninth-held": Portion(1, 1, NINTH, 0, 4500, carriers="wellbeing", templates=(1,)),
    "tenth": Portion(1, 1, TENTH, 0, 4500, carriers="distant"),
    "tenth-tune": Portion(1, 1, TENTH, 0, 4500, carriers="distant", templates=(0,)),
    "tenth-held": Portion(1, 1, TENTH, 0, 4500, carriers="distant", templates=(1,)),
    "build": Portion(0, 0, BUILD, 0, 0, 2600, 3000),
    "forms": Portion(0, 0, FORMS, 0, 0, 2600, 3000),
    "further": Portion(0, 0, FURTHER, 0, 0, 2600, 3000),
}
CARRIERS = {
    "consultations": consultations,
    "exams": exams,
    "subjects": subjects,
    "health": health,
    "wellbeing": wellbeing,
    "distant": distant,
}


def interval(hit: int, of: int) -> str:
    """A share and its 95 % Wilson interval."""
    if not of:
        return "–"
    z, p = 1.96, hit / of
    middle, spread = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    low, high = ((middle + sign * spread) / (1 + z * z / of) for sign in (-1, 1))
    return f"{p:.2%} [{low:.2%}, {high:.2%}] of {of}"


def covered(text: str, spans: Sequence[Span], start: int, end: int) -> bool:
    """Whether every letter, digit and Chinese character from `start` to `end` is inside a span."""
    inside = {i for s in spans if s.start < end and start < s.end for i in range(s.start, s.end)}
    return all(i in inside for i in range(start, end) if text[i].isalnum())


@dataclass
class Tally:
    """Counts of one set."""

    hit: Counter[str] = field(default_factory=Counter)
    of: Counter[str] = field(default_factory=Counter)
    spans: int = 0
    right: int = 0
    documents: int = 0
    leaking: int = 0
    clean: int = 0
    flagged: int = 0
    traps: int = 0
    touched: int = 0
    misses: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)

    def add(self, text: str, spans: Sequence[Span], wanted: Sequence[tuple[int, int, str]]) -> None:
        """Counts one document."""
        self.documents += 1
        leaks = [(a, b, kind) for a, b, kind in wanted if not covered(text, spans, a, b)]
        self.of.update(kind for _, _, kind in wanted)
        self.hit.update(kind for a, b, kind in wanted if (a, b, kind) not in leaks)
        self.leaking += bool(leaks)
        self.misses += [f"{kind}: {text[max(0, a - 20) : a]}【{text[a:b]}】{text[b : b + 12]}" for a, b, kind in leaks]
        gold = {i for a, b, _ in wanted for i in range(a, b)}
        for span in spans:
            right = 2 * sum(i in gold for i in range(span.start, span.end)) >= span.end - span.start
            self.spans += 1
            self.right += right
            if not right:
                self.false.append(
                    f"{span.kind} {span.source}: {text[max(0, span.start - 15) : span.start]}【{text[span.start : span.end]}】{text[span.end : span.end + 12]}"
                )
        if not wanted:
            self.clean += 1
            self.flagged += bool(spans)

    def show(self, title: str, misses: int) -> None:
        """Prints the counts."""
        print(f"\n## {title}")
        for kind in [*sorted(self.of), "all"]:
            hit, of = (
                (sum(self.hit.values()), sum(self.of.values())) if kind == "all" else (self.hit[kind], self.of[kind])
            )
            print(f"  {kind:13} found {interval(hit, of)}")
        print(f"  documents with a leak {interval(self.leaking, self.documents)}")
        print(f"  spans that are right  {interval(self.right, self.spans)}")
        if self.clean:
            print(f"  clean ones flagged    {interval(self.flagged, self.clean)}")
        if self.traps:
            print(f"  traps touched         {interval(self.touched, self.traps)}")
        for line in [*self.misses[:misses], *self.false[:misses]]:
            print("   ", line.replace("\n", "⏎"))


def _told_apart(value: str, kind: str) -> str:
    """Names whose surname is on the detector's list, those whose is not, those of peoples without one, those in letters and those with blanks."""
    if kind == "name" and value.isascii():
        return "name in letters"
    if kind == "name" and any(value in portion.values.get("minority", ()) for portion in PORTIONS.values()):
        return "name no family"
    if kind == "name" and " " in value:
        return "name spaced"
    listed = value[:1] in words("zh/surnames") or value[:2] in words("zh/surnames")
    return kind if kind != "name" or listed else "name unlisted"


def on_notes(detector: Detector, made: Sequence[Note], misses: int, title: str) -> Tally:
    """Made-up Chinese notes. Names that a carrier itself holds count as false; there are few."""
    tally = Tally()
    for note, spans in zip(made, detector.find([n.text for n in made]), strict=True):
        tally.add(note.text, spans, [(a, b, _told_apart(note.text[a:b], kind)) for a, b, kind in note.values])
        tally.traps += len(note.traps)
        tally.touched += sum(any(s.start < b and a < s.end for s in spans) for a, b in note.traps)
    tally.show(title, misses)
    return tally


def on_tagged(
    detector: Detector, rows: Sequence[tuple[str, list[tuple[int, int, str]]]], misses: int, title: str
) -> Tally:
    """Texts with tagged identifiers."""
    tally = Tally()
    for (text, wanted), spans in zip(rows, detector.find([text for text, _ in rows]), strict=True):
        tally.add(text, spans, wanted)
    tally.show(title, misses)
    return tally


def on_clean(detector: Detector, texts: Sequence[str], misses: int, title: str) -> dict[str, float]:
    """Finds per 10,000 characters by kind in texts that are taken to hold no personal data, and the speed."""
    began = time.process_time()
    found = detector.find(texts)
    seconds, characters = time.process_time() - began, sum(map(len, texts))
    kinds = Counter(span.kind for spans in found for span in spans)
    rates = {str(kind): n / characters * 10_000 for kind, n in kinds.most_common()}
    print(
        f"\n## {title}: {len(texts)} texts, {characters} characters, {characters / seconds:,.0f} characters/s of processor time"
    )
    print("  finds per 10,000 characters:", ", ".join(f"{kind} {rate:.2f}" for kind, rate in rates.items()) or "none")
    lines = [
        f"{s.source}: {t[max(0, s.start - 12) : s.start]}【{t[s.start : s.end]}】{t[s.end : s.end + 8]}"
        for t, spans in zip(texts, found, strict=True)
        for s in spans
        if s.kind is Kind.NAME
    ]
    for line in lines[:misses]:
        print("   ", line.replace("\n", "⏎"))
    return rates


def main() -> None:
    """Measures and prints all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("MEDICALGPT_REAL_DATA"))
    parser.add_argument("--half", choices=PORTIONS, default="report")
    parser.add_argument("--notes", type=int, default=2000)
    parser.add_argument("--texts", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--misses", type=int, default=0)
    parser.add_argument("--only", default="notes,queries,general,clean")
    parser.add_argument("--english", default="patterns,names", help="the detectors of English sets")
    args = parser.parse_args()
    if args.data is None:
        parser.error("name the folder of the public sets: --data or MEDICALGPT_REAL_DATA")
    data, portion, only = Path(args.data), PORTIONS[args.half], args.only.split(",")
    halves = (portion.others,)
    both = Detector() if {"notes", "clean"} & {*only} else None
    english = Detector(("en",), args.english.split(","))
    talks = chosen(
        CARRIERS[portion.carriers](data), (portion.half,), portion.most_carriers or args.texts, portion.carriers_after
    )
    if both and "notes" in only:
        for region, title in (("cn", "notes of the mainland"), ("tw", "notes of Taiwan"), ("hk", "notes of Hong Kong")):
            mine = [(r, t) for r, t in all_templates(portion.values) if r == region and half(t) in portion.templates]
            mine += MORE if args.half == "tune" and region == "cn" else []
            count = args.notes if region == "cn" else args.notes // 5
            made = notes(mine, talks, count, args.seed, portion.values)
            on_notes(both, made, args.misses, f"Chinese {title}, {len(mine)} templates")
    if "queries" in only:
        on_tagged(english, [row for row in queries(data) if half(row[0]) in halves], args.misses, "English queries")
    if "general" in only:
        on_tagged(
            english, [row for row in general(data) if half(row[0]) in halves], args.misses, "general English sentences"
        )
    if both and "clean" in only:
        on_clean(both, talks, args.misses, f"Chinese {portion.carriers} that stand around notes")
        on_clean(
            both,
            chosen(exams(data), halves, portion.most_exams or args.texts, portion.exams_after),
            args.misses,
            "Chinese exam questions",
        )
        on_clean(both, chosen(classics(data), halves, args.texts), args.misses, "Chinese classics")
        on_clean(english, chosen(answers(data), halves, args.texts), args.misses, "English answers")


if __name__ == "__main__":
    main()
