"""What every test relies on: no network, one thread, and caches of its own."""

import gc
import os
import sys
from collections.abc import Iterator

import pytest

from medicalgpt.language import choose
from tests.kernels import header
from tests.tiny import CHATML, tiny_tokenizer

os.environ["MEDICALGPT_LANG"] = "en"  # whatever the machine speaks; processes that tests start inherit it
os.environ["HF_HUB_OFFLINE"] = "1"  # read by huggingface_hub when it is first imported
_USERS_CACHE = os.environ.get("MEDICALGPT_CACHE")


def pytest_collection_finish() -> None:
    """Torch, transformers and eleven thousand tests are not looked through for garbage again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def pytest_report_header() -> str | None:
    """What a run with the kernels of another machine computes with."""
    return header()


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Token stores and reference caches of the tests never meet those of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDICALGPT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="module")
def _pulled_models(request: pytest.FixtureRequest, _own_cache: None) -> Iterator[None]:
    """End-to-end tests run the embedded model, which lies in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        if "e2e" in request.path.parts:
            if _USERS_CACHE is None:
                patch.delenv("MEDICALGPT_CACHE")
            else:
                patch.setenv("MEDICALGPT_CACHE", _USERS_CACHE)
        yield


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tiny models run slower on many threads, and sums stay in one order. Tests that need no torch do not load it."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))


@pytest.fixture(autouse=True)
def _english_again() -> Iterator[None]:
    """A test that chose a language leaves none behind."""
    yield
    choose(None)


@pytest.fixture(autouse=True)
def _shared_tokenizer() -> Iterator[None]:
    """A test that changes the tokenizer which all share fails itself, not one that comes after it by chance."""
    yield
    if tiny_tokenizer.cache_info().currsize and tiny_tokenizer().chat_template != CHATML:
        tiny_tokenizer.cache_clear()
        pytest.fail("this test left another chat template in tiny_tokenizer(), which all tests share: copy it first")
