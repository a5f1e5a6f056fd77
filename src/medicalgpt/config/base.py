"""What every training stage has, and what the stages on fixed rows have beyond it.

Facts of a stage that need no torch are class variables and properties here; whoever must tell stages apart reads them.
"""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from medicalgpt.config.distributed import DistributedConfig
from medicalgpt.config.sections import DataConfig, LoraConfig, ModelConfig, OptimizerConfig, Section, TrainConfig

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

    @model_validator(mode="after")
    def _second_model(self) -> Self:
        if self.reference_model and self.reference != "model":
            raise ValueError("objective.reference_model is used with objective.reference=model only")
        return self


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
    def other_models(self) -> tuple[str, ...]:
        """Models beside the base that read whole rows: reference, teacher, reward model."""
        choice = self.reference_choice
        return (choice.reference_model,) if choice is not None and choice.reference_model else ()


class SupervisedConfig(StageConfig):
    """A stage on rows that are known beforehand: text, dialogues, preferences."""

    train: TrainConfig = TrainConfig()

    @property
    def trained_turns(self) -> Literal["assistant", "last", "all"]:
        """Which turns of a dialogue carry loss."""
        return "assistant"
