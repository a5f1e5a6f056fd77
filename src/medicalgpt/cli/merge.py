"""`medicalgpt merge`: a base and its adapters as one plain model."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from medicalgpt.cli import model_options as option
from medicalgpt.cli.say import say

AllowDrift = Annotated[
    bool,
    typer.Option(
        "--allow-drift", help="Publish a model that differs beyond the tolerance; its certificate and card say so."
    ),
]


def merge(
    model: option.Model,
    output: Annotated[Path, typer.Option(metavar="DIR", help="New folder for the merged model.")],
    adapter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="An adapter or run folder on top; repeat in the order of training.",
            rich_help_panel="Model",
        ),
    ] = None,
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        typer.Option(help="Type of the written weights; auto as for other commands.", rich_help_panel="Model"),
    ] = "auto",
    template: option.Template = None,
    revision: option.Revision = None,
    trust_remote_code: option.TrustRemoteCode = False,
    allow_drift: AllowDrift = False,
) -> None:
    """Fold adapters into their base: full weights, tokenizer, chat template, stop tokens, certificate and model card."""
    from medicalgpt.export.merge import merge_adapters

    done = merge_adapters(
        model,
        adapter or [],
        output,
        dtype=dtype,
        template=template,
        allow_drift=allow_drift,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    for number, check in enumerate(done.checks, 1):
        say(f"adapter {number}: {check}")
    say(done.certificate.summary())
    say(f"merged → {output}")
