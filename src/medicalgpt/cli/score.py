"""`medicalgpt score`: what a reward model says about answers."""

import json
from pathlib import Path
from typing import Annotated

import typer

from medicalgpt.cli import model_options as option
from medicalgpt.cli.say import say


def score(
    model: option.Model,
    source: Annotated[Path, typer.Option("--input", metavar="FILE", help="Preference pairs, or dialogues.")],
    target: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="One JSON line a row: its place and its scores.")
    ] = None,
    pairs: Annotated[bool, typer.Option("--pairs/--dialogues", help="What the rows are.")] = True,
    max_tokens: Annotated[int, typer.Option(min=16, help="Longest row; longer ones are cut as in training.")] = 1024,
    template: option.Template = None,
    revision: option.Revision = None,
    dtype: option.Dtype = "auto",
    quantization: option.Quantization = "none",
    trust_remote_code: option.TrustRemoteCode = False,
) -> None:
    """Score answers with a reward model; for pairs also accuracy, margin, calibration and the pull of length."""
    from medicalgpt.config.sections import ModelConfig
    from medicalgpt.errors import ModelError
    from medicalgpt.models.load import load
    from medicalgpt.rewards.reward_model import score_file
    from medicalgpt.runs.reward_report import lines

    if target is not None and target.exists():
        raise ModelError(f"{target} exists already; name another --output or remove it")
    settings = {"base": model, "revision": revision, "dtype": dtype, "trust_remote_code": trust_remote_code}
    loaded = load(ModelConfig.model_validate(settings), quantization, head="score")
    rows = score_file(loaded, source, "preference" if pairs else "dialogue", max_tokens, template)
    if target is not None:
        partial = target.with_name(target.name + ".partial")
        names = ("chosen", "rejected") if pairs else ("score",)
        text = "".join(
            json.dumps({"source": place, **dict(zip(names, map(float, values)))}, ensure_ascii=False) + "\n"
            for place, values in zip(rows.places, rows.scores)
        )
        partial.write_text(text, encoding="utf-8")
        partial.rename(target)
        say(f"{len(rows.places)} rows → {target}")
    if pairs:
        say("\n".join(lines(rows.report())))
    else:
        say(f"{len(rows.places)} answers: score mean {rows.scores.mean():.3f}, std {rows.scores.std():.3f}")
