"""Charts of a run, drawn from metrics.jsonl alone: the same file gives the same pictures, in one language on one machine."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medicalgpt.disk.failures import explain
from medicalgpt.errors import RunError
from medicalgpt.runs import metrics
from medicalgpt.runs.atomic import write_bytes
from medicalgpt.runs.lettering import lettered, lettering

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Lines = Sequence[metrics.Line]

_BLUE, _RED, _GREEN, _GREY = "#2563ab", "#c2410c", "#15803d", "#475569"
_REWARDS = (("chosen", _GREEN), ("rejected", _RED), ("margin", _BLUE))


def draw(metrics_path: str | Path, out_dir: str | Path) -> list[Path]:
    """Draw loss.png, learning_rate.png, for preference runs rewards.png, for runs on own answers rollouts.png.

    A chart without data is not drawn.

    Raises:
        RunError: the metrics cannot be read or a picture cannot be written.
    """
    lines = metrics.read(metrics_path)
    out = Path(out_dir)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{out} could not be created: {explain(error, out.parent)}") from error
    paths = []
    with lettering():
        for name, chart in _CHARTS:
            figure = chart(lines)
            if figure is not None:
                paths.append(out / f"{name}.png")
                _save(figure, paths[-1])
    return paths


def _rollouts(lines: Lines) -> "Figure | None":
    """Score, KL, entropy and stop rate of a run that learns from its own answers."""
    if not _has(lines, "train/score"):
        return None
    charts = (
        ("score", lettered("Score (line: sampled answers, points: held out)"), lettered("score")),
        ("kl", lettered("KL to the reference"), lettered("nats per answer")),
        ("entropy", lettered("Entropy"), lettered("nats per token")),
        ("stop_rate", lettered("Answers that end by themselves"), lettered("share")),
    )
    figure, found = _canvas(len(charts))
    for axes, (name, title, unit) in zip(found, charts):
        _train(axes, lines, f"train/{name}", "", _BLUE)
        _held_out(axes, lines, f"eval/{name}", "", _RED)
        _finish(axes, title, unit)
        axes.set_xlabel(lettered("update"), fontsize=11)
    return figure


def _loss(lines: Lines) -> "Figure | None":
    if not (_has(lines, "train/loss") or _has(lines, "eval/loss")):
        return None
    figure, (axes,) = _canvas(1)
    _train(axes, lines, "train/loss", lettered("training"), _BLUE)
    _held_out(axes, lines, "eval/loss", lettered("held-out"), _RED)
    pairs = _has(lines, "rewards/margin", anywhere=True)
    _finish(axes, lettered("Loss"), lettered("loss (per pair)" if pairs else "loss (nats per token)"))
    return figure


def _learning_rate(lines: Lines) -> "Figure | None":
    if not _has(lines, "train/learning_rate"):
        return None
    figure, (axes,) = _canvas(1)
    _train(axes, lines, "train/learning_rate", "", _GREY)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
    axes.set_ylim(bottom=0)
    _finish(axes, lettered("Learning rate"), lettered("learning rate"))
    return figure


def _rewards(lines: Lines) -> "Figure | None":
    if not _has(lines, "rewards/margin", anywhere=True):
        return None
    figure, (top, bottom) = _canvas(2)
    for name, color in _REWARDS:
        _train(top, lines, f"train/rewards/{name}", lettered(name), color)
        _held_out(top, lines, f"eval/rewards/{name}", "", color)
    _train(bottom, lines, "train/rewards/accuracy", lettered("training"), _BLUE)
    _held_out(bottom, lines, "eval/rewards/accuracy", lettered("held-out"), _RED)
    top.axhline(0, color="#94a3b8", linewidth=0.8)
    bottom.axhline(0.5, color="#94a3b8", linewidth=0.8)
    bottom.set_ylim(-0.03, 1.03)
    _finish(top, lettered("Rewards (lines: training, points: held-out)"), lettered("reward (β × nats)"))
    _finish(bottom, lettered("Pairs in which chosen beats rejected"), lettered("share of pairs"))
    return figure


_CHARTS = (("loss", _loss), ("learning_rate", _learning_rate), ("rewards", _rewards), ("rollouts", _rollouts))


def _canvas(rows: int) -> "tuple[Figure, Sequence[Axes]]":
    """About 1000 pixels wide with large type, which stays readable when a phone scales it down to a third."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 3.3 * rows), dpi=200, layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    return figure, list(axes)


def _train(axes: "Axes", lines: Lines, key: str, label: str, color: str) -> None:
    steps, values = _series(lines, key)
    if steps:
        few = "." if len(steps) < 20 else ""  # a line through one point cannot be seen
        axes.plot(steps, values, color=color, linewidth=1.0, marker=few, label=label or "_")


def _held_out(axes: "Axes", lines: Lines, key: str, label: str, color: str) -> None:
    steps, values = _series(lines, key)
    if steps:
        axes.plot(steps, values, color=color, linestyle="none", marker="o", markersize=5, label=label or "_")


def _series(lines: Lines, key: str) -> tuple[list[int], list[float]]:
    """Steps and values of a metric; a value that was not finite leaves a gap."""
    found = [(line["step"], line[key]) for line in lines if key in line]
    return [step for step, _ in found], [float("nan") if value is None else float(value) for _, value in found]


def _has(lines: Lines, key: str, anywhere: bool = False) -> bool:
    names = (f"train/{key}", f"eval/{key}") if anywhere else (key,)
    return any(line.get(name) is not None for line in lines for name in names)


def _finish(axes: "Axes", title: str, unit: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title, fontsize=12, loc="left")
    axes.set_xlabel(lettered("optimizer step"), fontsize=11)
    axes.set_ylabel(unit, fontsize=11)
    axes.tick_params(labelsize=10, labelbottom=True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(True, color="#e2e8f0", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=10, frameon=False)


def _save(figure: "Figure", path: Path) -> None:
    picture = io.BytesIO()
    # Without the program's name and version inside, equal charts are equal files.
    figure.savefig(picture, format="png", metadata={"Software": None})
    write_bytes(path, picture.getvalue())
