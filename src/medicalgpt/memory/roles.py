"""Who else lies in memory while a stage learns from its own answers: critic, reference, reward model, teacher, and the answers.

With LoRA all of them may share the policy's base: a critic is one adapter more, a reward model that was trained on the base
another one, and the reference nothing. In full training each is a model of its own. One of them computes at a time, so they add
weights and moments, but no activations and no gradients beside the policy's.
"""

from dataclasses import dataclass, replace

from medicalgpt.config.base import StageConfig
from medicalgpt.config.rl import RlConfig, RolloutConfig
from medicalgpt.config.stages import DistillConfig, PpoConfig
from medicalgpt.errors import ModelError
from medicalgpt.memory.footprint import MemoryEstimate, base_bytes, lora_targets
from medicalgpt.memory.setup import BYTES, FROZEN, Method, Quantization
from medicalgpt.memory.shape import ModelShape, shape_of_model
from medicalgpt.models.locate import locate
from medicalgpt.models.scorer import same_base, scorer_of


@dataclass(frozen=True)
class Roles:
    """The others of a stage: of one with rollouts several, else at most a reference.

    A shape is that of a model that is loaded beside the policy; None: there is none.
    `taught_by` is how the teacher's weights are stored. `answers` are those that are decoded together, each `answer_tokens` long with
    its prompt; 0 where others decode them.
    """

    critic: bool = False
    scorer: ModelShape | None = None
    reference: ModelShape | None = None
    teacher: ModelShape | None = None
    taught_by: Quantization = "none"
    shared_scorer: bool = False
    answers: int = 0
    answer_tokens: int = 0


def roles_of(config: StageConfig, policy: ModelShape) -> Roles:
    """Everybody beside the policy. Of a stage with rollouts a model that cannot be read is taken to be of the policy's shape; who
    opens it says what is wrong.

    Raises:
        ModelError: the reference of another stage cannot be read.
    """
    if not isinstance(config, RlConfig):
        return _compared(config)
    scorer = config.scoring.model if config.scoring else None
    commits = {one.role: one.commit for one in config.other_models}
    shared = scorer is not None and config.lora.enabled and _is_on_base(scorer, config, commits["reward"])
    own = config.rollout.backend == "own"
    return Roles(
        critic=config.critic is not None,
        scorer=None if scorer is None or shared else _shape_or(policy, scorer, commits["reward"], config),
        reference=None if config.lora.enabled else policy,
        teacher=_shape_or(policy, config.teacher, commits["teacher"], config) if config.teacher else None,
        taught_by=config.teacher_quantization,
        shared_scorer=shared,
        answers=config.rollout.batch_size if own else 0,
        answer_tokens=config.data.max_tokens,
    )


def _compared(config: StageConfig) -> Roles:
    """The second model of an objective that has one loaded."""
    choice, model = config.reference_choice, config.model
    if choice is None or choice.reference != "model":
        return Roles()
    other = choice.reference_model or model.base
    revision = choice.reference_commit if choice.reference_model else model.at
    return Roles(reference=shape_of_model(other, revision, model.trust_remote_code, model.below.get))


def _is_on_base(scorer: str, config: RlConfig, commit: str | None) -> bool:
    try:
        base = locate(config.model.base, config.model.at)
        return same_base(scorer_of(scorer, commit), base, config.model.below.get)
    except ModelError:
        return False


def _shape_or(otherwise: ModelShape, name: str, commit: str | None, config: RlConfig) -> ModelShape:
    try:
        return shape_of_model(name, commit, config.model.trust_remote_code, config.model.below.get)
    except ModelError:
        return otherwise


def usual_roles(
    stage: type[StageConfig],
    lora: bool,
    policy: ModelShape,
    tokens: int,
    teacher: ModelShape | None = None,
    taught_by: Quantization = "none",
) -> Roles:
    """Those of a stage of which no more is known: its other models are of the policy's shape, and on its base where they may be.

    Args:
        tokens: longest prompt with its answer.
        teacher: its shape, if it is another. taught_by: how its weights are stored.
    """
    if not issubclass(stage, RlConfig):
        return Roles()
    teaches = issubclass(stage, DistillConfig)
    return Roles(
        critic=issubclass(stage, PpoConfig),
        scorer=None if lora or teaches else policy,
        reference=None if lora else policy,
        teacher=(teacher or policy) if teaches else None,
        taught_by=taught_by if teaches else "none",
        shared_scorer=lora and not teaches,
        answers=RolloutConfig().batch_size,
        answer_tokens=tokens,
    )


def with_roles(alone: MemoryEstimate, policy: ModelShape, roles: Roles) -> MemoryEstimate:
    """The estimate of a policy `alone` with everybody else. What is divided among processes is the policy's and theirs alike."""
    setup = alone.setup
    full, parts = setup.method == "full", setup.shards
    # A frozen model lies in the type that is computed in; full training widens only what it trains.
    dtype = setup.compute if full else setup.dtype

    def held(shape: ModelShape | None, method: Method = "lora") -> int:
        return (
            0
            if shape is None
            else base_bytes(shape, replace(setup, method=method, dtype=dtype), trained=False) // parts
        )

    trained = _trained_bytes(policy, alone)
    critic = int((1 + alone.moments) * trained) // parts if roles.critic else 0  # weights and the optimizer's state
    # The reference is stored as the policy's base is, a teacher as it was asked for, a reward model of its own always whole.
    reference = held(roles.reference, "lora" if full else setup.method)
    teacher = held(roles.teacher, FROZEN[roles.taught_by])
    scorer = held(roles.scorer) + (trained // parts if roles.shared_scorer else 0)
    if setup.offload:
        found = replace(alone, host=alone.host + critic + scorer + reference + teacher)
    else:
        found = replace(alone, critic=critic, scorer=scorer, reference=reference, teacher=teacher)
    return _while_answering(found, policy, roles)


def _trained_bytes(policy: ModelShape, alone: MemoryEstimate) -> int:
    """Of one who learns: a whole model, or an adapter of the policy's rank."""
    setup = alone.setup
    if setup.method == "full":
        return policy.parameters * BYTES[setup.dtype]
    targets = [x for x in lora_targets(policy, setup) if x != policy.head]
    return 4 * sum(setup.rank * (x.inputs + x.outputs) for x in targets)


def _while_answering(found: MemoryEstimate, policy: ModelShape, roles: Roles) -> MemoryEstimate:
    """Keys and values of the answers, and a divided policy that is whole meanwhile, as far as learning leaves no room for them."""
    setup = found.setup
    if not roles.answers:
        return found
    size = BYTES[setup.compute]
    cache = roles.answers * roles.answer_tokens * policy.layers * 2 * policy.key * size
    idle = ("weights", "critic", "scorer", "reference", "teacher", "optimizer")
    standing = sum(found.parts.get(name, 0) for name in idle)
    whole = 0
    if setup.shards > 1:
        base = base_bytes(policy, setup)
        whole = base * size // BYTES[setup.dtype] if setup.method == "full" else base
    more = max(0, standing + whole + cache - found.total)
    return replace(found, gathered=found.gathered + min(more, whole), answers=max(0, more - whole))
