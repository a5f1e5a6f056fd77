"""A real `vllm serve` on this machine's processor, where some Python has vLLM's CPU build.

MEDICALGPT_VLLM_PYTHON names that Python; docs/scaling.md says how to make one. Without it tests that need vLLM are skipped.
"""

import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.http_server import free_port

PYTHON = os.environ.get("MEDICALGPT_VLLM_PYTHON")
needs_vllm = pytest.mark.skipif(PYTHON is None, reason="MEDICALGPT_VLLM_PYTHON names no Python that has vLLM")
_UP = 180.0
"""Seconds until it answers; it imports torch in three processes."""


@contextmanager
def serving(base: Path, log: Path, *options: str) -> Iterator[str]:
    """A running server of a base; gives its address. It writes to `log`."""
    assert PYTHON is not None
    port = free_port()
    words = [
        "-m",
        "vllm.entrypoints.openai.api_server",
        "--model",
        str(base),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    words += ["--dtype", "float32", "--enforce-eager", "--max-model-len", "256", "--max-num-seqs", "8", *options]
    named = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | named
    with log.open("wb") as said:
        process = subprocess.Popen([PYTHON, *words], env=environment, stdout=said, stderr=said, start_new_session=True)
        try:
            _wait(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + _UP
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"vLLM does not answer:\n{log.read_text(errors='replace')[-3000:]}")
