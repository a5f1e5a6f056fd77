"""Grammars compiled by llguidance for a model's tokens. Imported only when one is asked for: llguidance need not be installed."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import cached_property
from typing import Final

from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from medicalgpt.errors import ServeError
from medicalgpt.structured import trial
from medicalgpt.structured.constraint import Constraint
from medicalgpt.structured.row import on_one_line
from medicalgpt.structured.vocabulary import Tokens, Vocabulary

_PATIENCE: Final = 30.0  # seconds on the clock, as a busy machine may need many for a few of processor time
_TOO_COSTLY: Final = (
    f"it takes more than {trial.SECONDS} s or too much memory to compile; give it fewer properties, shorter patterns, and no "
    "multipleOf beyond some thousands"
)


class Compiler:
    """Makes matchers."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens

    @cached_property
    def vocabulary(self) -> LLTokenizer:
        """The model's tokens as bytes; takes a second for 49,000 of them."""
        return LLTokenizer(TokenizerWrapper(Vocabulary(self.tokens)), eos_token=list(self.tokens.stop_ids))

    def compile(self, constraint: Constraint) -> LLMatcher | str:
        """A matcher at the beginning of an answer, or why there can be none."""
        # A blank before the answer would hide that nothing can follow.
        refused = _tried(replace(constraint, begun=True).grammar)
        if refused is not None:
            return refused
        try:
            return trial.compiled(self.vocabulary, constraint.grammar)
        except trial.RefusedError as error:
            return told(str(error))


def told(reason: str) -> str:
    """That it was llguidance who said so."""
    return f"llguidance says: {on_one_line(reason, 300)}"


def _tried(grammar: str) -> str | None:
    """Why a grammar is refused, found out in a process of its own; see `trial`."""
    command = [sys.executable, "-P", trial.__file__]
    try:
        done = subprocess.run(command, input=grammar.encode(), capture_output=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return _TOO_COSTLY
    if done.returncode < 0 or b"MemoryError" in done.stderr:
        return _TOO_COSTLY
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ServeError(f"compiling a grammar failed: {last[:200]}")
    reason = json.loads(done.stdout)
    return None if reason is None else told(reason)
