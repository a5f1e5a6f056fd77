"""Compares what processes that share a row compute with what one computes alone; each is forked here, over gloo.

As a program: its arguments are the number of processes and families of models; a line of JSON comes back, the largest gap of every
case by its name.
"""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.rendering.tree import TokenTree
from tests.ranks import ROOT, _port, _wait_for
from tests.stages import child
from tests.trees import CHAIN, PAIR, SHORT_ROOT_PAIR, THREE_LEVELS, Shape, grow

ROWS: dict[str, Sequence[Shape]] = {
    "several trees": (PAIR, CHAIN, THREE_LEVELS, CHAIN, SHORT_ROOT_PAIR),
    "fewer tokens than processes": (((2, -1),),),
    "one long answer": (((3, -1), (40, 0)),),
    "nothing to learn": (),
}
FAMILIES = ("llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3", "glm4", "cohere")
SIX = {"num_attention_heads": 6, "num_key_value_heads": 2, "hidden_size": 48}  # for three processes

Ask = Callable[[Any, Any], torch.Tensor]


def _mixed(values: torch.Tensor) -> torch.Tensor:
    """A loss that pushes some positions up and others down."""
    return (values * torch.randn(len(values), generator=torch.Generator().manual_seed(1))).sum()


def _against(policy: CausalPolicy, batch: Any) -> torch.Tensor:
    return _mixed(policy.against_teacher(batch, lambda a, b: (b.exp() * (b - a)).sum(-1)))


LANGUAGE: dict[str, Ask] = {
    "logps": lambda policy, batch: _mixed(policy.logps(batch)[0]),
    "nll": lambda policy, batch: policy.nll(batch)[0],
    "distribution": lambda policy, batch: _mixed(sum(policy.distribution(batch))),
    "teacher": _against,
}
SCORES: dict[str, Ask] = {
    "scores": lambda policy, batch: _mixed(policy.scores(batch)),
    "values": lambda policy, batch: _mixed(policy.values(batch)),
}


def compare(world: int, families: Sequence[str] = FAMILIES) -> dict[str, float]:
    """Largest gap of loss and gradients by case, as tests call it: in a process of its own."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    words = [sys.executable, "-m", "tests.peers", str(world), *families]
    done = subprocess.run(words, env=child(PYTHONPATH=path), cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def _policies(world: int, families: Sequence[str]) -> Iterator[tuple[str, Any, dict[str, Ask]]]:
    from transformers import AutoModelForSequenceClassification

    from medicalgpt.kernels.attention import enable
    from medicalgpt.training.policy import checkpoint_activations
    from tests.tiny import tiny_config, tiny_model

    extra = SIX if world == 3 else {}
    for kind in families:
        model = tiny_model(kind, **extra).double()
        enable(model)
        for chunked in (True, False) if kind in ("llama", "gemma2") else (True,):
            policy = CausalPolicy(model, "tree", chunked)
            teacher = copy.deepcopy(model)
            with torch.no_grad():
                for weight in teacher.parameters():
                    weight.mul_(1.1)
            policy.learn_from(CausalPolicy(teacher, "tree", chunked))
            yield f"{kind}{'' if chunked else ', own head'}", policy, LANGUAGE
    recomputed = tiny_model("gemma3", **extra).double()
    enable(recomputed)
    checkpoint_activations(recomputed)
    yield "recomputed", CausalPolicy(recomputed).train(), {"nll": LANGUAGE["nll"]}
    scorer = AutoModelForSequenceClassification.from_config(tiny_config("qwen2", num_labels=1, **extra)).double()
    enable(scorer)
    yield "reward", RewardPolicy(scorer), SCORES


def _gap(policy: Any, ask: Ask, trees: list[TokenTree], peers: Any) -> float:
    """Of the loss, and of every weight's gradient summed over the processes, against the same alone."""
    from medicalgpt.rendering.batch import pack_trees

    batch, found = pack_trees(trees), []
    named = {n: p for n, p in policy.named_parameters() if p.requires_grad}
    for shared in (None, peers):
        policy.peers = shared
        loss = ask(policy, batch)
        slopes = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
        values = [loss.detach(), *(torch.zeros_like(p) if g is None else g for p, g in zip(named.values(), slopes))]
        if shared is not None:
            for slope in values[1:]:
                torch.distributed.all_reduce(slope)
        found.append(values)
    return max(float((a - b).abs().max()) for a, b in zip(*found, strict=True))


def _rank(rank: int, world: int, port: int, families: Sequence[str]) -> None:
    import torch.distributed as dist

    from medicalgpt.kernels.ulysses import Peers
    from tests.numerics import float64

    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    group = dist.group.WORLD
    assert group is not None
    peers, gaps = Peers(group, rank, world), {}
    with float64():
        for name, policy, asks in _policies(world, families):
            for what, ask in asks.items():
                for row, shapes in ROWS.items():
                    if what == "scores" and not shapes:
                        continue
                    trees = [grow(shape, 300, seed) for seed, shape in enumerate(shapes)]
                    gaps[f"{name}: {what}, {row}"] = _gap(policy, ask, trees, peers)
    if rank == 0:
        print(json.dumps(gaps), flush=True)


def main() -> None:
    """Fork the processes and wait for them."""
    import time

    torch.set_num_threads(1)
    world, port, pids = int(sys.argv[1]), _port(), []
    for rank in range(world):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _rank(rank, world, port, sys.argv[2:])
                code = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        pids.append(pid)
    codes = _wait_for(pids, time.monotonic() + 240)
    sys.exit(0 if set(codes) == {0} else 1)


if __name__ == "__main__":
    main()
