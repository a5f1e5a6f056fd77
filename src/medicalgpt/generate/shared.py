"""Several adapters on one base: the weights are in memory once, and every name has an engine of its own."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase

from medicalgpt.config.near_names import did_you_mean
from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ServeError
from medicalgpt.generate.backends.base import Backend, Choosy, Masking, StopCallback
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.open_model import Origin, origin_of
from medicalgpt.generate.sampling import Sampling
from medicalgpt.models.adapters import adapter_off, adapter_on, add_trained, check_switchable, peft_model
from medicalgpt.models.load import find
from medicalgpt.models.locate import Located
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.structured.grammars import Grammars

Found = tuple[Located, Located | None, PreTrainedTokenizerBase]
"""Places of the base and of the adapter (None: plain), and the tokenizer saved with it."""


class Selected:
    """Implements `Backend`: another backend's model with one of its adapters on, or with none.

    All names of a base share `lock`: adapters are switched on the model itself, so one call runs at a time.
    """

    def __init__(self, backend: Backend, model: nn.Module, adapter: str | None, lock: threading.Lock) -> None:
        self.backend, self.model, self.adapter = backend, model, adapter
        self.stop_ids = backend.stop_ids
        self._lock = lock

    @property
    def grammars(self) -> Grammars | None:
        """See `Masking`."""
        return self.backend.grammars if isinstance(self.backend, Masking) else None

    @grammars.setter
    def grammars(self, grammars: Grammars | None) -> None:
        if isinstance(self.backend, Masking):
            self.backend.grammars = grammars

    @property
    def context(self) -> int | None:
        """See `Backend.context`."""
        return self.backend.context

    def check(self, sampling: Sampling) -> None:
        """See `Choosy`."""
        if isinstance(self.backend, Choosy):
            self.backend.check(sampling)

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        seeds: Sequence[Sequence[int]],
        *,
        batch_size: int = 1,
        ends: StopCallback | None = None,
    ) -> list[list[list[int]]]:
        """See `Backend.run`."""
        with self._lock, adapter_off(self.model) if self.adapter is None else adapter_on(self.model, self.adapter):
            return self.backend.run(prompts, sampling, seeds, batch_size=batch_size, ends=ends)


class SharedBase:
    """A base and its named adapters. Each name answers as if it had been loaded alone, with the template saved with it."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self.engines = dict(engines)

    @classmethod
    def open(
        cls,
        base: str,
        adapters: Mapping[str, str],
        *,
        plain: str | None = None,
        template: str | None = None,
        **options: Any,
    ) -> "SharedBase":
        """Load a base and adapters for it, at least one.

        Args:
            adapters: for each name a run or adapter folder, or a Hub id.
            plain: a name for the base without an adapter; None: it has no name.
            template: for all of them, in place of the saved ones.
            options: as for `Engine.open`.

        Raises:
            ModelError: as `Engine.open`; an adapter of another base, or one that changes the base's own weights.
            ServeError: no adapter, a name twice, or as `Engine.open`.
        """
        found = _find(base, adapters, plain, options.get("trust_remote_code", False), options.get("revision"))
        first, *others = adapters
        options["inference_only"] = False  # adapters go on and off a base that stays as it is
        engines = {first: Engine.open(base, adapter=adapters[first], template=template, **options)}
        model = engines[first].model
        if model is None:
            raise ServeError(
                "several adapters on one base run on the transformers backend only; leave the other one out"
            )
        inside = {first: str(peft_model(model).active_adapter)} | {
            name: f"adapter_{i}" for i, name in enumerate(others, 1)
        }
        for name in others:
            if (place := found[name][1]) is not None:
                add_trained(model, inside[name], place)
        for name in (*others, *([plain] if plain is not None else [])):
            engines[name] = _engine(model, found[name], template, engines[first].origin)
        lock = threading.Lock()
        for name, engine in engines.items():
            engine.backend = Selected(engine.backend, model, inside.get(name), lock)
        return cls(engines)

    @property
    def names(self) -> list[str]:
        """What can be asked for, in the order given."""
        return list(self.engines)

    def engine(self, name: str) -> Engine:
        """The engine of a name; raises ServeError with the names that there are."""
        if name not in self.engines:
            raise ServeError(
                f"no model {name!r}{did_you_mean(name, self.engines)}; there are: {', '.join(self.engines)}"
            )
        return self.engines[name]


def _find(
    base: str, adapters: Mapping[str, str], plain: str | None, trust: bool, revision: str | None
) -> dict[str, Found]:
    """What every name is made of; nothing heavy is loaded."""
    if not adapters or plain in adapters:
        raise ServeError(f"names of adapters: {', '.join(adapters)}; allowed: one or more, none of them {plain}")
    config = ModelConfig(base=base, revision=revision, trust_remote_code=trust)
    found: dict[str, Found] = {}
    for name, path in adapters.items():
        place, adapter, tokenizer = find(config.model_copy(update={"adapter": path}))
        if adapter is None:
            raise ServeError(f"{path} of the name {name} is not an adapter; give a run or adapter folder, or a Hub id")
        check_switchable(adapter)
        found[name] = place, adapter, tokenizer
    if plain is not None:
        place, _, tokenizer = find(config)
        found[plain] = place, None, tokenizer
    return found


def _engine(model: nn.Module, found: Found, template: str | None, first: Origin) -> Engine:
    place, adapter, tokenizer = found
    chosen = ChatTemplate.load(tokenizer, template)
    return Engine(model, tokenizer, chosen, first | origin_of(chosen, place, adapter))
