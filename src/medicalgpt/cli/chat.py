"""`medicalgpt chat`: talk to a model in the terminal, or ask it line by line through a pipe."""

import sys
from typing import Annotated, Literal

import typer

from medicalgpt.cli import model_options as option


def chat(
    model: option.Model,
    system: option.System = None,
    thinking: Annotated[
        Literal["show", "hide"], typer.Option(help="Thoughts of a model that thinks before it answers.")
    ] = "show",
    max_new_tokens: option.MaxNewTokens = 512,
    temperature: option.Temperature = 0.7,
    top_p: option.TopP = 0.9,
    top_k: option.TopK = 0,
    repetition_penalty: option.RepetitionPenalty = 1.0,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of the answers; default: a new one.", rich_help_panel="Sampling"),
    ] = None,
    stop: option.Stop = None,
    template: option.Template = None,
    adapter: option.Adapter = None,
    revision: option.Revision = None,
    dtype: option.Dtype = "auto",
    quantization: option.Quantization = "none",
    backend: option.Backend = "auto",
    trust_remote_code: option.TrustRemoteCode = False,
) -> None:
    """Talk to a model. Not a doctor: for education and research."""
    import secrets

    from rich.console import Console

    from medicalgpt.generate.sampling import Sampling

    sampling = Sampling(
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        repetition_penalty=repetition_penalty,
        seed=secrets.randbelow(2**31) if seed is None else seed,
        stop=tuple(stop or ()),
    )
    from medicalgpt.generate.engine import Engine
    from medicalgpt.serve.chat import Chat

    engine = Engine.open(
        model,
        adapter=adapter,
        template=template,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        quantization=quantization,
        revision=revision,
        backend=backend,
    )
    read = _typed if sys.stdin.isatty() else _piped
    Chat(engine, sampling, read, Console(highlight=False), system, thinking).run()


def _typed() -> str:
    """A line from the keyboard, with editing where the platform has it."""
    import contextlib

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 (importing it is what gives `input` its editing)
    return input("\n› ")


def _piped() -> str:
    from medicalgpt.errors import ServeError

    try:
        line = sys.stdin.readline()
        line.encode()  # half characters, which some locales let through
    except UnicodeError:
        raise ServeError("a line of the input is not valid UTF-8; convert the input first") from None
    if not line:
        raise EOFError
    return line
