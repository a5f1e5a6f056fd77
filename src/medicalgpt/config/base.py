"""What every training stage has, and what the stages on fixed rows have beyond it.

Facts of a stage that need no torch are class variables and properties here; whoever must tell stages apart reads them.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from medicalgpt.config.distributed import DistributedConfig
from medicalgpt.config.sections import (
    Commit,
    DataConfig,
    LoraConfig,
    ModelConfig,
    OptimizerConfig,
    Section,
    TrainConfig,
)

DataKind = Literal["document", "dialogue", "preference", "feedback"]


class ReferenceChoice(Section):
    """Where the reference of an objective comes from."""

    reference: Literal["auto", "adapter_off", "model", "cached"] = Field(
        "auto",
        description="Where reference log-probabilities come from: the base with the adapter off, a second model, or a cache filled before training. auto: adapter_off with a fresh LoRA adapter, else cached.",
    )
    reference_model: str | None = Field(
        None, description="The second model when reference is model; null: the base itself."
    )

    reference_commit: Commit | None = Field(
        None, description="The commit at which a hub's reference_model is read; a run notes it here."
    )

    @model_validator(mode="after")
    def _second_model(self) -> Self:
        if self.reference_model and self.reference != "model":
            raise ValueError("objective.reference_model is used with objective.reference=model only")
        if self.reference_commit and not self.reference_model:
            raise ValueError("objective.reference_commit is the commit of objective.reference_model; set both or none")
        return self


@dataclass(frozen=True)
class NamedModel:
    """A model that a stage reads.

    Attributes:
        role: base, adapter, reference, teacher or reward.
        key: the key that names it. noted: the key under which a run notes its commit.
        revision: what is asked for beside the name; None: what the name says.
    """

    role: str
    key: str
    noted: str
    name: str
    commit: str | None
    revision: str | None = None

    @property
    def at(self) -> str | None:
        """The revision to read it at."""
        return self.commit or self.revision


class StageConfig(Section):
    """What every training stage has.

    Facts of the stage: `kind` of data it reads; `branches`, the answers of one row (a packed row has room for as many);
    `scores` for a reward model, which ranks answers and writes none; `rollouts` where it learns from its own answers;
    `unit` of its curve in a pipeline's figure.
    """

    kind: ClassVar[DataKind] = "dialogue"
    branches: ClassVar[int] = 1
    scores: ClassVar[bool] = False
    rollouts: ClassVar[bool] = False
    unit: ClassVar[str] = "loss"

    model: ModelConfig = ModelConfig()
    lora: LoraConfig = LoraConfig()
    quantization: Literal["none", "int8", "nf4"] = Field(
        "none", description="Load the frozen base in 8 or 4 bits (QLoRA, arXiv 2305.14314); needs lora."
    )
    data: DataConfig
    train: OptimizerConfig = OptimizerConfig()
    distributed: DistributedConfig = DistributedConfig()
    output_dir: str = Field(description="The run folder.")
    report_to: list[Literal["tensorboard", "trackio", "wandb", "swanlab", "mlflow"]] = Field(
        default_factory=list, description="Loggers beside metrics.jsonl."
    )

    @model_validator(mode="after")
    def _quantized_base_is_frozen(self) -> Self:
        if self.quantization != "none" and not self.lora.enabled:
            raise ValueError(f"quantization={self.quantization} freezes the base; it needs lora.enabled=true")
        return self

    @property
    def reference_choice(self) -> ReferenceChoice | None:
        """Where the objective's reference comes from; None for an objective that has none, or brings its own."""
        return None

    @property
    def row_tokens(self) -> int:
        """Tokens of a packed row, the unit of a forward pass."""
        return self.train.row_tokens or self.data.max_tokens * self.branches

    @property
    def longest_answer(self) -> int | None:
        """Tokens of the longest answer that the stage draws; None where its rows are known beforehand."""
        return None

    @property
    def base_model(self) -> NamedModel:
        """The model that it starts from."""
        model = self.model
        return NamedModel("base", "model.base", "model.commit", model.base, model.commit, model.revision)

    @property
    def adapter_model(self) -> tuple[NamedModel, ...]:
        """The adapter on that which it goes on training, if there is one."""
        name, commit = self.model.adapter, self.model.adapter_commit
        return (NamedModel("adapter", "model.adapter", "model.adapter_commit", name, commit),) if name else ()

    @property
    def other_models(self) -> tuple[NamedModel, ...]:
        """Models beside the base that read whole rows: reference, teacher, reward model."""
        choice = self.reference_choice
        if choice is None or not choice.reference_model:
            return ()
        keys = ("objective.reference_model", "objective.reference_commit")
        return (NamedModel("reference", *keys, choice.reference_model, choice.reference_commit),)


class SupervisedConfig(StageConfig):
    """A stage on rows that are known beforehand: text, dialogues, preferences."""

    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _new_tokens_or_whole_modules(self) -> Self:
        if self.model.tokenizer and self.lora.modules_to_save:
            raise ValueError(
                "model.tokenizer trains the rows of its new tokens by itself; beside it lora.modules_to_save cannot be used: leave it "
                "out, or merge the run with the new tokens first and give that as model.base"
            )
        return self

    @property
    def trained_turns(self) -> Literal["assistant", "last", "all"]:
        """Which turns of a dialogue carry loss."""
        return "assistant"
