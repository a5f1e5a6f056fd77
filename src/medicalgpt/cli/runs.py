"""`medicalgpt runs`: what lies in folders of runs, side by side, followed, deleted, packed."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from medicalgpt.cli.say import say
from medicalgpt.language import translated

app = typer.Typer(no_args_is_help=True, help="List, show, compare, follow, delete and export runs.")

Run = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run (its output_dir).")]
Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]

# Enums, as typer takes no list of a Literal. A test keeps them equal to the types that they stand for.
Kind = StrEnum("Kind", ["run", "corpus", "pipeline", "evaluation", "leakage"])
State = StrEnum("State", ["finished", "running", "interrupted", "failed"])
Part = StrEnum("Part", ["weights", "text"])


@app.command("list")
def list_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where runs lie, at any depth.")] = Path("runs"),
    text: Annotated[
        str, typer.Option("--filter", metavar="TEXT", help="Only those with TEXT in name, base, data or note.")
    ] = "",
    kind: Annotated[
        list[Kind] | None,
        typer.Option(help="Only this kind; may be repeated."),
    ] = None,
    stage: Annotated[list[str] | None, typer.Option(help="Only this stage; may be repeated.")] = None,
    state: Annotated[
        list[State] | None,
        typer.Option(help="Only this state; may be repeated."),
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="name, stage, state, changed, size, seconds, tokens, rows, or a held-out number such as eval/loss.",
        ),
    ] = "name",
    descending: Annotated[bool, typer.Option("--descending", help="The largest or newest first.")] = False,
    as_json: AsJson = False,
) -> None:
    """Runs, corpora, pipelines and evaluations below a folder: state, held-out numbers with intervals, origin, size, time."""
    from medicalgpt.browse.find import find
    from medicalgpt.browse.select import chosen, ordered
    from medicalgpt.cli.runs_show import print_list

    found = find(folder)
    some = chosen(found.runs, text=text, kinds=kind or (), stages=stage or (), states=state or ())
    some = ordered(some, sort, descending)
    if as_json:
        _print_json([one.as_dict() for one in some])
    else:
        print_list(some, len(found.runs), folder)
    for line in found.left_out:
        say(line, err=True)


@app.command()
def show(run: Run, as_json: AsJson = False) -> None:
    """One run, pipeline or evaluation on one screen."""
    from medicalgpt.browse.find import info_of
    from medicalgpt.cli.runs_show import print_one
    from medicalgpt.errors import RunError

    found = info_of(run)
    if found is None:
        raise RunError(
            f"{run} is no run, corpus, pipeline or evaluation; medicalgpt runs list FOLDER shows what there is"
        )
    if as_json:
        _print_json(found.as_dict())
    else:
        print_one(found)


@app.command()
def compare(
    runs: Runs,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also one self-contained HTML page, with all curves and samples."),
    ] = None,
    samples: Annotated[int, typer.Option(min=0, help="So many sample questions with every run's last answer.")] = 2,
    same: Annotated[bool, typer.Option("--same", help="Also the settings that do not differ.")] = False,
    as_json: AsJson = False,
) -> None:
    """Runs side by side: what differs in their configurations, held-out numbers and tests, curves, answers."""
    from medicalgpt.browse.compare import compare
    from medicalgpt.cli.runs_show import print_comparison

    found = compare(runs)
    if as_json:
        _print_json(found.as_dict())
    else:
        print_comparison(found, samples, same)
    if output is not None:
        say(f"written: {found.write(output)}", err=as_json)


@app.command()
def tail(
    run: Run,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, help="So many of the lines there already; 0: all.")
    ] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Each line as JSON; at the end how the run stands.")] = False,
) -> None:
    """Follow a run's metrics until it ends. Ctrl-C ends the following, not the run."""
    from medicalgpt.browse.follow import follow
    from medicalgpt.cli.runs_show import tail_json, tail_line

    told = tail_json if as_json else tail_line
    try:
        for found in follow(run, lines):
            typer.echo(told(found))
    except KeyboardInterrupt:
        say("no longer followed; the run goes on", err=True)


@app.command()
def delete(
    runs: Runs,
    force: Annotated[
        bool, typer.Option("--force", help="Also one that is running, or that others go on from.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    among: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where those are looked for that go on from it; default: the folder around it."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Delete runs, corpora, pipelines or evaluations. What none of them makes stays, and nothing behind a link is touched."""
    from medicalgpt.browse.delete import check_delete, delete
    from medicalgpt.browse.files import plain
    from medicalgpt.browse.users import usual_among
    from medicalgpt.cli.runs_show import size_words
    from medicalgpt.errors import RunError
    from medicalgpt.language.marks import colon, comma

    found = [check_delete(run, force, among) for run in runs]  # all of them, before the first is gone
    for one in found:
        what = f"{translated(one.kind)} {one.stage}".strip()
        looked = "" if force else translated(f"; nothing below {among or usual_among(one.path)} goes on from it")
        told = comma().join((what, translated(one.state), size_words(one.size)))
        typer.echo(plain(f"{one.path}{colon()}{told}{looked}"), err=as_json)
    question = f"Delete {len(found)} of them for good?" if len(found) > 1 else "Delete it for good?"
    if not yes and not typer.confirm(translated(question), err=as_json):
        raise RunError("nothing was deleted")
    gone = []
    for one in found:
        gone.append(done := delete(one.path, force, among))
        if as_json:
            continue
        say(plain(f"deleted: {done.path} ({size_words(done.size)})"))
        if done.kept:
            say(plain(f"kept, as no run makes it: {', '.join(done.kept[:10])}" + (" …" if len(done.kept) > 10 else "")))
    if as_json:
        _print_json([{"path": str(done.path), "bytes": done.size, "kept": done.kept} for done in gone])


@app.command()
def export(
    run: Run,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A new .zip or .tar.zst; default: the run's name and .zip, here."),
    ] = None,
    parts: Annotated[
        list[Part] | None,
        typer.Option("--with", help="Add the weights, or private text (samples, reports, corpora); may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Pack a run for others: configuration, metrics, figures, manifest. Weights and private text only when asked for."""
    from medicalgpt.browse.pack import PARTS, pack

    packed = pack(run, output or Path(f"{run.resolve().name}.zip"), [part for part in PARTS if part in (parts or ())])
    if as_json:
        _print_json({"path": str(packed.path), "files": packed.files, "left_out": packed.left_out})
        return
    say(f"written: {packed.path}, {len(packed.files)} files and contents.json")
    for why, names in packed.left_out.items():
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        say(f"left out: {shown} ({why})")


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))
