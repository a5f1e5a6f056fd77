"""The backend that hands the work to vLLM, for GPUs. It loads the model itself; training cannot use it.

Written against the interface of vLLM 0.11 to 0.33; vLLM needs a GPU, so the tests drive it with a stand-in.
"""

import importlib
import itertools
import threading
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from medicalgpt.errors import ServeError
from medicalgpt.generate.backends.base import StopCallback
from medicalgpt.generate.sampling import PENALTIES, Sampling
from medicalgpt.kernels.known_tokens import KnownTokens
from medicalgpt.models.adapter_config import read_adapter
from medicalgpt.models.locate import Located

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM's max_lora_rank may be


class VllmBackend:
    """Implements `Backend`. A completion's seed decides it as far as vLLM promises that, which is not across batches."""

    def __init__(
        self,
        base: Located,
        adapter: Located | None,
        stop_ids: Sequence[int],
        dtype: str,
        trust_remote_code: bool,
        known: KnownTokens | None = None,
    ) -> None:
        """Load the model into vLLM.

        Args:
            known: the ids that may be chosen; None: all that the model has.

        Raises:
            ServeError: vLLM is not installed. ModelError: weights of a hub cannot be fetched.
        """
        vllm = _vllm("vllm")
        self.params = vllm.SamplingParams
        self.stop_ids = list(stop_ids)
        # Not its logit_bias, which is bounded, nor its bad words, which need the tokenizer that it does not have here.
        self._allowed = None if known is None else known.ids
        options: dict[str, object] = {}
        self.lora: object = None
        if adapter is not None:
            self.lora = _vllm("vllm.lora.request").LoRARequest("adapter", 1, adapter.folder)
            options = {"enable_lora": True, "max_lora_rank": _rank(read_adapter(adapter))}
        self.llm = vllm.LLM(
            base.complete(),
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            skip_tokenizer_init=True,
            **options,
        )
        self._lock = threading.Lock()
        self._names = map(str, itertools.count())

    @property
    def context(self) -> int | None:
        """Most tokens of prompt and answer together, as vLLM has set aside memory for."""
        return int(self.llm.llm_engine.model_config.max_model_len)

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        seeds: Sequence[Sequence[int]],
        *,
        batch_size: int = 1,
        ends: StopCallback | None = None,
    ) -> list[list[list[int]]]:
        """See `Backend.run`. vLLM's prefix cache computes a prompt once for all of its completions."""
        rows = [(prompt, seed) for prompt, own in zip(prompts, seeds) for seed in own]
        done: list[list[int]] = [[] for _ in rows]
        waiting, under_way = iter(range(len(rows))), dict[str, int]()
        engine = self.llm.llm_engine
        with self._lock:
            try:
                while True:
                    for row in itertools.islice(waiting, batch_size - len(under_way)):
                        name = next(self._names)
                        under_way[name] = row
                        self._add(name, *rows[row], sampling)
                    if not under_way:
                        break
                    for output in engine.step():
                        row = under_way[output.request_id]
                        if self._grow(done[row], output.outputs[0].token_ids, row, ends):
                            engine.abort_request([output.request_id])
                            del under_way[output.request_id]
                        elif output.finished:
                            del under_way[output.request_id]
            finally:  # after an error or Ctrl-C nothing of this call goes on
                if under_way:
                    engine.abort_request(list(under_way))
        answers = iter(done)
        return [[next(answers) for _ in own] for own in seeds]

    def _add(self, name: str, prompt: Sequence[int], seed: int, sampling: Sampling) -> None:
        params = self.params(**settings_of(sampling, seed, self.stop_ids, self._allowed), detokenize=False)
        self.llm.llm_engine.add_request(name, {"prompt_token_ids": list(prompt)}, params, lora_request=self.lora)

    def _grow(self, tokens: list[int], now: Sequence[int], row: int, ends: StopCallback | None) -> bool:
        """Take the new tokens of a row; whether `ends` ended it (vLLM may be ahead by more than one)."""
        for token in now[len(tokens) :]:
            tokens.append(token)
            if ends is not None and token not in self.stop_ids and ends(row, token):
                return True
        return False


def settings_of(
    sampling: Sampling, seed: int, stop_ids: Sequence[int], allowed: Sequence[int] | None
) -> dict[str, object]:
    """Sampling in vLLM's words, which are the same in its Python interface and in its API."""
    more = ("min_p", *PENALTIES)
    later: dict[str, object] = {name: value for name in more if (value := getattr(sampling, name))}
    if sampling.logit_bias:
        later["logit_bias"] = dict(sampling.logit_bias)
    return later | {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "repetition_penalty": sampling.repetition_penalty,
        "seed": seed >> 1,  # vLLM keeps seeds in 63 bits
        "max_tokens": sampling.max_new_tokens,
        "min_tokens": sampling.min_new_tokens,
        "stop_token_ids": stop_ids,
        "allowed_token_ids": allowed,
        "ignore_eos": True,  # the stop tokens above are all there are, as with the other backends
    }


def _rank(config: Mapping[str, Any]) -> int:
    """The least rank that vLLM can be told which holds an adapter's ranks."""
    needed = max(config["r"], *(config.get("rank_pattern") or {}).values(), 0)
    return next((rank for rank in _RANKS if rank >= needed), needed)


def _vllm(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ServeError(
            "backend=vllm needs vLLM and a GPU; install it with: pip install 'medicalgpt[vllm]', or leave --backend out"
        ) from error
