"""The module a supervised stage trains: loaded, made lean, divided where it is to be, and asked how it may be batched."""

from medicalgpt.config.base import SupervisedConfig
from medicalgpt.models.load import Loaded
from medicalgpt.models.optimize import optimize_for_training
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.models.shard import Sharding, free
from medicalgpt.training.policy import ask_batching, checkpointed, load_policy, load_trained
from medicalgpt.training.stages import objective_of
from medicalgpt.training.supervised.module import StageModule
from medicalgpt.training.together import in_turn


def open_module(config: SupervisedConfig, sharding: Sharding | None = None) -> tuple[Loaded, StageModule, str]:
    """The loaded model, the module around it, and one line on how it will be batched.

    Raises:
        ConfigError: train.batching=tree on a model that cannot, or one that cannot be sharded.
    """
    if sharding is None:
        loaded, policy, note = load_policy(config)
        return loaded, StageModule(policy, objective_of(config)), note
    loaded, module = in_turn(lambda: _divided(config, sharding))
    policy = module.policy
    found, note = ask_batching(loaded, config, module.trial)
    free(module)
    if isinstance(policy, CausalPolicy):
        policy.take(found.batching, found.chunked_head)
    else:
        policy.batching = found.batching
    checkpointed(loaded, config)
    return loaded, module, f"{note}; {sharding.note}"


def _divided(config: SupervisedConfig, sharding: Sharding) -> tuple[Loaded, StageModule]:
    """This process's part; the whole model is in main memory until this returns."""
    loaded = load_trained(config, placed=False)
    # Before the weights are divided: it tries norms by writing into theirs.
    optimize_for_training(loaded.model)
    policy = RewardPolicy(loaded.model) if config.scores else CausalPolicy(loaded.model)
    if isinstance(policy, CausalPolicy):
        policy.neftune_alpha = config.train.neftune_alpha
    module = StageModule(policy, objective_of(config))
    module.divide(sharding, loaded.widen)
    return loaded, module
