"""A stand-in with the interface of vLLM's engine, as far as the backend uses it; tests/e2e/test_real_vllm_serving.py is vLLM itself."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class EngineDeadError(Exception):
    """As vLLM's: the engine's process has ended."""


class Core:
    """Counts up from the prompt's length, two tokens a step, as with speculative decoding."""

    model_config = SimpleNamespace(max_model_len=64)

    def __init__(self) -> None:
        self.requests: dict[str, Any] = {}
        self.most, self.aborted, self.given = 0, list[str](), list[Any]()
        self.options: dict[str, Any] = {}
        self.loras: list[Any] = []
        self.refuses = self.dead = False

    def begin(self) -> None:
        """What it does when it is opened."""

    def add_lora(self, lora: Any) -> bool:
        if self.refuses:
            raise RuntimeError("Call to add_lora method failed: Worker failed with error 'LoRA rank 600 is too large'")
        self.loras.append(lora)
        return True

    def add_request(self, name: str, prompt: Any, params: Any, lora_request: Any = None) -> str:
        if self.dead:
            raise EngineDeadError
        self.requests[name] = ([len(prompt["prompt_token_ids"])], params)
        self.given.append((params, lora_request))
        self.most = max(self.most, len(self.requests))
        return f"{name}-0f3a"  # its own name for it, which nobody needs: answers bear the one that was given

    def step(self) -> list[Any]:
        if self.dead:
            raise EngineDeadError
        out = []
        for name, (numbers, params) in list(self.requests.items()):
            for _ in range(2):
                numbers.append(numbers[-1] + 1)
                tokens = numbers[1:]
                stopped = tokens[-1] in params.stop_token_ids and len(tokens) > params.min_tokens
                if finished := stopped or len(tokens) == params.max_tokens:
                    del self.requests[name]
                    break
            output = SimpleNamespace(token_ids=list(tokens))
            out.append(SimpleNamespace(request_id=name, outputs=[output], finished=finished))
        return out

    def abort_request(self, names: list[str]) -> None:
        self.aborted += names
        for name in names:
            self.requests.pop(name, None)


def stand_in(monkeypatch: pytest.MonkeyPatch, core: Core) -> Core:
    """Make `core` the engine of what is imported as vLLM; what it is opened with is in `core.options`."""

    def llm(model: str, **options: Any) -> Any:
        core.options = options
        core.begin()
        return SimpleNamespace(llm_engine=core)

    vllm, request, ends = (ModuleType(name) for name in ("vllm", "vllm.lora.request", "vllm.v1.engine.exceptions"))
    vllm.LLM, vllm.SamplingParams = llm, lambda **settings: SimpleNamespace(**settings)  # type: ignore[attr-defined]
    request.LoRARequest = lambda *given: given  # type: ignore[attr-defined]
    ends.EngineDeadError = EngineDeadError  # type: ignore[attr-defined]
    for module in (vllm, request, ends):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return core
