"""The parts of trust.json: facts and numbers, as values that are checked when they are read."""

import math
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict

Word = Literal["PASS", "BLOCK", "INCONCLUSIVE", "NOT JUDGED", "UNFINISHED", "BROKEN"]
Reason = Literal["blocked", "unfinished", "changed", "inconclusive", "no_gates", "no_tests", "passed", "went_on"]
State = Literal["same", "changed", "gone", "unchecked"]
Numbers = dict[str, float | None]


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Estimate(Part):
    """A number with its 95 % interval and the items it rests on; null where nothing was scored."""

    value: Number
    low: Number
    high: Number
    rows: int


class Verdict(Part):
    """In one word, and why. `missing`: stages that are not finished; `blocked`: stages with a blocked gate."""

    word: Word
    reasons: list[Reason]
    missing: list[str] = []
    blocked: list[str] = []


class GateLine(Part):
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


class Stage(Part):
    """A stage of the pipeline or of the chain that a run goes back to; `finished` is null while it is not."""

    name: str
    stage: str | None
    finished: AwareDatetime | None
    seed: int | None
    device: str | None


class Model(Part):
    """A model that numbers are told of, the base first. `run` is its folder's name, null of the base."""

    name: str
    stage: str | None
    run: str | None
    manifest_sha256: str | None
    tested: bool


class Test(Part):
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


class Group(Part):
    """A suite over the items of its tests."""

    name: str
    tests: list[str]
    scores: dict[str, Estimate]


class Instrument(Part):
    """What judges in place of people: the refusal detector in a `language`, or a judge model; how often it agrees with people,
    null where nobody looked, and `checks` of other kinds."""

    kind: Literal["refusals", "judge"]
    name: str
    language: str | None
    agreement: Estimate | None
    on: str
    checks: dict[str, Estimate] = {}


class HeldOut(Part):
    """Numbers of a stage on its own held-out rows, as its manifest has them."""

    stage: str
    rows: int | None
    before: Numbers
    after: Numbers


class RewardModel(Part):
    """A reward model on held-out pairs."""

    stage: str
    accuracy: Estimate
    length_accuracy: Number
    calibration_error: Number
    warnings: list[str]


class DataFile(Part):
    """A file as the row ledger names it. `sha256` is of what lies there now, null where it is not there any more."""

    name: str
    rows: int
    kept: int
    truncated: int
    split: int
    dropped: int
    sha256: str | None
    license: str | None


class Data(Part):
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


class License(Part):
    """Terms of something that went in; null where nothing states them."""

    what: str
    kind: Literal["base", "data", "test"]
    license: str | None


class Link(Part):
    """One link from raw file to final weights: what it is, its hash, and whether what lies there now has it."""

    what: Literal["raw", "curation", "corpus", "data", "held out", "base", "manifest", "weights", "merged"]
    stage: str
    name: str
    sha256: str | None
    state: State


class Certificate(Part):
    """How far a merged, quantized or exported model is from the one before it."""

    stage: str
    place: str
    step: str
    verdict: str
    max_abs_delta: Number
    mean_kl: Number
    greedy_agreement: Number
    excess: list[str]


class Answer(Part):
    """What a model answered; `who` is a model's name, or the step of its training."""

    who: str
    text: str


class Sample(Part):
    """A question and answers to it. The only text of people and models in the file."""

    stage: str
    question: str
    answers: list[Answer]
    reference: str | None


class Unmeasured(Part):
    """Something that has no number here. `what` is one of a fixed list of codes, `detail` what it is about."""

    what: Literal[
        "tests", "base", "model", "stale", "otherwise", "gates", "safety", "answers", "over_refusal", "judge", "judge_error",
        "held_out", "clean", "phi", "leak", "clinical", "certificate", "served", "data_license", "base_license",
        "lineage", "limit", "too_long", "several",
    ]  # fmt: skip
    detail: str = ""
