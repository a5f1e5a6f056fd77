"""Settings of a request's chat template: `chat_template_kwargs`, and `reasoning_effort` where the template knows it."""

from functools import lru_cache
from typing import Final

from medicalgpt.generate.engine import Engine
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.template_names import Setting, setting_names
from medicalgpt.serve.api.errors import ApiError
from medicalgpt.serve.api.schema import ChatRequest

_MOST_KEPT: Final = 32
_EFFORT: Final = "reasoning_effort"
_SETTINGS: Final = "chat_template_kwargs"


class TemplatesBySettings:
    """An engine's template under several settings; a few are kept, with what each has found out about itself."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.names = sorted(setting_names(engine.template.source, engine.tokenizer))
        # Typed, as 1 is no True here; a lambda without names of its own, which a setting could have, too.
        self._kept = lru_cache(_MOST_KEPT, typed=True)(lambda **settings: engine.template.with_settings(settings))

    def asked_by(self, asked: ChatRequest) -> ChatTemplate:
        """The template as a request wants it.

        Raises:
            ApiError: 400, the template has no such setting.
        """
        settings = self._checked(asked)
        return self._kept(**dict(sorted(settings.items()))) if settings else self.engine.template

    def _checked(self, asked: ChatRequest) -> dict[str, Setting]:
        settings: dict[str, Setting] = dict(asked.chat_template_kwargs)
        odd = next((name for name in settings if name not in self.names), None)
        if odd is not None:
            there = f"it has {', '.join(self.names)}" if self.names else "it has none"
            raise ApiError(400, f"{_SETTINGS}: this model's template has no setting '{odd}'; {there}", param=_SETTINGS)
        if asked.reasoning_effort is not None:
            if _EFFORT not in self.names:
                others = f"; send {_SETTINGS} with {', '.join(self.names)}" if self.names else "; leave it out"
                raise ApiError(400, f"{_EFFORT}: this model's template does not know it{others}", param=_EFFORT)
            if settings.setdefault(_EFFORT, asked.reasoning_effort) != asked.reasoning_effort:
                raise ApiError(400, f"{_EFFORT} and {_SETTINGS} differ; give one of them", param=_EFFORT)
        return settings
