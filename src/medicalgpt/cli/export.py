"""`medicalgpt export`: a model for other programs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from medicalgpt.cli import model_options as option
from medicalgpt.cli.say import say

app = typer.Typer(no_args_is_help=True, help="Write a model for other programs.")


@app.callback()
def _group() -> None:
    """Keeps `export` a group of commands while it has only one."""


@app.command("gguf")
def gguf(
    model: option.Model,
    output: Annotated[Path, typer.Option(metavar="FILE.gguf", help="The file to write.")],
    kind: Annotated[
        Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"],
        typer.Option("--type", help="Type of the weights; q8_0 is a quarter of f32 and differs little."),
    ] = "q8_0",
    pre: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="llama.cpp's name of the tokenizer's rule, where it is not found by itself."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there already.")] = False,
    allow_drift: Annotated[
        bool, typer.Option("--allow-drift", help="Publish also what differs from the model beyond the tolerance.")
    ] = False,
    template: option.Template = None,
    adapter: option.Adapter = None,
    revision: option.Revision = None,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"],
        typer.Option(help="Weight type while loading and merging; bfloat16 takes half the memory and rounds."),
    ] = "float32",
    trust_remote_code: option.TrustRemoteCode = False,
) -> None:
    """One GGUF file for llama.cpp, Ollama, LM Studio …: weights, tokenizer, chat template and every stop token.

    An adapter is merged first, in memory; the merge is checked as in a pipeline. Where llama.cpp is installed it reads the
    file, and a certificate beside it says how far its words are from the model's.
    """
    from medicalgpt.config.sections import ModelConfig
    from medicalgpt.export.gguf import export_gguf

    config = ModelConfig(
        base=model, adapter=adapter, revision=revision, dtype=dtype, trust_remote_code=trust_remote_code
    )
    written = export_gguf(
        config, output, kind, template=template, pre=pre, overwrite=overwrite, allow_drift=allow_drift
    )
    counts = ", ".join(f"{count} × {name}" for name, count in sorted(written.types.items()))
    say(f"{written.path}: {written.size / 1e6:,.1f} MB; tensors: {counts}")
    for note in written.notes:
        say(f"note: {note}")
