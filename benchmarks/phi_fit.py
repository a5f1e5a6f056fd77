"""Fits the numbers that names are scored with (phi/lists/zh/weights_*.txt) on the building portions; see docs/deidentification.md.

usage: phi_fit.py [--data FOLDER] [--left-out PORTION,PORTION] [--write]
Given names and non-names: made-up notes of phi_build.yaml, phi_forms.yaml and phi_further.yaml, the templates and values that earlier versions were tuned on, and those
of the portions that were reported before and are used up (third, fourth, fifth), around consultations and exam questions of the tuning half; and
those consultations, exam questions and classics, and what used-up portions had of them, as they are. --left-out fits without the notes of some
of these portions (`forms1`, `sixth1`: of half of its forms), so that they can be measured on.
Characters of given names come from phi_given.yaml, which is public knowledge; of the texts only counts of single characters enter the numbers.
First every possible name is weighed for itself, then beside what its document holds. Without --write half of the templates and texts are kept out, to
print what the scores find there.
"""

import argparse
import math
import os
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import chain
from pathlib import Path
from random import Random

import numpy as np
import yaml
from opencc import OpenCC
from scipy.sparse import csr_matrix, diags
from sklearn.linear_model import LogisticRegression

import medicalgpt.phi.lists
from medicalgpt.phi import Detector, name_weights
from medicalgpt.phi.fold import fold
from medicalgpt.phi.lac import Reading, lac
from medicalgpt.phi.name_company import Company, Marks
from medicalgpt.phi.name_features import between, left, right
from medicalgpt.phi.name_places import Place, candidates
from medicalgpt.phi.name_score import possible
from phi import PORTIONS
from phi_notes import BUILD, FIFTH, FORMS, FOURTH, FURTHER, MORE, SECOND, SIXTH, THIRD, Note, all_templates, notes
from phi_sets import chosen, classics, consultations, exams, half

LISTS = Path(medicalgpt.phi.lists.__file__).parent / "zh"
SHARES = {"often": 0.45, "common": 0.35, "seldom": 0.17, "odd": 0.02}
"""Of the characters of given names, by the lists of phi_given.yaml."""
REST = 3e-6
"""The share of any other character."""
SEEN = 20
"""How often a character of the texts is seen before it has a line of its own."""
STRENGTH, FLOOR, PARTLY = 0.01, 0.3, 0.3
"""Inverse of the L2 penalty, least standard deviation that a feature is scaled by, and the weight of a span that meets a name in part."""
LOOSE = 0.12
"""The share that is read of what is weighed only because personal data is near; each counts as many times more."""
APART = ("third", "fourth", "fifth", "sixth", "sixth1", "forms", "forms1", "further")
"""Portions that can be left out."""


@dataclass
class Table:
    """Rows of weighed features and their labels: a name (1), none (0), or part of one (2)."""

    columns: dict[str, int] = field(default_factory=dict)
    i: "array[int]" = field(default_factory=lambda: array("l"))
    j: "array[int]" = field(default_factory=lambda: array("l"))
    values: "array[float]" = field(default_factory=lambda: array("f"))
    labels: "array[int]" = field(default_factory=lambda: array("b"))
    weights: "array[float]" = field(default_factory=lambda: array("f"))
    out: "array[int]" = field(default_factory=lambda: array("b"))

    def add(self, found: Iterable[tuple[str, float]], label: int, weight: float, out: bool) -> None:
        """One row; `out`: it is kept out of the first fit."""
        row = len(self.labels)
        for name, value in found:
            self.i.append(row)
            self.j.append(self.columns.setdefault(name, len(self.columns)))
            self.values.append(value)
        self.labels.append(label)
        self.weights.append(weight * (PARTLY if label == 2 else 1.0))
        self.out.append(out)

    def matrix(self) -> csr_matrix:
        """All rows."""
        shape = (len(self.labels), len(self.columns))
        return csr_matrix((np.array(self.values), (np.array(self.i), np.array(self.j))), shape=shape)


@dataclass(frozen=True)
class Read:
    """A text, what the network made of it, what rules found, the names in it, and whether it is kept out of the first fit."""

    text: str
    reading: Reading
    marks: Marks
    names: frozenset[tuple[int, int]]
    made: bool
    out: bool

    def label(self, start: int, end: int) -> int:
        """Of a possible name."""
        return 1 if (start, end) in self.names else 2 if any(a < end and start < b for a, b in self.names) else 0


def made(talks: Sequence[str], asked: Sequence[str], left_out: Sequence[str]) -> list[Note]:
    """Notes to fit on, around consultations and exam questions."""
    old = [(region, t) for region, t in all_templates() if half(t) == 0]
    mainland = [(r, t) for r, t in [*old, *MORE, *all_templates(SECOND)] if r == "cn"]
    new = [(r, t) for r, t in all_templates(BUILD) if r == "cn"]
    abroad = [(r, t) for r, t in [*old, *all_templates(BUILD)] if r != "cn"]
    used = {"third": THIRD, "fourth": FOURTH, "fifth": FIFTH, "sixth": SIXTH}
    found = [
        *notes(new, talks, 2500, 4, BUILD),
        *notes(mainland, talks, 1200, 5, BUILD),
        *notes(abroad, talks, 600, 6, BUILD),
        *notes(mainland, talks, 700, 7, SECOND | {"odd": BUILD["odd"], "minority": BUILD["minority"]}),
    ]
    for n, (name, values) in enumerate(used.items()):
        if name not in left_out:
            kept = [(r, t) for r, t in all_templates(values) if half(t) == 0 or f"{name}1" not in left_out]
            found += _used(kept, [*talks, *asked], values, 8 + 2 * n, 1400 if name == "sixth" else 700)
    if "further" not in left_out:
        found += _used(all_templates(FURTHER), [*talks, *asked], FURTHER, 24, 1400)
    forms = [(r, t) for r, t in all_templates(FORMS) if half(t) == 0 or "forms1" not in left_out]
    if "forms" not in left_out:
        found += _used(forms, [*talks, *asked], FORMS, 20, 2000)
        found += _used(forms, [*talks, *asked], FORMS, 22, 1000)
    return found


def _used(
    templates: Sequence[tuple[str, str]], carriers: Sequence[str], values: dict[str, list[str]], seed: int, count: int
) -> list[Note]:
    """Notes of templates with their own values, and with those of `BUILD`."""
    mainland = [(r, t) for r, t in templates if r == "cn"]
    abroad = [(r, t) for r, t in templates if r != "cn"]
    more = BUILD | {key: each for key, each in values.items() if key.endswith(("_letters", "_works", "_units"))}
    return [
        *notes(mainland, carriers, count, seed, values),
        *notes(mainland, carriers, count * 2 // 3, seed + 1, more),
        *notes(abroad, carriers, count // 2, seed, values),
    ]


def characters(readings: Sequence[Reading]) -> dict[str, dict[str, float]]:
    """The weights of characters by the list they belong in."""
    tiers = {key: set(OpenCC("t2s").convert(line)) for key, line in yaml.safe_load(_given().read_text("utf-8")).items()}
    text = Counter(char for r in readings for char in r.plain if "\u3400" <= char <= "\u9fff")
    total = text.total()
    given = Counter[str]()
    for tier, share in SHARES.items():
        given.update(dict.fromkeys(tiers[tier], share / len(tiers[tier])))
    every = set(given) | {char for char, n in text.items() if n >= SEEN}
    peoples = {c: math.log(1 / len(tiers["peoples"]) / ((text[c] + 5) / total)) for c in tiers["peoples"]}
    return {
        "weights_given": {c: math.log((given[c] + REST) / ((text[c] + 5) / total)) for c in every}
        | {"?": math.log(REST / (8 / total))},
        "weights_peoples": peoples | {"?": -3.0},
    }


def _given() -> Path:
    return Path(__file__).with_name("phi_given.yaml")


def read(texts: Sequence[str], made_of: Sequence[Note | None], out: Sequence[bool]) -> list[Read]:
    """Each text as it is weighed."""
    rules = Detector(("zh", "en"), ("patterns", "names"))
    found = []
    for text, reading, note, apart in zip(texts, lac().read(texts), made_of, out, strict=True):
        marks = Marks.of_text(text, rules.by_rules(text))
        values = note.values if note else ()
        han = frozenset(
            (a, b) for a, b, kind in values if kind in ("name", "name short") and b - a > 1 and not text[a].isascii()
        )
        found.append(Read(text, reading, marks, han, note is not None, apart))
    return found


def alone(texts: Sequence[Read]) -> Table:
    """Every possible name for itself."""
    table, rng = Table(), Random(1)
    for one in texts:
        place = Place.of(one.text, one.reading)
        strict = set(candidates(place))
        before, behind = cache(partial(left, place)), cache(partial(right, place))
        for start, end in candidates(place, [*one.names, *one.marks.places()]):
            label = one.label(start, end)
            sure = label or (start, end) in strict
            if sure or rng.random() < LOOSE:
                edges = before(start), behind(end)
                found = chain(edges[0].features, edges[1].features, between(place, start, end, *edges))
                table.add(found, label, 1.0 if sure else 1 / LOOSE, one.out)
    return table


def together(texts: Sequence[Read]) -> Table:
    """Every possible name beside what else its text holds, scored for itself by the weights that stand."""
    table = Table()
    for one in texts:
        names = possible(Place.of(one.text, one.reading), one.marks)
        company = Company(one.text, names, one.marks, 0.0, len(one.marks.places()))
        for name in names:
            table.add(company.features(name), one.label(name.start, name.end), 1.0, one.out)
    return table


def fitted(table: Table, all_of_it: bool, strength: float = STRENGTH) -> dict[str, float]:
    """The weight of each feature, and the bias; of the rows that are not kept out or of all."""
    mine = np.ones(len(table.labels), bool) if all_of_it else np.array(table.out) == 0
    matrix = table.matrix()[mine]
    squares = matrix.multiply(matrix).mean(axis=0) - np.square(matrix.mean(axis=0))
    scale = np.maximum(np.sqrt(np.maximum(np.asarray(squares).ravel(), 0)), FLOOR)
    model = LogisticRegression(C=strength, max_iter=3000)
    weights = np.array(table.weights)[mine]
    model.fit(matrix @ diags(1 / scale), np.array(table.labels)[mine] == 1, sample_weight=weights)
    return {"bias": float(model.intercept_[0])} | dict(
        zip(table.columns, (model.coef_[0] / scale).tolist(), strict=True)
    )


def show(table: Table, weights: dict[str, float], title: str) -> None:
    """What a threshold finds of the names, and of what is none, among the possible names that were kept out."""
    kept_out = (np.array(table.out) == 1) & (np.array(table.labels) != 2)
    scores = (table.matrix() @ np.array([weights[name] for name in table.columns]) + weights["bias"])[kept_out]
    names, times = np.array(table.labels)[kept_out] == 1, np.array(table.weights)[kept_out]
    print(
        f"{title}: {len(table.labels)} possible names, {kept_out.sum()} of them kept out, {names.sum()} of those names"
    )
    for least in (-5, -4, -3, -2, -1, 0, 1, 2):
        above = scores >= least
        print(
            f"  score ≥ {least:2}: {(above & names).sum() / names.sum():.2%} of names, {times[above & ~names].sum():.0f} others"
        )


def write(name: str, weights: dict[str, float], digits: int, head: str) -> None:
    """A list of a thing and its weight a line, the highest first."""
    rounded = sorted(((round(value, digits), key) for key, value in weights.items()), key=lambda one: (-one[0], one[1]))
    lines = [
        f"# one a line: {head} By benchmarks/phi_fit.py.",
        *(f"{key} {value:.{digits}f}" for value, key in rounded),
    ]
    (LISTS / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


HEADS = {
    "weights_given": (
        1,
        "a character, and by how much (a natural logarithm) it stands oftener in given names than in medical text.",
    ),
    "weights_peoples": (
        1,
        "a character, and by how much (a natural logarithm) it stands oftener in names without a surname than in medical text.",
    ),
    "weights_names": (3, "a feature of a possible name (phi/name_features.py), and its weight."),
    "weights_company": (
        3,
        "a feature of a possible name beside what its document holds (phi/name_company.py), and its weight.",
    ),
}
"""The lists, their digits and what their first line says."""


def plain_texts(data: Path) -> list[str]:
    """Consultations, exam questions and classics that a portion to build on or a used-up one had."""
    most = PORTIONS["build"]
    found = [*chosen(consultations(data), (0,), 4600), *chosen(consultations(data), (1,), 1000, 3000)]
    found += [*chosen(exams(data), (0,), most.most_exams or 0), *chosen(exams(data), (1,), 3000)]
    return [*found, *chosen(classics(data), (0,), 10_000)]


def main() -> None:
    """Fits, prints, and writes where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("MEDICALGPT_REAL_DATA"))
    parser.add_argument("--left-out", default="", help=f"portions, of {', '.join(APART)}")
    parser.add_argument("--write", action="store_true", help="replace the lists in the package")
    args = parser.parse_args()
    if args.data is None:
        parser.error("name the folder of the public sets: --data or MEDICALGPT_REAL_DATA")
    left_out = args.left_out.split(",") if args.left_out else []
    if unknown := set(left_out) - set(APART):
        parser.error(f"--left-out came with {', '.join(sorted(unknown))}; allowed are {', '.join(APART)}")
    data = Path(args.data)
    plain, talks = plain_texts(data), chosen(consultations(data), (0,), PORTIONS["build"].most_carriers or 0)
    with_names = made(talks, chosen(exams(data), (0,), 1500), left_out)
    of: list[Note | None] = [*with_names, *[None] * len(plain)]
    templates = sorted({note.template for note in with_names})
    Random(0).shuffle(templates)
    apart = set(templates[::2])
    out = [note.template in apart if note else i % 2 == 0 for i, note in enumerate(of)]
    texts = read([fold(text) for text in [*(note.text for note in with_names), *plain]], of, out)
    lists = characters([one.reading for one in texts if not one.made])
    name_weights.GIVEN.clear()
    name_weights.GIVEN.update(lists["weights_given"])
    name_weights.PEOPLES.clear()
    name_weights.PEOPLES.update(lists["weights_peoples"])
    by_itself = alone(texts)
    lists["weights_names"] = fitted(by_itself, args.write)
    if not args.write:
        show(by_itself, lists["weights_names"], "each by itself")
    del by_itself
    name_weights.NAMES.clear()
    name_weights.NAMES.update(lists["weights_names"])
    beside = together(texts)
    lists["weights_company"] = fitted(beside, args.write, 0.1)
    if args.write:
        for name, (digits, head) in HEADS.items():
            write(name, lists[name], digits, head)
    else:
        show(beside, lists["weights_company"], "in company")


if __name__ == "__main__":
    main()
