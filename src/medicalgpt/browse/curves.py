"""The curves of several runs in one figure."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

from medicalgpt.runs.lettering import can_draw, lettered, lettering

if TYPE_CHECKING:  # lazy: heavy
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

Curve = Sequence[tuple[int, float]]
"""Steps and values of a metric."""

_CHARTS: Final = {
    "loss": "Loss",
    "score": "Score of the model's own answers",
    "rewards/accuracy": "Pairs in which chosen beats rejected",
    "rewards/margin": "Margin between chosen and rejected",
    "learning_rate": "Learning rate",
}
"""Metrics that are drawn where a run has them, one chart each, below each other in one figure."""
# As Okabe and Ito's palette, which eyes of all kinds tell apart; repeated with dashes.
_COLORS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def curves_png(names: Sequence[str], curves: Mapping[str, Sequence[Curve]]) -> bytes | None:
    """All curves of all runs in one figure, as a PNG; None where nothing was logged.

    Args:
        names: of the runs. curves: of each metric, those of the runs in this order.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    charts = [key for key in _CHARTS if f"train/{key}" in curves or f"eval/{key}" in curves]
    if not charts:
        return None
    with lettering():
        figure = Figure(figsize=(8.0, 2.9 * len(charts)), dpi=150, layout="constrained")
        for axes, key in zip(figure.subplots(len(charts), 1, squeeze=False)[:, 0], charts):
            nothing: Sequence[Curve] = ((),) * len(names)
            train, held_out = (curves.get(f"{part}/{key}", nothing) for part in ("train", "eval"))
            for at in range(len(names)):
                _draw(axes, train[at], held_out[at], at)
            title = _CHARTS[key]
            shown = lettered(
                f"{title} (lines: training, points: held out)" if any(held_out) else f"{title} (lines: training)"
            )
            axes.set_title(shown, fontsize=11, loc="left")
            axes.set_xlabel(lettered("step"))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(True, color="#e2e8f0", linewidth=0.8)
            axes.spines[["top", "right"]].set_visible(False)
        figure.legend(*_legend(names), loc="outside upper center", ncols=min(4, len(names)), frameon=False)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _style(at: int) -> tuple[str, Literal["-", "--"]]:
    """Color and line of a run."""
    return _COLORS[at % len(_COLORS)], "-" if at < len(_COLORS) else "--"


def _draw(axes: "Axes", train: Curve, held_out: Curve, at: int) -> None:
    if train:
        marker = "." if len(train) < 20 else ""  # a line through one point cannot be seen
        color, line = _style(at)
        axes.plot(*zip(*train), linewidth=1.1, marker=marker, color=color, linestyle=line)
    if held_out:
        axes.plot(*zip(*held_out), marker="o", markersize=5, linestyle="none", color=_style(at)[0])


def _legend(names: Sequence[str]) -> "tuple[list[Line2D], list[str]]":
    from matplotlib.lines import Line2D

    # A name that begins with _ would be left out, one with $ would be read as mathematics, and one without glyphs is a row of boxes.
    shown = [
        name.replace("$", r"\$") if can_draw(name) else lettered(f"run {at}") for at, name in enumerate(names, start=1)
    ]
    styles = [_style(at) for at in range(len(names))]
    return [Line2D([], [], color=color, linestyle=line) for color, line in styles], shown
