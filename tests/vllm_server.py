"""A stand-in for `vllm serve` on this machine: its three addresses that a run uses, over our own decoder and the tests' tiny base.

It loads adapters by name from folders, answers with token ids and raw log-probabilities, and can be made to misbehave.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import torch

from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from tests.http_server import listening


class StandIn:
    """What a server holds. `fault`: ignores_adapter, keeps_second, no_lora, no_adapters, elsewhere, dies, no_ids, half, keyed,
    short, restarted. What it refuses with are vLLM 0.30's own words."""

    def __init__(self, base: Path, fault: str = "") -> None:
        self.base, self.fault = base, fault
        self.loaded: dict[str, Engine] = {}
        self.paths: list[str] = []
        self.names: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        self.url = ""

    def load(self, words: dict[str, Any]) -> tuple[int, bytes]:
        if self.fault == "keyed":
            return 401, b'{"error":"Unauthorized"}'
        if self.fault == "no_lora":
            return 404, b'{"detail":"Not Found"}'
        if self.fault == "no_adapters":
            return _refused(
                500,
                "Call to add_lora method failed: Worker failed with error 'LoRA is not enabled. Use --enable-lora to enable "
                "LoRA.', please check the stack trace above for the root cause",
            )
        if self.fault == "elsewhere" or not Path(words["lora_path"], "adapter_config.json").is_file():
            return _refused(404, f"Loading lora {words['lora_name']} failed: No adapter found for {words['lora_path']}")
        first = next(iter(self.loaded.values()), None)
        if self.fault == "ignores_adapter":
            self.loaded[words["lora_name"]] = first or Engine.open(str(self.base), dtype="float32")
        elif self.fault == "keeps_second" and len(self.names) >= 2:
            self.loaded[words["lora_name"]] = self.loaded[self.names[-1]]
        else:
            self.loaded[words["lora_name"]] = Engine.open(words["lora_path"], dtype="float32")
        self.paths.append(words["lora_path"])
        self.names.append(words["lora_name"])
        return 200, f"Success: LoRA adapter '{words['lora_name']}' added successfully.".encode()

    def unload(self, words: dict[str, Any]) -> tuple[int, bytes]:
        gone = self.loaded.pop(words["lora_name"], None)
        if gone is None:
            return _refused(404, f"The lora adapter '{words['lora_name']}' cannot be found.")
        return 200, b"Success"

    def answer(self, words: dict[str, Any]) -> tuple[int, bytes]:
        self.requests.append(words)
        if self.fault == "dies" and len(self.requests) > 10:
            return 500, b"{}"
        if self.fault == "restarted" and len(self.requests) > 10:
            self.loaded.clear()
        if self.fault == "short" and len(self.requests) > 1:
            return _refused(
                400,
                f"This model's maximum context length is 8 tokens. However, you requested {words['max_tokens']} output tokens "
                f"and your prompt contains {len(words['prompt'])} input tokens.",
            )
        engine = self.loaded.get(words["model"])
        if engine is None:
            return _refused(404, f"The model `{words['model']}` does not exist.")
        sampling = Sampling(
            words["max_tokens"],
            temperature=words["temperature"],
            top_p=words["top_p"],
            top_k=words["top_k"],
            min_new_tokens=words["min_tokens"],
        )
        ((ids,),) = engine.backend.run([words["prompt"]], sampling, [[words["seed"]]])
        with torch.no_grad():
            assert engine.model is not None
            logits = engine.model(torch.tensor([words["prompt"] + ids])).logits[0, len(words["prompt"]) - 1 : -1]
        logps = torch.log_softmax(logits.float(), -1).gather(1, torch.tensor(ids)[:, None])[:, 0].tolist()
        choice: dict[str, Any] = {"index": 0, "text": "", "token_ids": ids, "logprobs": {"token_logprobs": logps}}
        if self.fault == "no_ids":
            del choice["token_ids"]
        if self.fault == "half":
            choice["logprobs"]["token_logprobs"] = logps[:1]
        return 200, json.dumps({"choices": [choice]}).encode()


def _refused(status: int, why: str) -> tuple[int, bytes]:
    """As vLLM refuses."""
    return status, json.dumps(
        {"error": {"message": why, "type": "NotFoundError", "param": None, "code": status}}
    ).encode()


@contextmanager
def serving(base: Path, fault: str = "") -> Iterator[StandIn]:
    """A running stand-in."""
    stand_in = StandIn(base, fault)
    routes = {
        "/v1/load_lora_adapter": stand_in.load,
        "/v1/unload_lora_adapter": stand_in.unload,
        "/v1/completions": stand_in.answer,
    }

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            words = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with stand_in.lock:
                status, body = routes[self.path](words)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with listening(Handler) as stand_in.url:
        yield stand_in
