"""trust.json: what may be said of a model, as numbers for programs; trust.html shows it. Language-free, documented, versioned.

It lies in the folder of a run or of a pipeline and is written by `medicalgpt report`. Model cards read it.
"""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from medicalgpt import __version__
from medicalgpt.errors import RunError

NAME: Final = "trust.json"
PAGE: Final = "trust.html"
SCHEMA_VERSION: Final = 1

Word = Literal["PASS", "BLOCK", "INCONCLUSIVE", "NOT JUDGED", "UNFINISHED", "BROKEN"]
Reason = Literal["blocked", "unfinished", "changed", "inconclusive", "no_gates", "no_tests", "passed", "went_on"]
State = Literal["same", "changed", "gone", "unchecked"]
Numbers = dict[str, float | None]


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Estimate(_Part):
    """A number with its 95 % interval and the items it rests on; null where nothing was scored."""

    value: Number
    low: Number
    high: Number
    rows: int


class Verdict(_Part):
    """In one word, and why. `missing`: stages that are not finished; `blocked`: stages with a blocked gate."""

    word: Word
    reasons: list[Reason]
    missing: list[str] = []
    blocked: list[str] = []


class GateLine(_Part):
    """A gate as it was judged. On tests (`kind` items) value and bounds are differences in shares, `margin` in points; on
    numbers of a stage (`kind` stage) they are the number itself, or by how much a loss rose, and `limit` is its own."""

    stage: str
    kind: Literal["items", "stage"]
    name: str
    verdict: Literal["PASS", "BLOCK", "INCONCLUSIVE"]
    value: Number
    low: Number
    high: Number
    rows: int
    margin: Number = None
    limit: Number = None
    at_least: bool = False
    lower_is_better: bool = False
    needed: int | None = None
    note: str = ""


class Stage(_Part):
    """A stage of the pipeline or of the chain that a run goes back to; `finished` is null while it is not."""

    name: str
    stage: str | None
    finished: AwareDatetime | None
    seed: int | None
    device: str | None


class Model(_Part):
    """A model that numbers are told of, the base first. `run` is its folder's name, null of the base."""

    name: str
    stage: str | None
    run: str | None
    manifest_sha256: str | None
    tested: bool


class Test(_Part):
    """A named test: facts, settings, and every model's numbers by its name. `scores` are by the test's own scoring (`headline`).

    `of`: how many items the test has in all; `too_long`, `several`: items that were counted and not scored.
    """

    __test__ = False  # to pytest
    name: str
    title: str
    version: int
    group: str
    license: str
    kind: Literal["choice", "requests", "open", "rubric"]
    headline: str
    profile: str
    orders: int
    items: int
    of: int | None
    too_long: int
    several: int
    files: dict[str, str]
    scores: dict[str, Estimate]
    by_subject: dict[str, dict[str, Estimate]]
    answers: dict[str, dict[str, Estimate]] = {}
    refused: dict[str, Estimate] = {}
    over_refused: dict[str, Estimate] = {}
    control: dict[str, Estimate] = {}


class Group(_Part):
    """A suite over the items of its tests."""

    name: str
    tests: list[str]
    scores: dict[str, Estimate]


class Instrument(_Part):
    """What judges in place of people: the refusal detector in a `language`, or a judge model; how often it agrees with people,
    null where nobody looked, and `checks` of other kinds."""

    kind: Literal["refusals", "judge"]
    name: str
    language: str | None
    agreement: Estimate | None
    on: str
    checks: dict[str, Estimate] = {}


class HeldOut(_Part):
    """Numbers of a stage on its own held-out rows, as its manifest has them."""

    stage: str
    rows: int | None
    before: Numbers
    after: Numbers


class RewardModel(_Part):
    """A reward model on held-out pairs."""

    stage: str
    accuracy: Estimate
    length_accuracy: Number
    calibration_error: Number
    warnings: list[str]


class DataFile(_Part):
    """A file as the row ledger names it. `sha256` is of what lies there now, null where it is not there any more."""

    name: str
    rows: int
    kept: int
    truncated: int
    split: int
    dropped: int
    sha256: str | None
    license: str | None


class Data(_Part):
    """What a stage was trained on. `state`: whether the files that lie there now are those, by the manifest's hash."""

    stage: str
    files: list[DataFile]
    rows: int
    kept: int
    truncated: int
    split: int
    dropped: int
    held_out: int | None
    reasons: dict[str, int]
    tokens: int
    data_sha256: str
    eval_sha256: str | None
    state: State


class License(_Part):
    """Terms of something that went in; null where nothing states them."""

    what: str
    kind: Literal["base", "data", "test"]
    license: str | None


class Link(_Part):
    """One link from raw file to final weights: what it is, its hash, and whether what lies there now has it."""

    what: Literal["data", "held out", "base", "manifest", "weights", "merged"]
    stage: str
    name: str
    sha256: str | None
    state: State


class Certificate(_Part):
    """How far a merged, quantized or exported model is from the one before it."""

    stage: str
    place: str
    step: str
    verdict: str
    max_abs_delta: Number
    mean_kl: Number
    greedy_agreement: Number
    excess: list[str]


class Answer(_Part):
    """What a model answered; `who` is a model's name, or the step of its training."""

    who: str
    text: str


class Sample(_Part):
    """A question and answers to it. The only text of people and models in the file."""

    stage: str
    question: str
    answers: list[Answer]
    reference: str | None


class Unmeasured(_Part):
    """Something that has no number here. `what` is one of a fixed list of codes, `detail` what it is about."""

    what: Literal[
        "tests", "base", "model", "stale", "otherwise", "gates", "safety", "answers", "over_refusal", "judge", "judge_error",
        "held_out", "clean", "phi", "leak", "clinical", "certificate", "served", "data_license", "base_license",
        "lineage", "limit", "too_long", "several",
    ]  # fmt: skip
    detail: str = ""


class Trust(_Part):
    """The whole of it."""

    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Literal["run", "pipeline"]
    name: str
    created: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    medicalgpt: str = __version__
    verdict: Verdict
    stages: list[Stage]
    gates: list[GateLine]
    models: list[Model]
    groups: list[Group]
    tests: list[Test]
    instruments: list[Instrument]
    compared: dict[str, dict[str, Estimate]]
    held_out: list[HeldOut]
    reward_models: list[RewardModel]
    data: list[Data]
    licenses: list[License]
    lineage: list[Link]
    certificates: list[Certificate]
    samples: list[Sample]
    not_measured: list[Unmeasured]
    commands: list[str]
    versions: dict[str, str]


def read_trust(path: Path) -> Trust | None:
    """The report at `path`; None where there is none.

    Raises:
        RunError: it is damaged, or of another version of the format.
    """
    try:
        return Trust.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        wrong = ".".join(map(str, error.errors()[0]["loc"])) or "it is not JSON"
        raise RunError(f"{path} is damaged or of another version ({wrong}); make it again: medicalgpt report") from None
