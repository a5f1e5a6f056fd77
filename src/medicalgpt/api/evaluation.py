"""Score a model on named tests."""

import os
from collections.abc import Sequence
from pathlib import Path

from medicalgpt.config.evaluation import GraderConfig, Profile
from medicalgpt.evaluation.answering import Answering
from medicalgpt.evaluation.catalog import find_tests
from medicalgpt.evaluation.evaluation import evaluate as run
from medicalgpt.evaluation.evaluation import usual_folder
from medicalgpt.evaluation.finished import Evaluation
from medicalgpt.evaluation.settings import Settings
from medicalgpt.generate.model_options import Dtype, ModelOptions
from medicalgpt.generate.open_model import ModelRequest

PathLike = str | os.PathLike[str]


def evaluate(
    model: PathLike,
    suite: str | Sequence[str],
    *,
    tests: PathLike = "tests",
    fetch: bool = False,
    output: PathLike | None = None,
    profile: Profile = "chat",
    limit: int | None = None,
    shuffle: int = 1,
    texts: bool = False,
    capacity: int = 4096,
    generate: bool = False,
    max_new_tokens: int = 256,
    judge: GraderConfig | None = None,
    template: str | None = None,
    dtype: Dtype = "auto",
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Evaluation:
    """Score a model on tests; what was broken off goes on, and what is finished is not done again.

    Args:
        model: a run, model or adapter folder, an embedded model's name, or a Hub id.
        suite: names of suites and tests.
        tests: the folder below which their files lie, and YAML of your own tests.
        fetch: fetch files that are missing there from the hubs that tests name.
        output: where the numbers go; None: within a run's folder, else below runs/evaluation.
        limit: so many items of each test, evenly spread.
        shuffle: ask in so many cyclic orders of the options.
        texts: score the options' texts, too.
        capacity: tokens of one pass; no number depends on it.
        generate: have it write an answer of at most `max_new_tokens` to each item, too, and read that.
        judge: who grades answers of tests with rubrics: `GraderConfig(url=…, model=…)`.

    Raises:
        ConfigError: no such suite or test. DataError: a test's file is missing, differs, or has rows that are no items.
        ModelError, RenderError, ServeError: the model cannot be opened. RunError: the folder cannot be used.
    """
    names = [suite] if isinstance(suite, str) else list(suite)
    options = ModelOptions(template=template, dtype=dtype, revision=revision, trust_remote_code=trust_remote_code)
    asked = ModelRequest.of(os.fspath(model), options, lambda text: None)
    folder = Path(output) if output is not None else usual_folder(os.fspath(model), names)
    answers = Answering(max_new_tokens) if generate else None
    settings = Settings(profile, shuffle, texts, limit, capacity, answers, judge)
    found = find_tests(names, Path(tests), fetch)
    return Evaluation(folder, run(asked, found, settings, folder, lambda text: None))
