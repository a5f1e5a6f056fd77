"""What scores an answer: a reward model, rewards by name, functions of the user, a judge, and what is taken off."""

from typing import Final, Literal, Self, get_args

from pydantic import Field, model_validator

from medicalgpt.config.sections import Commit, Section

RewardName = Literal[
    "exact", "choice_letter", "set_correct", "contains", "short_answer_f1", "refusal", "format", "length", "rubric"
]
COMPARED: Final = ("exact", "choice_letter", "set_correct", "contains", "short_answer_f1", "refusal")
"""Rewards that compare an answer with a column of its row."""


class JudgeConfig(Section):
    """A language model that grades answers, behind an OpenAI-compatible address."""

    url: str = Field(min_length=1, pattern="^https?://", description="Its address, such as http://localhost:8000/v1.")
    model: str = Field(min_length=1, description="The model's name there.")
    key_variable: str | None = Field(None, min_length=1, description="Environment variable that holds its API key.")
    timeout: float = Field(60.0, gt=0, description="Seconds that one question may take.")
    parallel: int = Field(4, ge=1, le=64, description="Questions that are asked at once.")


class CriterionConfig(Section):
    """What an answer may do, and what it is worth."""

    criterion: str = Field(min_length=1, max_length=4000, description="In words.")
    points: float = Field(1.0, description="Worth of meeting it; below 0 for a fault.")


class RewardFunction(Section):
    """A score of an answer: one of ours by name, a Python function or an HTTP service."""

    path: str | None = Field(
        None, min_length=1, description="package.module:function, file.py:function, or http(s)://…."
    )
    name: RewardName | None = Field(None, description="Instead of a path: a reward of this package.")
    weight: float = Field(1.0, description="Its weight in the sum.")
    timeout: float = Field(60.0, gt=0, description="Seconds it may take for one update's answers.")
    column: str | None = Field(
        None,
        min_length=1,
        description="What exact, contains, choice_letter, set_correct and short_answer_f1 compare with; null: the row's answer. For refusal: which rows ask for one; null: expected.",
    )
    partial: bool = Field(False, description="For set_correct: share of the letters, not all or nothing.")
    columns: list[str] | None = Field(
        None, description="Columns that an HTTP service gets; null: all on this machine, none on another one."
    )
    judge: JudgeConfig | None = Field(None, description="For rubric: who grades {url, model, key_variable, …}.")
    criteria: list[CriterionConfig] = Field(
        default_factory=list,
        max_length=50,
        description="For rubric: the same for every row; none: those in the column, by default `rubric`.",
    )
    target: int | None = Field(None, gt=0, description="For length: characters that an answer should have.")
    limit: int | None = Field(None, gt=0, description="For length: characters that an answer may have.")

    @property
    def label(self) -> str:
        """What messages and metrics call it."""
        return self.name or str(self.path)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.path is None) == (self.name is None):
            raise ValueError(f"an entry has either a path or a name ({', '.join(get_args(RewardName))})")
        if self.column is not None and self.name not in (*COMPARED, "rubric"):
            raise ValueError(
                f"column is for {', '.join(COMPARED)} and rubric; '{self.label}' reads none by that key; leave it out"
            )
        if self.columns is not None and not str(self.path).startswith(("http://", "https://")):
            raise ValueError(
                "columns is for HTTP services; a Python function asks by the names of its parameters: leave it out"
            )
        if self.partial and self.name != "set_correct":
            raise ValueError(f"partial is for set_correct; '{self.label}' does not know it: leave it out")
        self._check_rubric()
        given = (self.target is not None) + (self.limit is not None)
        if given != (self.name == "length"):
            raise ValueError("target or limit, one of them, is for the reward length, which needs one")
        return self

    def _check_rubric(self) -> None:
        if (self.judge is not None) != (self.name == "rubric"):
            raise ValueError(
                "judge is for the reward rubric, which needs one: {url: http://localhost:8000/v1, model: NAME}"
            )
        if not self.criteria:
            return
        if self.name != "rubric" or self.column is not None:
            raise ValueError("criteria is for the reward rubric, and takes the place of its column")
        if not any(one.points > 0 for one in self.criteria) or not all(one.points for one in self.criteria):
            raise ValueError("criteria: points are not 0, and above 0 for one of them at least")


class RewardConfig(Section):
    """What an answer is worth: a weighted sum of scores minus penalties."""

    model: str | None = Field(None, description="A reward model: run folder, model folder, adapter folder or Hub id.")
    model_commit: Commit | None = Field(
        None, description="The commit at which a hub's reward model is read; a run notes it here."
    )
    weight: float = Field(1.0, description="Weight of the reward model's score.")
    normalize: bool = Field(True, description="Score minus mean over standard deviation of its held-out pairs.")
    clip: float | None = Field(5.0, gt=0, description="Bound on the (normalized) score; null: none.")
    functions: list[RewardFunction] = Field(
        default_factory=list, description="Further scores {path or name, weight, timeout, …}."
    )
    missing_stop_score: float | None = Field(
        None, description="Score of an answer that did not end by itself, whatever it would get; null: its own score."
    )
    missing_stop_penalty: float = Field(1.0, ge=0, description="Taken off an answer that did not end by itself.")
    length_penalty: float = Field(0.0, description="Taken off times the answer's share of max_new_tokens.")
    overlong_buffer: int | None = Field(
        None,
        gt=0,
        description="DAPO's soft overlong punishment begins that many tokens before max_new_tokens; null: none.",
    )
    overlong_penalty: float = Field(1.0, gt=0, description="Taken off at max_new_tokens; it rises evenly to this.")
    allow_weak_model: bool = Field(
        False, description="Accept a reward model whose held-out accuracy is unknown or not above 50 %."
    )
    allow_remote: bool = Field(False, description="Let answers leave this machine for an HTTP reward on another host.")

    @model_validator(mode="after")
    def _commit_of_a_model(self) -> Self:
        if self.model_commit and not self.model:
            raise ValueError("reward.model_commit is the commit of reward.model; set both or none")
        return self
