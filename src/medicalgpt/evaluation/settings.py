"""How tests are asked, and what of it the numbers depend on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from medicalgpt.config.evaluation import WRITTEN, GraderConfig, NamedTest, Profile
from medicalgpt.errors import ConfigError
from medicalgpt.evaluation.answering import Answering
from medicalgpt.evaluation.outcomes import JsonObject
from medicalgpt.evaluation.prompts import prompt_of


@dataclass(frozen=True)
class Settings:
    """How tests are asked. `orders`: cyclic orders of the options; `texts`: score the options' texts as well; `limit`: so
    many items of each test, evenly spread over it; `capacity`: tokens of one pass; `answers`: have it write an answer to each
    item, too; `judge`: who grades answers of tests with rubrics.

    Raises:
        ConfigError: answers in a profile that has no turns, or a judge without answers.
    """

    profile: Profile = "chat"
    orders: int = 1
    texts: bool = False
    limit: int | None = None
    capacity: int = 4096
    answers: Answering | None = None
    judge: GraderConfig | None = None

    def __post_init__(self) -> None:
        if self.answers is not None and self.profile != "chat":
            raise ConfigError(
                f"answers are written in the profile chat, and the profile is {self.profile}; leave --generate out, or run "
                "both profiles one after the other"
            )
        if self.judge is not None and self.answers is None:
            raise ConfigError("a judge grades written answers; add --generate (generate: true), or leave the judge out")

    def facts(self) -> JsonObject:
        """What of them the numbers depend on: of a judge which model it is, wherever that runs, and how it is asked."""
        told = asdict(replace(self, judge=None))
        if self.judge is None:
            return told
        return told | {"judge": self.judge.model + (", one criterion a question" if self.judge.one_by_one else "")}

    def check(self, tests: Sequence[NamedTest]) -> None:
        """Raises ConfigError where a test lacks what it is measured with, or a judge has nothing to grade."""
        if self.answers is None and (names := [test.name for test in tests if test.kind in WRITTEN]):
            raise ConfigError(f"{', '.join(names)}: answers are written here; add --generate (generate: true)")
        graded = [test.name for test in tests if test.kind == "rubric"]
        if graded and self.judge is None:
            raise ConfigError(
                f"{', '.join(graded)}: a judge grades these answers; name one with --judge http://localhost:8000/v1 "
                "--judge-model NAME (judge: {url, model})"
            )
        if self.judge is not None and not graded:
            raise ConfigError("a judge is named, and none of these tests has rubrics to grade by; leave the judge out")

    def headline(self, test: NamedTest) -> str:
        """The scoring that counts: what the profile's prompt has the model go on with."""
        if test.kind != "choice":
            return {"requests": "openers", "open": "f1", "rubric": "rubric"}[test.kind]
        prompt = prompt_of(test, self.profile)
        if prompt is None:
            return "letter"
        if prompt.answers == "letters":
            return "letter_spaced" if prompt.delimiter == " " else "letter"
        return "text_per_byte" if prompt.answers == "texts" else "text"
