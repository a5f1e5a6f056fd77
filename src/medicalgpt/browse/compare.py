"""Runs side by side: what differs in their configurations, their numbers, their curves and their answers."""

import base64
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from medicalgpt.browse.curves import Curve, curves_png
from medicalgpt.browse.files import plain, read_config
from medicalgpt.browse.find import find, info_of
from medicalgpt.browse.info import Measured, RunInfo
from medicalgpt.config.yaml_text import flow
from medicalgpt.disk.private import private_files
from medicalgpt.errors import RunError
from medicalgpt.language import chosen, translated
from medicalgpt.runs import metrics
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.folder import RunFolder
from medicalgpt.runs.manifest import homeless
from medicalgpt.runs.ownership import CONFIG
from medicalgpt.runs.page import environment

MOST: Final = 12
"""Runs that fit beside each other."""
_OWN: Final = ("output_dir",)  # differs always, and says nothing
_SAMPLES: Final = 40  # questions on a page


@dataclass(frozen=True)
class Setting:
    """A key of the configurations, or a fact beside them, with every run's value as text; "–" where a run has none."""

    key: str
    values: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether all runs have one value."""
        return len(set(self.values)) == 1


@dataclass(frozen=True)
class Row:
    """A number with every run's text, before training and after; "–" where a run does not have it."""

    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """A question of samples.jsonl as turns (role, text), the answer in the data, and each run's last answer with its step."""

    turns: tuple[tuple[str, str], ...]
    reference: str | None
    answers: tuple[tuple[int, str] | None, ...]


@dataclass(frozen=True)
class Comparison:
    """Runs side by side; `names` tells them apart in as few words as do.

    `curves` has for each metric the (step, value) of every run, empty where a run did not log it. `samples` are those that
    most runs answered first.
    """

    runs: tuple[RunInfo, ...]
    names: tuple[str, ...]
    settings: tuple[Setting, ...]
    numbers: tuple[Row, ...]
    tests: tuple[Row, ...]
    curves: Mapping[str, tuple[Curve, ...]]
    samples: tuple[Asked, ...]

    @property
    def differences(self) -> tuple[Setting, ...]:
        """The settings that are not the same in all runs."""
        return tuple(setting for setting in self.settings if not setting.same)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """One self-contained HTML page with mode 0600, as it holds text of samples; returns its path.

        Raises:
            RunError: it cannot be written.
        """
        figure = curves_png(self.names, self.curves)
        same = [setting for setting in self.settings if setting.same]
        more = len(self.samples) - _SAMPLES
        page = (
            environment(Path(__file__).parent)
            .get_template("compare.html.jinja")
            .render(
                found=self,
                language=chosen(),
                same=same,
                same_words=translated(f"{len(same)} settings that are the same"),
                figure=None if figure is None else "data:image/png;base64," + base64.b64encode(figure).decode("ascii"),
                samples=self.samples[:_SAMPLES],
                more_words=translated(f"{more:,} further questions are in samples.jsonl of the runs.")
                if more > 0
                else "",
            )
        )
        with private_files():
            write_text(Path(path), page)
        return Path(path)

    def as_dict(self) -> dict[str, JsonValue]:
        """JSON values: the runs, the differences and the numbers, without texts of samples and curves."""

        def table(rows: Iterable[Row | Setting]) -> JsonValue:
            found: dict[str, JsonValue] = {}
            for row in rows:
                name, cells = (row.key, row.values) if isinstance(row, Setting) else (row.name, row.cells)
                found[name] = dict(zip(self.names, cells))
            return found

        return {
            "runs": [one.as_dict() for one in self.runs],
            "differences": table(self.differences),
            "same": {setting.key: setting.values[0] for setting in self.settings if setting.same},
            "numbers": table(self.numbers),
            "tests": table(self.tests),
        }


def compare(folders: Sequence[Path]) -> Comparison:
    """Put runs side by side.

    Raises:
        RunError: fewer than two or too many of them, one twice, a folder that is no run, or a damaged log.
    """
    places = [Path(folder).expanduser() for folder in folders]
    if len({place.resolve() for place in places}) < len(places) or not 2 <= len(places) <= MOST:
        raise RunError(f"{len(places)} folders were given; give 2 to {MOST} runs, each once")
    runs = tuple(map(_run, places))
    names = tuple(apart(places))
    logs = [_log(RunFolder(one.path).metrics) for one in runs]
    return Comparison(
        runs,
        names,
        tuple(_settings(runs)),
        tuple(_numbers([{n.name: n for n in one.measured} for one in runs])),
        tuple(_numbers([_tests(one.path) for one in runs])),
        dict(_curves(logs)),
        tuple(_samples([_log(RunFolder(one.path).samples) for one in runs])),
    )


def _run(folder: Path) -> RunInfo:
    found = info_of(folder)
    if found is None or found.kind not in ("run", "corpus"):
        what = f"is a folder of another kind ({found.kind})" if found else "is no run folder"
        raise RunError(f"{folder} {what}; give the output_dir of stages (medicalgpt runs list shows them)")
    return found


def apart(places: Sequence[Path]) -> Iterator[str]:
    """The folders' names, with as many folders above them as tell them apart."""
    parts = [place.resolve().parts for place in places]
    for mine in parts:
        depth = 1
        while depth < len(mine) and sum(other[-depth:] == mine[-depth:] for other in parts) > 1:
            depth += 1
        yield "/".join(mine[-depth:])


def _log(path: Path) -> list[metrics.Line]:
    return metrics.read(path) if path.is_file() else []


def _settings(runs: Sequence[RunInfo]) -> Iterator[Setting]:
    """Differences first; within both in the order of the files, then what the runs were made from."""
    configs = [
        {"stage": one.stage or "–"}
        | {key: homeless(flow(value)) for key, value in read_config(one.path / CONFIG).items() if key not in _OWN}
        | dict(one.facts)
        for one in runs
    ]
    keys = dict.fromkeys(key for config in configs for key in config)
    found = [Setting(key, tuple(config.get(key, "–") for config in configs)) for key in keys]
    yield from (setting for setting in found if not setting.same)
    yield from (setting for setting in found if setting.same)


def _numbers(found: Sequence[Mapping[str, Measured]]) -> Iterator[Row]:
    for name in dict.fromkeys(name for one in found for name in one):
        yield Row(name, tuple(_cell(one.get(name)) for one in found))


def _cell(number: Measured | None) -> str:
    return "–" if number is None else number.text.removeprefix(number.name).strip()


def _tests(run: Path) -> dict[str, Measured]:
    """Named tests and suites, and leaks, of the evaluations in a run's folder."""
    inside = run / "evaluation"
    found = find(inside).runs if inside.is_dir() and not inside.is_symlink() else []
    return {number.name: number for one in found if one.state == "finished" for number in one.measured}


def _curves(logs: Sequence[Sequence[metrics.Line]]) -> Iterator[tuple[str, tuple[Curve, ...]]]:
    for name in dict.fromkeys(
        key for log in logs for line in log for key in line if key.startswith(("train/", "eval/"))
    ):
        curves = tuple(
            [(line["step"], float(line[name])) for line in log if _is_number(line.get(name))] for log in logs
        )
        if any(curves):
            yield name, curves


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _samples(logs: Sequence[Sequence[metrics.Line]]) -> Iterator[Asked]:
    asked: dict[str, list[metrics.Line | None]] = {}
    for at, log in enumerate(logs):
        for line in sorted(log, key=lambda line: line["step"]):
            key = json.dumps(line.get("prompt"), sort_keys=True, ensure_ascii=False)
            asked.setdefault(key, [None] * len(logs))[at] = line
    by_answers = sorted(asked.values(), key=lambda lines: sum(line is None for line in lines))
    for lines in by_answers:
        first = next(line for line in lines if line is not None)
        answers = tuple(None if line is None else (line["step"], str(line.get("answer", ""))) for line in lines)
        reference = first.get("reference")
        yield Asked(_turns(first.get("prompt")), str(reference) if reference is not None else None, answers)


def _turns(prompt: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(prompt, list):
        return (("text", str(prompt)),)
    turns = [turn for turn in prompt if isinstance(turn, dict)]
    return tuple((str(turn.get("role", "")), str(turn.get("content", ""))) for turn in turns)


def shortened(text: str, most: int) -> str:
    """One line of at most so many characters, for a terminal."""
    line = " ".join(plain(text).split())
    return line if len(line) <= most else line[: most - 1] + "…"
