"""How much less a process holds when several share a row: peak memory of a pass, measured and by `medicalgpt estimate`.

    python benchmarks/shared_rows.py [--tokens 8192] [--processes 1 2 4 8] [--json FILE]

A random LLaMA (2 layers, 256 wide, 8 heads, 2 key heads) with adapters, in fp32 on the CPU; the processes are forked and talk over
gloo. Each goes forward and backward over one record, through the same policy, tree attention and chunked head as a training run.
Two peaks, of the process where they are largest: the bytes of the tensors that torch's operations made in the pass and that lived
at the same time, which is what activations and head of the estimate stand for; and the resident set less what lay there before,
which has the gaps of the heap in it. Exits with 1 when the estimate is off the first by more than 20 %.
"""

import argparse
import json
import os
import socket
import sys
import traceback
import weakref
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import transformers
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from medicalgpt.config.sections import LoraConfig
from medicalgpt.data.records import Source
from medicalgpt.kernels.attention import enable
from medicalgpt.kernels.ulysses import Peers
from medicalgpt.memory.estimate import setup_for
from medicalgpt.memory.footprint import estimate
from medicalgpt.memory.shape import shape_of_config
from medicalgpt.models.adapters import attach
from medicalgpt.models.optimize import optimize_for_training
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.rendering.batch import TreeBatch, pack_trees
from medicalgpt.rendering.tree import Segment, TokenTree

TOLERANCE = 0.20
RANK = 8
VOCABULARY = 1024


def shape() -> Any:
    """The model's config."""
    return transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=2,
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=1 << 20,
    )


def record(tokens: int) -> TreeBatch:
    """One record, every token but its first one trained."""
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(VOCABULARY, (tokens,), generator=random, dtype=torch.int32).numpy()
    weights = torch.ones(tokens)
    weights[0] = 0
    return pack_trees([TokenTree((Segment(ids, weights.numpy(), -1),), Source("record", 0))])


class Alive(TorchDispatchMode):
    """Bytes of the tensors that operations made inside and that live, and the most there were."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.now = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {t.untyped_storage()._cdata for t in tree_flatten((args, kwargs))[0] if isinstance(t, torch.Tensor)}
        for tensor in tree_flatten(out)[0]:
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in given | self.known:  # neither a view nor in place
                    self.known.add(storage._cdata)
                    self.now += storage.nbytes()
                    self.most = max(self.most, self.now)
                    weakref.finalize(storage, self._gone, storage._cdata, storage.nbytes())
        return out

    def _gone(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def _resident(name: str) -> int:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(name))
    return int(line.split()[1]) * 1024


def peaks_of_a_pass(tokens: int, rank: int, world: int, port: int) -> tuple[int, int]:
    """Bytes that a forward and backward pass holds at most in this process: tensors, and resident set."""
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(shape())
    enable(model)
    adapted = attach(model, LoraConfig(rank=RANK), None, quantized=False)
    optimize_for_training(adapted)
    policy, group = CausalPolicy(adapted.train()), dist.group.WORLD
    assert group is not None
    policy.peers = Peers(group, rank, world) if world > 1 else None
    policy.nll(record(1024))[0].backward()  # whatever is made at the first pass only
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the largest so far is forgotten
    with Alive() as alive:
        policy.nll(record(tokens))[0].backward()
    return alive.most, _resident("VmHWM") - before


def measure(tokens: int, world: int) -> tuple[int, int]:
    """The largest peaks among `world` forked processes."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    children = []
    for rank in range(world):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writing, json.dumps(peaks_of_a_pass(tokens, rank, world, port)).encode())
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        os.close(writing)
        children.append((pid, reading))
    peaks = []
    for pid, reading in children:
        peaks.append(json.loads(os.read(reading, 64) or b"[0, 0]"))
        os.close(reading)
        if os.waitpid(pid, 0)[1]:
            sys.exit("a process failed")
    tensors, resident = zip(*peaks, strict=True)
    return max(tensors), max(resident)


def main() -> None:
    """Measure, compare and print."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--tokens", type=int, default=8192)
    asked.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4, 8])
    asked.add_argument("--json", type=Path)
    args = asked.parse_args()
    torch.set_num_threads(1)
    cases: list[dict[str, Any]] = []
    for world in args.processes:
        tensors, resident = measure(args.tokens, world)
        setup = setup_for("lora", "float32", "cpu", row_tokens=args.tokens, rank=RANK, processes=world, sequence=world)
        found = estimate(shape_of_config(shape()), setup)
        estimated = found.activations + found.head
        case = {
            "processes": world,
            "tensors": tensors,
            "resident": resident,
            "estimated": estimated,
            "heap": found.heap,
        }
        cases.append(case)
        print(
            f"{world} processes, {args.tokens} tokens: tensors {tensors / 1e6:.0f} MB, estimated {estimated / 1e6:.0f} MB "
            f"({estimated / tensors - 1:+.0%}); resident {resident / 1e6:.0f} MB",
            flush=True,
        )
    if args.json:
        args.json.write_text(json.dumps(cases, indent=1) + "\n")
    sys.exit(any(abs(c["estimated"] / c["tensors"] - 1) > TOLERANCE for c in cases))


if __name__ == "__main__":
    main()
