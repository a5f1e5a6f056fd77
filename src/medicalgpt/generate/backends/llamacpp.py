"""The backend that runs a GGUF file in llama.cpp.

llama.cpp's streams lose the ids of tokens that are half a character, so an answer is asked for in blocks of a few tokens,
which come back as ids, all of them. Where blocks end depends on the position alone, and each has a seed of its own: an
answer is the same streamed, in a batch, or cut short.
"""

import hashlib
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from medicalgpt.errors import ServeError
from medicalgpt.generate.backends.base import StopCallback
from medicalgpt.generate.backends.llamacpp_server import Server
from medicalgpt.generate.sampling import PENALTIES, Sampling
from medicalgpt.gguf.file import GgufFile

_BLOCK = 8  # tokens; few are wasted behind a stop text, and a request costs little beside so many
_RANDOM = 2**32 - 1  # the seed that llama.cpp takes for "any"


class LlamaCppBackend:
    """Implements `Backend`. A completion depends on its seed alone, up to rounding of the logits in its batch."""

    def __init__(self, file: GgufFile, stop_ids: Sequence[int]) -> None:
        """Load the file.

        Raises:
            ServeError: the bindings are not installed, or llama.cpp does not take the file.
        """
        self.stop_ids = list(stop_ids)
        self.never = [i for i in file.unused_ids if i not in self.stop_ids]
        self.server = Server(file)
        self._lock = threading.Lock()

    @property
    def context(self) -> int | None:
        """See `Backend.context`: what the file says, or what keys and values have room for."""
        return self.server.context

    def check(self, sampling: Sampling) -> None:
        """See `Choosy`. llama.cpp counts the prompt's tokens, too, where OpenAI's penalties count the answer's only."""
        for name in PENALTIES:
            if getattr(sampling, name):
                raise ServeError(f"{name}: llama.cpp counts tokens of the prompt, too; leave it out for this model")

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        seeds: Sequence[Sequence[int]],
        *,
        batch_size: int = 1,
        ends: StopCallback | None = None,
    ) -> list[list[list[int]]]:
        """See `Backend.run`. llama.cpp takes a step for all completions under way at once."""
        rows = [(prompt, seed) for prompt, own in zip(prompts, seeds) for seed in own]
        longest = max((len(prompt) for prompt, _ in rows), default=1) + sampling.max_new_tokens
        with self._lock:
            size = self.server.make_room(min(batch_size, len(rows)), longest)
            done = _Call(self.server, sampling, self.stop_ids, self.never, ends).all(rows, size)
        answers = iter(done)
        return [[next(answers) for _ in own] for own in seeds]


class _Call:
    """The completions of one call, each on a thread of its own that waits for llama.cpp most of the time."""

    def __init__(
        self,
        server: Server,
        sampling: Sampling,
        stop_ids: Sequence[int],
        never: Sequence[int],
        ends: StopCallback | None,
    ) -> None:
        self.server, self.sampling, self.never = server, sampling, never
        self.stop_ids = frozenset(stop_ids)
        self.ends = ends
        self.settings = _settings(sampling)
        self.free: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._asking = threading.Lock()  # `ends` is written for one thread
        self._halt = threading.Event()

    def all(self, rows: Sequence[tuple[Sequence[int], int]], size: int) -> list[list[int]]:
        """Token ids of every row, `size` at a time. After an error or Ctrl-C nothing goes on behind the caller's back."""
        for slot in range(size):
            self.free.put(slot)
        if len(rows) == 1:
            return [self._row(0, *rows[0])]
        with ThreadPoolExecutor(size) as pool:
            futures = [pool.submit(self._row, number, *row) for number, row in enumerate(rows)]
            try:
                for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                    future.result()  # raises where a row failed; else all are done
                return [future.result() for future in futures]
            finally:
                self._halt.set()
                pool.shutdown(cancel_futures=True)

    def _row(self, number: int, prompt: Sequence[int], seed: int) -> list[int]:
        slot = self.free.get()
        try:
            return self._answer(slot, number, prompt, seed)
        finally:
            self.free.put(slot)

    def _answer(self, slot: int, number: int, prompt: Sequence[int], seed: int) -> list[int]:
        tokens: list[int] = []
        while len(tokens) < self.sampling.max_new_tokens and not self._halt.is_set():
            for token in self._block(slot, prompt, tokens, seed):
                tokens.append(token)
                if token in self.stop_ids or self._ended(number, token):
                    return tokens
        return tokens

    def _block(self, slot: int, prompt: Sequence[int], tokens: list[int], seed: int) -> list[int]:
        """The next tokens: up to the block's end, or to one that llama.cpp stops at, be it a stop token of ours or not."""
        start = len(tokens)
        settings = self.settings | {"seed": _seed(seed, start), "repeat_last_n": len(prompt) + start + _BLOCK}
        young = start < self.sampling.min_new_tokens
        never = [*self.never, *(self.stop_ids if young else ())]
        bias = dict(self.sampling.logit_bias) | dict.fromkeys(never, False)
        if bias:
            settings["logit_bias"] = [[token, value] for token, value in bias.items()]
        answer = self.server.ask(slot, [*prompt, *tokens], _end(start, self.sampling) - start, **settings)
        if not answer["tokens"]:
            raise ServeError("llama.cpp gave no token; the file may be damaged")
        return list(answer["tokens"])

    def _ended(self, number: int, token: int) -> bool:
        if self.ends is None:
            return False
        with self._asking:
            return self.ends(number, token)


def _settings(sampling: Sampling) -> dict[str, object]:
    """Our settings by llama.cpp's names, in the order in which the other backends apply them; all else off."""
    return {
        "samplers": ["penalties", "temperature", "min_p", "top_k", "top_p"],
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repetition_penalty,
    }


def _end(start: int, sampling: Sampling) -> int:
    """Where the block that begins at a position ends: 1, 2, 4, 8, 16, 24 …, so that the first token comes at once."""
    end = 2 ** start.bit_length() if start < _BLOCK else (start // _BLOCK + 1) * _BLOCK
    if start < sampling.min_new_tokens:
        end = min(end, sampling.min_new_tokens)
    return min(end, sampling.max_new_tokens)


def _seed(seed: int, position: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{position}".encode()).digest()[:8], "big") % _RANDOM
