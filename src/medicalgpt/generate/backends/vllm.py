"""The backend that hands the work to vLLM, for GPUs. It loads the model itself; training cannot use it.

Run against vLLM 0.30 on a processor (tests/e2e/test_real_vllm_serving.py); elsewhere the tests drive it with a stand-in.
"""

import importlib
import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from medicalgpt.errors import LostError, ModelError, ServeError
from medicalgpt.generate.backends.base import StopCallback
from medicalgpt.generate.backends.engine_process import started, tell_of_end
from medicalgpt.generate.model_options import ModelOptions
from medicalgpt.generate.sampling import PENALTIES, Sampling
from medicalgpt.kernels.known_tokens import KnownTokens
from medicalgpt.models.adapter_config import read_adapter
from medicalgpt.models.adapter_fit import require_widths
from medicalgpt.models.adapters import check_switchable, require_writer
from medicalgpt.models.locate import Located, locate

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM's max_lora_rank may be

_PLAIN = ModelOptions()


class VllmBackend:
    """Implements `Backend` and `Stepping`. A completion's seed decides it as far as vLLM promises that, which is not across batches."""

    def __init__(
        self,
        base: Located,
        adapter: Located | None,
        stop_ids: Sequence[int],
        options: ModelOptions = _PLAIN,
        known: KnownTokens | None = None,
    ) -> None:
        """Load the model into vLLM.

        Args:
            adapter: of answers that name none.
            known: the ids that may be chosen; None: all that the model has.

        Raises:
            ServeError: vLLM is not installed, or `memory_share` is no share. ModelError: weights of a hub cannot be fetched, or an
                adapter does not go with this base.
        """
        vllm = _vllm("vllm")
        self.params = vllm.SamplingParams
        self.stop_ids = list(stop_ids)
        # Not its logit_bias, which is bounded, nor its bad words, which need the tokenizer that it does not have here.
        self._allowed = None if known is None else known.ids
        named = {"": adapter} if adapter is not None else {}
        named |= {name: locate(where) for name, where in options.adapters.items()}
        self._loras = {name: _lora(name, i, where) for i, (name, where) in enumerate(named.items(), 1)}
        folder = base.complete()
        for where in named.values():
            require_widths(base, where)
        self.llm, processes = started(
            lambda: vllm.LLM(
                folder,
                dtype=options.dtype,
                trust_remote_code=options.trust_remote_code,
                skip_tokenizer_init=True,
                tensor_parallel_size=options.tensor_parallel,
                **_memory(options),
                **_room_for(list(named.values())),
            )
        )
        self._dead = _vllm("vllm.v1.engine.exceptions").EngineDeadError
        # Where the engine is no process of its own there is no such queue, and nobody who could end alone.
        if (answers := getattr(getattr(self.llm.llm_engine, "engine_core", None), "outputs_queue", None)) is not None:
            tell_of_end(processes, answers, self._dead())
        self._load(named)
        self._lock = threading.Lock()
        self._names = map(str, itertools.count())
        self._told: dict[str, int] = {}  # of each answer under way, the number of tokens that were given out

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
        with self._lock:
            try:
                while True:
                    for row in itertools.islice(waiting, batch_size - len(under_way)):
                        prompt, seed = rows[row]
                        under_way[self.join(prompt, sampling, seed)] = row
                    if not under_way:
                        break
                    for name, new, finished in self.advance():
                        row = under_way[name]
                        if self._grow(done[row], new, row, ends):
                            self.leave([name])
                            del under_way[name]
                        elif finished:
                            del under_way[name]
            finally:  # after an error or Ctrl-C nothing of this call goes on
                self.leave(list(under_way))
        answers = iter(done)
        return [[next(answers) for _ in own] for own in seeds]

    def join(self, prompt: Sequence[int], sampling: Sampling, seed: int, adapter: str = "") -> str:
        """See `Stepping.join`."""
        name = next(self._names)
        try:
            params = self.params(**settings_of(sampling, seed, self.stop_ids, self._allowed), detokenize=False)
            tokens = {"prompt_token_ids": list(prompt)}
            with self._alive():
                self.llm.llm_engine.add_request(name, tokens, params, lora_request=self._loras.get(adapter))
        except ValueError as error:
            raise ServeError(f"vLLM does not take this request: {str(error)[:300]}") from error
        self._told[name] = 0
        return name

    def advance(self) -> list[tuple[str, Sequence[int], bool]]:
        """See `Stepping.advance`. vLLM may be ahead by more than one token, and says all there are each time."""
        found = []
        with self._alive():
            outputs = self.llm.llm_engine.step()
        for output in outputs:
            name = output.request_id
            known = self._told.get(name)
            if known is None:  # it left while the step ran
                continue
            tokens = output.outputs[0].token_ids
            self._told[name] = len(tokens)
            if output.finished:
                del self._told[name]
            found.append((name, tokens[known:], bool(output.finished)))
        return found

    def leave(self, names: Sequence[str]) -> None:
        """See `Stepping.leave`."""
        gone = [name for name in names if self._told.pop(name, None) is not None]
        if gone:
            self.llm.llm_engine.abort_request(gone)

    def _load(self, adapters: Mapping[str, Located]) -> None:
        """Every adapter now: one that vLLM cannot take would end its engine with the first answer that asks for it."""
        for name, lora in self._loras.items():
            try:
                with self._alive():
                    self.llm.llm_engine.add_lora(lora)
            except LostError:
                raise
            except Exception as error:  # of whatever kind the worker's was
                raise ModelError(
                    f"{adapters[name].name}: vLLM cannot put this adapter on the base: {str(error)[:300]}"
                ) from error

    @contextmanager
    def _alive(self) -> Iterator[None]:
        """Its engine is a process of its own, and does not come back when it has ended."""
        try:
            yield
        except self._dead as error:
            raise LostError("vLLM's engine has ended, and what it said before tells why; start again") from error

    def _grow(self, tokens: list[int], new: Sequence[int], row: int, ends: StopCallback | None) -> bool:
        """Take the new tokens of a row; whether `ends` ended it."""
        for token in new:
            tokens.append(token)
            if ends is not None and token not in self.stop_ids and ends(row, token):
                return True
        return False


def _lora(name: str, number: int, where: Located) -> object:
    """What vLLM is told of an adapter; the one of answers that name none has no name, and may be alone."""
    if not where.is_adapter:
        raise ServeError(f"{where.name} is a model, not an adapter of one; give an adapter or run folder")
    (check_switchable if name else require_writer)(where)
    return _vllm("vllm.lora.request").LoRARequest(name or "adapter", number, where.folder)


def _room_for(adapters: Sequence[Located]) -> dict[str, object]:
    """What vLLM must know of adapters beforehand; nothing where there are none."""
    if not adapters:
        return {}
    ranks = [_rank(read_adapter(one)) for one in adapters]
    return {"enable_lora": True, "max_lora_rank": max(ranks), "max_loras": len(adapters)}


def _memory(options: ModelOptions) -> dict[str, float]:
    share = options.memory_share
    if share is None:
        return {}
    if not 0 < share <= 1:
        raise ServeError(f"memory_share is {share}; allowed: above 0, at most 1 (of a GPU's memory)")
    return {"gpu_memory_utilization": share}


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
