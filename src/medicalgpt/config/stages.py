"""One final config class per training stage: the shared sections plus the stage's own objective and defaults."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from medicalgpt.config.base import DataKind, ReferenceChoice, StageConfig, SupervisedConfig
from medicalgpt.config.rl import (
    GroupedConfig,
    KlObjective,
    PassesObjective,
    PpoObjective,
    RlConfig,
    RolloutConfig,
    ScoredConfig,
)
from medicalgpt.config.sections import Commit, Section, TrainConfig


class PtObjective(Section):
    """Continued pretraining has no knobs of its own: every token of every document is predicted."""


class SftObjective(Section):
    """Supervised fine-tuning."""

    train_on: Literal["assistant", "last", "all"] = Field(
        "assistant", description="Which turns carry loss: every assistant turn, the last one, or all turns."
    )


class DpoObjective(ReferenceChoice):
    """Direct preference optimization (arXiv 2305.18290)."""

    loss: Literal["sigmoid", "hinge", "ipo"] = Field(
        "sigmoid", description="sigmoid (arXiv 2305.18290), hinge (arXiv 2305.10425) or ipo (arXiv 2310.12036)."
    )
    beta: float = Field(0.1, gt=0, description="Strength of the pull to the reference; must be above 0.")
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="Assumed share of swapped labels (sigmoid only).")
    length_normalized: bool = Field(False, description="Divide log-ratios by the answer's length in tokens.")
    sft_weight: float = Field(0.0, ge=0, description="Adds this times the token-mean NLL of the chosen answer.")

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.label_smoothing and self.loss != "sigmoid":
            raise ValueError(f"objective.label_smoothing belongs to loss=sigmoid; with loss={self.loss} leave it at 0")
        return self


class OrpoObjective(Section):
    """Odds-ratio preference optimization (arXiv 2403.07691): instructions and preferences at once, no reference."""

    weight: float = Field(0.1, gt=0, description="Weight λ of the odds-ratio term beside the chosen answer's NLL.")


class SimpoObjective(Section):
    """Simple preference optimization (arXiv 2405.14734): mean log-probability as the reward, no reference."""

    beta: float = Field(2.0, gt=0, description="Scale of the reward, β times the mean log-probability per token.")
    gamma: float = Field(
        1.0, ge=0, description="Target margin γ between both rewards; about half of beta to start with."
    )


class KtoObjective(ReferenceChoice):
    """Kahneman–Tversky optimization (arXiv 2402.01306): answers judged one by one."""

    beta: float = Field(0.1, gt=0, description="Strength of the pull to the reference; must be above 0.")
    desirable_weight: float = Field(1.0, gt=0, description="Weight λ_D of the desirable answers' losses.")
    undesirable_weight: float = Field(1.0, gt=0, description="Weight λ_U of the undesirable answers' losses.")


class RmObjective(Section):
    """Reward modeling: Bradley–Terry on preference pairs (arXiv 2203.02155)."""

    margin: float = Field(0.0, ge=0, description="Distance the scores should keep (arXiv 2307.09288).")
    center: float = Field(
        0.0, ge=0, description="Weight of (s_c + s_r)², which keeps scores near 0 (arXiv 2312.09244)."
    )
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="Assumed share of swapped labels.")


class PtConfig(SupervisedConfig):
    """`medicalgpt train pt`."""

    kind: ClassVar[DataKind] = "document"
    unit: ClassVar[str] = "nats per token"

    objective: PtObjective = PtObjective()


class NoReplayConfig(SupervisedConfig):
    """Replay is a mix of running text; it has no place among dialogues or pairs."""

    @model_validator(mode="after")
    def _replay(self) -> Self:
        if self.data.replay:
            raise ValueError("data.replay mixes running text into PT; it does nothing here, leave it out")
        return self


class SftConfig(NoReplayConfig):
    """`medicalgpt train sft`."""

    unit: ClassVar[str] = "nats per token"

    objective: SftObjective = SftObjective()

    @property
    def trained_turns(self) -> Literal["assistant", "last", "all"]:
        return self.objective.train_on


class JudgedConfig(NoReplayConfig):
    """A stage on prompts whose answers were judged as a whole."""

    @model_validator(mode="after")
    def _whole_pairs(self) -> Self:
        if self.data.over_length == "split":
            raise ValueError("data.over_length=split would tear a pair apart; use truncate or drop")
        return self


class PairConfig(JudgedConfig):
    """A stage on preference pairs."""

    kind: ClassVar[DataKind] = "preference"
    branches: ClassVar[int] = 2
    unit: ClassVar[str] = "loss per pair"


class DpoConfig(PairConfig):
    """`medicalgpt train dpo`."""

    objective: DpoObjective = DpoObjective()
    train: TrainConfig = TrainConfig(learning_rate=2e-5)

    @property
    def reference_choice(self) -> ReferenceChoice:
        return self.objective


class OrpoConfig(PairConfig):
    """`medicalgpt train orpo`."""

    objective: OrpoObjective = OrpoObjective()
    train: TrainConfig = TrainConfig(learning_rate=5e-5)


class SimpoConfig(PairConfig):
    """`medicalgpt train simpo`."""

    objective: SimpoObjective = SimpoObjective()
    train: TrainConfig = TrainConfig(learning_rate=2e-5)


class KtoConfig(JudgedConfig):
    """`medicalgpt train kto`."""

    kind: ClassVar[DataKind] = "feedback"
    unit: ClassVar[str] = "loss per answer"

    objective: KtoObjective = KtoObjective()
    train: TrainConfig = TrainConfig(learning_rate=2e-5)

    @property
    def reference_choice(self) -> ReferenceChoice:
        return self.objective


class RmConfig(PairConfig):
    """`medicalgpt train rm`."""

    scores: ClassVar[bool] = True

    objective: RmObjective = RmObjective()
    train: TrainConfig = TrainConfig(learning_rate=1e-4)

    @model_validator(mode="after")
    def _no_answers(self) -> Self:
        if self.train.neftune_alpha:
            raise ValueError("train.neftune_alpha is for language models; leave it at 0 for a reward model")
        if self.train.sample_every:
            raise ValueError("train.sample_every: a reward model writes no answers; leave it out")
        return self


class PpoConfig(ScoredConfig):
    """`medicalgpt train ppo`."""

    objective: PpoObjective = PpoObjective()

    @property
    def critic(self) -> PpoObjective:
        return self.objective

    @model_validator(mode="after")
    def _critic(self) -> Self:
        if self.objective.critic_init == "reward" and not self.reward.model:
            raise ValueError("objective.critic_init=reward needs reward.model")
        return self


class RlooObjective(KlObjective):
    """REINFORCE leave-one-out (arXiv 2402.14740)."""


class RlooConfig(GroupedConfig):
    """`medicalgpt train rloo`."""

    rollout: RolloutConfig = RolloutConfig(completions=4)
    objective: RlooObjective = RlooObjective()


class GrpoObjective(KlObjective):
    """Group-relative policy optimization (arXiv 2402.03300)."""

    scale: bool = Field(True, description="Divide by the group's standard deviation; false: Dr. GRPO (2503.20783).")
    loss_type: Literal["grpo", "bnpo", "dapo", "dr_grpo"] = Field(
        "bnpo",
        description="Mean over each answer's tokens first (grpo, the paper), over a minibatch's tokens (bnpo), over the update's (dapo), or the sum over answers × max_new_tokens (dr_grpo).",
    )
    overlong_filter: bool = Field(
        False,
        description="Answers cut at max_new_tokens carry no loss; their rewards still count for their siblings (DAPO).",
    )
    ratio: Literal["token", "sequence"] = Field(
        "token", description="One ratio a token, or one an answer: GSPO (arXiv 2507.18071), with loss_type=grpo."
    )
    sequence_clip: float = Field(3e-4, gt=0, lt=1, description="With ratio=sequence: clipped below 1 − sequence_clip.")
    sequence_clip_high: float = Field(4e-4, gt=0, description="… and above 1 + sequence_clip_high.")

    @model_validator(mode="after")
    def _one_range(self) -> Self:
        sequence = self.ratio == "sequence"
        idle = ("clip", "clip_high") if sequence else ("sequence_clip", "sequence_clip_high")
        for name in idle:
            if getattr(self, name) != type(self).model_fields[name].default:
                other = name if name.startswith("sequence_") else f"sequence_{name}"
                raise ValueError(
                    f"objective.{name} does nothing with objective.ratio={self.ratio}; "
                    + (f"set objective.{other}" if sequence else "set objective.ratio=sequence, or objective.clip")
                )
        return self


class GrpoConfig(GroupedConfig):
    """`medicalgpt train grpo`."""

    rollout: RolloutConfig = RolloutConfig(completions=8)
    objective: GrpoObjective = GrpoObjective()


class DistillObjective(PassesObjective):
    """On-policy distillation from a teacher (GKD, arXiv 2306.13649)."""

    teacher: str = Field(description="The teacher: run folder, model folder or Hub id, with the student's tokenizer.")
    teacher_commit: Commit | None = Field(
        None, description="The commit at which a hub's teacher is read; a run notes it here."
    )
    teacher_quantization: Literal["none", "int8", "nf4"] = Field(
        "none", description="Load the teacher in 8 or 4 bits; the student learns what those weights say."
    )
    on_policy: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the prompts that the student answers itself (λ of GKD); the others are learned on the data's own answers.",
    )
    divergence: Literal["forward_kl", "reverse_kl", "jensen_shannon"] = Field(
        "jensen_shannon", description="Of the teacher's and the student's next-token distributions."
    )
    mix: float = Field(0.5, gt=0, lt=1, description="β of the generalized Jensen–Shannon divergence.")
    epochs: int = Field(1, ge=1, description="Passes over the answers of one update.")
    minibatches: int = Field(1, ge=1, description="Optimizer steps of one pass.")


class DistillConfig(RlConfig):
    """`medicalgpt train distill`."""

    objective: DistillObjective

    @property
    def teacher(self) -> str:
        return self.objective.teacher

    @property
    def teacher_commit(self) -> str | None:
        return self.objective.teacher_commit

    @property
    def teacher_quantization(self) -> Literal["none", "int8", "nf4"]:
        return self.objective.teacher_quantization

    @property
    def on_policy(self) -> float:
        return self.objective.on_policy

    @model_validator(mode="after")
    def _drawn_here(self) -> Self:
        if self.on_policy < 1 and self.rollout.backend == "vllm":
            raise ValueError(
                "objective.on_policy below 1 learns from answers that no server drew, and rollout.backend=vllm checks how likely the "
                "servers' answers were; use rollout.backend=own"
            )
        return self


# Names in the order that help and messages list them. `train.stages` says which objective belongs to each.
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


def stage_name(config: StageConfig) -> str:
    """The name that `medicalgpt train` knows a stage by."""
    return next(name for name, schema in STAGES.items() if type(config) is schema)
