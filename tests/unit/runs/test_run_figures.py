"""Charts: drawn from what was measured, and equal for equal metrics."""

from pathlib import Path

import pytest

from medicalgpt.errors import RunError
from medicalgpt.runs import MetricsLog, figures, metrics


def language_run(path: Path) -> Path:
    log = MetricsLog(path)
    log.append(0, {"eval/loss": 3.0})
    for step in range(1, 6):
        loss = float("nan") if step == 3 else 3.0 / step
        log.append(step, {"train/loss": loss, "train/learning_rate": 1e-4 * step})
    log.append(5, {"eval/loss": 1.0})
    return path


def preference_run(path: Path) -> Path:
    log = MetricsLog(path)
    for step in range(1, 4):
        rewards = {"chosen": 0.1 * step, "rejected": -0.1 * step, "margin": 0.2 * step, "accuracy": 0.5 + step / 10}
        log.append(step, {"train/loss": 0.6} | {f"train/rewards/{k}": v for k, v in rewards.items()})
    log.append(3, {"eval/rewards/accuracy": 0.7, "eval/rewards/margin": 0.5})
    return path


def test_charts_are_those_with_data_and_are_readable_pngs(tmp_path: Path) -> None:
    from PIL import Image

    drawn = figures.draw(language_run(tmp_path / "m.jsonl"), tmp_path / "figures")
    assert [p.name for p in drawn] == ["loss.png", "learning_rate.png"]
    for path in drawn:
        with Image.open(path) as picture:
            assert (picture.format, picture.size) == ("PNG", (1000, 660))
            assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 10
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == ["learning_rate.png", "loss.png"]


def test_preference_runs_get_a_rewards_chart(tmp_path: Path) -> None:
    drawn = figures.draw(preference_run(tmp_path / "m.jsonl"), tmp_path)
    assert [p.name for p in drawn] == ["loss.png", "rewards.png"]


def test_the_lines_show_the_measured_values_with_units(tmp_path: Path) -> None:
    figure = figures._loss(metrics.read(language_run(tmp_path / "m.jsonl")))
    assert figure is not None
    (axes,) = figure.axes
    training, held_out = axes.get_lines()
    assert list(training.get_xdata()) == [1, 2, 3, 4, 5]
    assert [v for v in training.get_ydata() if v == v] == [3.0, 1.5, 0.75, 0.6]  # the NaN of step 3 is a gap
    assert (list(held_out.get_xdata()), list(held_out.get_ydata())) == ([0, 5], [3.0, 1.0])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("optimizer step", "loss (nats per token)")
    rewards = figures._rewards(metrics.read(preference_run(tmp_path / "p.jsonl")))
    assert rewards is not None
    assert [axes.get_ylabel() for axes in rewards.axes] == ["reward (β × nats)", "share of pairs"]
    assert rewards.axes[0].get_legend_handles_labels()[1] == ["chosen", "rejected", "margin"]


def test_equal_metrics_give_equal_files_whatever_the_users_style(tmp_path: Path) -> None:
    import matplotlib

    source = language_run(tmp_path / "m.jsonl")
    first = [p.read_bytes() for p in figures.draw(source, tmp_path / "a")]
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "savefig.dpi": 50}):
        second = [p.read_bytes() for p in figures.draw(source, tmp_path / "b")]
    assert first == second


def test_no_metrics_no_charts(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").touch()
    assert figures.draw(tmp_path / "m.jsonl", tmp_path / "figures") == []
    with pytest.raises(RunError, match="cannot be read"):
        figures.draw(tmp_path / "missing.jsonl", tmp_path / "figures")


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    source = language_run(tmp_path / "m.jsonl")
    with pytest.raises(RunError, match=r"m\.jsonl could not be created"):
        figures.draw(source, source)
