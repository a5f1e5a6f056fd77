"""Which settings a chat template has beside the conversation: names that it reads and nobody gives it, as `enable_thinking`."""

from typing import Any, Final

_GIVEN: Final = frozenset(
    {
        *("messages", "tools", "documents", "add_generation_prompt", "raise_exception", "strftime_now"),
        *("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"),
        *("range", "dict", "lipsum", "cycler", "joiner", "namespace"),
    }
)
Setting = bool | int | float | str


def setting_names(source: str, tokenizer: Any) -> frozenset[str]:
    """Names that a template looks up and that neither transformers, the tokenizer nor Jinja gives; none where the text has tags
    that only transformers knows."""
    from jinja2 import TemplateError, meta
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    try:
        read = meta.find_undeclared_variables(environment.parse(source))
    except (TemplateError, RecursionError):
        return frozenset()
    return frozenset(read) - _GIVEN - frozenset(tokenizer.special_tokens_map)
