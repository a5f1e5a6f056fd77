"""Who shares rows with whom, what is refused, and that a row counts once."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from tests.tiny import tiny_model

from medicalgpt.config.stages import SftConfig
from medicalgpt.errors import ConfigError, ModelError
from medicalgpt.kernels.attention import enable
from medicalgpt.kernels.ulysses import Peers, repeats
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.training import sequence
from medicalgpt.training.sequence import OncePerRow, RowGroup, prove, row_group


def _config(size: int, **train: Any) -> SftConfig:
    values = {"data": {"train": ["x"]}, "output_dir": "y", "distributed": {"sequence": size}, "train": train}
    return SftConfig.model_validate(values | {"model": {"dtype": "float32"}})


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Peers]:
    """The first of two processes; the other is not there, and what should come from it is whatever lies in memory."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    monkeypatch.setattr(sequence, "gathered", lambda value: [value])
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    group = dist.group.WORLD
    assert group is not None
    yield Peers(group, 0, 2)
    dist.destroy_process_group()


def _policy(kind: str = "llama", **extra: Any) -> CausalPolicy:
    model = tiny_model(kind, **extra)
    enable(model)
    return CausalPolicy(model)


def test_without_shared_rows_every_process_is_a_group() -> None:
    group = row_group(_config(1), 2, 4)
    assert (group.number, group.count, group.peers, group.speaks, group.member) == (2, 4, None, True, 0)


def test_neighbors_share_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "new_subgroups", lambda size, timeout: ("group", []))
    found = [row_group(_config(2), rank, 4) for rank in range(4)]
    assert [(g.number, g.count, g.member, g.speaks) for g in found] == [
        (0, 2, 0, True),
        (0, 2, 1, False),
        (1, 2, 0, True),
        (1, 2, 1, False),
    ]


@pytest.mark.parametrize(
    ("size", "world", "train", "said"),
    [
        (3, 4, {}, "distributed.sequence=3 does not divide 4 processes; start a multiple of 3"),
        (2, 1, {}, "distributed.sequence=2 does not divide 1 processes"),
        (2, 2, {"batching": "padded"}, "train.batching=padded has none. Use auto"),
    ],
)
def test_what_cannot_be_shared_is_refused(size: int, world: int, train: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        row_group(_config(size, **train), 0, world)


def test_a_row_counts_once() -> None:
    accelerator: Any = SimpleNamespace(device=torch.device("cpu"), reduce=lambda tensor, how: tensor)
    peers: Any = [SimpleNamespace(rank=rank, size=2) for rank in (0, 1)]
    counted = [OncePerRow(accelerator, RowGroup(0, 1, one)).reduce(torch.tensor([3.0])) for one in peers]
    assert [value.tolist() for value in counted] == [[3.0], [0.0]]


def test_a_model_that_gives_other_numbers_is_refused(absent: Peers) -> None:
    policy = _policy()
    policy.model.eval()  # as a base that roles share
    with pytest.raises(
        ConfigError, match=r"sequence=2: this model differs by .* in log-probability when a row is shared"
    ):
        prove(policy, absent, _config(2))
    assert (policy.training, policy.model.training, policy.peers) == (True, False, None)


def test_heads_that_cannot_be_shared_are_refused(absent: Peers) -> None:
    policy = _policy(num_attention_heads=3, num_key_value_heads=3, hidden_size=48, head_dim=16)
    with pytest.raises(
        ModelError, match=r"have 3 attention heads, which so many processes cannot share; use one of 1, 3"
    ):
        prove(policy, absent, _config(2))


def test_a_model_that_is_padded_is_refused(absent: Peers) -> None:
    policy = CausalPolicy(tiny_model(), "padded")
    with pytest.raises(ConfigError, match="this model cannot be packed"):
        prove(policy, absent, _config(2))


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_rotary_embeddings_that_ask_for_the_row_s_length_are_refused(kind: str, absent: Peers) -> None:
    policy = _policy()
    policy.model.config.rope_parameters = {"full_attention": {"rope_type": kind}}
    with pytest.raises(ConfigError, match=rf"rotary embedding \({kind}\) depends on the length of the whole row"):
        prove(policy, absent, _config(2))


@pytest.mark.parametrize(
    ("heads", "key_heads", "processes", "times"),
    [(8, 8, 8, 1), (8, 2, 2, 1), (8, 2, 4, 2), (8, 2, 8, 4), (6, 2, 3, 3), (12, 4, 6, 3), (8, 1, 8, 8)],
)
def test_key_heads_are_repeated_no_oftener_than_it_takes(
    heads: int, key_heads: int, processes: int, times: int
) -> None:
    assert repeats(heads, key_heads, processes) == times
    assert key_heads * times % processes == 0
    assert heads % (key_heads * times) == 0
