"""Grammars of one model: constraints compiled for its tokens, once each, and handed to the answers that must keep them."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final

from medicalgpt.errors import ServeError
from medicalgpt.rendering.thinking import opens_thinking
from medicalgpt.structured.constraint import Constraint
from medicalgpt.structured.row import RowGrammar
from medicalgpt.structured.vocabulary import Tokens

if TYPE_CHECKING:  # llguidance need not be installed
    from llguidance import LLMatcher

    from medicalgpt.structured.compiler import Compiler  # lazy: llguidance need not be installed

_KEPT: Final = 32  # grammars in memory; a hostile one takes up to 100 MB
_TAIL = 16  # tokens; an opened thinking block is the very end of a prompt


class Grammars:
    """What holds a model's answers to constraints. May be used from several threads; one compiles at a time."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self._known: OrderedDict[Constraint, LLMatcher | str] = OrderedDict()
        self._reading, self._compiling = threading.Lock(), threading.Lock()

    def require(self, constraint: Constraint) -> None:
        """Make ready for a constraint. A new one takes a moment: 0.1 s, or some seconds for what is then refused.

        Raises:
            ServeError: llguidance is not installed, or the schema asks for what it cannot hold an answer to.
        """
        self._matcher(constraint)

    def row(self, constraint: Constraint, prompt: Sequence[int]) -> RowGrammar:
        """For one answer to a prompt. Raises ServeError as `require`."""
        thinking = opens_thinking(self._decode(prompt[-_TAIL:]))
        return RowGrammar(
            self._matcher(constraint).deep_copy(),
            self.tokens.stop_ids,
            partial(self._forget, constraint),
            self._decode if thinking else None,
            self._compiler.vocabulary.greedy_tokenize,
        )

    def _forget(self, constraint: Constraint) -> None:
        """Of a grammar that failed: what all its rows share has grown too large, so the next one gets it anew."""
        with self._reading:
            self._known.pop(constraint, None)

    def _decode(self, ids: Sequence[int]) -> str:
        tokenizer = self.tokens.tokenizer
        return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    @cached_property
    def _compiler(self) -> "Compiler":
        try:
            from medicalgpt.structured.compiler import Compiler  # lazy: llguidance need not be installed
        except ImportError as error:
            raise ServeError(
                "holding answers to a JSON schema needs llguidance; install it with: pip install 'medicalgpt[structured]'"
            ) from error
        return Compiler(self.tokens)

    def _matcher(self, constraint: Constraint) -> "LLMatcher":
        found = self._look(constraint)
        if found is None:
            with self._compiling:
                found = self._look(constraint)
                if found is None:
                    found = self._compiler.compile(constraint)
                    self._keep(constraint, found)
        if isinstance(found, str):
            raise ServeError(f"an answer cannot be held to this JSON schema: {found}")
        return found

    def _look(self, constraint: Constraint) -> "LLMatcher | str | None":
        with self._reading:
            if constraint in self._known:
                self._known.move_to_end(constraint)
            return self._known.get(constraint)

    def _keep(self, constraint: Constraint, found: "LLMatcher | str") -> None:
        with self._reading:
            self._known[constraint] = found
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
