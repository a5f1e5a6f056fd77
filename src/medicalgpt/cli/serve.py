"""`medicalgpt serve`: an OpenAI-compatible API for a model."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medicalgpt.cli import model_options as option
from medicalgpt.cli.say import say
from medicalgpt.errors import LostError
from medicalgpt.generate.model_options import ModelOptions

if TYPE_CHECKING:
    from medicalgpt.serve.api.service import Service

_SERVER = "Server"
_LIMITS = "Limits"


@option.model_command(tools=True, inference_only=True)
def serve(
    options: ModelOptions,
    model: option.Model,
    host: Annotated[
        str, typer.Option(help="Address to listen at; others than this machine need keys.", rich_help_panel=_SERVER)
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.", rich_help_panel=_SERVER)] = 8000,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="API keys, one a line, read again when it changes; more may be in MEDICALGPT_API_KEYS, with commas.",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Listen to other machines without keys.", rich_help_panel=_SERVER)
    ] = False,
    served_name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What clients call the model; may be repeated; default: the last part of --model.",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    named_adapter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="With vllm: a further adapter that clients ask for by that name; may be repeated.",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    openapi: Annotated[
        bool, typer.Option("--openapi", help="Describe the API at /openapi.json and /docs.", rich_help_panel=_SERVER)
    ] = False,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="A web page's origin (https://ward.example) whose scripts may ask; may be repeated.",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    drain: Annotated[
        float,
        typer.Option(
            min=0,
            help="Seconds on SIGTERM in which /health says so and requests are still taken, for proxies to notice.",
            rich_help_panel=_SERVER,
        ),
    ] = 0.0,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds that answers have to finish on SIGTERM.", rich_help_panel=_SERVER)
    ] = 30.0,
    slots: Annotated[
        int, typer.Option(min=1, help="Answers under way at the same time; each takes memory.", rich_help_panel=_LIMITS)
    ] = 8,
    queue: Annotated[
        int, typer.Option(min=0, help="Answers that may wait; more are refused (429).", rich_help_panel=_LIMITS)
    ] = 64,
    max_tokens_limit: Annotated[
        int, typer.Option(min=1, help="Longest answer in tokens.", rich_help_panel=_LIMITS)
    ] = 2048,
    max_prompt_tokens: Annotated[int, typer.Option(min=1, help="Longest prompt.", rich_help_panel=_LIMITS)] = 32768,
    max_body: Annotated[
        float, typer.Option(min=0.001, metavar="MIB", help="Largest request body in MiB.", rich_help_panel=_LIMITS)
    ] = 4.0,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds until a request must be answered.", rich_help_panel=_LIMITS)
    ] = 600.0,
    header_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds until a request's headers must be there.", rich_help_panel=_LIMITS)
    ] = 10.0,
    body_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds until a request's body must be there.", rich_help_panel=_LIMITS)
    ] = 60.0,
    connections: Annotated[
        int | None,
        typer.Option(
            min=1, help="Open connections; default: at most 1024, as the open files allow.", rich_help_panel=_LIMITS
        ),
    ] = None,
    connections_per_address: Annotated[
        int | None,
        typer.Option(min=1, help="Of one address; default: half. Give all to a proxy.", rich_help_panel=_LIMITS),
    ] = None,
    per_key: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Answers that one key may have waiting and under way; default: half of slots + queue, of one key alone all.",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    system: option.System = None,
) -> None:
    """Serve a model to OpenAI's clients: /v1/chat/completions, /v1/responses, /v1/completions, /v1/models, /health, /metrics."""
    _check_installed()
    from medicalgpt.network.access import ApiKeys, bind, check_host
    from medicalgpt.network.connections import ConnectionLimits

    keys = ApiKeys.read(api_key_file)
    check_host(host, keys, no_auth)
    if exposed := keys.exposed:
        say(exposed, err=True)
    from medicalgpt.serve.api.cors import origins

    allowed = origins(allow_origin or ())
    of_connections = ConnectionLimits.fitting(connections, connections_per_address, header_timeout)
    with bind(host, port) as sock:
        from medicalgpt.generate.engine import Engine
        from medicalgpt.generate.live.engine import BatchingEngine
        from medicalgpt.kernels.primitive_cache import bound_primitive_caches
        from medicalgpt.serve.api.server import Server
        from medicalgpt.serve.api.service import Limits, Service

        bound_primitive_caches(slots)
        adapters = option.adapters(named_adapter or ())
        engine = Engine.with_options(model, replace(options, adapters=adapters))
        limits = Limits(max_tokens_limit, max_prompt_tokens, int(max_body * 2**20), timeout, body_timeout, per_key)
        names = tuple(served_name or _names(model))
        with BatchingEngine(engine, slots=slots, queue=queue) as live:
            reached = {"local_only": not no_auth, "described": openapi}
            service = Service(live, names, limits, keys, system, origins=allowed, adapters=tuple(adapters), **reached)
            _announce(service, host, sock.getsockname()[1])
            Server(service, grace, of_connections, drain).run([sock])
            if live.broken:
                raise LostError("the model's engine ended by itself, so the server ended, too; start it again")


def _names(model: str) -> list[str]:
    """The last part of a folder or Hub id, and the whole id; a folder's place is nobody's business."""
    path = Path(model)
    return [path.resolve().name] if path.exists() else list(dict.fromkeys([path.name, model]))


def _check_installed() -> None:
    """The server's libraries are an extra."""
    from importlib.util import find_spec

    from medicalgpt.errors import ServeError

    missing = [name for name in ("fastapi", "uvicorn", "prometheus_client") if find_spec(name) is None]
    if missing:
        raise ServeError(f"medicalgpt serve needs {', '.join(missing)}; pip install 'medicalgpt[serve]'")


def _announce(service: "Service", host: str, port: int) -> None:
    """Say where it is, and let requests be logged on the error stream."""
    import logging

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("medicalgpt.serve").setLevel(logging.INFO)
    shown = f"[{host}]" if ":" in host else host
    say(f"{service.name} at http://{shown}:{port}/v1 (keys: {'needed' if service.keys else 'none'}; Ctrl-C stops)")
    say("Not a doctor: for education and research. Show a disclaimer wherever you show answers.")
