"""What the model reads before an answer is, token by token, what training put there: in every front end."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from rich.console import Console
from tests.serving import engine_of, says, served

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.records import Dialogue, Message, Source
from medicalgpt.generate.batch import run_batch
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.output import Output
from medicalgpt.generate.sampling import Sampling
from medicalgpt.rendering.rows import render_dialogue
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.serve.api.app import create_app
from medicalgpt.serve.chat import Chat
from medicalgpt.serve.web.conversation import WebAnswer, WebExchange
from medicalgpt.serve.web.info import ModelInfo
from medicalgpt.serve.web.served import ServedModel
from medicalgpt.serve.web.session import Session
from medicalgpt.serve.web.settings import Settings
from medicalgpt.serve.web.texts import ENGLISH
from medicalgpt.training.rl.prompts import read_prompt_set

SYSTEM, FIRST, ANSWER, SECOND = "Be brief.", "What is a fever?", "  38 degrees,\nor more. ", "發燒怎麼辦？"
TURNS = (
    *(Message("system", SYSTEM), Message("user", FIRST), Message("assistant", ANSWER), Message("user", SECOND)),
    Message("assistant", "Rest and drink."),
)
SAMPLING = Sampling(2)
TEMPLATES = (None, "vicuna", "alpaca", "baichuan", "qwen3", "qwen3.5", "qwen3.5-nothink")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engine_of(max_position_embeddings=2048)


@pytest.fixture(params=TEMPLATES, ids=str)
def read(request: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[int]]]:
    """The prompts that reach the model, with one template after the other."""
    monkeypatch.setattr(engine, "template", ChatTemplate.load(engine.tokenizer, request.param))
    seen: list[list[int]] = []
    run = engine.backend.run

    def recorded(prompts: Any, *given: Any, **more: Any) -> Any:
        seen.extend(list(ids) for ids in prompts)
        return run(prompts, *given, **more)

    monkeypatch.setattr(engine.backend, "run", recorded)
    return seen


def trained(engine: Engine) -> list[int]:
    """What stands before the last answer in the row that training gets."""
    (tree,) = render_dialogue(Dialogue(TURNS, Source("row", 1)), engine.template, 2048, train_on="last").trees
    (segment,) = tree.segments
    first = next(i for i, weight in enumerate(segment.weights) if weight)
    return [int(i) for i in segment.ids[:first]]


def row() -> dict[str, Any]:
    return {"messages": [turn.as_dict() for turn in TURNS]}


def in_the_terminal(engine: Engine, seen: list[list[int]], folder: Path) -> None:
    typed = iter([SECOND])
    chat = Chat(engine, SAMPLING, lambda: next(typed, "/exit"), Console(file=io.StringIO()), SYSTEM)
    chat.turns = list(TURNS[1:3])
    chat.run()


def in_a_file(engine: Engine, seen: list[list[int]], folder: Path) -> None:
    source = folder / "rows.jsonl"
    source.write_text(json.dumps(row()), encoding="utf-8")
    run_batch(engine, source, Output(folder / "out.jsonl"), SAMPLING)


def on_the_page(engine: Engine, seen: list[list[int]], folder: Path) -> None:
    live: Any = SimpleNamespace(engine=engine, submit=None, slots=1)
    info = ModelInfo("m", "b", "", (), "", "", (), engine.context, "", "chatml")
    session = Session([ServedModel("m", live, engine.context, info)], None, ENGLISH)
    session.conversation.exchanges = [WebExchange(FIRST, [WebAnswer((), ANSWER, "stop")])]
    with pytest.MonkeyPatch.context() as patch:
        prompts = says(patch, SimpleNamespace(live=live), "")  # type: ignore[arg-type]
        list(session.ask(SECOND, Settings(system=SYSTEM, max_new_tokens=2)))
    seen += prompts


def through_the_api(engine: Engine, seen: list[list[int]], folder: Path) -> None:
    with served(engine) as service, pytest.MonkeyPatch.context() as patch:
        prompts = says(patch, service, "")
        client = TestClient(create_app(service), base_url="http://127.0.0.1")
        asked = {"model": "tiny", "messages": row()["messages"][:-1], "max_tokens": 2}
        assert client.post("/v1/chat/completions", json=asked).status_code == 200
    seen += prompts


def in_rollouts(engine: Engine, seen: list[list[int]], folder: Path) -> None:
    path = folder / "prompts.jsonl"
    path.write_text(json.dumps(row()), encoding="utf-8")
    (prompt,) = read_prompt_set(DataConfig(train=[str(path)], eval_fraction=0), engine.template, 2, seed=0).train
    engine.complete([prompt.ids], SAMPLING)


def in_samples_and_tables(engine: Engine, seen: list[list[int]], folder: Path) -> None:
    engine.generate([TURNS[:-1]], SAMPLING)


@pytest.mark.parametrize(
    "front_end",
    [in_the_terminal, in_a_file, on_the_page, through_the_api, in_rollouts, in_samples_and_tables],
    ids=lambda f: f.__name__,
)
def test_the_model_reads_what_it_was_trained_on(
    front_end: Callable[..., None], engine: Engine, read: list[list[int]], tmp_path: Path
) -> None:
    front_end(engine, read, tmp_path)
    assert read == [trained(engine)]
