"""While a server runs, the garbage collector leaves alone what was there before and nothing else, and threads give way sooner."""

import asyncio
import gc
import sys
import weakref

import pytest
import uvicorn
from tests.serving import engine_of, served

from medicalgpt.network.pauses import short_pauses
from medicalgpt.serve.api.server import Server


@pytest.fixture(autouse=True)
def _nothing_frozen() -> None:
    gc.unfreeze()


class Ring:
    def __init__(self) -> None:
        self.own = self


def test_what_comes_later_is_still_collected() -> None:
    before = sys.getswitchinterval()
    with short_pauses():
        assert gc.get_freeze_count() > 10_000
        assert sys.getswitchinterval() < before
        ring = weakref.ref(Ring())
        gc.collect()
        assert ring() is None
    assert (gc.get_freeze_count(), sys.getswitchinterval()) == (0, before)


def test_a_server_runs_so(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    async def serve(self: uvicorn.Server, sockets: object) -> None:
        seen.append(gc.get_freeze_count())

    monkeypatch.setattr(uvicorn.Server, "serve", serve)
    with served(engine_of()) as service:
        asyncio.run(Server(service).serve())
    assert seen[0] > 10_000
    assert gc.get_freeze_count() == 0
