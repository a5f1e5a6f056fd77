"""What each optimizer holds and costs: bytes of its state, peak memory, and time of a step, as ratios to AdamW in one run.

usage: optimizers.py [MODEL] [--tokens 256] [--steps 3]
All weights of the model are trained in fp32 on random tokens, each optimizer in a process of its own, one after the other. `estimated`
is what `medicalgpt estimate` says of the state; the first step of each process is not counted.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import torch

NAMES = ("adamw", "adamw_8bit", "adafactor", "muon", "galore")


def measure(name: str, model: str, tokens: int, steps: int) -> dict[str, float]:
    """Numbers of one optimizer, in this process."""
    from medicalgpt.config.loader import load
    from medicalgpt.config.sections import ModelConfig
    from medicalgpt.config.stages import SftConfig
    from medicalgpt.memory.footprint import trained_weights
    from medicalgpt.memory.moments import state_bytes
    from medicalgpt.memory.setup import Setup
    from medicalgpt.memory.shape import shape_of_model
    from medicalgpt.models.adapters import trainable
    from medicalgpt.models.load import load as load_model
    from medicalgpt.training.optimizers import Group, optimizer_of, token_weights

    config = load(
        SftConfig, None, ["data.train=x", "output_dir=x", "lora.enabled=false", f"train.optimizer={name}"]
    ).value
    network = load_model(ModelConfig(base=model, dtype="float32")).model.train()
    optimizer = optimizer_of(config, [Group(trainable(network), 1e-5, 0.0)], token_weights(network), fused=True)
    ids = torch.randint(0, 1000, (1, tokens), generator=torch.Generator().manual_seed(0))
    whole, own = [], []
    for _ in range(steps + 1):
        begin = time.perf_counter()
        network(input_ids=ids, labels=ids).loss.backward()
        middle = time.perf_counter()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        end = time.perf_counter()
        whole.append(end - begin)
        own.append(end - middle)
    entries = (item for entry in optimizer.state.values() for item in entry.items())
    state = sum(v.nbytes for k, v in entries if isinstance(v, torch.Tensor) and k not in ("step", "qmap1", "qmap2"))
    shape = shape_of_model(model)
    estimated = state_bytes(name, trained_weights(shape, Setup("full"), ()), 4)  # type: ignore[arg-type]  # one of NAMES
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "state": state,
        "estimated": estimated,
        "peak": peak,
        "step": min(whole[1:]),
        "own": min(own[1:]),
    }


def main() -> None:
    """Every optimizer, then the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="smollm2-135m")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--one", choices=NAMES)
    a = parser.parse_args()
    if a.one:
        print(json.dumps(measure(a.one, a.model, a.tokens, a.steps)))
        return
    found = {}
    for name in NAMES:
        words = [sys.executable, __file__, a.model, "--tokens", str(a.tokens), "--steps", str(a.steps), "--one", name]
        said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        found[name] = json.loads(said.strip().splitlines()[-1])
    base = found["adamw"]
    print(
        "| optimizer | state, GB (estimated) | ratio | peak, GB | ratio | its part of a step, s | a step, s | ratio |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, one in found.items():
        print(
            f"| {name} | {one['state'] / 1e9:.3f} ({one['estimated'] / 1e9:.3f}) | {one['state'] / base['state']:.2f} "
            f"| {one['peak'] / 1e9:.2f} | {one['peak'] / base['peak']:.2f} | {one['own']:.2f} | {one['step']:.2f} "
            f"| {one['step'] / base['step']:.2f} |"
        )


if __name__ == "__main__":
    main()
