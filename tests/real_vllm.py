"""vLLM itself on this machine's processor, where some Python has its CPU build: `vllm serve`, and `medicalgpt serve --backend vllm`.

MEDICALGPT_VLLM_PYTHON names that Python; docs/scaling.md says how to make one. Without it tests that need vLLM are skipped.
"""

import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.http_server import free_port

PYTHON = os.environ.get("MEDICALGPT_VLLM_PYTHON")
needs_vllm = pytest.mark.skipif(PYTHON is None, reason="MEDICALGPT_VLLM_PYTHON names no Python that has vLLM")
_UP = 240.0
"""Seconds until it answers; it imports torch in three processes."""
_DOWN = 60.0
_NAMED = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}


@dataclass
class Server:
    """A server in a session of its own, with all processes that it started."""

    process: "subprocess.Popen[bytes]"
    url: str

    def processes(self) -> dict[str, int]:
        """Those that are alive, by what they call themselves."""
        found = subprocess.run(
            ["ps", "-s", str(self.process.pid), "-o", "pid=,stat=,args="], capture_output=True, text=True, check=False
        )
        lines = [line.split(None, 2) for line in found.stdout.splitlines()]
        return {args: int(pid) for pid, state, args in lines if not state.startswith("Z")}


@contextmanager
def serving(base: Path, log: Path, *options: str) -> Iterator[str]:
    """`vllm serve` of a base; gives its address. It writes to `log`."""
    # As `vllm serve`, which does not start where the build has another name: it looks for the version of a package `vllm`.
    words = ["-m", "vllm.entrypoints.openai.api_server", "--model", str(base), "--host", "127.0.0.1"]
    words += ["--dtype", "float32", "--enforce-eager", "--max-model-len", "256", "--max-num-seqs", "8", *options]
    with _running(words, log, {}) as server:
        yield server.url


@contextmanager
def answering(base: Path, log: Path, *options: str) -> Iterator[Server]:
    """`medicalgpt serve --backend vllm` of a base, called `base`. It writes to `log`."""
    words = ["-m", "medicalgpt", "serve", "--model", str(base), "--backend", "vllm", "--dtype", "float32"]
    here = {"PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    with _running([*words, "--served-name", "base", *options], log, here) as server:
        yield server


@contextmanager
def _running(words: list[str], log: Path, more: dict[str, str]) -> Iterator[Server]:
    assert PYTHON is not None
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | _NAMED | more
    command = [PYTHON, *words, "--port", str(port)]
    with log.open("wb") as said:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said, start_new_session=True)
        try:
            _wait(f"http://127.0.0.1:{port}", process, log)
            yield Server(process, f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(timeout=_DOWN)


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + _UP
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"no answer:\n{log.read_text(errors='replace')[-3000:]}")
