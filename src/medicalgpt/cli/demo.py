"""`medicalgpt demo`: talk to a model in the browser."""

from pathlib import Path
from typing import Annotated, Any

import typer

from medicalgpt.cli import model_options as option

_PAGE = "Page"


def demo(
    model: option.Model,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets others in.", rich_help_panel=_PAGE)
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.", rich_help_panel=_PAGE)] = 7860,
    share: Annotated[
        bool,
        typer.Option(
            "--share", help="Make it public through gradio.live; not for patient data.", rich_help_panel=_PAGE
        ),
    ] = False,
    slots: Annotated[
        int, typer.Option(min=1, help="Answers made at the same time; further questions wait.", rich_help_panel=_PAGE)
    ] = 4,
    feedback: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Keep thumbs up and down as preference pairs.", rich_help_panel=_PAGE),
    ] = None,
    system: option.System = None,
    context_len: Annotated[
        int | None, typer.Option(min=16, help="Most tokens of conversation and answer; default: the model's.")
    ] = None,
    max_new_tokens: option.MaxNewTokens = 512,
    temperature: option.Temperature = 0.7,
    top_p: option.TopP = 0.9,
    top_k: option.TopK = 0,
    repetition_penalty: option.RepetitionPenalty = 1.0,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of the answers; default: a new one each.", rich_help_panel="Sampling"),
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
    """Talk to a model in the browser. Not a doctor: for education and research."""
    opening = {
        "template": template,
        "family": family,
        "adapter": adapter,
        "tokenizer": tokenizer,
        "resize_embeddings": resize_embeddings,
        "revision": revision,
        "dtype": dtype,
        "quantization": quantization,
        "backend": backend,
        "trust_remote_code": trust_remote_code,
    }
    settings = {
        "system": system or "",
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "repetition_penalty": repetition_penalty,
        "seed": seed,
        "stop": tuple(stop or ()),
    }
    place = {"host": host, "port": port, "share": share, "slots": slots, "context": context_len, "feedback": feedback}
    open_page(model, opening, settings, place)


def open_page(model: str, opening: dict[str, Any], settings: dict[str, Any], place: dict[str, Any]) -> None:
    """Load a model and serve the page until it is interrupted.

    Args:
        opening: further arguments of `Engine.open`.
        settings: fields of `Settings`.
        place: fields of `Place`.

    Raises:
        MedicalGPTError: whatever of it is wrong; the port is tried before the model is loaded.
    """
    from importlib.util import find_spec

    from medicalgpt.errors import ServeError

    if find_spec("gradio") is None:
        raise ServeError("the web page needs Gradio: pip install 'medicalgpt[serve]'")
    from medicalgpt.serve.web.launch import Place, check, serve
    from medicalgpt.serve.web.settings import Settings

    where, defaults = Place(**place), Settings(**settings)
    defaults.sampling(0)
    check(where)

    from medicalgpt.generate.engine import Engine

    engine = Engine.open(model, **opening)
    serve(engine, model, opening.get("adapter"), where, defaults, lambda line: typer.echo(line, err=True))
