"""A request's prompt becomes tokens once, whichever way it is asked."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.serving import engine_of, served

from medicalgpt.errors import ContextError
from medicalgpt.generate import prompts
from medicalgpt.generate.batch import run_batch
from medicalgpt.generate.output import Output
from medicalgpt.generate.sampling import Sampling
from medicalgpt.serve.api.app import create_app

TOOL = {"type": "function", "function": {"name": "dose", "parameters": {"type": "object"}}}


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that a prompt was made into tokens: every way of doing so asks whether thoughts are open."""
    done: list[int] = []
    real = prompts._thinking

    def spy(template: Any, ids: Any) -> bool:
        done.append(len(ids))
        return real(template, ids)

    monkeypatch.setattr(prompts, "_thinking", spy)
    return done


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"n": 3}, {"tools": [TOOL]}, {"max_tokens": None}], ids=str)
def test_a_chat_request_is_prepared_once(encodings: list[int], fields: dict[str, Any]) -> None:
    asked = {"model": "tiny", "messages": [{"role": "user", "content": "What is a fever?"}], "max_tokens": 3, **fields}
    with served(engine_of()) as service:
        client = TestClient(create_app(service), base_url="http://127.0.0.1")
        assert client.post("/v1/chat/completions", json=asked).status_code == 200
    assert len(encodings) == 1


@pytest.mark.parametrize(("prompt", "times"), [("a fever", 1), ([5, 6, 7], 1), (["one", "two"], 2)], ids=str)
def test_a_text_completion_is_prepared_once_a_prompt(encodings: list[int], prompt: Any, times: int) -> None:
    with served(engine_of()) as service:
        client = TestClient(create_app(service), base_url="http://127.0.0.1")
        asked = {"model": "tiny", "prompt": prompt, "max_tokens": 3, "n": 2}
        assert client.post("/v1/completions", json=asked).status_code == 200
    assert len(encodings) == times


def test_a_row_of_a_file_is_prepared_once(encodings: list[int], tmp_path: Path) -> None:
    source = tmp_path / "asked.jsonl"
    source.write_text("".join(json.dumps({"question": f"What is {w}?"}) + "\n" for w in ("a fever", "a cough")))
    run_batch(engine_of(), source, Output(tmp_path / "out.jsonl"), Sampling(3), batch_size=2, strict=False)
    assert len(encodings) == 2


def test_what_was_encoded_for_a_shorter_answer_is_refused_where_a_longer_one_has_no_room() -> None:
    engine = engine_of()
    assert engine.context is not None
    ids = [5] * (engine.context - 4)
    encoded = engine.prepare(ids, Sampling(4))
    assert engine.prepare(encoded, Sampling(4)) is encoded
    with pytest.raises(ContextError, match="so at most"):
        engine.prepare(encoded, Sampling(5))
