"""What stages share that learn from the model's own answers: how answers are drawn, scored and learned from."""

from typing import ClassVar, Final, Literal, Self, get_args

from pydantic import Field, model_validator

from medicalgpt.config.base import StageConfig
from medicalgpt.config.sections import OptimizerConfig, Section


class RolloutConfig(Section):
    """How answers are drawn."""

    prompts: int = Field(16, ge=1, description="Prompts of one update, over all processes.")
    completions: int = Field(1, ge=1, le=256, description="Answers to each prompt.")
    max_new_tokens: int = Field(128, ge=1, description="Longest answer in tokens.")
    min_new_tokens: int = Field(0, ge=0, description="No stop token before that many tokens. Above 0 as with top_p.")
    temperature: float = Field(1.0, gt=0, description="Of sampling; the trained log-probabilities use it, too.")
    top_p: float = Field(
        1.0, gt=0, le=1, description="Nucleus sampling. Below 1 the trained distribution is not the sampled one."
    )
    top_k: int = Field(0, ge=0, description="Keep that many tokens; 0: all. Above 0 as with top_p.")
    batch_size: int = Field(32, ge=1, description="Answers that are decoded together.")
    dynamic_sampling: Literal["drop", "refill"] | None = Field(
        None,
        description="GRPO, RLOO: leave out prompts whose answers all get the same reward; refill: draw further ones (DAPO).",
    )
    refills: int = Field(3, ge=1, le=64, description="With refill: most further rounds of one update.")

    @model_validator(mode="after")
    def _lengths(self) -> Self:
        if self.min_new_tokens >= self.max_new_tokens:
            raise ValueError(
                f"rollout.min_new_tokens={self.min_new_tokens} leaves no room to stop below "
                f"rollout.max_new_tokens={self.max_new_tokens}"
            )
        if self.dynamic_sampling != "refill" and self.refills != type(self).model_fields["refills"].default:
            raise ValueError(f"rollout.refills={self.refills} does nothing without rollout.dynamic_sampling=refill")
        return self


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
            raise ValueError(f"column is for {', '.join(COMPARED)} and rubric; '{self.label}' reads none by that key")
        if self.columns is not None and not str(self.path).startswith(("http://", "https://")):
            raise ValueError("columns is for HTTP services; a Python function asks by the names of its parameters")
        if self.partial and self.name != "set_correct":
            raise ValueError(f"partial is for set_correct; '{self.label}' does not know it")
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


class HealthConfig(Section):
    """When a run is stopped because it no longer does what it should. null switches a check off."""

    max_kl: float | None = Field(200.0, gt=0, description="Most KL to the reference, nats per answer.")
    min_entropy: float | None = Field(0.02, ge=0, description="Least entropy, nats per token (mean of an update).")
    max_stop_rate_fall: float | None = Field(
        0.4, gt=0, le=1, description="Most the held-out stop rate may fall below its start."
    )
    max_answer_loss_rise: float | None = Field(
        0.5,
        gt=0,
        description="Most the loss of held-out reference answers may rise (nats per token) while the score rises.",
    )


class RlTrainConfig(OptimizerConfig):
    """One step is one update: rollouts, then some epochs of minibatches on them."""

    learning_rate: float = Field(2e-5, gt=0, description="Peak learning rate of the policy.")
    warmup: float = Field(0.0, ge=0, description="Warm-up: a share of the updates when below 1, else a number.")
    schedule: Literal["cosine", "linear", "constant", "wsd"] = Field(
        "linear", description="Learning rate after warm-up."
    )
    eval_prompts: int = Field(64, ge=0, description="At most this many held-out prompts are answered and scored.")


class PassesObjective(Section):
    """How the answers of one update are used."""

    epochs: int = Field(2, ge=1, description="Passes over the answers of one update.")
    minibatches: int = Field(2, ge=1, description="Optimizer steps of one pass.")


class KlObjective(PassesObjective):
    """The pull to the reference that PPO and RLOO put into the reward."""

    beta: float = Field(0.05, ge=0, description="Weight of the KL to the reference (start value with target_kl).")
    target_kl: float | None = Field(
        None, gt=0, description="Adapt beta to this KL in nats per answer (arXiv 1909.08593); null: beta is fixed."
    )
    clip: float = Field(0.2, gt=0, lt=1, description="The ratio is clipped below 1 − clip.")
    clip_high: float | None = Field(None, gt=0, description="… and above 1 + clip_high; null: clip.")
    stop_kl: float | None = Field(
        0.1, gt=0, description="End an update's passes when KL(old ‖ new) per token exceeds this; null: never."
    )


class PpoObjective(KlObjective):
    """Proximal policy optimization (arXiv 1707.06347, 2203.02155)."""

    kl_estimator: Literal["k1", "k3"] = Field("k1", description="Estimate of the per-token KL in the reward.")
    gamma: float = Field(1.0, gt=0, le=1, description="Discount.")
    lam: float = Field(0.95, ge=0, le=1, description="λ of generalized advantage estimation (arXiv 1506.02438).")
    whiten: bool = Field(True, description="Advantages of an update get mean 0 and variance 1.")
    value_clip: float | None = Field(0.2, gt=0, description="Bound on the change of a value in an update; null: none.")
    entropy: float = Field(0.0, ge=0, description="Weight of the entropy bonus.")
    critic_learning_rate: float = Field(1e-4, gt=0, description="Peak learning rate of the critic.")
    critic_warmup: int = Field(0, ge=0, description="Updates in which only the critic learns.")
    critic_init: Literal["base", "reward"] = Field("base", description="Where the critic's weights start.")


class RlConfig(StageConfig):
    """What all stages on the model's own answers share; None is a role or a part that the stage does not have."""

    rollouts: ClassVar[bool] = True
    unit: ClassVar[str] = "score"
    compares: ClassVar[bool] = False
    """Whether it compares the answers to one prompt with each other."""

    objective: PassesObjective = PassesObjective()
    train: RlTrainConfig = RlTrainConfig()
    rollout: RolloutConfig = RolloutConfig()
    health: HealthConfig = HealthConfig()

    @model_validator(mode="after")
    def _knows_its_tokens(self) -> Self:
        if self.model.tokenizer:
            raise ValueError(
                "model.tokenizer extends the vocabulary by tokens that no answer would use yet; train them with PT or SFT first, "
                "and give that run's merged model as model.base"
            )
        return self

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.lora.enabled and self.lora.dropout:
            raise ValueError(
                f"lora.dropout={self.lora.dropout} would make the policy's first ratio differ from 1; set it to 0"
            )
        if self.lora.enabled and self.lora.variant == "pissa":
            raise ValueError("lora.variant=pissa changes the base, which is the reference here; use lora or rslora")
        if self.model.adapter:
            raise ValueError(
                "model.adapter: the reference is the base with its adapter off; merge it first (RUN/merged)"
            )
        if self.rollout.dynamic_sampling is not None and not self.compares:
            raise ValueError(
                "rollout.dynamic_sampling is for stages that compare the answers to one prompt (GRPO, RLOO); set it to null"
            )
        if self.data.replay:
            raise ValueError("data.replay mixes running text into PT; it does nothing here, leave it out")
        if self.data.over_length == "split":
            raise ValueError("data.over_length=split: a prompt cannot be split; use truncate (oldest turns go) or drop")
        if self.rollout.max_new_tokens >= self.data.max_tokens:
            raise ValueError(
                f"data.max_tokens={self.data.max_tokens} holds prompt and answer together; it must be above "
                f"rollout.max_new_tokens={self.rollout.max_new_tokens}"
            )
        return self

    @property
    def longest_answer(self) -> int:
        return self.rollout.max_new_tokens

    @property
    def other_models(self) -> tuple[str, ...]:
        scorer = self.scoring.model if self.scoring else None
        return super().other_models + tuple(filter(None, (self.teacher, scorer)))

    @property
    def scoring(self) -> RewardConfig | None:
        """What scores the answers."""
        return None

    @property
    def kl(self) -> KlObjective | None:
        """The KL penalty and the clipping."""
        return None

    @property
    def critic(self) -> PpoObjective | None:
        """How a critic is trained and turned into advantages (GAE)."""
        return None

    @property
    def teacher(self) -> str | None:
        """The model whose distribution is learned."""
        return None


class ScoredConfig(RlConfig):
    """A stage whose answers are scored."""

    objective: KlObjective = KlObjective()
    reward: RewardConfig = RewardConfig()

    @property
    def scoring(self) -> RewardConfig:
        return self.reward

    @property
    def kl(self) -> KlObjective:
        return self.objective

    @model_validator(mode="after")
    def _scored(self) -> Self:
        if not self.reward.model and not self.reward.functions:
            raise ValueError("reward: nothing scores the answers; set reward.model or reward.functions")
        buffer, longest = self.reward.overlong_buffer, self.rollout.max_new_tokens
        if buffer is not None and buffer > longest:
            raise ValueError(f"reward.overlong_buffer={buffer} is longer than rollout.max_new_tokens={longest}")
        if buffer is None and self.reward.overlong_penalty != RewardConfig.model_fields["overlong_penalty"].default:
            raise ValueError("reward.overlong_penalty does nothing without reward.overlong_buffer; set both")
        return self


class GroupedConfig(ScoredConfig):
    """A stage that compares the answers to one prompt with each other."""

    compares: ClassVar[bool] = True

    @model_validator(mode="after")
    def _siblings(self) -> Self:
        if self.rollout.completions < 2:
            raise ValueError(
                f"rollout.completions={self.rollout.completions}: an answer is compared with its siblings; at least 2"
            )
        return self
