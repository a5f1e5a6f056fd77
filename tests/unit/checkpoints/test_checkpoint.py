"""The checkpoint format: everything comes back as it was, and what cannot be read says so."""

import json
import logging
import pickle
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import Trainer

from medicalgpt.checkpoints import checkpoint, random_state
from medicalgpt.checkpoints.checkpoint import Kind, Pending, Snapshot
from medicalgpt.errors import RunError
from medicalgpt.runs.folder import RunFolder
from medicalgpt.training.rl.loop import LoopState
from medicalgpt.training.supervised.trainer import PRIVATE_OVERRIDES, StageTrainer

STATE: dict[str, Any] = {"beta": 0.1, "start": [[0.25, 1.0], []], "first": {"eval/score": float("nan"), "eval/kl": 3.5}}
PENDING = Pending(sums={"loss": [0.1 + 0.2, 3.0]}, tokens=7, total_tokens=40)


class Small:
    """Two trained weights, an optimizer that has taken steps, and a schedule."""

    def __init__(self, seed: int = 0, steps: int = 2) -> None:
        torch.manual_seed(seed)
        self.trained = {n: torch.nn.Parameter(torch.randn(s)) for n, s in (("lora.a", (2, 3)), ("lora.b", (4,)))}
        self.optimizer = torch.optim.AdamW(self.trained.values(), lr=0.1)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: 1 / (1 + step))
        for _ in range(steps):
            self.step()

    def step(self) -> None:
        sum(((p - 1) ** 3).sum() for p in self.trained.values()).backward()  # type: ignore[union-attr]  # no int
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()

    def values(self) -> list[list[float]]:
        return [p.detach().flatten().tolist() for p in self.trained.values()]


def save(run: Path, kind: Kind, small: Small, world: int = 1, step: int = 2) -> Path:
    folder = RunFolder(run)
    scheduler = small.schedule if kind == "supervised" else None
    states = [random_state.capture() for _ in range(world)]
    with folder.saving(step) as temp:
        save_file(checkpoint.tensors(small.trained), temp / checkpoint.WEIGHTS)
        checkpoint.write(temp, Snapshot(kind, step, small.optimizer, states, PENDING, STATE, scheduler))
    found = folder.latest_checkpoint()
    assert found is not None
    return found


def draws() -> list[float]:
    """One number of every generator."""
    return [random.random(), random.gauss(0, 1), float(np.random.rand()), np.random.normal(), float(torch.rand(1))]


def test_the_plan_is_kept_where_there_is_one(tmp_path: Path) -> None:
    small, states = Small(), [random_state.capture()]
    with RunFolder(tmp_path).saving(2) as temp:
        save_file(checkpoint.tensors(small.trained), temp / checkpoint.WEIGHTS)
        snapshot = Snapshot("supervised", 2, small.optimizer, states, PENDING, STATE, small.schedule, rows_per_step=6)
        checkpoint.write(temp, snapshot)
    assert checkpoint.header(tmp_path / "checkpoints" / "step-2").rows_per_step == 6
    assert checkpoint.header(save(tmp_path / "other", "supervised", small)).rows_per_step is None


@pytest.mark.parametrize("kind", ["supervised", "rl"])
def test_everything_comes_back(kind: Kind, tmp_path: Path) -> None:
    """A second model with the parts of the first takes the same third step, to the bit."""
    small = Small()
    random.gauss(0, 1)  # leaves the second number of its pair in the state
    np.random.normal()
    folder = save(tmp_path, kind, small)
    expected = draws()
    small.step()

    other = Small(seed=1, steps=1)
    saved = checkpoint.read(folder, kind, 1)
    saved.load_weights(other.trained)
    saved.load_optimizer(other.optimizer)
    other.step()
    assert other.values() == small.values()
    draws()
    saved.load_random(0)
    assert draws() == expected
    assert saved.pending == PENDING
    state = saved.load_state(LoopState)
    assert (state.beta, state.start, state.first["eval/kl"]) == (0.1, [[0.25, 1.0], []], 3.5)
    assert np.isnan(state.first["eval/score"])


def test_the_header_and_the_files(tmp_path: Path) -> None:
    folder = save(tmp_path, "supervised", Small(), world=2)
    assert json.loads((folder / "checkpoint.json").read_text()) == {
        "format_version": 1,
        "kind": "supervised",
        "step": 2,
        "world_size": 2,
        "tensors": {"lora.a": [2, 3], "lora.b": [4]},
    }
    names = {"checkpoint.json", "trainable.safetensors", "optimizer.pt", "scheduler.pt", "pending.json"}
    names |= {"rng_state_0.pth", "rng_state_1.pth", "trainer_state.json", "complete.json"}
    assert {p.name for p in folder.iterdir()} == names
    assert "scheduler.pt" not in {p.name for p in save(tmp_path / "rl", "rl", Small()).iterdir()}


@pytest.mark.parametrize("layout", ["format 1", "old"])
def test_trainer_restores_the_random_state_by_itself(layout: str, tmp_path: Path) -> None:
    """transformers reads rng_state.pth with weights_only=True and finds what it expects."""
    small = Small()
    folder = old_supervised(tmp_path / "step-4", small) if layout == "old" else save(tmp_path, "supervised", small)
    expected = draws()

    class Args:
        world_size, process_index, parallel_mode = 1, 0, None

    trainer = Trainer.__new__(Trainer)
    trainer.args = Args()
    trainer._load_rng_state(str(folder))
    assert draws() == expected


@pytest.mark.parametrize("kind", ["cuda", "npu"])
@pytest.mark.parametrize(("world", "kept"), [(1, 11), (2, [10, 11])])
def test_the_state_of_accelerators(world: int, kept: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process keeps its own device's state, several keep every device's; each takes that of its own device back."""
    state = {device: torch.tensor([device], dtype=torch.uint8) for device in (10, 11)}
    put: list[torch.Tensor] = []
    # torch knows no NPU before its plugin is loaded, so its name stands for one.
    own = SimpleNamespace(type=kind, index=1)
    monkeypatch.setattr(random_state, "random_states", lambda: (kind, list(state.values()), 1))
    monkeypatch.setattr(random_state, "own_device", lambda: own)
    monkeypatch.setattr(random_state, "take_random_state", put.append)
    captured: Any = random_state.capture(world)
    assert captured[kind] == ([state[d] for d in kept] if world > 1 else state[kept])
    random_state.restore(captured)
    assert put == [state[11]]
    captured[kind] = [state[10]]  # saved where there was one device less
    random_state.restore(captured)
    assert put == [state[11]]


# -- what cannot be read ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("trained", "said"),
    [
        ({"lora.a": (2, 3)}, "1 only in the checkpoint, such as lora.b"),
        ({"lora.a": (2, 3), "lora.b": (4,), "head": (1,)}, "1 only in the model, such as head"),
        ({"lora.a": (2, 3), "lora.b": (1,)}, r"1 of another shape, such as lora.b: \(4,\) there, \(1,\) here"),
    ],
)
def test_other_trained_weights(trained: dict[str, tuple[int, ...]], said: str, tmp_path: Path) -> None:
    """A weight of shape (1,) would be filled from one of (4,) by no means, but one of (4,) from one of (1,) would."""
    saved = checkpoint.read(save(tmp_path, "rl", Small()), "rl", 1)
    parameters = {name: torch.nn.Parameter(torch.zeros(shape)) for name, shape in trained.items()}
    with pytest.raises(RunError, match=f"step-2 holds other trained weights than this model has .*{said}.*output_dir"):
        saved.load_weights(parameters)
    assert all(not p.any() for p in parameters.values()), "nothing may be touched"


@pytest.mark.parametrize(
    "name",
    ["trainable.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "pending.json", "trainer_state.json"],
)
def test_a_missing_file(name: str, tmp_path: Path) -> None:
    folder = save(tmp_path, "supervised", Small())
    (folder / name).unlink()
    with pytest.raises(RunError, match=f"step-2 is not complete: {name} missing; .*delete this folder"):
        checkpoint.read(folder, "supervised", 1)


def test_a_folder_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "step-2").mkdir()
    with pytest.raises(RunError, match=r"step-2 is no checkpoint: it has no checkpoint.json"):
        checkpoint.read(tmp_path / "step-2", "rl", 1)


@pytest.mark.parametrize("version", [3, "1", None])
def test_an_unknown_format(version: Any, tmp_path: Path) -> None:
    folder = save(tmp_path, "rl", Small())
    header = json.loads((folder / "checkpoint.json").read_text()) | {"format_version": version, "later": True}
    (folder / "checkpoint.json").write_text(json.dumps(header))
    with pytest.raises(
        RunError, match=rf"format_version {version!r}; 1, 2 and the layouts before can be read\. Go on with"
    ):
        checkpoint.read(folder, "rl", 1)


def test_another_kind(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="was written by a run of kind 'rl', this one is 'supervised'"):
        checkpoint.read(save(tmp_path, "rl", Small()), "supervised", 1)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("checkpoint.json", "{", "checkpoint.json cannot be read"),
        ("checkpoint.json", "[1]", "checkpoint.json holds no JSON object"),
        ("checkpoint.json", '{"format_version": 1, "kind": "rl"}', "checkpoint.json: step: Field required"),
        ("pending.json", '{"sums": {}, "tokens": 0}', "pending.json: total_tokens: Field required"),
        ("trainable.safetensors", "half", "trainable.safetensors cannot be read"),
        ("optimizer.pt", "half", "optimizer.pt cannot be read"),
        ("rng_state.pth", "", "rng_state.pth cannot be read"),
        ("trainer_state.json", '{"beta": 0.1, "start": []}', "trainer_state.json: first: Field required"),
    ],
)
def test_a_file_that_is_not_what_it_was(name: str, text: str, said: str, tmp_path: Path) -> None:
    folder, small = save(tmp_path, "rl", Small()), Small()
    (folder / name).write_text(text)
    with pytest.raises(RunError, match=rf"{said}.*use another output_dir"):
        restored(folder, small)


def restored(folder: Path, small: Small, world: int = 1, rank: int = 0) -> LoopState:
    saved = checkpoint.read(folder, "rl", world)
    saved.load_weights(small.trained)
    saved.load_optimizer(small.optimizer)
    saved.load_random(rank)
    return saved.load_state(LoopState)


class Planted:
    """Unpickles into a call."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("planted"),)


@pytest.mark.parametrize("name", ["optimizer.pt", "rng_state.pth"])
def test_no_code_is_unpickled(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = save(tmp_path, "rl", Small())
    torch.save({"state": Planted()}, folder / name)
    assert b"pathlib" in pickle.dumps(Planted())
    with pytest.raises(RunError, match=f"{name} cannot be read: UnpicklingError"):
        restored(folder, Small())
    assert not (tmp_path / "planted").exists()


def test_the_optimizer_of_other_parameters(tmp_path: Path) -> None:
    saved = checkpoint.read(save(tmp_path, "rl", Small()), "rl", 1)
    other = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    with pytest.raises(RunError, match=r"optimizer.pt fits another optimizer: .*use another output_dir"):
        saved.load_optimizer(other)


@pytest.mark.parametrize(("before", "now", "rank"), [(1, 2, 0), (2, 1, 0), (1, 2, 1)])
def test_another_number_of_processes(
    before: int, now: int, rank: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run goes on, with the random state of its rank where there was one, and says so."""
    small = Small()
    folder = save(tmp_path, "rl", small, world=before)
    saved = draws()
    state = random_state.capture()
    own = draws()
    random_state.restore(state)
    with caplog.at_level(logging.WARNING):
        assert restored(folder, small, now, rank).beta == 0.1
    assert f"was saved by {before} process(es) and goes on in {now}" in caplog.text
    assert draws() == (saved if rank < before else own)


# -- the layouts before format 1, written as they were -----------------------------------------------------------------
def old_supervised(folder: Path, small: Small, world: int = 1) -> Path:
    folder.mkdir(parents=True)
    save_file({n: p.detach().contiguous() for n, p in small.trained.items()}, folder / "trainable.safetensors")
    torch.save(small.optimizer.state_dict(), folder / "optimizer.pt")
    torch.save(small.schedule.state_dict(), folder / "scheduler.pt")
    mine = {"python": random.getstate(), "numpy": np.random.get_state(), "cpu": torch.random.get_rng_state()}
    for rank in range(world):
        torch.save(mine, folder / ("rng_state.pth" if world == 1 else f"rng_state_{rank}.pth"))
    pending = {"sums": {"loss": [0.1 + 0.2, 3.0]}, "tokens": 7, "total_tokens": 40}
    (folder / "pending.json").write_text(json.dumps(pending), encoding="utf-8")
    (folder / "trainer_state.json").write_text('{"global_step": 4}\n')
    return folder


def old_rl(folder: Path, small: Small, world: int = 1) -> Path:
    folder.mkdir(parents=True)
    save_file({n: p.detach().contiguous() for n, p in small.trained.items()}, folder / "trainable.safetensors")
    torch.save(small.optimizer.state_dict(), folder / "optimizer.pt")
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    mine = {
        "python": [version, list(numbers), gauss],
        "numpy": [
            str(name),
            torch.from_numpy(np.asarray(keys, np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ],
        "torch": torch.random.get_rng_state(),
    }
    for rank in range(world):
        torch.save(mine, folder / f"random_{rank}.pt")
    (folder / "state.json").write_text(json.dumps(STATE | {"tokens": 40}), encoding="utf-8")
    return folder


@pytest.mark.parametrize("world", [1, 2])
def test_an_old_supervised_checkpoint(world: int, tmp_path: Path) -> None:
    small, other = Small(), Small(seed=1)
    saved = checkpoint.read(old_supervised(tmp_path / "step-4", small, world), "supervised", world)
    saved.load_weights(other.trained)
    saved.load_optimizer(other.optimizer)
    small.step()
    other.step()
    assert other.values() == small.values()
    assert saved.pending == PENDING
    assert (saved.header.kind, saved.header.step, saved.header.world_size) == ("supervised", 4, world)
    assert saved.header.tensors == {"lora.a": (2, 3), "lora.b": (4,)}


@pytest.mark.parametrize("world", [1, 2])
def test_an_old_checkpoint_of_reinforcement_learning(world: int, tmp_path: Path) -> None:
    small, other = Small(), Small(seed=1)
    random.gauss(0, 1)
    np.random.normal()
    folder = old_rl(tmp_path / "step-12", small, world)
    expected = draws()
    state = restored(folder, other, world, world - 1)
    assert draws() == expected
    small.step()
    other.step()
    assert other.values() == small.values()
    assert (state.beta, state.first["eval/kl"]) == (0.1, 3.5)
    saved = checkpoint.read(folder, "rl", world)
    assert saved.pending == Pending(total_tokens=40)
    assert (saved.header.kind, saved.header.step, saved.header.world_size) == ("rl", 12, world)


def test_an_old_checkpoint_that_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="was written by a run of kind 'supervised', this one is 'rl'"):
        checkpoint.read(old_supervised(tmp_path / "step-4", Small()), "rl", 1)
    folder = old_rl(tmp_path / "step-5", Small())
    (folder / "optimizer.pt").unlink()
    with pytest.raises(RunError, match=r"step-5 is not complete: optimizer.pt missing"):
        checkpoint.read(folder, "rl", 1)


def test_the_list_of_private_overrides_is_complete() -> None:
    private = {n for n in vars(StageTrainer) if n.startswith("_") and not n.startswith("__") and hasattr(Trainer, n)}
    assert private == set(PRIVATE_OVERRIDES)
