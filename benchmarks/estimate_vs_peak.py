"""Compare `medicalgpt estimate` with measured peaks: SmolLM2-135M in fp32 on the CPU, full, LoRA and QLoRA training.

    python benchmarks/estimate_vs_peak.py [--tokens 1024 2048] [--methods full lora qlora8 qlora4] [--json FILE]

Each case is a process of its own: two optimizer steps of two accumulated rows, through the same policy, tree attention,
chunked head and AdamW as a training run. The peak is the process's largest resident set less that of the interpreter
with torch, transformers and peft imported. Exits with 1 when an estimate is off by more than 20 %.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medicalgpt.generate.model_options import QuantizationName

MODEL = "smollm2-135m"
TOLERANCE = 0.20
DOCUMENT = 256
RANK = 8
QUANTIZATION: "dict[str, QuantizationName]" = {"qlora8": "int8", "qlora4": "nf4"}


def peak_bytes() -> int:
    """Largest resident set of this process so far. VmHWM where there is one: ru_maxrss also counts the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure(method: Any, tokens: int, checkpointing: bool) -> dict[str, Any]:
    """Train a little in this process and return the measured and the estimated peak."""
    import peft  # noqa: F401  (its import belongs to the baseline)
    import torch
    import transformers  # noqa: F401

    baseline = peak_bytes()
    from medicalgpt.config.sections import LoraConfig, ModelConfig
    from medicalgpt.memory.estimate import setup_for
    from medicalgpt.memory.footprint import estimate
    from medicalgpt.memory.shape import shape_of_model
    from medicalgpt.models.causal_lm import unwrap
    from medicalgpt.models.load import load
    from medicalgpt.models.optimize import optimize_for_training
    from medicalgpt.models.policy import CausalPolicy

    torch.manual_seed(0)
    settings = None if method == "full" else LoraConfig(rank=RANK)
    model = load(ModelConfig(base=MODEL, dtype="float32"), QUANTIZATION.get(method, "none"), settings).model.train()
    optimize_for_training(model)
    if checkpointing:
        _checkpoint(unwrap(model))
    policy = CausalPolicy(model)
    optimizer = torch.optim.AdamW((p for p in policy.parameters() if p.requires_grad), lr=1e-5, fused=True)
    for _ in range(2):
        for _ in range(2):
            policy.nll(_row(tokens))[0].backward()
        optimizer.step()
        optimizer.zero_grad()
    measured = peak_bytes() - baseline
    setup = setup_for(method, "float32", "cpu", row_tokens=tokens, rank=RANK, checkpointing=checkpointing)
    estimated = estimate(shape_of_model(MODEL), setup)
    case = {"method": method, "tokens": tokens, "checkpointing": checkpointing}
    return case | {"measured": measured, "estimated": estimated.total, "parts": estimated.parts}


def _checkpoint(model: Any) -> None:
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})


def _row(tokens: int) -> Any:
    """A full packed row of documents, every token but each first one trained."""
    import torch

    from medicalgpt.data.records import Source
    from medicalgpt.rendering.batch import pack_trees
    from medicalgpt.rendering.tree import chain

    trees = []
    for number, start in enumerate(range(0, tokens, DOCUMENT)):
        length = min(DOCUMENT, tokens - start)
        ids = torch.randint(17, 49152, (length,)).numpy()
        trees.append(chain(ids, [0.0] + [1.0] * (length - 1), Source("benchmark", number)))
    return pack_trees(trees)


def main() -> int:
    """Run every case in a process of its own and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[1024, 2048])
    parser.add_argument("--methods", nargs="+", default=["full", "lora"], choices=["full", "lora", "qlora8", "qlora4"])
    parser.add_argument("--checkpointing", action="store_true", help="also measure with gradient checkpointing")
    parser.add_argument("--json", type=Path, help="write the numbers there as well")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measure(given.methods[0], given.tokens[0], given.checkpointing)))
        return 0
    cases = [
        _case(method, tokens, checkpointing)
        for method in given.methods
        for tokens in given.tokens
        for checkpointing in ([False, True] if given.checkpointing else [False])
    ]
    if given.json:
        given.json.write_text(json.dumps(cases, indent=2) + "\n", encoding="utf-8")
    return int(any(abs(_error(case)) > TOLERANCE for case in cases))


def _case(method: str, tokens: int, checkpointing: bool) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", "--methods", method, "--tokens", str(tokens)]
    command += ["--checkpointing"] if checkpointing else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    case: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    name = f"{method}{' + checkpointing' if checkpointing else ''}"
    measured, estimated = (case[key] / 1e9 for key in ("measured", "estimated"))
    print(
        f"{name:22} {tokens:5} tokens: measured {measured:5.2f} GB, estimated {estimated:5.2f} GB, {_error(case):+.1%}"
    )
    return case


def _error(case: dict[str, Any]) -> float:
    return float(case["estimated"] / case["measured"] - 1)


if __name__ == "__main__":
    sys.exit(main())
