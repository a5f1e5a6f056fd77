"""Fits the numbers that names are scored with (phi/lists/zh/weights_*.txt) on the building portion; see docs/deidentification.md.

usage: phi_fit.py [--data FOLDER] [--write]
Given names and non-names: made-up notes of phi_build.yaml and the templates and values that earlier versions were tuned on, around consultations
of the tuning half; the same with templates and names of the third and fourth portion, which were reported before and are used up; and those
consultations, exam questions and classics of the tuning half and what the third and fourth portion had of them, as they are. No name, template or text of the fifth and sixth portion is read. Characters of given names come from phi_given.yaml, which is public knowledge; of the texts only counts of single
characters enter the numbers. Half of the templates and texts are kept out first, to print what the score finds there; then all are fitted.
"""

import argparse
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import yaml
from opencc import OpenCC
from scipy.sparse import csr_matrix, diags
from sklearn.linear_model import LogisticRegression

import medicalgpt.phi.lists
from medicalgpt.phi import name_weights
from medicalgpt.phi.fold import fold
from medicalgpt.phi.lac import Reading, lac
from medicalgpt.phi.name_features import features
from medicalgpt.phi.name_places import Place, candidates
from phi import PORTIONS
from phi_notes import BUILD, FOURTH, MORE, SECOND, THIRD, Note, all_templates, notes
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


@dataclass(frozen=True)
class Example:
    """A possible name: its features, whether it is one (1), none (0) or part of one (2), and whether it is kept out of the first fit."""

    features: dict[str, float]
    label: int
    kept_out: bool


def made(talks: Sequence[str]) -> list[Note]:
    """Notes to fit on: of other names and templates than those that are reported."""
    old = [(region, t) for region, t in all_templates() if half(t) == 0]
    mainland = [(r, t) for r, t in [*old, *MORE, *all_templates(SECOND)] if r == "cn"]
    new = [(r, t) for r, t in all_templates(BUILD) if r == "cn"]
    abroad = [(r, t) for r, t in [*old, *all_templates(BUILD)] if r != "cn"]
    return [
        *notes(new, talks, 3500, 4, BUILD),
        *notes(mainland, talks, 2000, 5, BUILD),
        *notes(abroad, talks, 800, 6, BUILD),
        *notes(mainland, talks, 1000, 7, SECOND | {"odd": BUILD["odd"], "minority": BUILD["minority"]}),
        *(note for n, values in enumerate((THIRD, FOURTH)) for note in _used(talks, values, 8 + 2 * n)),
    ]


def _used(talks: Sequence[str], values: dict[str, list[str]], seed: int) -> list[Note]:
    """Notes of a portion that was reported once and is used up: its templates with its own values, and with those of `BUILD`."""
    mainland = [(r, t) for r, t in all_templates(values) if r == "cn"]
    abroad = [(r, t) for r, t in all_templates(values) if r != "cn"]
    return [
        *notes(mainland, talks, 1000, seed, values),
        *notes(mainland, talks, 1000, seed + 1, BUILD),
        *notes(abroad, talks, 300, seed, values),
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


def examples(
    texts: Sequence[str], readings: Sequence[Reading], made_of: Sequence[Note | None], out: Sequence[bool]
) -> Iterator[Example]:
    """Every possible name of every text."""
    for text, reading, note, kept_out in zip(texts, readings, made_of, out, strict=True):
        names = {(a, b) for a, b, kind in note.values if kind == "name"} if note else set()
        place = Place.of(text, reading)
        for start, end in candidates(place):
            near = any(a < end and start < b for a, b in names)
            label = 1 if (start, end) in names else 2 if near else 0
            yield Example(dict(features(place, start, end)), label, kept_out)


def fitted(rows: Sequence[Example], names: Sequence[str]) -> dict[str, float]:
    """The weight of each feature, and the bias."""
    column = {name: i for i, name in enumerate(names)}
    cells = [(i, column[name], value) for i, row in enumerate(rows) for name, value in row.features.items()]
    i, j, values = zip(*cells, strict=True)
    matrix = csr_matrix((values, (i, j)), shape=(len(rows), len(names)))
    squares = matrix.multiply(matrix).mean(axis=0) - np.square(matrix.mean(axis=0))
    scale = np.maximum(np.sqrt(np.maximum(np.asarray(squares).ravel(), 0)), FLOOR)
    labels = np.array([row.label for row in rows])
    model = LogisticRegression(C=STRENGTH, max_iter=6000)
    model.fit(matrix @ diags(1 / scale), labels == 1, sample_weight=np.where(labels == 2, PARTLY, 1.0))
    return {"bias": float(model.intercept_[0])} | dict(zip(names, (model.coef_[0] / scale).tolist(), strict=True))


def show(rows: Sequence[Example], weights: dict[str, float]) -> None:
    """What a threshold finds of the names, and of what is none, among the possible names that were kept out."""
    kept = [row for row in rows if row.kept_out and row.label != 2]
    scores = np.array([weights["bias"] + sum(weights.get(n, 0) * v for n, v in row.features.items()) for row in kept])
    names = np.array([row.label == 1 for row in kept])
    print(f"{len(rows)} possible names, {len(kept)} of them kept out, {names.sum()} of those names")
    for least in (-3, -2, -1, 0, 1, 2):
        above = scores >= least
        print(
            f"  score ≥ {least:2}: {(above & names).sum() / names.sum():.2%} of names, {(above & ~names).sum()} others"
        )


def write(name: str, weights: dict[str, float], digits: int, head: str) -> None:
    """A list of a thing and its weight a line, the highest first."""
    rounded = sorted(((round(value, digits), key) for key, value in weights.items()), key=lambda one: (-one[0], one[1]))
    lines = [
        f"# one a line: {head} By benchmarks/phi_fit.py.",
        *(f"{key} {value:.{digits}f}" for value, key in rounded),
    ]
    (LISTS / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Fits, prints, and writes where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("MEDICALGPT_REAL_DATA"))
    parser.add_argument("--write", action="store_true", help="replace the lists in the package")
    args = parser.parse_args()
    if args.data is None:
        parser.error("name the folder of the public sets: --data or MEDICALGPT_REAL_DATA")
    data, portion = Path(args.data), PORTIONS["build"]
    talks = chosen(consultations(data), (0,), portion.most_carriers or 0)
    plain = [*talks, *chosen(exams(data), (0,), portion.most_exams or 0), *chosen(classics(data), (0,), 10_000)]
    plain += [*chosen(consultations(data), (1,), 1000, 3000), *chosen(consultations(data), (0,), 2000, 2600)]
    plain += chosen(exams(data), (1,), 3000)
    with_names = made(talks)
    of: list[Note | None] = [*with_names, *[None] * len(plain)]
    texts = [fold(text) for text in [*(note.text for note in with_names), *plain]]
    readings = lac().read(texts)
    lists = characters(readings[len(with_names) :])
    name_weights.GIVEN.clear(), name_weights.GIVEN.update(lists["weights_given"])
    name_weights.PEOPLES.clear(), name_weights.PEOPLES.update(lists["weights_peoples"])
    templates = sorted({note.template for note in with_names})
    Random(0).shuffle(templates)
    apart = set(templates[::2])
    out = [note.template in apart if note else i % 2 == 0 for i, note in enumerate(of)]
    rows = list(examples(texts, readings, of, out))
    names = sorted({name for row in rows for name in row.features})
    show(rows, fitted([row for row in rows if not row.kept_out], names))
    if args.write:
        what = "by how much (a natural logarithm) it stands oftener"
        write(
            "weights_given", lists["weights_given"], 1, f"a character, and {what} in given names than in medical text."
        )
        write(
            "weights_peoples",
            lists["weights_peoples"],
            1,
            f"a character, and {what} in names without a surname than in medical text.",
        )
        write(
            "weights_names",
            fitted(rows, names),
            3,
            "a feature of a possible name (phi/name_features.py), and its weight.",
        )


if __name__ == "__main__":
    main()
