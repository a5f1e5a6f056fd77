"""How a reward function of the user is called: what it gets by place, and which columns it asks for by name."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from medicalgpt.errors import ConfigError
from medicalgpt.rewards.columns import REFERENCE

PROMPTS: Final = "prompts"
COMPLETIONS: Final = "completions"
_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_PLACED: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Call:
    """`placed`: names of the parameters that get prompts and completions by their place; else both go by name.

    `required` and `optional` are columns; `everything`: it takes all others, too (`**columns`).
    """

    placed: tuple[str, ...]
    named: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    everything: bool = False

    def arguments(
        self, prompts: Sequence[Any], completions: Sequence[str], columns: Mapping[str, Sequence[Any]]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments; of `columns` no name that is taken already."""
        both: dict[str, Any] = {PROMPTS: prompts, COMPLETIONS: completions}
        if self.placed:
            taken, args, given = set(self.placed), [prompts, completions], dict[str, Any]()
        else:
            taken, args = set(both), []
            given = {name: values for name, values in both.items() if name in self.named or self.everything}
        return args, given | {name: values for name, values in columns.items() if name not in taken}


def read_call(function: Callable[..., Any], who: str) -> Call:
    """What a function asks for. Prompts and completions are its first two parameters, whatever they are called; they go by
    name where `completions` or `prompts` stands elsewhere, as in `f(completions, answer)` or `f(completions, **columns)`.

    Raises:
        ConfigError: it is a coroutine, takes too few parameters, or columns by place alone.
    """
    method = getattr(type(function), "__call__", None)  # noqa: B004  # its own code is what is looked at
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(method):
        raise ConfigError(f"{who} is async; a reward is an ordinary function (asyncio.run(…) inside it is fine)")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # one that is written in C
        return Call((PROMPTS, COMPLETIONS))
    kinds = {p.kind for p in parameters}
    everything = inspect.Parameter.VAR_KEYWORD in kinds
    places = [p.name for p in parameters if p.kind in _PLACED]
    names = [p.name for p in parameters if p.kind in _NAMED]
    if _by_name(places, names):
        first: tuple[str, ...] = ()
        rest = [p for p in parameters if p.name not in (PROMPTS, COMPLETIONS)]
    else:
        first = tuple(places[:2])
        rest = [p for p in parameters if p.name not in first]
        if len(first) < 2 and inspect.Parameter.VAR_POSITIONAL not in kinds:
            raise ConfigError(
                f"{who} takes {len(first)} of them by place; a reward function takes prompts and completions"
            )
        first = first if len(first) == 2 else (PROMPTS, COMPLETIONS)
    if placed := [p.name for p in rest if p.kind is inspect.Parameter.POSITIONAL_ONLY]:
        raise ConfigError(f"{who}: {', '.join(placed)} cannot be given by name; columns are, so put no '/' behind them")
    columns = [p for p in rest if p.kind in _NAMED]
    empty = inspect.Parameter.empty
    return Call(
        first,
        tuple(n for n in (PROMPTS, COMPLETIONS) if n in names),
        tuple(p.name for p in columns if p.default is empty),
        tuple(p.name for p in columns if p.default is not empty),
        everything,
    )


def _by_name(places: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a function names what it wants, so that nothing may be given by place."""
    elsewhere = any(n in names and places[i : i + 1] != [n] for i, n in enumerate((PROMPTS, COMPLETIONS)))
    return elsewhere or REFERENCE in places[:2]
