"""llama.cpp's server inside this process, by the bindings of `xllamacpp`: a GGUF file with room for so many answers.

The bindings open an HTTP door that cannot be left out. It is a socket file in a private folder where the platform has
such, else a port of 127.0.0.1, and asks for a key that nobody is told.
"""

import importlib
import json
import math
import secrets
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import torch

from medicalgpt.errors import ServeError
from medicalgpt.gguf.file import GgufFile

_CACHE_BYTES = 2 << 30  # for keys and values of all answers under way
_ROUND = 256  # llama.cpp rounds a context up to this
_SPARE = 2  # tokens of a context that llama.cpp leaves empty
_START_SECONDS = 300.0  # a busy machine may take its time
_WITH_IDS = {"return_tokens": True, "verbose": True}


Reply = dict[str, Any]
"""What llama.cpp answers: parsed JSON of its own form, of which a few keys are read."""


class _LlamaServer(Protocol):
    """A server of xllamacpp, which has no types."""

    listening_address: str

    def handle_completions(self, request: Mapping[str, object]) -> Reply:
        """Answer a request."""
        ...


class Server:
    """Answers requests about token ids."""

    def __init__(self, file: GgufFile) -> None:
        """Load the file, with room for one answer.

        Raises:
            ServeError: the bindings are not installed, or llama.cpp does not take the file.
        """
        self.file = file
        self._bindings = _bindings()
        # Where all weights are exact, halves among keys and values would be the largest error of all.
        self._exact = file.types == {"F32"}
        self._total = _CACHE_BYTES // (file.numbers_per_token * (4 if self._exact else 2)) // _ROUND * _ROUND
        self.context = max(1, min(file.context, self._total - _SPARE))
        """Most tokens of prompt and answer together."""
        self._slots, self._tokens = 0, 0
        self._server: _LlamaServer | None = None
        self.make_room(1, 1)

    def make_room(self, slots: int, tokens: int) -> int:
        """See to it that so many answers of up to `tokens` tokens, prompts included, can be under way at a time.

        Growing loads the file again, which the operating system still holds in memory.

        Returns:
            How many at a time: `slots`, or fewer where memory for keys and values would not suffice.
        """
        # Powers of two, so that a long conversation is not loaded again with every turn.
        tokens = max(2 * _ROUND, 2 ** math.ceil(math.log2(tokens + _SPARE)))
        tokens = min(tokens, -(-(self.context + _SPARE) // _ROUND) * _ROUND)
        slots = max(1, min(slots, self._total // tokens))
        if slots <= self._slots and tokens <= self._tokens:
            return slots
        larger = max(slots, self._slots), max(tokens, self._tokens)
        self._slots, self._tokens = larger if math.prod(larger) <= self._total else (slots, tokens)
        self._server = None  # gives its memory back before the next one takes some
        self._server = self._load()
        return slots

    def _load(self) -> _LlamaServer:
        bindings = self._bindings
        params = bindings.CommonParams()
        params.model.path = str(self.file.path)
        params.n_parallel, params.n_ctx = self._slots, self._slots * self._tokens
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = torch.get_num_threads()
        params.cache_ram_mib = 0  # no second store of prompts, which by default takes up to 8 GiB
        params.verbosity = -1  # its log would hold prompts
        params.warmup = params.ui = params.endpoint_slots = params.endpoint_metrics = False
        params.n_threads_http = 1
        key = secrets.token_hex(32)
        params.api_keys = [key]
        if self._exact:
            params.cache_type_k = params.cache_type_v = bindings.ggml_type.GGML_TYPE_F32
            params.flash_attn_type = bindings.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        with tempfile.TemporaryDirectory(prefix="medicalgpt-") as folder:  # mode 0700
            if sys.platform != "win32" and len(folder) < 80:  # a socket's name is short
                params.hostnames = [f"{folder}/llama.sock"]
            try:
                server: _LlamaServer = bindings.Server(params)
            except (RuntimeError, OSError) as error:
                raise ServeError(
                    f"llama.cpp cannot load {self.file.path}: the file is damaged, or memory is short, or its architecture "
                    f"({self.file.architecture}) is newer than the installed xllamacpp ({error})"
                ) from error
            _await(server.listening_address, key)
        return server

    def ask(self, slot: int, prompt: Sequence[int], max_tokens: int, **settings: object) -> Reply:
        """One request in llama.cpp's own words; what the slot holds of the prompt already is not computed again.

        Returns:
            llama.cpp's own form of the answer: `tokens` are ids, with the one that ended it.

        Raises:
            ServeError: llama.cpp refuses.
        """
        # Only this form has ids.
        found: Reply = self._request(slot, prompt, max_tokens, settings | _WITH_IDS)["__verbose"]
        return found

    def logps(self, ids: Sequence[int], first: int = 1) -> npt.NDArray[np.float32]:
        """Log-probabilities float32 [len(ids) - first + 1, V] of the token behind ids[:first], ids[:first + 1] … ids.

        Slow for what it is: half a second a position with 50,000 tokens, as all go through JSON.
        """
        size = int(self.file.fact("vocab_size") or len(self.file.tokenizer))
        rows = np.full((len(ids) - first + 1, size), -np.inf, np.float32)
        for row, named in zip(rows, self.likely(ids, size, first)):
            row[list(named)] = list(named.values())
        return rows

    def likely(self, ids: Sequence[int], count: int = 64, first: int = 1) -> list[dict[int, float]]:
        """The `count` likeliest tokens behind ids[:first], ids[:first + 1] … ids, with their log-probabilities."""
        self.make_room(1, len(ids) + 1)
        # The drawn token plays no part, but where its text is half a character llama.cpp gives no numbers; a stop
        # token has no text.
        settings = {"n_probs": count, "temperature": 0, "logit_bias": [[self.file.stop_ids[0], 1e4]]}
        found = []
        for end in range(first, len(ids) + 1):
            answer = self._request(0, ids[:end], 1, settings)
            entries = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            found.append({entry["id"]: entry["logprob"] for entry in entries})
        return found

    def _request(self, slot: int, prompt: Sequence[int], max_tokens: int, settings: Mapping[str, object]) -> Reply:
        request = {"prompt": list(prompt), "max_tokens": max_tokens, "id_slot": slot, "cache_prompt": True}
        assert self._server is not None  # `make_room` has loaded it
        answer: Reply = self._server.handle_completions({**request, **settings})
        if "error" in answer:
            raise ServeError(f"llama.cpp refuses a prompt of {len(prompt)} tokens: {answer['error'].get('message')}")
        return answer


def gguf_logprobs(file: GgufFile) -> Server:
    """llama.cpp as a judge of given tokens, by `logps` and `likely`; for comparing an exported model with its origin."""
    return Server(file)


def _await(address: str, key: str) -> None:
    """Wait until one token has come through the HTTP door.

    A server that is let go before its loop and its door are under way never ends (xllamacpp 2026.10).
    """
    url = urlsplit(address)
    door: str | tuple[str | None, int | None] = url.path if url.scheme == "unix" else (url.hostname, url.port)
    body = json.dumps({"prompt": [0], "n_predict": 1})
    head = f"POST /completion HTTP/1.0\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        with socket.socket(socket.AF_UNIX if url.scheme == "unix" else socket.AF_INET) as client:
            client.settimeout(_START_SECONDS)
            client.connect(door)
            client.sendall((head + body).encode())
            status = client.recv(64).split(b"\r\n")[0]
    except OSError as error:
        raise ServeError(f"llama.cpp's server does not start: {error}") from error
    if b" 200" not in status:
        raise ServeError(f"llama.cpp's server does not start: {status.decode(errors='replace')}")


def _bindings() -> ModuleType:
    try:
        return importlib.import_module("xllamacpp")
    except ImportError as error:
        raise ServeError(
            "a GGUF file is run by llama.cpp, whose bindings are not installed; install them with: "
            "pip install 'medicalgpt[llamacpp]'"
        ) from error
