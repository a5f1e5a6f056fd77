"""One final config class per training stage: the shared sections plus the stage's own objective and defaults."""

from typing import Literal, Self

from pydantic import Field, model_validator

from medicalgpt.config.base import StageConfig, SupervisedConfig
from medicalgpt.config.rl import DistillConfig, GrpoConfig, PpoConfig, RlooConfig
from medicalgpt.config.sections import Section, TrainConfig


class PtObjective(Section):
    """Continued pretraining has no knobs of its own: every token of every document is predicted."""


class SftObjective(Section):
    """Supervised fine-tuning."""

    train_on: Literal["assistant", "last", "all"] = Field(
        "assistant", description="Which turns carry loss: every assistant turn, the last one, or all turns."
    )


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


class DpoObjective(ReferenceChoice):
    """Direct preference optimisation (arXiv 2305.18290)."""

    loss: Literal["sigmoid", "hinge", "ipo"] = Field(
        "sigmoid", description="sigmoid (arXiv 2305.18290), hinge (arXiv 2305.10425) or ipo (arXiv 2310.12036)."
    )
    beta: float = Field(0.1, gt=0, description="Strength of the pull to the reference; must be above 0.")
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="Assumed share of swapped labels (sigmoid only).")
    length_normalised: bool = Field(False, description="Divide log-ratios by the answer's length in tokens.")
    sft_weight: float = Field(0.0, ge=0, description="Adds this times the token-mean NLL of the chosen answer.")

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.label_smoothing and self.loss != "sigmoid":
            raise ValueError(f"objective.label_smoothing belongs to loss=sigmoid; with loss={self.loss} leave it at 0")
        return self


class OrpoObjective(Section):
    """Odds-ratio preference optimisation (arXiv 2403.07691): instructions and preferences at once, no reference."""

    weight: float = Field(0.1, gt=0, description="Weight λ of the odds-ratio term beside the chosen answer's NLL.")


class SimpoObjective(Section):
    """Simple preference optimisation (arXiv 2405.14734): mean log-probability as the reward, no reference."""

    beta: float = Field(2.0, gt=0, description="Scale of the reward, β times the mean log-probability per token.")
    gamma: float = Field(
        1.0, ge=0, description="Target margin γ between both rewards; about half of beta to start with."
    )


class KtoObjective(ReferenceChoice):
    """Kahneman–Tversky optimisation (arXiv 2402.01306): answers judged one by one."""

    beta: float = Field(0.1, gt=0, description="Strength of the pull to the reference; must be above 0.")
    desirable_weight: float = Field(1.0, gt=0, description="Weight λ_D of the desirable answers' losses.")
    undesirable_weight: float = Field(1.0, gt=0, description="Weight λ_U of the undesirable answers' losses.")


class RmObjective(Section):
    """Reward modelling: Bradley–Terry on preference pairs (arXiv 2203.02155)."""

    margin: float = Field(0.0, ge=0, description="Distance the scores should keep (arXiv 2307.09288).")
    centre: float = Field(
        0.0, ge=0, description="Weight of (s_c + s_r)², which keeps scores near 0 (arXiv 2312.09244)."
    )
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="Assumed share of swapped labels.")


class PtConfig(SupervisedConfig):
    """`medicalgpt train pt`."""

    objective: PtObjective = PtObjective()


class _NoReplay(SupervisedConfig):
    """Replay is a mix of running text; it has no place among dialogues or pairs."""

    @model_validator(mode="after")
    def _replay(self) -> Self:
        if self.data.replay:
            raise ValueError("data.replay mixes running text into PT; it does nothing here, leave it out")
        return self


class SftConfig(_NoReplay):
    """`medicalgpt train sft`."""

    objective: SftObjective = SftObjective()


class _WholeAnswers(_NoReplay):
    """A stage on prompts whose answers were judged as a whole."""

    @model_validator(mode="after")
    def _whole_pairs(self) -> Self:
        if self.data.over_length == "split":
            raise ValueError("data.over_length=split would tear a pair apart; use truncate or drop")
        return self


class PairConfig(_WholeAnswers):
    """A stage on preference pairs."""


class DpoConfig(PairConfig):
    """`medicalgpt train dpo`."""

    objective: DpoObjective = DpoObjective()
    train: TrainConfig = TrainConfig(learning_rate=2e-5)


class OrpoConfig(PairConfig):
    """`medicalgpt train orpo`."""

    objective: OrpoObjective = OrpoObjective()
    train: TrainConfig = TrainConfig(learning_rate=5e-5)


class SimpoConfig(PairConfig):
    """`medicalgpt train simpo`."""

    objective: SimpoObjective = SimpoObjective()
    train: TrainConfig = TrainConfig(learning_rate=2e-5)


class KtoConfig(_WholeAnswers):
    """`medicalgpt train kto`."""

    objective: KtoObjective = KtoObjective()
    train: TrainConfig = TrainConfig(learning_rate=2e-5)


class RmConfig(PairConfig):
    """`medicalgpt train rm`."""

    objective: RmObjective = RmObjective()
    train: TrainConfig = TrainConfig(learning_rate=1e-4)

    @model_validator(mode="after")
    def _no_answers(self) -> Self:
        if self.train.neftune_alpha:
            raise ValueError("train.neftune_alpha is for language models; leave it at 0 for a reward model")
        if self.train.sample_every:
            raise ValueError("train.sample_every: a reward model writes no answers; leave it out")
        return self


ReferencedConfig = DpoConfig | KtoConfig

STAGES: dict[str, type[StageConfig]] = {
    "pt": PtConfig,
    "sft": SftConfig,
    "dpo": DpoConfig,
    "orpo": OrpoConfig,
    "simpo": SimpoConfig,
    "kto": KtoConfig,
    "rm": RmConfig,
    "ppo": PpoConfig,
    "rloo": RlooConfig,
    "grpo": GrpoConfig,
    "distill": DistillConfig,
}
