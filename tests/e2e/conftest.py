"""A tiny base with data, made once, and a cache that is not the user's."""

from collections.abc import Iterator

import pytest
from tests.stages import Bench


@pytest.fixture(scope="session")
def _bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench.set_up(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def bench(_bench: Bench, _cache: str, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The shared bench; whatever a test trains on it uses the tests' own cache."""
    monkeypatch.setenv("MEDICALGPT_CACHE", _cache)
    return _bench


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the charts out, which take longer than training a tiny model."""
    from medicalgpt.runs import report

    monkeypatch.setattr(report, "write", lambda folder, record: None)
    monkeypatch.setattr(report, "write_draft", lambda folder, draft, curves=True: None)
    return
