"""Plant canaries, and look for training data that a model gives away."""

from collections.abc import Sequence
from pathlib import Path

from medicalgpt.api.evaluation import PathLike
from medicalgpt.evaluation.evaluation import usual_folder
from medicalgpt.evaluation.leakage import canaries as planting
from medicalgpt.evaluation.leakage.canaries import CanaryKind, CanaryLanguage
from medicalgpt.evaluation.leakage.measure import Looking
from medicalgpt.evaluation.leakage.measure import leakage as look
from medicalgpt.evaluation.leakage.planted import base_of
from medicalgpt.evaluation.leakage.told import Leakage
from medicalgpt.generate.model_options import Dtype, ModelOptions
from medicalgpt.generate.open_model import ModelRequest


def plant(
    output: PathLike,
    *,
    data: PathLike | None = None,
    count: int = 12,
    digits: int = 3,
    repeats: Sequence[int] = (1, 4, 16),
    languages: Sequence[CanaryLanguage] = ("en", "zh"),
    kind: CanaryKind = "dialogue",
    seed: int = 42,
) -> Path:
    """Write training rows with drawn secrets (canaries); returns the key beside them, which `leakage` looks for them with.

    Args:
        output: a new .jsonl file.
        data: a .jsonl file whose rows are copied there, the canaries among them.
        repeats: how often each stands there, in turn.

    Raises:
        DataError: a file exists, is of another type, or cannot be read.
    """
    key = planting.draw(count, digits, list(repeats), list(languages), kind, seed)
    return planting.plant(key, Path(output), Path(data) if data is not None else None)


def leakage(
    model: PathLike,
    *,
    control: PathLike | None = None,
    canaries: PathLike | None = None,
    rows: Sequence[PathLike] = (),
    kind: CanaryKind = "dialogue",
    limit: int = 500,
    tokens: int = 50,
    candidates: int = 10_000,
    max_tokens: int | None = None,
    output: PathLike | None = None,
    template: str | None = None,
    dtype: Dtype = "auto",
    trust_remote_code: bool = False,
) -> Leakage:
    """Look for planted secrets, and for training rows that a model goes on with; what is finished is not done again.

    Args:
        model: a run, model or adapter folder, an embedded model's name, or a Hub id.
        control: a model that has not seen the data; None: the base of the run.
        canaries: the key that `plant` wrote.
        rows: files of the training data, of which at most `limit` rows are looked at, evenly spread.
        tokens: from so many on a continuation is verbatim.
        candidates: a canary is ranked among all secrets, or so many drawn ones.
        max_tokens: longest row; None: the run's data.max_tokens, else 1024.
        output: where leakage.json goes; None: within a run's folder, else below runs/evaluation.

    Raises:
        ConfigError: there is nothing to look for, or no control is known. DataError: a key or rows cannot be read.
        ModelError, RenderError, ServeError: a model cannot be opened.
    """
    looking = Looking(
        Path(canaries) if canaries is not None else None,
        tuple(map(Path, rows)),
        kind,
        limit,
        tokens,
        candidates,
        max_tokens,
    )
    options = ModelOptions(template=template, dtype=dtype, trust_remote_code=trust_remote_code)
    beside = str(control) if control is not None else base_of(str(model))
    asked, other = (ModelRequest.of(str(one), options, lambda text: None) for one in (model, beside))
    folder = Path(output) if output is not None else usual_folder(str(model), ["leakage"])
    return look(asked, other, looking, folder, lambda text: None)
