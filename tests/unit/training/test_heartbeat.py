"""A process that is behind or silent is named once, and again only when it had caught up."""

import time

import torch.distributed as dist

from medicalgpt.training.heartbeat import Heartbeat


def beats(size: int = 3) -> tuple[list[Heartbeat], list[str]]:
    store, said = dist.HashStore(), list[str]()
    return [Heartbeat(store, rank, size, said.append, every=0.05, silent=60.0) for rank in range(size)], said


def test_who_is_behind_is_named_once() -> None:
    (first, second, third), _ = beats()
    for one in (first, second, third):
        one.batch()
        one._beat(1)
    assert first.look(0.0) == []
    first.batch()
    third.batch()
    for number, now in ((2, 10.0), (3, 71.0), (4, 80.0)):
        second._beat(number)
        third._beat(number)
        found = first.look(now)
        assert len(found) == (now == 71.0)
        if found:
            assert found[0].startswith("warning: process 1 (")
            assert "is 61 s behind, at batch 1 of 2; the others wait for it" in found[0]
    second.batch()
    second._beat(5)
    third._beat(5)
    assert first.look(90.0) == []
    first.batch()
    for number, now in ((6, 100.0), (7, 200.0)):
        second._beat(number)
        third._beat(number)
        found = first.look(now)
    assert [line.split(" (")[0] for line in found] == ["warning: process 1", "warning: process 2"]


def test_who_is_silent_is_named_whatever_it_had_begun() -> None:
    (first, second, third), _ = beats()
    second._beat(1)
    third._beat(1)
    assert first.look(0.0) == []
    third._beat(2)
    (line,) = first.look(61.0)
    assert "process 1 (" in line
    assert "has been silent for 61 s, at batch 0: it was stopped, or its machine or network is gone" in line


def test_a_thread_says_it_and_ends() -> None:
    (first, second, _), said = beats(2 + 1)
    first.silent = 0.2
    second._beat(1)
    first.start()
    deadline = time.monotonic() + 10
    while len(said) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    first.stop()
    assert [line.split(" (")[0].split(" has")[0] for line in said] == ["warning: process 1", "warning: process 2"]
    assert first._thread is not None
    assert not first._thread.is_alive()
