"""GGUF files of tiny models, and llama.cpp itself to ask about them."""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medicalgpt.export.gguf_writer import GgufType, write_gguf
from medicalgpt.rendering.template import ChatTemplate
from tests.tiny import tiny_model, tiny_tokenizer


def tiny_gguf(
    path: Path,
    kind: str = "llama",
    weights: GgufType = "f32",
    *,
    build: Callable[..., Any] = tiny_model,
    **extra: Any,
) -> Any:
    """Write a tiny model, made by `build`; returns it."""
    model, tokenizer = build(kind, **extra), tiny_tokenizer()
    template = ChatTemplate.load(tokenizer)
    ends = template.stop_ids
    write_gguf(model, tokenizer, path, weights, stop_ids=ends, template=template.source, name="tiny", overwrite=True)
    return model


def llama_tokens(path: Path, texts: list[str]) -> list[list[int]]:
    """Token ids that llama.cpp's own tokenizer gives."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.warmup, params.verbosity = str(path), 256, False, -1
    params.cpuparams.n_threads, params.cache_ram_mib = 1, 0
    server = xllamacpp.Server(params)
    # Tokens are told without its loop, and a server that is let go before that is under way never ends (xllamacpp 2026.10).
    _post(f"{server.listening_address}/completion", {"prompt": [0], "n_predict": 1})
    asked = [{"content": text, "add_special": True, "parse_special": True} for text in texts]
    return [list(_post(f"{server.listening_address}/tokenize", one)["tokens"]) for one in asked]


def _post(address: str, words: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(address, json.dumps(words).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found
