"""How many tokens a model can tell apart by their place, which bounds prompt and answer together: read from its config."""

import re
from collections.abc import Callable

from torch import nn
from transformers import AutoConfig, PreTrainedConfig

from medicalgpt.errors import ConfigError, ModelError
from medicalgpt.hub.huggingface import hub_token
from medicalgpt.models.adapter_config import NO_PINS, Pins, down_to_base
from medicalgpt.models.console import to_stderr
from medicalgpt.models.empty import empty_model
from medicalgpt.models.locate import Located
from medicalgpt.models.rope import RopeScaling, agreed, same_for_all, stretch

_POSITIONS = re.compile(r"(^|[._])(wpe|pos|position|positions)([._]|$)")
_SPARE = 8  # rows that a table of positions may have beyond them (OPT has two)


def context_of(config: PreTrainedConfig) -> int | None:
    """Most tokens of prompt and answer together, as far as a model's config says.

    With positions whose frequencies change with the longest row of a batch (longrope) those up to which they are the same for all:
    packed, padded, batched and alone a row then has the same numbers.
    """
    text = config.get_text_config()
    found = getattr(text, "max_position_embeddings", None) or getattr(text, "max_seq_len", None)  # the latter: MPT
    limits = [limit for limit in (found, same_for_all(text)) if isinstance(limit, int) and limit > 0]
    return min(limits) if limits else None


def source_of(config: PreTrainedConfig) -> str:
    """Where in a config `context_of` found its number."""
    return (
        "original_max_position_embeddings; behind it positions (longrope) depend on the longest row of a batch"
        if same_for_all(config.get_text_config())
        else "max_position_embeddings"
    )


def within_context(
    asked: int,
    model: Located,
    name: str,
    key: str,
    trust_remote_code: bool = False,
    rope: RopeScaling | None = None,
    pins: Pins = NO_PINS,
) -> tuple[int, str]:
    """The limit that rows for a located model must keep: `asked`, or its context where that is less; and where it is written.

    Nothing is loaded.

    Args:
        name: what the model is called in a message.
        key: the setting that `asked` comes from.
        rope: how its positions are stretched; an adapter says so itself.
        pins: as for `down_to_base`.

    Raises:
        ConfigError: the model looks positions up in a table, which ends before `asked`; with both numbers.
        ModelError: its config.json cannot be read.
    """
    adapters, model = down_to_base(model, trust_remote_code, pins)
    rope = agreed(rope, adapters[0] if adapters else None)
    try:
        config = AutoConfig.from_pretrained(model.folder, token=hub_token(), trust_remote_code=trust_remote_code)
        if rope is not None:
            stretch(config, rope, name)
        tokens = context_of(config)
    except ModelError:
        raise
    except Exception as error:  # transformers raises what a damaged value leads to
        raise ModelError(
            f"{model.name}: transformers cannot read its config.json ({type(error).__name__}: {error})"
        ) from error
    if tokens is None or asked <= tokens:
        return asked, ""
    if _has_table(config, tokens, trust_remote_code):
        raise ConfigError(
            f"{key}={asked}, but {name} has {tokens} learned positions and none for a token behind them; set "
            f"{key}={tokens} or less, or choose a model with a longer context"
        )
    return tokens, source_of(config)


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
    say(f"{key} is lowered from {asked} to {tokens}, the model's context ({source_of(model)})")
    return tokens
