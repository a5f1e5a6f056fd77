"""Compiling a grammar with llguidance, also as a program of its own, where it can be stopped.

llguidance bounds its work by fuel, but not all of it: a number that must be a multiple of 99,991 takes four seconds, five
hundred such take half a minute, and a call into a library cannot be interrupted. So a grammar that is new is compiled once by
`python trial.py` within limits of processor time and memory. This file imports nothing but llguidance and the standard library.
"""

import json
import sys
from collections.abc import Sequence
from typing import Final

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

SECONDS: Final = 3
"""Of processor time for one grammar."""
BYTES: Final = 2**30
"""Of memory, that of Python included."""
_STATES = 50_000  # of the lexer, at 1 to 2 kB; what grows beyond them ends in an error, and the grammar is made anew


class RefusedError(Exception):
    """A grammar that cannot be used, with llguidance's reason."""


class Bytes:
    """A vocabulary of 256 bytes and an end, as llguidance wants one."""

    eos_token_id = 256
    bos_token_id = None
    special_token_ids = (256,)
    tokens = (*(bytes([i]) for i in range(256)), b"<end>")

    def __call__(self, text: str) -> Sequence[int]:
        """Ids of a text."""
        return list(text.encode())


def compiled(vocabulary: LLTokenizer, grammar: str) -> LLMatcher:
    """A matcher at the beginning of an answer.

    Raises:
        RefusedError: the grammar asks for what is not there, is too large, or no text keeps it.
    """
    limits = LLParserLimits(max_lexer_states=_STATES, verbose_errors=False)
    matcher = LLMatcher(vocabulary, LLMatcher.grammar_from_lark(grammar), log_level=0, limits=limits)
    if not matcher.is_error():
        matcher.compute_bitmask()
    if matcher.is_error():
        raise RefusedError(matcher.get_error())
    if matcher.is_stopped():
        raise RefusedError("Unsatisfiable schema")
    return matcher


def main() -> None:
    """Compile the grammar on standard input; writes JSON: null, or why it is refused."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    if sys.platform == "linux":  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    grammar = sys.stdin.buffer.read().decode()
    try:
        compiled(LLTokenizer(TokenizerWrapper(Bytes()), slices=[]), grammar)
    except RefusedError as refused:
        print(json.dumps(str(refused)[:2000]))
    else:
        print("null")


if __name__ == "__main__":
    main()
