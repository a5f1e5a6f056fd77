"""Options of commands that have a judge grade answers."""

from typing import TYPE_CHECKING, Annotated

import typer

from medicalgpt.errors import ConfigError

if TYPE_CHECKING:  # lazy: slow to load
    from medicalgpt.config.evaluation import GraderConfig

_JUDGE = "Judge"

Url = Annotated[
    str | None,
    typer.Option(
        "--judge",
        metavar="URL",
        help="OpenAI-compatible address, such as http://localhost:8000/v1.",
        rich_help_panel=_JUDGE,
    ),
]
Model = Annotated[
    str | None, typer.Option("--judge-model", metavar="NAME", help="The model's name there.", rich_help_panel=_JUDGE)
]
Key = Annotated[
    str | None,
    typer.Option(
        "--judge-key", metavar="VARIABLE", help="Environment variable with its API key.", rich_help_panel=_JUDGE
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--judge-timeout",
        help="Seconds one question may take; default: 60.",
        show_default=False,
        rich_help_panel=_JUDGE,
    ),
]
Parallel = Annotated[
    int | None,
    typer.Option(
        "--judge-parallel", help="Questions asked at once; default: 4.", show_default=False, rich_help_panel=_JUDGE
    ),
]
OneByOne = Annotated[
    bool,
    typer.Option(
        "--judge-one-by-one",
        help="Ask about each criterion alone, as HealthBench does.",
        rich_help_panel=_JUDGE,
    ),
]
AllowRemote = Annotated[
    bool,
    typer.Option("--allow-remote", help="Let answers leave this machine for the judge.", rich_help_panel=_JUDGE),
]


def grader_of(
    url: str | None,
    model: str | None,
    key: str | None,
    timeout: float | None,
    parallel: int | None,
    one_by_one: bool,
    allow_remote: bool,
    check: str | None = None,
) -> "GraderConfig | None":
    """The judge that is named; None without one. Raises ConfigError where options do not make one."""
    import json

    from medicalgpt.config.evaluation import GraderConfig
    from medicalgpt.config.loader import load

    rest = {"key_variable": key, "timeout": timeout, "parallel": parallel}
    rest |= {"one_by_one": one_by_one, "allow_remote": allow_remote, "check": check}
    given = {name: value for name, value in rest.items() if value not in (None, False)}
    if url is None and model is None and not given:
        return None
    if url is None or model is None:
        raise ConfigError(
            "a judge is named by its address and its model: --judge http://localhost:8000/v1 --judge-model NAME"
        )
    values = {"url": url, "model": model} | given
    return load(GraderConfig, None, [f"{name}={json.dumps(value)}" for name, value in values.items()]).value
