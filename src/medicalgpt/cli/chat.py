"""`medicalgpt chat`: talk to a model in the terminal, or ask it line by line through a pipe."""

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from medicalgpt.cli import model_options as option

if TYPE_CHECKING:
    from medicalgpt.generate.engine import Engine
    from medicalgpt.generate.sampling import Sampling


def chat(
    model: option.Model,
    system: option.System = None,
    no_history: option.NoHistory = False,
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
    family: option.Family = "auto",
    adapter: option.Adapter = None,
    tokenizer: option.Tokenizer = None,
    resize_embeddings: option.ResizeEmbeddings = False,
    revision: option.Revision = None,
    dtype: option.Dtype = "auto",
    quantization: option.Quantization = "none",
    backend: option.Backend = "auto",
    trust_remote_code: option.TrustRemoteCode = False,
) -> None:
    """Talk to a model. Not a doctor: for education and research."""
    from medicalgpt.generate.sampling import Sampling

    sampling = Sampling(
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        repetition_penalty=repetition_penalty,
        seed=new_seed() if seed is None else seed,
        stop=tuple(stop or ()),
    )
    from medicalgpt.generate.engine import Engine

    engine = Engine.open(
        model,
        adapter=adapter,
        template=template,
        family=family,
        tokenizer=tokenizer,
        resize_embeddings=resize_embeddings,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        quantization=quantization,
        revision=revision,
        backend=backend,
    )
    talk(engine, sampling, system, history=not no_history, thinking=thinking)


def new_seed() -> int:
    """A seed that no earlier chat had."""
    import secrets

    return secrets.randbelow(2**31)


def talk(
    engine: "Engine",
    sampling: "Sampling",
    system: str | None,
    history: bool,
    thinking: Literal["show", "hide"] = "show",
) -> None:
    """The terminal chat: with editing at a keyboard, line by line from a pipe."""
    from rich.console import Console

    from medicalgpt.serve.chat import Chat

    read = _typed if sys.stdin.isatty() else _piped
    Chat(engine, sampling, read, Console(highlight=False), system, history, thinking).run()


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
