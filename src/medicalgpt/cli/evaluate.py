"""`medicalgpt evaluate`: named tests, their scores, and whether a model may go on."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from medicalgpt.cli import judge_options as judging
from medicalgpt.cli import model_options as option
from medicalgpt.cli.evaluate_show import show
from medicalgpt.cli.leakage import leakage, plant
from medicalgpt.cli.say import padded, say
from medicalgpt.errors import ConfigError
from medicalgpt.generate.model_options import ModelOptions
from medicalgpt.language import translated
from medicalgpt.language.marks import semicolon

app = typer.Typer(help="Score a model on named tests, and compare two models on the same items.", no_args_is_help=True)

app.command("plant")(plant)
app.command("leakage")(leakage)

Tests = Annotated[
    Path,
    typer.Option("--tests", metavar="FOLDER", help="Where the tests' files lie, however deep, and YAML of your own."),
]


@app.command("tests")
def list_tests(folder: Tests = Path("tests")) -> None:
    """List the named tests: suite, items, license, and whether their files were found as they were published."""
    from medicalgpt.evaluation.catalog import ItemFolder, elsewhere, known_tests, locate, own_tests

    place, broken = ItemFolder(folder), dict[Path, ConfigError]()
    for config, beside in known_tests(own_tests(folder), broken).values():
        found = locate(config, beside, place)
        say(
            f"{config.name:20} {config.group:12} {config.items or '?':>6}  {padded(translated(found.state), 14)} {config.license}"
        )
        title, origin = (translated(text, exact=True) for text in (config.title, config.origin))
        typer.echo(f"{'':20} {title}{semicolon()}{origin}{translated(elsewhere(config))}")
    for path, error in broken.items():
        say(f"{path.name:20} is no test: {error}")


@app.command("run")
@option.model_command()
def run(
    model: option.Model,
    suite: Annotated[str, typer.Option(metavar="NAMES", help="Suites and tests, with commas: medical-en,medical-zh.")],
    folder: Tests = Path("tests"),
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Fetch files that are missing there from the hubs that tests name.")
    ] = False,
    output: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where the numbers go.")] = None,
    profile: Annotated[
        Literal["chat", "lm-eval", "cloze"],
        typer.Option(
            help="chat asks in the model's own template; lm-eval as lm-evaluation-harness; cloze for the text."
        ),
    ] = "chat",
    limit: Annotated[int | None, typer.Option(min=1, help="So many items of each test, evenly spread.")] = None,
    shuffle: Annotated[int, typer.Option(min=1, max=26, help="Ask in so many cyclic orders of the options.")] = 1,
    texts: Annotated[bool, typer.Option("--texts", help="Score the options' texts, too.")] = False,
    capacity: Annotated[int, typer.Option(min=128, help="Tokens of one pass; no number depends on it.")] = 4096,
    generate: Annotated[
        bool, typer.Option("--generate", help="Have the model write an answer to each question, too.")
    ] = False,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of an answer; default: 256.", show_default=False)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Answers written at once; default: 8.", show_default=False)
    ] = None,
    save_answers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep what it wrote, for your eyes only.")
    ] = None,
    judge: judging.Url = None,
    judge_model: judging.Model = None,
    judge_key: judging.Key = None,
    judge_timeout: judging.Timeout = None,
    judge_parallel: judging.Parallel = None,
    judge_one_by_one: judging.OneByOne = False,
    allow_remote: judging.AllowRemote = False,
    judge_check: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Its `judge-check`; default: where that puts it.", rich_help_panel="Judge"),
    ] = None,
    *,
    options: ModelOptions,
) -> None:
    """Score a model on tests."""
    from medicalgpt.evaluation.answering import Answering
    from medicalgpt.evaluation.catalog import find_tests
    from medicalgpt.evaluation.evaluation import evaluate, usual_folder
    from medicalgpt.evaluation.settings import Settings
    from medicalgpt.generate.open_model import ModelRequest

    if not generate and (max_new_tokens or batch_size or save_answers):
        raise ConfigError("--max-new-tokens, --batch-size and --save-answers are for written answers; add --generate")
    answers = Answering(max_new_tokens or 256, batch_size or 8) if generate else None
    grader = judging.grader_of(
        judge, judge_model, judge_key, judge_timeout, judge_parallel, judge_one_by_one, allow_remote, judge_check
    )
    settings = Settings(profile, shuffle, texts, limit, capacity, answers, grader)
    names = _names(suite)
    found = find_tests(names, folder, fetch)
    target = output or usual_folder(model, names)
    asked = ModelRequest.of(model, options, lambda text: say(text, err=True))
    results = evaluate(asked, found, settings, target, lambda text: say(text, err=True), save_answers)
    show(results)
    say(f"written: {target}")


@app.command("judge-check")
def judge_check(
    suite: Annotated[str, typer.Option(metavar="NAMES", help="Tests with rubrics, with commas.")],
    folder: Tests = Path("tests"),
    limit: Annotated[int | None, typer.Option(min=1, help="So many rows of each test, evenly spread.")] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the result goes; default: runs/judges/NAME.json.")
    ] = None,
    judge: judging.Url = None,
    judge_model: judging.Model = None,
    judge_key: judging.Key = None,
    judge_timeout: judging.Timeout = None,
    judge_parallel: judging.Parallel = None,
    judge_one_by_one: judging.OneByOne = False,
    allow_remote: judging.AllowRemote = False,
) -> None:
    """How far can a judge be trusted? Labels of people, real answers beside damaged ones, the same question twice."""
    from medicalgpt.cli.evaluate_show import show_check
    from medicalgpt.evaluation.catalog import find_tests
    from medicalgpt.evaluation.written.checked import keep_check
    from medicalgpt.evaluation.written.checking import check_tests

    config = judging.grader_of(
        judge, judge_model, judge_key, judge_timeout, judge_parallel, judge_one_by_one, allow_remote
    )
    if config is None:
        raise ConfigError("no judge is named; --judge http://localhost:8000/v1 --judge-model NAME")
    found = find_tests(_names(suite), folder)
    check = check_tests(config, found, limit, lambda text: say(text, err=True))
    show_check(check)
    say(f"written: {keep_check(config, check, output)}")


@app.command("compare")
def compare(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="Folder of an evaluation.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Folder of another one, on the same tests.")],
    gates: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML with `gates`; default: general suites may lose 3 points, stop rates and over-refusal 5, others 2; "
            "refusals in written answers as their suite.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 4 where a gate is inconclusive.")] = False,
) -> None:
    """Compare two models item by item. Exit status: 0 passed, 3 blocked, 4 inconclusive with --strict."""
    from medicalgpt.config.evaluation import Gates
    from medicalgpt.config.loader import load
    from medicalgpt.evaluation.finished import Evaluation

    first, second = Evaluation.open(before), Evaluation.open(after)
    judged = second.judged_against(first, load(Gates, gates).value.gates if gates else ())
    for one in judged:
        say(one.line)
    verdicts = {one.verdict for one in judged}
    if "BLOCK" in verdicts:
        raise typer.Exit(3)
    if strict and "INCONCLUSIVE" in verdicts:
        raise typer.Exit(4)


def _names(suite: str) -> list[str]:
    """Of suites and tests, given with commas."""
    return [name.strip() for name in suite.split(",") if name.strip()]
