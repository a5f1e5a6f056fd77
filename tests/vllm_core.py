"""A stand-in with the interface of vLLM's engine, as far as the backend uses it; vLLM itself needs a GPU."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class Core:
    """Counts up from the prompt's length, two tokens a step, as with speculative decoding."""

    model_config = SimpleNamespace(max_model_len=64)

    def __init__(self) -> None:
        self.requests: dict[str, Any] = {}
        self.most, self.aborted, self.given = 0, list[str](), list[Any]()
        self.options: dict[str, Any] = {}

    def add_request(self, name: str, prompt: Any, params: Any, lora_request: Any = None) -> None:
        self.requests[name] = ([len(prompt["prompt_token_ids"])], params)
        self.given.append((params, lora_request))
        self.most = max(self.most, len(self.requests))

    def step(self) -> list[Any]:
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
        return SimpleNamespace(llm_engine=core)

    vllm, request = ModuleType("vllm"), ModuleType("vllm.lora.request")
    vllm.LLM, vllm.SamplingParams = llm, lambda **settings: SimpleNamespace(**settings)  # type: ignore[attr-defined]
    request.LoRARequest = lambda *given: given  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    monkeypatch.setitem(sys.modules, "vllm.lora.request", request)
    return core
