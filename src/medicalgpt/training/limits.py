"""The models of a stage bound the length of its rows: a token beyond a model's context would be trained and never asked for."""

from collections.abc import Callable
from typing import TypeVar

from medicalgpt.config.base import StageConfig
from medicalgpt.config.sections import DataConfig
from medicalgpt.errors import ConfigError
from medicalgpt.models.context import within_context
from medicalgpt.models.locate import Located, locate
from medicalgpt.models.rope import agreed, asked_of

C = TypeVar("C", bound=StageConfig)


def within_models(config: C, base: Located, say: Callable[[str], object]) -> C:
    """The config with data.max_tokens lowered to the shortest context among the stage's models, which `say` hears of.

    Raises:
        ConfigError: a model has learned positions for fewer tokens, or a context too short to train in; both numbers given.
        ModelError: a model's config cannot be read.
    """
    asked, trust = config.data.max_tokens, config.model.trust_remote_code
    models = {config.model.base: base, **{one.name: locate(one.name, one.at, trust) for one in config.other_models}}
    adapter = next((locate(one.name, one.at, trust) for one in config.adapter_model), None)
    rope = agreed(asked_of(config.model), adapter)
    limits = {
        name: within_context(
            asked, found, name, "data.max_tokens", trust, rope if found is base else None, config.model.below.get
        )
        for name, found in models.items()
    }
    name = min(limits, key=limits.__getitem__)
    limit, source = limits[name]
    if limit == asked:
        return config
    least = next(m.ge for m in DataConfig.model_fields["max_tokens"].metadata if hasattr(m, "ge"))
    if limit < least:
        raise ConfigError(
            f"data.max_tokens={asked}, but the context of {name} is {limit} tokens; at least {least} are needed"
        )
    if config.longest_answer is not None and config.longest_answer >= limit:
        raise ConfigError(
            f"rollout.max_new_tokens={config.longest_answer}, but the context of {name} is {limit} tokens for prompt "
            "and answer together; lower it, or choose a model with a longer context"
        )
    say(
        f"warning: data.max_tokens={asked} is lowered to {limit}, the context of {name} (in its config.json: {source}): inference "
        "takes no more"
    )
    return config.model_copy(update={"data": config.data.model_copy(update={"max_tokens": limit})})
