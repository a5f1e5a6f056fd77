"""`medicalgpt quantize`: a model with its weights in 8 or 4 bits."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from medicalgpt.cli import model_options as option
from medicalgpt.cli.merge import AllowDrift
from medicalgpt.cli.say import padded, say
from medicalgpt.language import translated


def quantize(
    model: option.Model,
    output: Annotated[Path, typer.Option(metavar="DIR", help="New folder for the quantized model.")],
    method: Annotated[
        Literal["int8", "nf4", "cpu-int8", "cpu-int4"],
        typer.Option(help="int8 and nf4: bitsandbytes, for GPUs; cpu-int8 and cpu-int4: for machines without one."),
    ],
    text: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="UTF-8 text to measure perplexity on; default: a held-out sample of ours."),
    ] = None,
    template: option.Template = None,
    revision: option.Revision = None,
    trust_remote_code: option.TrustRemoteCode = False,
    allow_drift: AllowDrift = False,
) -> None:
    """Quantize a model's weights; compare and measure it before and after; certificate and model card."""
    from medicalgpt.export.quantize import quantize as make

    done = make(
        model,
        output,
        method,
        text=text,
        template=template,
        allow_drift=allow_drift,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    typer.echo(padded("", 22) + padded(translated("before"), 10) + translated("after"))
    after = done.after.as_dict()
    for name, before in done.before.as_dict().items():
        typer.echo(padded(translated(name.replace("_", " ")), 18) + f"{before:>10.2f}{after[name]:>10.2f}")
    say(done.certificate.summary())
    say(f"{method} → {output}")
