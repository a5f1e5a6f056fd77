"""Typed schema of a named test: its facts, where its items stand, and how they are asked."""

from typing import Annotated, Final, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from medicalgpt.config.rewards import JudgeConfig
from medicalgpt.config.sections import Encodings, Section
from medicalgpt.errors import DataError
from medicalgpt.hub.address import parse

Profile = Literal["chat", "lm-eval", "cloze"]
Language = Literal["en", "zh"]
Kind = Literal["choice", "requests", "open", "rubric"]
WRITTEN: Final = ("open", "rubric")
"""Kinds of tests that are written answers and nothing else."""
Expected = Literal["refusal", "answer", "pair"]
GateScoring = Literal[
    "letter",
    "letter_spaced",
    "text",
    "text_per_token",
    "text_per_byte",
    "openers",
    "answer",
    "answer_strict",
    "answer_first",
    "answer_last",
    "answer_text",
    "refusal",
    "exact",
    "f1",
    "rouge_l",
    "rubric",
    "stop",
    "no_repeats",
]


def check_hub(hub: str | None, sha256: str | None) -> None:
    """Raises ValueError where an address is no file's on a hub, or nothing says what its content must be."""
    if hub is None:
        return
    try:
        address = parse(hub)
    except DataError as error:
        raise ValueError(f"hub: {error}") from None
    if address is None or not address.inside or address.rows is not None:
        raise ValueError("hub: write hf://owner/name@revision/path/of/file, or ms://owner/name@revision/path/of/file")
    if sha256 is None:
        raise ValueError("a file with `hub` needs its sha256: what is fetched is used with this content alone")


class AnswerFile(Section):
    """A file of right answers under the items' ids."""

    path: str = Field(description="Where it lies, as the path of the items' file.")
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="SHA-256 of its bytes; null: any content.")
    bytes: int | None = Field(None, ge=1, description="Its size, by which it is found under another name.")
    hub: str | None = Field(None, description="Where it is fetched from when asked for, as of a file of items.")

    @model_validator(mode="after")
    def _from_a_hub(self) -> Self:
        check_hub(self.hub, self.sha256)
        return self


class ItemFile(Section):
    """One file of items. Hashes are of the file as its publisher has it; a file that differs is another test."""

    path: str = Field(description="Where it lies: below the test's own file, or below the folder of tests.")
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="SHA-256 of its bytes; null: any content.")
    bytes: int | None = Field(None, ge=1, description="Its size, by which it is found under another name.")
    hub: str | None = Field(
        None,
        description="Where it is fetched from when asked for (--fetch): hf://owner/name@revision/path/of/file, or ms:// for ModelScope; with sha256.",
    )
    sheet: str | None = Field(None, description="In a workbook: the sheet; null: the only one that holds anything.")
    subject: str | None = Field(None, description="Subject of all its items; null: as the column `subject` says.")
    answers: AnswerFile | None = Field(
        None,
        description="File of the right answers, where they do not stand with the items; joined by the column `id`.",
    )
    examples: str | None = Field(None, description="File of worked examples, which stand before each question.")
    examples_sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="SHA-256 of that file.")

    @model_validator(mode="after")
    def _from_a_hub(self) -> Self:
        check_hub(self.hub, self.sha256)
        return self


class EmbeddedOptions(Section):
    """Options that stand in the question's own text."""

    before_question: str = Field("", description="What stands in front of the question.")
    before_options: str = Field(description="What stands between the question and its first option.")
    between: str = Field(description="What stands between two options.")


class PromptConfig(Section):
    """How an item is asked, as text that the model goes on with.

    In `text`: {question}, {context} (what stands before the question's last line), {options}, {subject}; in `option`:
    {letter}, {text}.
    """

    text: str = Field(description="The question with its options, up to where the answer begins.")
    option: str = Field("{letter}. {text}\n", description="One option.")
    description: str = Field("", description="What stands before everything, {subject} in it.")
    answers: Literal["letters", "texts"] | list[str] = Field(
        "letters", description="What the model chooses among: the letters, the options' texts, or these words in order."
    )
    delimiter: str = Field(" ", description="What stands between the prompt and an answer.")
    few_shot: int = Field(
        0, ge=0, le=100, description="How many worked examples stand before a question: the first ones."
    )
    strip: bool = Field(False, description="Take white space from the ends of the question.")


class NamedTest(Section):
    """A named test. Items of others are never part of this package."""

    kind: Kind = Field(
        "choice",
        description="choice: questions with options; requests: what a model should refuse, or should answer, by how it would begin; open: questions with a short reference; rubric: conversations whose answers a judge grades.",
    )
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", description="How it is called.")
    version: int = Field(
        1, ge=1, description="Raised whenever file, prompt or scoring change: scores of two are not compared."
    )
    title: str = Field(description="Its name in full.")
    license: str = Field(description="Of its items, as their publisher declares it.")
    origin: str = Field(description="Where its items come from.")
    on_hub: str | None = Field(
        None,
        pattern=r"^[\w.-]+/[\w.-]+(, .+)?$",
        description="Where the same questions are on the Hugging Face Hub: owner/name, then which split, in words. Told, not fetched: those are other files than the hashed ones (a file's `hub` is fetched).",
    )
    language: Language = Field(description="In which chat prompts are worded.")
    group: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", description="The suite that it belongs to.")
    files: list[ItemFile] = Field(min_length=1, description="Its files in order.")
    items: int | None = Field(None, ge=1, description="How many items they have together; null: not known.")
    columns: dict[str, str] = Field(
        default_factory=dict, description="Columns by part, as data.columns has them, and `subject` and `id`."
    )
    answer_is: Literal["auto", "letter", "text", "from_0", "from_1"] = Field(
        "auto",
        description="How the column `answer` names the right option: its letter, its text, or its number counted from 0 or 1. auto: what it says must be clear in each row.",
    )
    encoding: Encodings = Field("auto", description="Of the files' text.")
    embedded: EmbeddedOptions | None = Field(None, description="How options stand in the question, where they do.")
    prompts: dict[Literal["lm-eval", "cloze"], PromptConfig] = Field(
        default_factory=dict, description="Prompts of the profiles `lm-eval` and `cloze`."
    )
    instruction: str | None = Field(
        None, description="What the profile `chat` asks for; null: for the letter, of open questions nothing."
    )
    expected: Expected = Field(
        "refusal",
        description="Of requests: what is right. pair: to refuse the column `request` (or `dangerous`) and to answer `harmless`.",
    )
    where: dict[str, str] = Field(
        default_factory=dict, description="Of requests: take the rows only whose columns have these texts."
    )

    @model_validator(mode="after")
    def _no_file_twice(self) -> Self:
        paths = [file.path for file in self.files] + [file.answers.path for file in self.files if file.answers]
        if len(set(paths)) < len(paths):
            raise ValueError("two entries of files have the same path; leave one out")
        return self

    @model_validator(mode="after")
    def _keys_of_its_kind(self) -> Self:
        mine = {
            "requests": {"expected", "where"},
            "choice": {"answer_is", "embedded", "prompts", "instruction"},
            "open": {"instruction"},
            "rubric": set[str](),
        }
        other = (set[str]().union(*mine.values()) - mine[self.kind]) & self.model_fields_set
        if wrong := sorted(
            name
            for name in other
            if getattr(self, name) != type(self).model_fields[name].get_default(call_default_factory=True)
        ):
            raise ValueError(
                f"{', '.join(wrong)} mean nothing in a test with `kind: {self.kind}`; leave them out or set another kind"
            )
        return self


class GraderConfig(JudgeConfig):
    """Who grades answers of tests with rubrics."""

    one_by_one: bool = Field(
        False,
        description="Ask about each criterion in a question of its own, as HealthBench does; false: about all at once.",
    )
    allow_remote: bool = Field(False, description="Let answers leave this machine for a judge on another host.")
    check: str | None = Field(
        None, description="Result of `evaluate judge-check`; null: where that command puts it, if it is there."
    )


class Gate(Section):
    """What a model must not lose."""

    group: str = Field(description="A suite or a test of it.")
    scoring: GateScoring | None = Field(
        None,
        description="What is compared: a scoring of likelihoods or of written answers, or how many answers stop by themselves (stop) or do not repeat themselves (no_repeats); null: the test's own.",
    )
    margin: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Percentage points that may be lost (of refusals of harmless requests, by which they may rise); null: 5 of answers that end well, else 2.",
    )
    against: Literal["base", "previous"] = Field(
        "base", description="In a pipeline: the model that it is compared with."
    )

    @property
    def points(self) -> float:
        """Percentage points that may be lost."""
        usual = 5.0 if self.scoring in ("stop", "no_repeats") else 2.0
        return self.margin if self.margin is not None else usual

    @property
    def label(self) -> str:
        """Its name in tables."""
        return self.group if self.scoring is None else f"{self.group} {self.scoring}"


StageNumber = Literal["reward_accuracy", "kl", "certificate", "answer_loss", "document_loss", "leaks"]
_LIMITS: Final = {
    "leaks": "at_most",
    "reward_accuracy": "at_least",
    "kl": "at_most",
    "answer_loss": "margin",
    "document_loss": "margin",
    "certificate": "",
}
"""Which key says how far each number may go."""


class StageGate(Section):
    """What a number of a pipeline's own stages must keep."""

    number: StageNumber = Field(
        description="reward_accuracy: of a reward model on held-out pairs; kl: how far learning from rewards has moved, nats an answer; answer_loss, document_loss: on the held-out dialogues and documents of `compare`, nats a token; certificate: of the merge; leaks: by `leakage`."
    )
    stage: str | None = Field(None, description="The stage that it is asked of; null: every one that has this number.")
    at_least: float | None = Field(
        None, ge=50, lt=100, description="Of reward_accuracy, in percent; null: 50, as chance has."
    )
    at_most: float | None = Field(
        None, ge=0, description="Of kl, in nats an answer, above 0; of leaks, how many there may be; null: 0."
    )
    margin: float | None = Field(
        None, gt=0, description="Of answer_loss and document_loss: nats a token by which it may rise; null: 0.05."
    )
    against: Literal["base", "previous"] = Field("base", description="What a loss is compared with.")

    @property
    def limit(self) -> float:
        """How far the number may go; 0 of leaks, and of a certificate, which has its own tolerances."""
        if self.number == "reward_accuracy":
            return (self.at_least if self.at_least is not None else 50.0) / 100
        if self.number == "kl":
            assert self.at_most is not None  # the validator has looked
            return self.at_most
        if self.number == "leaks":
            return self.at_most or 0.0
        usual = 0.0 if self.number == "certificate" else 0.05
        return self.margin if self.margin is not None else usual

    @model_validator(mode="after")
    def _limits_of_its_number(self) -> Self:
        wanted = _LIMITS[self.number]
        given = [name for name in ("at_least", "at_most", "margin") if getattr(self, name) is not None]
        if wrong := [name for name in given if name != wanted]:
            takes = f"it takes {wanted}" if wanted else "it takes none: each kind of merge has its tolerances"
            raise ValueError(f"{', '.join(wrong)} is no limit of {self.number}; {takes}")
        if self.number == "kl" and not self.at_most:
            raise ValueError(
                "kl needs at_most above 0, in nats an answer: how far a model may move depends on the reward"
            )
        if self.against != "base" and wanted != "margin":
            raise ValueError(f"{self.number} is compared with no other model; leave `against` out")
        return self


GATE_TAGS: Final = ("(gate)", "(stage gate)")
"""What pydantic calls the two forms of a gate where it says what is wrong."""
AnyGate = Annotated[
    Annotated[Gate, Tag(GATE_TAGS[0])] | Annotated[StageGate, Tag(GATE_TAGS[1])],
    Discriminator(
        lambda value: GATE_TAGS[isinstance(value, StageGate) or (isinstance(value, dict) and "number" in value)]
    ),
]


class EvaluateConfig(Section):
    """Tests that the base and every stage's model of a pipeline take."""

    suite: list[str] = Field(min_length=1, description="Suites and tests by name.")
    tests: str = Field("tests", description="Folder below which the tests' files lie, and YAML of your own tests.")
    fetch: bool = Field(False, description="Fetch files that are missing there from the hubs that tests name.")
    profile: Profile = Field("chat", description="How questions are asked: chat, lm-eval or cloze.")
    limit: int | None = Field(None, ge=1, description="So many items of each test, evenly spread; null: all.")
    shuffle: int = Field(1, ge=1, le=26, description="Ask in so many cyclic orders of the options.")
    texts: bool = Field(False, description="Score the options' texts, too.")
    capacity: int = Field(4096, ge=128, description="Tokens of one pass; no number depends on it.")
    generate: bool = Field(False, description="Have the model write an answer to each question, too.")
    max_new_tokens: int = Field(256, ge=1, description="With generate: most tokens of an answer.")
    judge: GraderConfig | None = Field(None, description="With generate: who grades answers of tests with rubrics.")


class Gates(Section):
    """What a model must keep to go on."""

    gates: list[Gate] = Field(
        default_factory=list, description="Conditions; empty: the usual ones for the suites measured."
    )
