"""vLLM servers as the ones who draw: token ids in, token ids and their log-probabilities out, over vLLM's own HTTP API.

The servers are started by the user (`vllm serve BASE --enable-lora`, VLLM_ALLOW_RUNTIME_LORA_UPDATING=True) and hold the base;
the adapter is loaded under a new name before every update, so that no cached prefix of an older one can be used.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from medicalgpt.errors import RunError
from medicalgpt.generate.backends.base import StopCallback
from medicalgpt.generate.backends.vllm import settings_of
from medicalgpt.generate.sampling import Sampling
from medicalgpt.rewards.posting import PostError, post_json

_ANSWER: Final = 1 << 16
"""Bytes that an answer may take beside those of its tokens."""
_TOKEN: Final = 512
"""Bytes that a token may take: its id, its text and its log-probability."""
_SHORT: Final = 30.0
"""Seconds for forgetting an adapter."""
_KEY: Final = "start it without --api-key, as a run sends no key"

Drawn = tuple[list[int], list[float]]
"""Token ids of one answer and their log-probabilities."""


class VllmServers:
    """Implements `Backend`: answers of the adapter `name`, shared out over the servers."""

    def __init__(
        self,
        urls: Sequence[str],
        stop_ids: Sequence[int],
        context: int | None,
        timeout: float,
        known: Sequence[int] | None,
    ) -> None:
        """`known`: the ids that may be chosen; None: all that the model has."""
        self.urls = [url.rstrip("/") for url in urls]
        self.stop_ids, self.context, self.timeout = list(stop_ids), context, timeout
        self.known = None if known is None else list(known)
        self.name = ""
        self.logps: list[list[list[float]]] = []

    # -- adapters ----------------------------------------------------------------------------------------------------
    def load(self, name: str, folder: Path) -> None:
        """Every server loads the adapter in `folder`, which it must see under the same path.

        Raises:
            RunError: a server cannot be reached, or refuses, with what to do.
        """
        for url in self.urls:
            self._control(url, "load_lora_adapter", {"lora_name": name, "lora_path": str(folder)}, self.timeout)

    def forget(self, name: str) -> None:
        """Every server drops an adapter; one that has died since says so at the next answer."""
        for url in self.urls:
            try:
                self._control(url, "unload_lora_adapter", {"lora_name": name}, _SHORT)
            except RunError:
                continue

    def _control(self, url: str, what: str, words: Mapping[str, str], timeout: float) -> None:
        try:
            # vLLM says in words that it did, not in JSON.
            post_json(f"{url}/v1/{what}", json.dumps(words).encode(), timeout, _ANSWER)
        except PostError as error:
            if error.status is None and "JSON" in str(error):
                return
            # What is said of an adapter names folders and ranks, and nothing of a text.
            why = f"refuses ({error.said})" if error.said else str(error)
            raise RunError(f"rollout.servers: {url} {why} for {what}; {_hint(error)}") from None

    # -- answers -------------------------------------------------------------------------------------------------------
    def run(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        seeds: Sequence[Sequence[int]],
        *,
        batch_size: int = 1,
        ends: StopCallback | None = None,
    ) -> list[list[list[int]]]:
        """See `Backend.run`; keeps the log-probabilities in `logps`. `batch_size` requests are under way at a time.

        Raises:
            RunError: a server cannot be reached, is late, or answers something else.
        """
        rows = [(prompt, seed) for prompt, own in zip(prompts, seeds) for seed in own]
        with ThreadPoolExecutor(max(1, min(batch_size, len(rows)))) as pool:
            asked = [
                pool.submit(self._ask, self.urls[row % len(self.urls)], prompt, seed, sampling)
                for row, (prompt, seed) in enumerate(rows)
            ]
            try:
                drawn = [self._cut(row, one.result(), ends) for row, one in enumerate(asked)]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        answers, logps = iter(drawn), iter(drawn)
        self.logps = [[next(logps)[1] for _ in own] for own in seeds]
        return [[next(answers)[0] for _ in own] for own in seeds]

    def _cut(self, row: int, drawn: Drawn, ends: StopCallback | None) -> Drawn:
        """The answer up to the token that ended it by a stop text, of which a server knows nothing."""
        ids, logps = drawn
        for place, token in enumerate(ids if ends is not None else ()):
            if token not in self.stop_ids and ends is not None and ends(row, token):
                return ids[: place + 1], logps[: place + 1]
        return drawn

    def _ask(self, url: str, prompt: Sequence[int], seed: int, sampling: Sampling) -> Drawn:
        words = settings_of(sampling, seed, self.stop_ids, self.known) | {
            "model": self.name,
            "prompt": list(prompt),
            "logprobs": 0,
            "return_token_ids": True,
        }
        limit = _ANSWER + _TOKEN * sampling.max_new_tokens + 16 * len(prompt)
        try:
            found = post_json(f"{url}/v1/completions", json.dumps(words).encode(), self.timeout, limit)
        except PostError as error:
            raise RunError(
                f"rollout.servers: {url} {error}; {_remedy(error, len(prompt) + sampling.max_new_tokens)}. Earlier checkpoints "
                "are intact"
            ) from None
        drawn = _drawn(found)
        if drawn is None or not 0 < len(drawn[0]) <= sampling.max_new_tokens:
            raise RunError(
                f"rollout.servers: {url} answers without token ids and their log-probabilities; it must be vLLM of 0.10.2 or newer"
            )
        return drawn


def _hint(error: PostError) -> str:
    """What to do about a server that does not take an adapter."""
    if error.status == 401:
        return _KEY
    if error.status in (404, 405) and "adapter" not in error.said:  # it has no such address
        return "start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and --enable-lora"
    if "not enabled" in error.said:
        return "start it with --enable-lora"
    if error.status is not None:
        return (
            "--max-lora-rank must hold lora.rank, and it must see the folder under the same path (rollout.adapter_dir)"
        )
    return "look at its log"


def _remedy(error: PostError, tokens: int) -> str:
    """What to do about a server that does not answer. Of its own words, which may repeat a prompt, nothing is shown.

    Args:
        tokens: of prompt and answer together.
    """
    if error.late:
        return "raise rollout.timeout or lower rollout.batch_size"
    if error.status == 401:
        return _KEY
    if error.status == 400 and "context length" in error.said:
        return f"it has no room for {tokens} tokens of prompt and answer: start it with a larger --max-model-len"
    if error.status == 404:
        return "it does not have the adapter any more, as after a new start of it: the same command goes on"
    return "is it up? Its log may say more"


def _drawn(found: object) -> Drawn | None:
    """Ids and log-probabilities in an answer of /v1/completions; None where it holds no such thing."""
    choices = found.get("choices") if isinstance(found, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    said = choice.get("logprobs") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(said, dict):
        return None
    ids, logps = choice.get("token_ids"), said.get("token_logprobs")
    if not isinstance(ids, list) or not isinstance(logps, list) or len(ids) != len(logps):
        return None
    if not all(type(one) is int and one >= 0 for one in ids) or not all(type(one) in (int, float) for one in logps):
        return None
    return ids, [float(one) for one in logps]
