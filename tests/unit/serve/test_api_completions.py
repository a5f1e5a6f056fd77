"""Text completions: prompts as text or tokens, log-probabilities in parallel lists."""

import copy
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.serving import engine_of, served
from tests.tiny import tiny_model, tiny_tokenizer
from tokenizers import Tokenizer

from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.serve.api.app import create_app

PROMPT = "What is a fever? A temperature"


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with served(engine_of()) as service:
        yield TestClient(create_app(service), base_url="http://127.0.0.1")


def complete(client: TestClient, prompt: Any = PROMPT, **fields: Any) -> dict[str, Any]:
    body = {"model": "medical/tiny", "prompt": prompt, "temperature": 0, "max_tokens": 10, **fields}
    response = client.post("/v1/completions", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_text_and_tokens_go_on_alike(client: TestClient) -> None:
    ids = tiny_tokenizer()(PROMPT)["input_ids"]
    expected = engine_of().generate([ids], Sampling(10))[0]
    for prompt in (PROMPT, ids, [PROMPT], [ids]):
        found = complete(client, prompt)
        assert found["choices"][0]["text"] == expected.text
        assert found["usage"]["prompt_tokens"] == len(ids)
    assert found["object"] == "text_completion"


def test_several_prompts_come_back_in_order(client: TestClient) -> None:
    prompts = [PROMPT, "高血壓的症狀", "Call a doctor"]
    alone = [complete(client, prompt)["choices"][0]["text"] for prompt in prompts]
    found = complete(client, prompts, n=2)["choices"]
    assert [choice["index"] for choice in found] == list(range(6))
    assert [choice["text"] for choice in found[::2]] == alone
    assert [choice["text"] for choice in found[1::2]] == alone


def test_an_empty_prompt_begins_a_document(client: TestClient) -> None:
    assert complete(client, "")["usage"]["prompt_tokens"] == 1


def test_log_probabilities(client: TestClient) -> None:
    choice = complete(client, logprobs=2)["choices"][0]
    found = choice["logprobs"]
    assert [len(found[key]) for key in ("tokens", "token_logprobs", "top_logprobs", "text_offset")] == [10] * 4
    for token, logp, top in zip(found["tokens"], found["token_logprobs"], found["top_logprobs"]):
        assert len(top) == 2
        assert max(top.values()) == top[token] == logp
    for token, offset in zip(found["tokens"], found["text_offset"]):
        if not token.startswith("bytes:"):
            assert choice["text"][offset : offset + len(token)] == token


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"suffix": "x"}, "suffix is not supported"),
        ({"best_of": 1, "n": 2}, r"best_of is 1; allowed: at least n (2)"),
        ({"best_of": 3, "stream": True}, "best_of above n cannot be streamed"),
        ({"best_of": 300}, "300 answers are asked for"),
        ({"max_tokens": 0}, "max_tokens is 0; allowed: at least 1, or 0 with echo: true"),
        ({"echo": "yes"}, "'echo': input should be a valid boolean"),
        ({"frequency_penalty": 2.5}, "'frequency_penalty': input should be less than or equal to 2"),
        ({"presence_penalty": "1"}, "'presence_penalty': input should be a valid number"),
        ({"min_p": -0.1}, "'min_p': input should be greater than or equal to 0"),
        ({"logit_bias": [1]}, "'logit_bias': input should be an object"),
        ({"logit_bias": {"5": 101}}, "input should be less than or equal to 100"),
        ({"logit_bias": {"05": 1}}, "'logit_bias.05' is no token id; allowed: whole numbers in digits"),
        ({"logit_bias": {"fever": 1}}, "'logit_bias.fever' is no token id; allowed: whole numbers in digits"),
        ({"logit_bias": {"-1": 1}}, "'logit_bias.-1' is no token id; allowed: whole numbers in digits"),
        ({"logit_bias": {"99999": 1}}, "logit_bias: 99999 is no token of this model; allowed: ids from 0 to"),
        ({"logit_bias": {str(i): 1 for i in range(1025)}}, "'logit_bias': has 1025 entries; allowed: at most 1024"),
        ({"prompt": [1, 10**6]}, "token id outside 0 to"),
        ({"prompt": [[1], "a", []]}, "a text, token ids, or a list"),
        ({"prompt": "a " * 900}, "context is 512"),
    ],
)
def test_what_is_not_given_is_refused(client: TestClient, fields: dict[str, Any], words: str) -> None:
    response = client.post("/v1/completions", json={"model": "tiny", "prompt": "a", "max_tokens": 2, **fields})
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


def test_of_best_of_answers_the_likeliest_are_given(client: TestClient) -> None:
    """Per token, by the model itself, and in that order; asking for all of them shows that none is better."""
    how = {"temperature": 1.3, "seed": 5, "logprobs": 0}
    everything = complete(client, n=5, **how)

    def mean(choice: dict[str, Any]) -> float:
        logps = choice["logprobs"]["token_logprobs"]
        return sum(logps) / len(logps)

    expected = sorted(everything["choices"], key=mean, reverse=True)[:2]
    found = complete(client, n=2, best_of=5, **how)
    assert [choice["text"] for choice in found["choices"]] == [choice["text"] for choice in expected]
    assert [choice["index"] for choice in found["choices"]] == [0, 1]
    assert found["usage"] == everything["usage"]  # all of them were written
    plain = complete(client, n=2, best_of=5, temperature=1.3, seed=5)["choices"]
    assert [(choice["text"], choice["logprobs"]) for choice in plain] == [(x["text"], None) for x in expected]


def test_penalties_and_bias_come_through_and_leave_neighbors_alone(client: TestClient) -> None:
    ids = tiny_tokenizer()(PROMPT)["input_ids"]
    (first,) = engine_of().generate([ids], Sampling(1))[0].token_ids
    named = {
        "frequency_penalty": 1.5,
        "presence_penalty": 0.5,
        "logit_bias": {"9": 2.5, str(first): -100},
        "min_p": 0.1,
    }
    sampling = Sampling(
        10, frequency_penalty=1.5, presence_penalty=0.5, logit_bias=((9, 2.5), (first, -100.0)), min_p=0.1
    )
    expected = engine_of().generate([ids], sampling)[0].text
    plain = complete(client)["choices"][0]["text"]
    assert expected != plain
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(complete, client, **(named if i % 2 else {})) for i in range(6)]
        found = [answer.result()["choices"][0]["text"] for answer in answers]
    assert found == [plain, expected] * 3


def test_ids_that_stand_for_no_token_are_refused() -> None:
    """Their rows were never trained. Those behind a gap are tokens, whatever the tokenizer's length."""
    tokenizer = copy.deepcopy(tiny_tokenizer())
    inner = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary: dict[str, int] = inner["model"]["vocab"]
    word, gap = max(vocabulary.items(), key=lambda entry: entry[1])
    vocabulary[word] = far = gap + 8
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(inner))
    engine = Engine(tiny_model(vocab_size=512), tokenizer, ChatTemplate.load(tokenizer))
    with served(engine) as service:
        client = TestClient(create_app(service), base_url="http://127.0.0.1")
        assert complete(client, [1, far], max_tokens=2)["usage"]["prompt_tokens"] == 2
        for ids, words in (([1, gap], f"the id {gap}, which is no token"), ([far + 1], f"outside 0 to {far}")):
            for prompt in (ids, ["a fever?", ids][1:], [[1], ids]):
                response = client.post("/v1/completions", json={"model": "tiny", "prompt": prompt, "max_tokens": 2})
                assert response.status_code == 400
                assert words in response.json()["error"]["message"]
        assert client.post("/v1/completions", json={"model": "tiny", "prompt": [-1]}).status_code == 400
