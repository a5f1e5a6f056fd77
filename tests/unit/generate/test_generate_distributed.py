"""Sharing parts of work among processes: here threads, each with its own `Workers` on one store in memory."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch.distributed as dist

from medicalgpt.errors import ServeError
from medicalgpt.generate.distributed import ALONE, Workers, join, restarted


def shared(size: int, parts: int, work: Callable[[int, int], list[dict[str, Any]]]) -> list[Any]:
    """What every rank got from `share`: its results, or what it raised."""
    store, got = dist.HashStore(), [None] * size

    def rank(number: int) -> None:
        try:
            got[number] = list(Workers(number, size, store).share(range(parts), lambda part: work(number, part)))
        except BaseException as error:
            got[number] = error

    threads = [threading.Thread(target=rank, args=(n,)) for n in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return got


@pytest.mark.parametrize(("size", "parts"), [(2, 9), (3, 20), (4, 2), (2, 0)])
def test_every_part_is_done_once_and_arrives_in_order(size: int, parts: int) -> None:
    done: list[tuple[int, int]] = []

    def work(rank: int, part: int) -> list[dict[str, Any]]:
        done.append((part, rank))
        time.sleep(random.random() * 0.01)
        return [{"part": part, "row": i, "text": "發燒\ud83d"} for i in range(part % 3)]  # half a character, too

    first, *others = shared(size, parts, work)
    assert first == [[{"part": p, "row": i, "text": "發燒\ud83d"} for i in range(p % 3)] for p in range(parts)]
    assert others == [[]] * (size - 1)
    assert sorted(part for part, _ in done) == list(range(parts))


def test_a_slow_process_does_not_hold_up_the_others() -> None:
    done: dict[int, int] = {0: 0, 1: 0}

    def work(rank: int, part: int) -> list[dict[str, Any]]:
        time.sleep(0.1 if rank == 0 else 0.005)
        done[rank] += 1
        return [{"part": part}]

    first, _ = shared(2, 20, work)
    assert [rows[0]["part"] for rows in first] == list(range(20))
    assert done[1] > done[0]


@pytest.mark.parametrize("failing", [0, 1])
def test_one_that_fails_says_so_and_ends_the_others(failing: int) -> None:
    def work(rank: int, part: int) -> list[dict[str, Any]]:
        time.sleep(0.01)
        if rank == failing:
            raise ServeError("out of memory")
        return [{"part": part}]

    got: Sequence[Any] = shared(2, 50, work)
    assert str(got[failing]) == "out of memory"
    assert isinstance(got[1 - failing], SystemExit)
    assert got[1 - failing].code == 2


def test_alone_there_is_nobody_to_talk_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join() is ALONE
    assert list(ALONE.share([1, 2], lambda part: [{"part": part}])) == [[{"part": 1}], [{"part": 2}]]
    assert ALONE.first_does(lambda: 7) == ALONE.all_do(lambda: 7) == 7
    with pytest.raises(ServeError, match="no"):
        ALONE.all_do(lambda: (_ for _ in ()).throw(ServeError("no")))
    assert not restarted()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert restarted()
