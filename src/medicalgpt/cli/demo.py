"""`medicalgpt demo`: talk to a model in the browser."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medicalgpt.cli import model_options as option
from medicalgpt.cli.say import say
from medicalgpt.generate.model_options import ModelOptions

if TYPE_CHECKING:  # lazy: heavy
    from medicalgpt.generate.engine import Engine

_PAGE = "Page"


@option.model_command(
    sampling=option.SamplingOptions(), seed_help="Seed of the answers; default: a new one each.", inference_only=True
)
def demo(
    options: ModelOptions,
    sampling: option.SamplingOptions,
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
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="A name under which a proxy shows the page; may be repeated.", rich_help_panel=_PAGE
        ),
    ] = None,
    slots: Annotated[
        int, typer.Option(min=1, help="Answers made at the same time; further questions wait.", rich_help_panel=_PAGE)
    ] = 4,
    feedback: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Keep thumbs up and down as preference pairs.", rich_help_panel=_PAGE),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Let readers keep conversations in this private folder, and find, print and delete them.",
            rich_help_panel=_PAGE,
        ),
    ] = None,
    named_adapter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="An adapter for --model that readers choose by that name, or compare blindly; may be repeated.",
            rich_help_panel=_PAGE,
        ),
    ] = None,
    system: option.System = None,
    emergency: option.Emergency = None,
    context_len: Annotated[
        int | None, typer.Option(min=16, help="Most tokens of conversation and answer; default: the model's.")
    ] = None,
) -> None:
    """Talk to a model in the browser. Not a doctor: for education and research."""
    place: dict[str, Any] = {"host": host, "port": port, "share": share, "slots": slots, "context": context_len}
    place |= {"feedback": feedback, "keep": keep, "emergency": emergency, "allow_host": tuple(allow_host or ())}
    options = replace(options, adapters=option.adapters(named_adapter or ()))
    open_page(model, options, {"system": system or "", **vars(sampling)}, place)


def open_page(model: str, options: ModelOptions, settings: dict[str, Any], place: dict[str, Any]) -> None:
    """Load a model and serve the page until it is interrupted.

    Args:
        options: how the model is loaded; readers choose from its `adapters` and the model alone.
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

    from medicalgpt.kernels.primitive_cache import bound_primitive_caches

    bound_primitive_caches(where.slots)
    engines, adapters = _engines(model, options)
    serve(engines, model, adapters, where, defaults, lambda line: say(line, err=True))


def _engines(model: str, options: ModelOptions) -> tuple[dict[str, "Engine"], dict[str, str | None]]:
    """The models that answer and their adapters, by name: one, or each of the named adapters and the model without any."""
    from medicalgpt.errors import ServeError
    from medicalgpt.generate.engine import Engine
    from medicalgpt.generate.shared import SharedBase
    from medicalgpt.serve.web.info import plain_name

    name, named = plain_name(options.adapter or model), options.adapters
    if not named:
        return {name: Engine.with_options(model, options)}, {name: options.adapter}
    if options.adapter is not None:
        raise ServeError(
            f"--adapter {options.adapter} and --named-adapter: give it a name, too (--named-adapter NAME={options.adapter})"
        )
    given = {key: value for key, value in vars(options).items() if key not in ("adapter", "adapters")}
    shared = SharedBase.open(model, named, plain=name, **given)
    return shared.engines, {**named, name: None}
