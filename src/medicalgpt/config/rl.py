"""What stages share that learn from the model's own answers: how answers are drawn, scored and learned from."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from medicalgpt.config.base import NamedModel, StageConfig
from medicalgpt.config.rewards import RewardConfig
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
    backend: Literal["own", "vllm"] = Field(
        "own",
        description="Who draws answers: this process, or servers of vLLM, which get the adapter before every update.",
    )
    servers: list[str] = Field(
        default_factory=list, max_length=256, description="With vllm: addresses of `vllm serve`, http://host:port."
    )
    allow_remote: bool = Field(
        False, description="With vllm: servers may be on other machines; prompts are sent there."
    )
    adapter_dir: str | None = Field(
        None,
        min_length=1,
        description="With vllm: a folder for the adapters that the servers see under the same path; null: in the run's folder.",
    )
    timeout: float = Field(600.0, gt=0, description="With vllm: seconds that one answer may take.")

    @model_validator(mode="after")
    def _lengths(self) -> Self:
        if self.min_new_tokens >= self.max_new_tokens:
            raise ValueError(
                f"rollout.min_new_tokens={self.min_new_tokens} leaves no room to stop below "
                f"rollout.max_new_tokens={self.max_new_tokens}; lower it"
            )
        if self.dynamic_sampling != "refill" and self.refills != type(self).model_fields["refills"].default:
            raise ValueError(f"rollout.refills={self.refills} does nothing without rollout.dynamic_sampling=refill")
        return self

    @model_validator(mode="after")
    def _servers(self) -> Self:
        fields = type(self).model_fields
        if self.backend == "vllm" and not self.servers:
            raise ValueError("rollout.backend=vllm needs rollout.servers, the addresses of running `vllm serve`")
        if self.backend == "own":
            for name in ("servers", "allow_remote", "adapter_dir", "timeout"):
                if getattr(self, name) != fields[name].get_default(call_default_factory=True):
                    raise ValueError(f"rollout.{name} does nothing without rollout.backend=vllm")
        if len(set(self.servers)) < len(self.servers):
            raise ValueError("rollout.servers names an address twice; leave one out")
        return self


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
    max_logprob_gap: float | None = Field(
        0.1,
        gt=0,
        description="With rollout.backend=vllm: most the servers' log-probabilities may differ from the trained model's (mean, nats per token).",
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

    branches: ClassVar[int] = (
        2  # a packed row has room for two of the longest answers, or for many short ones to one prompt
    )
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
        if self.model.rope_scaling is not None:
            raise ValueError(
                "model.rope_scaling changes the base, which reward model and servers may share; train with it in PT or SFT first, and give "
                "that run's merged model as model.base"
            )
        if self.lora.modules_to_save:
            raise ValueError(
                "lora.modules_to_save trains modules that policy and critic share, and with rollout.backend=vllm servers could not take "
                "them; train them with SFT, and give that run's merged model as model.base"
            )
        if self.model.adapter:
            raise ValueError(
                "model.adapter: the reference is the base with its adapter off; merge it first (RUN/merged)"
            )
        if self.rollout.backend == "vllm" and (not self.lora.enabled or self.lora.variant == "dora"):
            raise ValueError(
                "rollout.backend=vllm: servers get the adapter before every update, and vLLM takes LoRA adapters only; set "
                "lora.enabled=true and lora.variant=lora or rslora, or rollout.backend=own"
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
    def other_models(self) -> tuple[NamedModel, ...]:
        found, scoring = list(super().other_models), self.scoring
        if self.teacher:
            keys = ("objective.teacher", "objective.teacher_commit")
            found.append(NamedModel("teacher", *keys, self.teacher, self.teacher_commit))
        if scoring and scoring.model:
            found.append(
                NamedModel("reward", "reward.model", "reward.model_commit", scoring.model, scoring.model_commit)
            )
        return tuple(found)

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

    @property
    def teacher_commit(self) -> str | None:
        """The commit of a hub's teacher."""
        return None

    @property
    def teacher_quantization(self) -> Literal["none", "int8", "nf4"]:
        """How the teacher's weights are stored."""
        return "none"

    @property
    def on_policy(self) -> float:
        """Share of the prompts whose answers are drawn; the others have the data's own."""
        return 1.0


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
            raise ValueError(
                f"reward.overlong_buffer={buffer} is longer than rollout.max_new_tokens={longest}; lower it"
            )
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
