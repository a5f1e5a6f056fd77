"""compare.html: runs side by side on one page for people. Every text in it is escaped; it loads nothing from elsewhere."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from medicalgpt.disk.private import private_files
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.page import environment

if TYPE_CHECKING:  # lazy: heavy
    from medicalgpt.browse.compare import Comparison, Curve

_CHARTS: Final = (
    ("loss", "Loss"),
    ("score", "Score of the model's own answers"),
    ("rewards/accuracy", "Pairs in which chosen beats rejected"),
    ("rewards/margin", "Margin between chosen and rejected"),
    ("learning_rate", "Learning rate"),
)
"""Metrics that are drawn where a run has them, one chart each, below each other in one figure."""
# As Okabe and Ito's palette, which eyes of all kinds tell apart; repeated with dashes.
_COLORS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_SAMPLES: Final = 40


def write_page(found: "Comparison", path: Path) -> Path:
    """Write the page with mode 0600; returns its path.

    Raises:
        RunError: the file cannot be written.
    """
    figure = curves_png(found)
    page = (
        environment(Path(__file__).parent)
        .get_template("compare.html.jinja")
        .render(
            found=found,
            same=[setting for setting in found.settings if setting.same],
            figure=None if figure is None else "data:image/png;base64," + base64.b64encode(figure).decode("ascii"),
            samples=found.samples[:_SAMPLES],
            more=max(0, len(found.samples) - _SAMPLES),
        )
    )
    with private_files():
        write_text(path, page)
    return path


def curves_png(found: "Comparison") -> bytes | None:
    """All curves of all runs in one figure, as a PNG; None where nothing was logged."""
    import matplotlib.style
    from matplotlib.figure import Figure

    charts = [(key, title) for key, title in _CHARTS if f"train/{key}" in found.curves or f"eval/{key}" in found.curves]
    if not charts:
        return None
    with matplotlib.style.context("default"):  # the user's own matplotlibrc must not change the picture
        figure = Figure(figsize=(8.0, 2.9 * len(charts)), dpi=150, layout="constrained")
        for axes, (key, title) in zip(figure.subplots(len(charts), 1, squeeze=False)[:, 0], charts):
            nothing: tuple[Curve, ...] = ((),) * len(found.runs)
            train, held_out = (found.curves.get(f"{part}/{key}", nothing) for part in ("train", "eval"))
            for at, name in enumerate(found.names):
                _draw(axes, train[at], held_out[at], name, at)
            points = ", points: held out" if any(held_out) else ""
            axes.set_title(f"{title} (lines: training{points})", fontsize=11, loc="left")
            axes.set_xlabel("step")
            axes.grid(True, color="#e2e8f0", linewidth=0.8)
            axes.spines[["top", "right"]].set_visible(False)
        figure.legend(*_legend(found.names), loc="outside upper center", ncols=min(4, len(found.names)), frameon=False)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _style(at: int) -> dict[str, str]:
    return {"color": _COLORS[at % len(_COLORS)], "linestyle": "-" if at < len(_COLORS) else "--"}


def _draw(axes: "object", train: "Curve", held_out: "Curve", name: str, at: int) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    if train:
        marker = "." if len(train) < 20 else ""  # a line through one point cannot be seen
        axes.plot(*zip(*train), linewidth=1.1, marker=marker, **_style(at))
    if held_out:
        axes.plot(*zip(*held_out), marker="o", markersize=5, linestyle="none", color=_style(at)["color"])


def _legend(names: Sequence[str]) -> tuple[list[object], list[str]]:
    from matplotlib.lines import Line2D

    # A name that begins with _ would be left out, one with $ would be read as mathematics.
    shown = [name.replace("$", r"\$") for name in names]
    return [Line2D([], [], **_style(at)) for at in range(len(names))], shown
