"""A tokenizer in another process, which is made only when something is asked of it: transformers takes a third of a second to import,
and most rows need no more than what was found out about the tokenizer before."""

import pickle
from collections.abc import Callable
from functools import cached_property


class Later:
    """Stands for a tokenizer. Everything asked of it is asked of the tokenizer.

    Args:
        pickled: the tokenizer.
    """

    def __init__(self, pickled: bytes) -> None:
        self._pickled = pickled

    def __reduce__(self) -> "tuple[type[Later], tuple[bytes]]":
        return Later, (self._pickled,)

    @cached_property
    def _made(self) -> Callable[..., object]:
        made: Callable[..., object] = pickle.loads(self._pickled)
        return made

    def __getattr__(self, name: str) -> object:
        return getattr(self._made, name)

    def __call__(self, *given: object, **named: object) -> object:
        return self._made(*given, **named)
