"""How many tokens a model can tell apart by their place, which bounds prompt and answer together: read from its config."""

import re
from collections.abc import Callable

from torch import nn
from transformers import AutoConfig, PreTrainedConfig

from medicalgpt.errors import ConfigError, ModelError
from medicalgpt.hub.huggingface import hub_token
from medicalgpt.models.adapter_config import down_to_base
from medicalgpt.models.console import to_stderr
from medicalgpt.models.empty import empty_model
from medicalgpt.models.locate import Located

_POSITIONS = re.compile(r"(^|[._])(wpe|pos|position|positions)([._]|$)")
_SPARE = 8  # rows that a table of positions may have beyond them (OPT has two)


def context_of(config: PreTrainedConfig) -> int | None:
    """Most tokens of prompt and answer together, as far as a model's config says."""
    text = config.get_text_config()
    found = getattr(text, "max_position_embeddings", None) or getattr(text, "max_seq_len", None)  # the latter: MPT
    return found if isinstance(found, int) and found > 0 else None


def within_context(asked: int, model: Located, name: str, key: str, trust_remote_code: bool = False) -> int:
    """The limit that rows for a located model must keep: `asked`, or its context where that is less. Nothing is loaded.

    Args:
        name: what the model is called in a message.
        key: the setting that `asked` comes from.

    Raises:
        ConfigError: the model looks positions up in a table, which ends before `asked`; with both numbers.
        ModelError: its config.json cannot be read.
    """
    _, model = down_to_base(model, trust_remote_code)
    try:
        config = AutoConfig.from_pretrained(model.folder, token=hub_token(), trust_remote_code=trust_remote_code)
        tokens = context_of(config)
    except Exception as error:  # transformers raises what a damaged value leads to
        raise ModelError(
            f"{model.name}: transformers cannot read its config.json ({type(error).__name__}: {error})"
        ) from error
    if tokens is None or asked <= tokens:
        return asked
    if _has_table(config, tokens, trust_remote_code):
        raise ConfigError(
            f"{key}={asked}, but {name} has {tokens} learned positions and none for a token behind them; set "
            f"{key}={tokens} or less, or choose a model with a longer context"
        )
    return tokens


def _has_table(config: PreTrainedConfig, tokens: int, trust_remote_code: bool) -> bool:
    """Whether the model has an embedding of positions; asked of the model itself, which takes no memory for its weights."""
    try:
        model = empty_model(config, trust_remote_code)
    except Exception:  # loading it says what is wrong; a limit that is lowered is right for either kind
        return False
    return any(
        isinstance(module, nn.Embedding)
        and _POSITIONS.search(name) is not None
        and 0 <= module.num_embeddings - tokens <= _SPARE
        for name, module in model.named_modules()
    )


def fitting(asked: int, model: PreTrainedConfig, key: str, say: Callable[[str], None] = to_stderr) -> int:
    """`asked`, or the context of a loaded model where that is less, which `say` hears of."""
    tokens = context_of(model)
    if tokens is None or asked <= tokens:
        return asked
    say(f"{key} is lowered from {asked} to {tokens}, the model's context (max_position_embeddings)")
    return tokens
