"""What the first of N processes holds of a divided model: exactly 1/N of weights, gradients and moments (fake process group)."""

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from tests.tiny import tiny_model
from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker
from torch.distributed.device_mesh import init_device_mesh
from torch.testing._internal.distributed.fake_pg import FakeStore

from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.probe import probe_trees
from medicalgpt.models.shard import Sharding
from medicalgpt.objectives.language import SupervisedFineTuning
from medicalgpt.rendering.batch import pack_trees
from medicalgpt.training.supervised.module import StageModule

SIZES = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2}


@pytest.fixture(params=[2, 4, 8])
def world(request: pytest.FixtureRequest) -> Iterator[int]:
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=request.param)
    yield int(request.param)
    dist.destroy_process_group()


def test_rank_0_of_n_holds_exactly_its_part(world: int) -> None:
    model = tiny_model(**SIZES)
    module = StageModule(CausalPolicy(model), SupervisedFineTuning())
    whole = sum(p.numel() * p.element_size() for p in module.parameters())
    assert all(p.shape[0] % world == 0 for p in module.parameters()), "else the last process would hold less"
    module.divide(Sharding(init_device_mesh("cpu", (world,))))
    optimizer = torch.optim.AdamW(module.parameters(), fused=True)
    batch = pack_trees(probe_trees(int(model.config.vocab_size)))
    tracker = FSDPMemTracker(module, optimizer)
    with tracker:
        for _ in range(2):
            tracker.reset_mod_stats()
            out = module(batch)
            (out["sum"] / out["count"]).backward()
            optimizer.step()
            snapshot = tracker.get_tracker_snapshot("current")[torch.device("cpu")]
            held = {getattr(kind, "name", kind): size for kind, size in snapshot.items()}
            optimizer.zero_grad()
    steps = sum(entry["step"].nbytes for entry in optimizer.state.values())
    assert held["SHARDED_PARAM"] == whole // world
    assert held["SHARDED_GRAD"] == whole // world
    assert held["OPT"] - steps == 2 * whole // world
    assert held["UNSHARDED_PARAM"] == held["UNSHARDED_GRAD"] == held["ALL_GATHER"] == held["REDUCE_SCATTER"] == 0
