"""Typed schema of a pipeline: stages that take the model of the one before, and how the models are compared."""

from typing import Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from medicalgpt.config.base import StageConfig
from medicalgpt.config.curation import CURATE
from medicalgpt.config.data_source import DataPath, check_shares
from medicalgpt.config.evaluation import AnyGate, EvaluateConfig, Gate, StageGate, StageNumber
from medicalgpt.config.near_names import did_you_mean
from medicalgpt.config.sections import Section
from medicalgpt.config.stages import STAGES

_KINDS: Final = {
    "reward_accuracy": "it is that of reward models (rm)",
    "leaks": "it is that of models that answer",
    "kl": "it is that of learning from rewards (ppo, grpo, rloo, distill)",
}


def has_number(schema: type[StageConfig], number: StageNumber) -> bool:
    """Whether stages of a kind have a number that gates may be set on; losses are those of models that answer."""
    if number == "reward_accuracy":
        return schema.scores
    if number == "kl":
        return schema.rollouts
    return number == "certificate" or not schema.scores


def asks(gate: StageGate, name: str, schema: type[StageConfig] | None, merged: bool) -> bool:
    """Whether a gate on stages' own numbers is one on this stage: it names it, or names none and the stage has the number.

    Args:
        schema: of its kind; None where that is not known here.
        merged: its adapter was merged, which alone has a certificate.
    """
    if gate.stage is not None:
        return gate.stage == name
    if gate.number == "certificate":
        return merged
    return schema is not None and has_number(schema, gate.number)


class StageEntry(Section):
    """One stage of a pipeline."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_-]*$", description="Its folder's name, and what later stages call it: ${name}."
    )
    stage: str = Field(description="What `medicalgpt train` does here, or curate: a corpus for later stages, ${name}.")
    config: str | None = Field(None, description="Config file of the stage, relative to the pipeline's file.")
    set: dict[str, Any] = Field(default_factory=dict, description="Keys over the file, e.g. model.base: ${pt}.")

    @field_validator("stage")
    @classmethod
    def _known(cls, stage: str) -> str:
        known = [*STAGES, CURATE]
        if stage not in known:
            raise ValueError(f"unknown stage '{stage}'; stages are {', '.join(known)}{did_you_mean(stage, known)}")
        return stage


class CompareConfig(Section):
    """Held-out data on which the base and every stage's model are compared."""

    documents: list[DataPath] = Field(default_factory=list, description="Held-out documents: perplexity.")
    dialogues: list[DataPath] = Field(
        default_factory=list, description="Held-out dialogues: loss of the answers, stop rate, samples."
    )
    preferences: list[DataPath] = Field(
        default_factory=list, description="Held-out pairs: preference accuracy and margin."
    )
    max_tokens: int = Field(512, ge=16, description="Longest sample; longer ones are cut as in training.")
    rows: int | None = Field(None, ge=1, description="At most this many rows of each kind; null: all.")
    stop_prompts: int = Field(12, ge=0, description="How many held-out questions are answered for the stop rate.")
    stop_tokens: int = Field(160, ge=1, description="An answer that has not stopped by then counts as not stopping.")
    questions: list[str] = Field(default_factory=list, description="Questions answered by every model, side by side.")
    template: str | None = Field(None, description="Chat template of the base; null: the tokenizer's own.")

    @model_validator(mode="after")
    def _shares(self) -> Self:
        for key in ("documents", "dialogues", "preferences"):
            check_shares(getattr(self, key), f"compare.{key}")
        return self


class LeakageConfig(Section):
    """What is looked for that models of a pipeline might give away of their training data, beside the pipeline's base."""

    canaries: str | None = Field(None, description="Key that `evaluate plant` wrote; its rows belong into data.train.")
    rows: list[str] = Field(default_factory=list, description="Files of training rows to look for word by word.")
    kind: Literal["dialogue", "document"] = Field("dialogue", description="Of the rows.")
    limit: int = Field(500, ge=1, le=100_000, description="So many rows at most, evenly spread.")
    tokens: int = Field(50, ge=5, description="From so many tokens on a continuation is verbatim.")
    candidates: int = Field(
        10_000, ge=100, le=1_000_000, description="A canary is ranked among all secrets, or so many drawn ones."
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.canaries is None and not self.rows:
            raise ValueError("there is nothing to look for: name canaries (a key), rows (files of the data), or both")
        return self


class PipelineConfig(Section):
    """`medicalgpt pipeline run`."""

    output_dir: str = Field(description="Folder of the whole pipeline; each stage gets a folder in it.")
    plugins: list[str] = Field(
        default_factory=list,
        description="Files of yours (.py) that register stages, relative to the pipeline's file.",
    )
    base: str = Field("smollm2-135m", description="The model the first stage starts from: ${base}.")
    stages: list[StageEntry] = Field(min_length=1, description="Stages in order.")
    compare: CompareConfig = CompareConfig()
    evaluate: EvaluateConfig | None = Field(
        None, description="Tests for the base and every stage's model; null: none, and no gates."
    )
    leakage: LeakageConfig | None = Field(
        None,
        description="Look for training data that models give away; without a gate on `leaks` the last model may have none.",
    )
    gates: list[AnyGate] = Field(
        default_factory=list,
        description="What a stage's model must keep, on tests or of its own numbers; empty: the usual margins for each suite.",
    )
    on_block: Literal["stop", "warn"] = Field(
        "stop", description="stop: no stage after a blocked one; warn: say it and go on."
    )

    @property
    def trained(self) -> list[StageEntry]:
        """The stages that make a model."""
        return [stage for stage in self.stages if stage.stage != CURATE]

    @property
    def test_gates(self) -> list[Gate]:
        """The gates on tests."""
        return [gate for gate in self.gates if isinstance(gate, Gate)]

    @property
    def stage_gates(self) -> list[StageGate]:
        """The gates on numbers of the stages themselves; that the last model leaks nothing where `leakage` has no gate."""
        found = [gate for gate in self.gates if isinstance(gate, StageGate)]
        if self.leakage is not None and not any(gate.number == "leaks" for gate in found):
            last = next(s.name for s in reversed(self.stages) if has_number(STAGES[s.stage], "leaks"))
            found.append(StageGate(number="leaks", stage=last))
        return found

    @model_validator(mode="after")
    def _gates_can_be_judged(self) -> Self:
        if self.leakage is not None and all(STAGES[s.stage].scores for s in self.stages):
            raise ValueError("leakage is looked for in models that answer, and no stage has one; leave it out")
        if self.test_gates and self.evaluate is None:
            raise ValueError("gates need `evaluate`: a suite of tests to judge by")
        for gate in self.stage_gates:
            names = [s.name for s in self.trained if gate.stage in (None, s.name)]
            if not names:
                known = ", ".join(s.name for s in self.trained)
                raise ValueError(f"a gate names the stage '{gate.stage}', which is none of {known}")
            if gate.number == "leaks" and self.leakage is None:
                raise ValueError("a gate on leaks needs `leakage`: canaries or rows to look for")
            if gate.number in _KINDS and not any(
                has_number(STAGES[s.stage], gate.number) for s in self.trained if s.name in names
            ):
                raise ValueError(f"no stage of {', '.join(names)} has the number {gate.number}: {_KINDS[gate.number]}")
            needs = {"answer_loss": "dialogues", "document_loss": "documents"}.get(gate.number)
            if needs is not None and not getattr(self.compare, needs):
                raise ValueError(f"a gate on {gate.number} needs compare.{needs}: held-out rows to measure it on")
        return self

    @field_validator("stages")
    @classmethod
    def _distinct(cls, stages: list[StageEntry]) -> list[StageEntry]:
        names = [s.name for s in stages]
        if all(s.stage == CURATE for s in stages):
            raise ValueError("no stage trains a model; `medicalgpt data curate` makes a corpus alone")
        twice = sorted({n for n in names if names.count(n) > 1} | (set(cls.model_fields) & set(names)))
        if twice:
            raise ValueError(f"stage names must be distinct and not those of other keys: {', '.join(twice)}")
        return stages
