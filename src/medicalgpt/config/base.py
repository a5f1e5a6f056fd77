"""What every training stage has, and what the stages on fixed rows have beyond it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from medicalgpt.config.sections import DataConfig, LoraConfig, ModelConfig, OptimiserConfig, Section, TrainConfig


class StageConfig(Section):
    """What every training stage has."""

    model: ModelConfig = ModelConfig()
    lora: LoraConfig = LoraConfig()
    quantization: Literal["none", "int8", "nf4"] = Field(
        "none", description="Load the frozen base in 8 or 4 bits (QLoRA, arXiv 2305.14314); needs lora."
    )
    data: DataConfig
    train: OptimiserConfig = OptimiserConfig()
    output_dir: str = Field(description="The run folder.")
    report_to: list[Literal["tensorboard", "trackio", "wandb"]] = Field(
        default_factory=list, description="Loggers beside metrics.jsonl."
    )

    @model_validator(mode="after")
    def _quantised_base_is_frozen(self) -> Self:
        if self.quantization != "none" and not self.lora.enabled:
            raise ValueError(f"quantization={self.quantization} freezes the base; it needs lora.enabled=true")
        return self


class SupervisedConfig(StageConfig):
    """A stage on rows that are known beforehand: text, dialogues, preferences."""

    train: TrainConfig = TrainConfig()
