"""The parity and invariant tests with the kernels of other machines: `make kernels`, or `python -m tests.kernels [SETTING…]`.

PyTorch, oneDNN and MKL choose their kernels when the process starts, by what the CPU can do and by these variables. What a
setting really changes is seen in the digits: digests of a softmax by PyTorch, of a product by MKL and of one by oneDNN. A setting
that changes none of them on this machine (AVX2 where there is no AVX-512) has been tested by `make test` already and is left
out, with a line that says so.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

# Oldest kernels first. MKL listens to MKL_ENABLE_INSTRUCTIONS on Intel's processors only, to MKL_CBWR everywhere.
SETTINGS: dict[str, dict[str, str]] = {
    "sse": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
        "OMP_NUM_THREADS": "1",
    },
    "sse-two-threads": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "AVX",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "OMP_NUM_THREADS": "2",
    },
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OMP_NUM_THREADS": "1",
    },
    "two-threads": {"OMP_NUM_THREADS": "2"},
}
VARIABLES = sorted({name for setting in SETTINGS.values() for name in setting} - {"OMP_NUM_THREADS"})
TESTS = ("tests/parity", "tests/invariant")
PARALLEL = ("-n", "auto", "--maxprocesses", "4", "--dist", "loadfile")
# They compare text, not numbers that a kernel makes.
LEFT_OUT = ("tests/parity/test_templates.py", "tests/invariant/test_front_ends.py", "tests/invariant/test_ledger.py")


def fingerprint() -> dict[str, str]:
    """What this process computes with, and the digits that come of it."""
    import torch

    def scattered(rows: int) -> torch.Tensor:
        """[rows, 513] in [-4, 4), the same with all kernels, which draw random numbers differently."""
        return (torch.arange(rows * 513) * 2654435761 % 2**20 / 2**17 - 4).view(rows, 513)

    a, b = scattered(257), scattered(129)

    def digest(make: Callable[[], torch.Tensor]) -> str:
        return hashlib.sha256(make().numpy().tobytes()).hexdigest()[:8]

    found = {
        "PyTorch": torch.backends.cpu.get_cpu_capability(),
        "softmax": digest(lambda: a.softmax(-1)),
        "MKL": digest(lambda: a @ b.T) if torch.backends.mkl.is_available() else "not there",
    }
    if torch.backends.mkldnn.is_available():
        linear = torch.ops.aten.mkldnn_linear
        found["oneDNN"] = digest(lambda: linear(a.to_mkldnn(), b.to_mkldnn(), None).to_dense())
    return found


def kernels(**more: str) -> dict[str, str]:
    """`fingerprint` of a new process, with further variables, and the instruction set that oneDNN says it takes."""
    words = [sys.executable, "-m", "tests.kernels", "fingerprint"]
    env = {**os.environ, "ONEDNN_VERBOSE": "1", **more}
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=300, check=True)
    lines = done.stdout.splitlines()
    found: dict[str, str] = json.loads(lines[-1])
    spoken = [line.partition("cpu,isa:")[2] for line in lines if "cpu,isa:" in line]
    return found | {"oneDNN's instructions": spoken[0] if spoken else "unknown"}


def header(env: Mapping[str, str] = os.environ) -> str | None:
    """One line for a test run that was asked for other kernels; None for any other."""
    if not any(name in env for name in VARIABLES) and "MEDICALGPT_KERNELS" not in env:
        return None
    named = ", ".join(f"{name} {value}" for name, value in kernels().items())
    return f"kernels: {named}, threads {env.get('OMP_NUM_THREADS', '1')}"


def main(names: Sequence[str]) -> int:
    """Run the tests once for each kind of kernels that `make test` does not run here; the number of failed runs."""
    if unknown := sorted({*names} - {*SETTINGS}):
        sys.exit(f"unknown settings: {', '.join(unknown)}; allowed: {', '.join(SETTINGS)}")
    plain = {name: value for name, value in os.environ.items() if name not in (*VARIABLES, "OMP_NUM_THREADS")}
    os.environ.clear()
    os.environ.update(plain)
    seen, failed = {(*kernels().values(), "1"): "make test"}, []
    for name in names or SETTINGS:
        setting = SETTINGS[name]
        now = (*kernels(**setting).values(), setting["OMP_NUM_THREADS"])
        if now in seen:
            print(f"== {name}: the kernels of {seen[now]} on this machine; left out", flush=True)
            continue
        seen[now], started = name, time.monotonic()
        print(f"== {name}: {' '.join(f'{k}={v}' for k, v in setting.items())}", flush=True)
        words = ["-m", "pytest", "-v", "-m", "not slow", *TESTS, *(f"--ignore={path}" for path in LEFT_OUT)]
        if setting["OMP_NUM_THREADS"] == "1":
            words += PARALLEL
        env = {**plain, **setting, "MEDICALGPT_KERNELS": name}
        if subprocess.run([sys.executable, *words], env=env).returncode:
            failed.append(name)
        print(f"== {name}: {time.monotonic() - started:.0f} s", flush=True)
    if failed:
        print(f"failed with the kernels of: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    if sys.argv[1:] == ["fingerprint"]:
        print(json.dumps(fingerprint()))
    else:
        sys.exit(main(sys.argv[1:]))
