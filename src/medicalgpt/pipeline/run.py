"""A pipeline: each stage takes the model of the one before; finished stages are skipped, an interrupted one goes on."""

import gc
import re
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from medicalgpt.config.curation import CURATE, CurateConfig
from medicalgpt.config.data_source import DataSource
from medicalgpt.config.loader import Resolved, load, peek
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.overrides import Overrides, override_words
from medicalgpt.config.pipeline import PipelineConfig, StageEntry
from medicalgpt.config.sections import ModelConfig
from medicalgpt.curation.stage import curate
from medicalgpt.data.sources import check_paths
from medicalgpt.disk.private import private_files
from medicalgpt.errors import ConfigError, RunError
from medicalgpt.evaluation.catalog import find_tests
from medicalgpt.evaluation.gates import Judged
from medicalgpt.evaluation.leakage.canaries import read_key
from medicalgpt.evaluation.stage_gates import StageJudged
from medicalgpt.hub.address import parse
from medicalgpt.kernels.malloc import release_memory
from medicalgpt.language import translated
from medicalgpt.pipeline.gates import Blocked, check_stage, settings_of
from medicalgpt.pipeline.plan import Plan, PlannedStage
from medicalgpt.pipeline.processes import everywhere, first, first_does, meet
from medicalgpt.pipeline.screen import caution
from medicalgpt.pipeline.table import write_summary
from medicalgpt.runs import corpus, manifest
from medicalgpt.runs.folder import MERGED
from medicalgpt.runs.hashes import hash_file
from medicalgpt.runs.run import Run

_VARIABLE = re.compile(r"\$\{([a-z0-9_-]+(?:\.held_out)?)\}")


class Interrupted(RunError):
    """A stage was stopped by a signal and saved a checkpoint."""

    def __init__(self, stage: str, number: int) -> None:
        name = signal.Signals(number).name
        super().__init__(f"{stage} was interrupted and saved ({name}); the same command goes on from there")
        self.signal = number


def split_overrides(file: str, overrides: Sequence[str]) -> tuple[Resolved[PipelineConfig], dict[str, list[str]]]:
    """The pipeline's config, and overrides of the form STAGE.key=value by stage; its plugins are loaded first."""
    _load_plugins(file, overrides)
    names = {
        s.name
        for s in load(
            PipelineConfig, file, [o for o in overrides if o.split("=")[0] in ("output_dir", "base")]
        ).value.stages
    }
    ours = [o for o in overrides if o.split(".")[0] not in names]
    stages = {n: [o[len(n) + 1 :] for o in overrides if o.split(".")[0] == n] for n in names}
    return load(PipelineConfig, file, ours), stages


def _load_plugins(file: str, overrides: Sequence[str]) -> None:
    """Run the files that the pipeline names, so that their stages are known when its config is checked."""
    plugins = peek(file, [o for o in overrides if o.split("=")[0] == "plugins"], "plugins")
    if isinstance(plugins, list) and plugins and all(isinstance(path, str) for path in plugins):
        from medicalgpt.training.plugins import load_plugins  # lazy: heavy

        load_plugins(plugins, Path(file).parent)


class Pipeline:
    """A pipeline whose stages are run one at a time, so that their runs can be looked at in between.

    All configs are checked here, before anything is trained.

    Args:
        file: the pipeline's YAML file.
        overrides: dotted keys, `{"output_dir": "runs/mine", "sft.train.max_steps": 50}`, or words as on the command line.

    Raises:
        ConfigError: a mistake in the pipeline's file, a stage's config or an override.
        DataError: a file of the pipeline's tests is missing or has other content.
    """

    def __init__(self, file: str | Path, overrides: Overrides = ()) -> None:
        self._file = file = str(file)
        self._words = override_words(overrides)
        resolved, per_stage = split_overrides(file, self._words)
        self.config, self.console = resolved.value, Console(soft_wrap=True, markup=False, quiet=not first())
        self.places = {"base": self.config.base}
        self._stages: dict[str, Resolved[Any]] = {}
        self._corpora: dict[str, Resolved[CurateConfig]] = {}
        latest = "base"
        for entry in self.config.stages:
            words = per_stage.get(entry.name, [])
            if entry.stage == CURATE:
                self._corpora[entry.name] = _corpus_config(entry, file, self.config, words, self.places)
            else:
                self._stages[entry.name] = _stage_config(entry, file, self.config, words, self.places, latest)
                latest = entry.name
        meet(max(stage.value.distributed.timeout for stage in self._stages.values()))
        asked = self.config.evaluate
        self._tests = find_tests(asked.suite, Path(asked.tests), asked.fetch) if asked is not None else []
        if asked is not None:
            settings_of(asked).check([test.config for test in self._tests])

    @property
    def names(self) -> list[str]:
        """The stages' names in order."""
        return [entry.name for entry in self.config.stages]

    def folder(self, name: str) -> Path:
        """The run folder of a stage."""
        return Path(self.config.output_dir) / name

    def run(self, name: str) -> Run:
        """The run of a stage that was begun: numbers, samples, report. Raises RunError where there is none yet."""
        return Run(self.folder(name))

    def check_data(self) -> None:
        """See that the data of every stage and of the comparison is there; what a stage will write is left out.

        Raises:
            DataError: naming stage, key and path; or the key of canaries that is none.
        """
        ours = Path(self.config.output_dir).absolute()

        def given(entries: Sequence[str | DataSource]) -> list[str | DataSource]:
            """Those of this machine: what a hub has is looked up when its stage begins, which pins it."""
            paths = [entry.path if isinstance(entry, DataSource) else entry for entry in entries]
            here = [parse(path) is None and not Path(path).absolute().is_relative_to(ours) for path in paths]
            return [entry for entry, is_here in zip(entries, here) if is_here]

        keys = {
            f"stage {name}: data.{key}": given(getattr(stage.value.data, key))
            for name, stage in self._stages.items()
            for key in ("train", "eval", "replay")
        }
        keys |= {
            f"stage {name}: sources.{key}": given(source.paths)
            for name, stage in self._corpora.items()
            for key, source in stage.value.sources.items()
        }
        compared = self.config.compare
        for key in ("documents", "dialogues", "preferences"):
            keys[f"compare.{key}"] = given(getattr(compared, key))
        if (leaks := self.config.leakage) is not None:
            keys["leakage.rows"] = given(leaks.rows)
            if leaks.canaries is not None:
                read_key(Path(leaks.canaries))
        check_paths(keys)

    @private_files()
    def train(self, name: str) -> Path:
        """Train one stage and merge its adapter, or make a corpus; what is finished is left alone. Returns its run folder.

        Raises:
            RunError: the stage before is not finished. Interrupted: a signal stopped the stage, which saved itself.
        """
        from medicalgpt.export.merge import merge_run  # lazy: heavy
        from medicalgpt.training.context import Status  # lazy: heavy
        from medicalgpt.training.stage import run_stage  # lazy: heavy

        at = self.names.index(name)
        before = self.names[at - 1] if at else None
        if before is not None and not first_does((self.folder(before) / manifest.NAME).is_file):
            raise RunError(f"{name} comes after {before}, which is not finished; train {before} first")
        first_does(self._note_plan)
        self.console.rule(f"{name} ({self.config.stages[at].stage})")
        if name in self._corpora:
            return first_does(
                lambda: curate(self._corpora[name], lambda line: self.console.print(translated(line), highlight=False))
            )
        stage = self._stages[name]
        parents = [self.folder(earlier) for earlier in self.names[:at] if earlier in self._stages][-1:]
        outcome = run_stage(stage, tuple(parents))
        if outcome.status is Status.INTERRUPTED:
            raise Interrupted(name, outcome.signal)
        if stage.value.lora.enabled:
            first_does(lambda: merge_run(outcome.folder, self.console, stage.value.model.trust_remote_code))
        everywhere(outcome.folder, [manifest.NAME, "model", MERGED])
        gc.collect()
        release_memory()
        return outcome.folder

    @private_files()
    def check(self, name: str) -> list[Judged | StageJudged]:
        """Let a stage's model (or `base`) take the pipeline's tests and judge its gates; nothing where it has none, as of a corpus.

        Raises:
            Blocked: a gate is blocked, and `on_block` is stop.
        """
        if name in self._corpora:
            return []
        first_does(self._note_plan)
        judged = first_does(lambda: check_stage(self.config, self._tests, name, self._answering(), self.console))
        if self.config.on_block == "stop" and any(one.verdict == "BLOCK" for one in judged):
            raise Blocked(name, judged)
        return judged

    def _answering(self) -> dict[str, ModelConfig]:
        """The base and the stages' models that answer, in order."""
        names = ["base", *(n for n, stage in self._stages.items() if not stage.value.scores)]
        trust = any(stage.value.model.trust_remote_code for stage in self._stages.values())
        return {n: ModelConfig(base=self.places[n], trust_remote_code=trust) for n in names}

    def _note_plan(self) -> None:
        """Keep in the folder what was asked for: without it nobody could tell a whole chain from its first stages."""
        asked = self.config.evaluate
        Plan(
            base=self.config.base,
            stages=tuple(
                PlannedStage(name=entry.name, stage=entry.stage, answers=not self._stages[entry.name].value.scores)
                for entry in self.config.trained
            ),
            suites=tuple(asked.suite) if asked is not None else (),
            gates=(*self.config.gates, *(g for g in self.config.stage_gates if g not in self.config.gates)),
            on_block=self.config.on_block,
            file_sha256=hash_file(self._file),
            command=shlex.join(["medicalgpt", "pipeline", "run", self._file, *self._words]),
        ).write(Path(self.config.output_dir))

    @private_files()
    def compare(self, show: bool = True) -> Path:
        """Measure the base and every stage's model on the held-out data; `show` prints the table. Returns the summary."""
        return first_does(lambda: self._compare(show))

    def _compare(self, show: bool) -> Path:
        models = self._answering()
        trust = models["base"].trust_remote_code
        summary = write_summary(self.config, models, self.console, show)
        if show and self.config.compare.questions:
            for line in caution(self.config.base, [stage.value for stage in self._stages.values()], self._file, trust):
                self.console.print(translated(line), highlight=False, markup=False)
        place = shlex.quote(list(models.values())[-1].base)
        for what, command in (("talk to it", "chat"), ("serve it", "serve")):
            self.console.print(
                translated(f"{what}: medicalgpt {command} --model {place}"), highlight=False, markup=False
            )
        return summary


def run_pipeline(file: str, overrides: Sequence[str] = ()) -> Path:
    """Run all stages and compare their models; returns the summary's path.

    Raises:
        MedicalGPTError: bad input (data that is not there, before the first stage), or a stage that had to stop.
        Interrupted: a signal stopped a stage, which saved itself. Blocked: a stage's model lost more than a gate allows; no
        later stage was begun.
    """
    pipeline = Pipeline(file, overrides)
    pipeline.check_data()
    pipeline.check("base")
    for name in pipeline.names:
        pipeline.train(name)
        pipeline.check(name)
    return pipeline.compare()


def _stage_config(
    entry: StageEntry,
    file: str,
    config: PipelineConfig,
    overrides: list[str],
    places: dict[str, str],
    latest: str | None = None,
) -> Resolved[Any]:
    """The stage's resolved config: its file, the pipeline's `set`, the command line; its model's place joins `places`.

    Args:
        latest: the model that it takes where nothing else is said; None: the last of `places`.
    """
    folder = Path(config.output_dir) / entry.name
    given = (
        {}
        if any(o.startswith("model.base=") for o in overrides)
        else {"model.base": f"${{{latest or list(places)[-1]}}}"}
    )
    resolved = load(stage_schema(entry.stage), *_layers(entry, file, folder, overrides, places, given))
    places[entry.name] = str(folder / MERGED if resolved.value.lora.enabled else folder / "model")
    return resolved


def _corpus_config(
    entry: StageEntry, file: str, config: PipelineConfig, overrides: list[str], places: dict[str, str]
) -> Resolved[CurateConfig]:
    """As `_stage_config`, of a corpus: `${name}` is the rows to train on, `${name.held_out}` those that were set apart."""
    folder = Path(config.output_dir) / entry.name
    resolved = load(CurateConfig, *_layers(entry, file, folder, overrides, places, {}))
    places[entry.name] = str(folder / corpus.TRAIN)
    places[f"{entry.name}.held_out"] = str(folder / corpus.HELD_OUT)
    return resolved


def _layers(
    entry: StageEntry,
    file: str,
    folder: Path,
    overrides: list[str],
    places: dict[str, str],
    given: dict[str, str],
) -> tuple[str | None, list[str]]:
    """A stage's file and what is laid over it, with places filled in."""
    values = {**given, **entry.set, "output_dir": str(folder)}
    texts = [f"{key}={_as_yaml(_fill(value, places, entry.name))}" for key, value in values.items()]
    path = str(Path(file).parent / entry.config) if entry.config else None
    return path, [*texts, *(_fill(o, places, entry.name) for o in overrides)]


def _fill(value: Any, places: dict[str, str], stage: str) -> Any:
    """Replace ${name} by that model's place."""
    if isinstance(value, list):
        return [_fill(v, places, stage) for v in value]
    if not isinstance(value, str):
        return value

    def place(match: re.Match[str]) -> str:
        if match[1] not in places:
            raise ConfigError(
                f"stage {stage}: ${{{match[1]}}} is not known here; known are {', '.join(places)} (only earlier stages can be named)"
            )
        return places[match[1]]

    return _VARIABLE.sub(place, value)


def _as_yaml(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)
