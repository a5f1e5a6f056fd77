"""The pictures of docs/explained.md: drawn by the code that they explain, or from numbers that docs/results.md has."""

import re
from pathlib import Path
from typing import Any

from terminal_picture import svg

ROOT = Path(__file__).resolve().parents[1]
GREEN, GRAY, RED = "#0f766e", "#64748b", "#b91c1c"
# Segments of a packed row: (words of its tokens, parent). A pair with one prompt, and a dialogue.
TREES = [
    [("What is a fever ?", -1), ("More than 38 °C .", 0), ("A cold .", 0)],
    [("Hello ! How can I help ?", -1)],
]
NOTE = (
    "Mr. John Smith, MRN 12345678, was seen on 12 April 2023. Phone (415) 555-0132.",
    "Parkinson's disease; levodopa 100 mg three times a day. Mr. Smith will call again.",
)


def trees(folder: Path, out: Path) -> None:
    """Who sees whom in a packed row, by the batch and the layout that training uses."""
    words, seen = packed()
    plt = _pyplot()
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "medicalgpt", "font.family": "sans-serif"}):
        figure, axis = plt.subplots(figsize=(7, 6.4), layout="constrained")
        axis.imshow(seen, cmap=_two_colors(), vmin=0, vmax=1)
        axis.set_xticks(range(len(words)), words, rotation=90, fontsize=8)
        axis.set_yticks(range(len(words)), words, fontsize=8)
        axis.set_xlabel("is seen")
        axis.set_ylabel("token")
        for edge in range(1, len(words)):
            axis.axhline(edge - 0.5, color="white", lw=0.6)
            axis.axvline(edge - 0.5, color="white", lw=0.6)
        figure.savefig(out / "trees.svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)


def packed() -> tuple[list[str], list[list[int]]]:
    """The row's words, and a matrix: 1 where the token of the row may look at the token of the column."""
    import numpy as np

    from medicalgpt.data.records import Source
    from medicalgpt.kernels.attention import TreeLayout
    from medicalgpt.rendering.batch import pack_trees
    from medicalgpt.rendering.tree import Segment, TokenTree

    words = [word for tree in TREES for text, _ in tree for word in text.split()]
    grown, number = [], iter(range(len(words)))
    for place, tree in enumerate(TREES):
        segments = []
        for text, parent in tree:
            ids = np.array([next(number) for _ in text.split()], np.int32)
            weights = np.full(len(ids), float(parent >= 0), np.float32)
            if len(tree) == 1:  # a dialogue is one segment; its first half is the question
                weights[len(ids) // 2 :] = 1.0
            segments.append(Segment(ids, weights, parent))
        grown.append(TokenTree(tuple(segments), Source("picture", place)))
    batch = pack_trees(grown)
    layout = TreeLayout(batch.spans, batch.position_ids)
    seen = np.zeros((len(words), len(words)), int)
    for span, mask in zip(batch.spans, layout.masks(None)):
        parts = [batch.spans[a] for a in span.ancestors] + [span]
        keys = np.concatenate([np.arange(part.start, part.end) for part in parts])
        size = span.end - span.start
        seen[span.start : span.end, keys] = np.tril(np.ones((size, size), int)) if mask is None else mask.numpy()
    return words, seen.tolist()


def gates(folder: Path, out: Path) -> None:
    """Four real differences with their intervals, and the line that the lower end must not cross."""
    found = verdicts((ROOT / "docs/results.md").read_text(encoding="utf-8"))
    plt = _pyplot()
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "medicalgpt", "font.family": "sans-serif"}):
        figure, axis = plt.subplots(figsize=(8.5, 2.6), layout="constrained")
        colors = {"PASS": GREEN, "BLOCK": RED, "INCONCLUSIVE": GRAY}
        for row, (word, _, value, low, high) in enumerate(reversed(found)):
            axis.errorbar(value, row, xerr=[[value - low], [high - value]], fmt="o", color=colors[word], capsize=4)
            axis.annotate(
                f"{word}  {value:+.1f} [{low:+.1f}, {high:+.1f}]",
                (18, row),
                va="center",
                fontsize=9,
                color=colors[word],
            )
        axis.set_yticks(range(len(found)), [name for _, name, *_ in reversed(found)])
        axis.axvline(-2, color=RED, ls="--", lw=1)
        axis.annotate("may lose 2", (-2, len(found) - 0.45), fontsize=8, color=RED, ha="right")
        axis.axvline(0, color=GRAY, lw=0.8)
        axis.set_xlim(-28, 46)
        axis.set_ylim(-0.6, len(found) - 0.1)
        axis.set_xlabel("points of accuracy against the base, with the interval that is judged")
        axis.spines[["top", "right"]].set_visible(False)
        figure.savefig(out / "gates.svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)


def verdicts(page: str) -> list[tuple[str, str, float, float, float]]:
    """(verdict, test, difference, low, high) of the evaluations that docs/results.md shows, the undecided mean first."""
    number = r"([+−-]?\d+\.\d+)"
    undecided = re.search(rf"says INCONCLUSIVE: {number} points \[{number}, {number}\]", page)
    found = [("INCONCLUSIVE", "all four, after DPO", *undecided.groups())] if undecided else []
    found += re.findall(
        rf"^(BLOCK|PASS) +([\w-]+): {number} points \[{number}, {number}\], may lose 2", page, re.MULTILINE
    )
    out = []
    for word, name, *numbers in found:
        difference, low, high = (float(n.replace("−", "-")) for n in numbers)
        out.append((word, name if word == "INCONCLUSIVE" else f"{name}, after SFT", difference, low, high))
    return out


def personal(folder: Path, out: Path) -> None:
    """A made-up note with what the detector finds in color, and what is left of it masked."""
    from medicalgpt.phi import Detector, Operator

    spans = Detector(languages=["en"]).find_document(list(NOTE))
    shown = []
    for text, found in zip(NOTE, spans):
        for span in sorted(found, key=lambda s: -s.start):
            text = f"{text[: span.start]}\x1b[1;31m{text[span.start : span.end]}\x1b[0m{text[span.end :]}"
        shown.append(text)
    masked = Operator("mask").apply_document(list(NOTE), spans)
    marked = [re.sub(r"\[[A-Z]+\d+\]", lambda mask: f"\x1b[1;32m{mask[0]}\x1b[0m", text) for text in masked]
    (out / "personal-data.svg").write_text(svg([*shown, "", *marked]), encoding="utf-8")


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    return plt


def _two_colors() -> Any:
    from matplotlib.colors import ListedColormap

    return ListedColormap(["#e2e8f0", GREEN])
