"""`echo`: prompts come back with the log-probabilities of their own tokens, which are the model's."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from tests.serving import engine_of, served
from tests.tiny import tiny_tokenizer
from tests.unit.serve.test_api_completions import complete

from medicalgpt.generate.engine import Engine
from medicalgpt.generate.token_text import TokenTexts
from medicalgpt.serve.api import completions
from medicalgpt.serve.api.app import create_app
from medicalgpt.serve.api.echo import echoed

PROMPTS = ["What is a fever? A temperature", "高血壓的症狀，和 🙂 fever", "Call"]
LISTS = ("tokens", "token_logprobs", "top_logprobs", "text_offset")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engine_of()


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    with served(engine, slots=2) as service:
        yield TestClient(create_app(service), base_url="http://127.0.0.1")


def direct(engine: Engine, ids: list[int]) -> torch.Tensor:
    """Log-probabilities [T − 1, V] behind every token of a text but the last, by the model's own forward pass, over all rows."""
    other = engine_of()
    assert other.model is not None
    with torch.no_grad():
        logits = other.model(input_ids=torch.tensor([ids])).logits[0, :-1]
    return torch.log_softmax(logits, -1)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_every_token_of_a_prompt_has_the_models_own_log_probability(
    client: TestClient, engine: Engine, prompt: str
) -> None:
    ids = tiny_tokenizer()(prompt)["input_ids"]
    choice = complete(client, prompt, echo=True, logprobs=2, max_tokens=3)["choices"][0]
    found = choice["logprobs"]
    assert choice["text"].startswith(prompt)
    assert all(len(found[key]) >= len(ids) + 3 for key in LISTS)
    assert found["token_logprobs"][0] is found["top_logprobs"][0] is None
    truth = direct(engine, ids)
    own = [truth[i, token].item() for i, token in enumerate(ids[1:])]
    assert found["token_logprobs"][1 : len(ids)] == pytest.approx(own, abs=1e-5)
    best = truth[:, : len(tiny_tokenizer())].amax(-1).tolist()
    assert [max(top.values()) for top in found["top_logprobs"][1 : len(ids)]] == pytest.approx(best, abs=1e-5)
    for token, offset in zip(found["tokens"], found["text_offset"]):
        if not token.startswith("bytes:"):
            assert choice["text"][offset : offset + len(token)] == token
    assert found["text_offset"] == sorted(found["text_offset"])
    assert found["text_offset"][len(ids)] == len(prompt)


def test_prompts_that_share_a_step_slot_and_stream_are_scored_as_alone(client: TestClient) -> None:
    """Two slots: five answers to three prompts wait for each other, and a prompt is computed once for both of its answers."""
    alone = [complete(client, p, echo=True, logprobs=1, max_tokens=2)["choices"][0] for p in PROMPTS]
    together = complete(client, PROMPTS, echo=True, logprobs=1, max_tokens=2, n=3)["choices"]
    for i, choice in enumerate(together):
        assert choice["text"] == alone[i // 3]["text"]
        mine, own = choice["logprobs"], alone[i // 3]["logprobs"]
        assert [mine[key] for key in ("tokens", "text_offset")] == [own[key] for key in ("tokens", "text_offset")]
        assert mine["token_logprobs"][1:] == pytest.approx(own["token_logprobs"][1:], abs=1e-5)
    ids = [tiny_tokenizer()(p)["input_ids"] for p in PROMPTS]
    assert [x["text"] for x in complete(client, ids, echo=True, max_tokens=2)["choices"]] == [x["text"] for x in alone]


@pytest.mark.parametrize("logprobs", [None, 1])
def test_a_stream_brings_the_same(client: TestClient, logprobs: int | None) -> None:
    whole = complete(client, PROMPTS[1], echo=True, logprobs=logprobs)["choices"][0]
    body = {"model": "tiny", "prompt": PROMPTS[1], "temperature": 0, "max_tokens": 10, "echo": True, "stream": True}
    response = client.post("/v1/completions", json=body | {"logprobs": logprobs})
    events = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
    pieces = [completions.stream.json.loads(event)["choices"][0] for event in events]
    assert "".join(piece["text"] for piece in pieces) == whole["text"]
    assert pieces[0]["text"].startswith(PROMPTS[1])
    if logprobs is not None:
        for key in LISTS:
            assert [x for piece in pieces for x in piece["logprobs"][key]] == whole["logprobs"][key]


def test_nothing_but_the_prompt(client: TestClient) -> None:
    found = complete(client, PROMPTS[0], echo=True, logprobs=0, max_tokens=0)
    (choice,) = found["choices"]
    tokens = len(tiny_tokenizer()(PROMPTS[0])["input_ids"])
    assert (choice["text"], choice["finish_reason"]) == (PROMPTS[0], "length")
    assert len(choice["logprobs"]["tokens"]) == tokens
    assert found["usage"] == {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}


def test_a_stop_token_is_in_the_lists_and_not_in_the_text(client: TestClient, engine: Engine) -> None:
    """lm-evaluation-harness takes the last entry for the token that was written, whatever it is."""
    stop = engine.stop_ids[0]
    choice = complete(client, PROMPTS[0], echo=True, logprobs=1, max_tokens=1, logit_bias={str(stop): 100})["choices"][
        0
    ]
    ids = tiny_tokenizer()(PROMPTS[0])["input_ids"]
    assert (choice["text"], choice["finish_reason"]) == (PROMPTS[0], "stop")
    assert len(choice["logprobs"]["token_logprobs"]) == len(ids) + 1
    assert choice["logprobs"]["tokens"][-1] == tiny_tokenizer().convert_ids_to_tokens(stop)
    assert choice["logprobs"]["text_offset"][-1] == len(PROMPTS[0])


def test_a_head_that_is_not_ours_is_said_and_nobody_else_is_disturbed(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medicalgpt.generate.backends.decoder.pool.prompt_scores", lambda *given: None)
    body = {"model": "tiny", "prompt": PROMPTS[0], "max_tokens": 2, "echo": True, "logprobs": 1}
    response = client.post("/v1/completions", json=body)
    assert response.status_code == 400
    assert "no log-probabilities of a prompt; leave out echo or logprobs" in response.json()["error"]["message"]
    assert complete(client, "a", echo=True)["choices"][0]["text"].startswith("a")


def test_the_head_is_looked_at_before_it_is_believed(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from medicalgpt.kernels.head import Head

    logits = Head.logits
    monkeypatch.setattr(Head, "logits", lambda self, hidden: logits(self, hidden) * 1.5)
    body = {"model": "tiny", "prompt": PROMPTS[0], "max_tokens": 2, "echo": True, "logprobs": 1}
    assert client.post("/v1/completions", json=body).status_code == 400


@pytest.mark.parametrize("prompt", [PROMPTS[0], [5, 6, 7]])
def test_other_backends_echo_text_and_refuse_numbers(prompt: Any) -> None:
    with served(engine_of("bloom")) as service:
        client = TestClient(create_app(service), base_url="http://127.0.0.1")
        whole = complete(client, prompt, max_tokens=3)["choices"][0]["text"]
        shown = prompt if isinstance(prompt, str) else service.live.engine.text(prompt)
        assert complete(client, prompt, max_tokens=3, echo=True)["choices"][0]["text"] == shown + whole
        assert complete(client, prompt, max_tokens=0, echo=True)["choices"][0]["text"] == shown
        body = {"model": "tiny", "prompt": prompt, "max_tokens": 3, "echo": True, "logprobs": 1}
        response = client.post("/v1/completions", json=body)
        assert (response.status_code, response.json()["error"]["param"]) == (400, "logprobs")
        body = {"model": "tiny", "prompt": prompt, "max_tokens": 3, "best_of": 2}
        response = client.post("/v1/completions", json=body)
        assert (response.status_code, response.json()["error"]["param"]) == (400, "best_of")


def test_more_numbers_than_one_answer_may_have_are_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions, "_MOST_ENTRIES", 100)
    body = {"model": "tiny", "prompt": [[5] * 30, [6] * 21], "echo": True, "logprobs": 1, "max_tokens": 1}
    response = client.post("/v1/completions", json=body)
    assert response.status_code == 400
    assert "102 log-probabilities are asked for, of at most 100" in response.json()["error"]["message"]


class _SentencePiece:
    """Puts a first token before a text, and reads a space before its first word, as Llama 2 does."""

    vocabulary = ("<s>", "▁What", "▁is", "?")

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [*([0] if add_special_tokens else ()), 1]}

    def convert_ids_to_tokens(self, token: int) -> str:
        return self.vocabulary[token]

    def decode(self, ids: list[int], **how: Any) -> str:
        return "".join(self.vocabulary[i] for i in ids).replace("▁", " ").removeprefix(" ")


def test_what_the_tokenizer_puts_in_front_is_no_part_of_the_text() -> None:
    texts = TokenTexts(_SentencePiece())  # type: ignore[arg-type]
    found = echoed(texts, [0, 1, 2, 3], "What is?")
    assert (found.text, list(found.offsets)) == ("What is?", [0, 0, 4, 7])
    assert echoed(texts, [1, 2, 3]).text == " What is?"
    assert list(echoed(texts, [0, 1]).offsets) == [0, 3]
