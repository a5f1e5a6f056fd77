"""Make a corpus from Python: the same schema, checks and run folder as `medicalgpt data curate`."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from medicalgpt.config.curation import CurateConfig
from medicalgpt.config.loader import load
from medicalgpt.config.overrides import Overrides, override_words
from medicalgpt.curation.cluster import DatatroveExecutor, Launch
from medicalgpt.curation.corpus import Corpus
from medicalgpt.curation.stage import curate as make

PathLike = str | os.PathLike[str]


def curate(
    sources: PathLike | Sequence[PathLike] | Mapping[str, object] | None = None,
    *,
    config: PathLike | None = None,
    output_dir: PathLike | None = None,
    overrides: Overrides = (),
    review: PathLike | None = None,
    say: Callable[[str], None] = lambda text: None,
    launch: Launch | None = None,
) -> Corpus:
    """Make a corpus of raw files; the same call again goes on where it was stopped, or finds it finished.

    Args:
        sources: files or folders, or the `sources` section: `{"notes": {"paths": ["notes/"], "share": 0.4}, …}`.
        config: a YAML file, as for `medicalgpt data curate --config`.
        output_dir: the run folder.
        overrides: dotted keys, `{"duplicates.jaccard": 0.5, "personal_data.operator": "drop"}`.
        review: a new file that gets every piece of personal data that is found, with its place.
        say: gets lines about the way there.
        launch: makes the executor of datatrove that does a step's tasks on a cluster: of a pipeline, their number and a folder
            for logs.

    Raises:
        MedicalGPTError: bad input, or personal data that could not be taken out.
    """
    flat: dict[str, object] = {}
    if isinstance(sources, Mapping):
        flat["sources"] = dict(sources)
    elif sources is not None:
        paths = [sources] if isinstance(sources, str | os.PathLike) else sources
        flat["sources"] = {"files": {"paths": [os.fspath(path) for path in paths]}}
    if output_dir is not None:
        flat["output_dir"] = os.fspath(output_dir)
    file = None if config is None else os.fspath(config)
    resolved = load(CurateConfig, file, [*override_words(overrides), *override_words(flat)])
    executor = None if launch is None else DatatroveExecutor(launch=launch)
    return Corpus(make(resolved, say, None if review is None else Path(review), executor))
