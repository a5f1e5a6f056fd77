"""The decoder against `transformers.generate`: rows that enter and leave, windows, adapters, weights that change."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from tests.tiny import tiny_model, tiny_tokenizer, wide_model

from medicalgpt.errors import ServeError
from medicalgpt.generate.backends import select as choose
from medicalgpt.generate.backends.decoder import backend as decoder
from medicalgpt.generate.backends.decoder import kv
from medicalgpt.generate.backends.decoder.backend import Decoder
from medicalgpt.generate.backends.select import backend_for
from medicalgpt.generate.backends.transformers import TransformersBackend
from medicalgpt.generate.sampling import Sampling
from medicalgpt.kernels import attention, onednn
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.known_tokens import known_tokens_of
from medicalgpt.models.optimize import optimize_for_training

GREEDY = Sampling(20)
FAMILIES = ("llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3", "glm4", "cohere")


def prompts_of(*lengths: int) -> list[list[int]]:
    rng = random.Random(5)
    return [[rng.randrange(4, 390) for _ in range(n)] for n in lengths]


PROMPTS = prompts_of(3, 17, 1, 9, 30, 9, 12)


def loaded(kind: str = "llama", **extra: Any) -> Any:
    """A tiny model as `models.load` gives it."""
    model = tiny_model(kind, scale=8.0, **extra).eval()
    attention.enable(model)
    return model


def decoder_of(model: Any, *stop_ids: int) -> Decoder:
    backend = backend_for(model, list(stop_ids), 3)
    assert isinstance(backend, Decoder)
    return backend


def run(model: Any, prompts: Sequence[Sequence[int]], sampling: Sampling, size: int, *stop_ids: int) -> list[list[int]]:
    """One completion of each prompt, seeds 0, 1, …"""
    seeds = [[i] for i in range(len(prompts))]
    return [ids for (ids,) in decoder_of(model, *stop_ids).run(prompts, sampling, seeds, batch_size=size)]


def alone(model: Any, prompt: Sequence[int], tokens: int, **settings: Any) -> list[int]:
    """What `transformers.generate` answers greedily to one prompt, by the attention the model came with."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    attention.disable(inner)
    out = model.generate(
        input_ids=torch.tensor([prompt]), max_new_tokens=tokens, do_sample=False, pad_token_id=3, **settings
    )
    attention.enable(inner)
    return out[0, len(prompt) :].tolist()


def lora(model: Any, **settings: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM", **settings)
    return get_peft_model(model, config).eval()


@pytest.mark.parametrize("kind", FAMILIES)
def test_greedy_answers_are_those_of_transformers(kind: str) -> None:
    model = loaded(kind, eos_token_id=None)
    expected = [alone(model, prompt, 20, eos_token_id=None) for prompt in PROMPTS]
    assert run(model, PROMPTS, GREEDY, 3) == expected  # four rows wait at first
    assert run(model, PROMPTS, GREEDY, 99) == expected


def test_a_window_shorter_than_the_text_comes_round_after_slots_have_grown() -> None:
    model = loaded("gemma3", sliding_window=kv.BLOCK + 20, eos_token_id=None)
    prompts = prompts_of(5, kv.BLOCK + 40, 40)  # the second is longer than the window from the start
    expected = [alone(model, prompt, 2 * kv.BLOCK, eos_token_id=None) for prompt in prompts]
    assert run(model, prompts, Sampling(2 * kv.BLOCK), 3) == expected
    assert run(model, prompts, Sampling(2 * kv.BLOCK), 2) == expected


@pytest.mark.parametrize("kind", ["bloom", "mamba"])
def test_other_models_go_through_transformers(kind: str) -> None:
    assert isinstance(backend_for(loaded(kind), [2], 3), TransformersBackend)


class _Windowless:
    """A config that hides its window from the layer that asks."""

    sliding_window = None

    def __init__(self, config: Any) -> None:
        self.config = config

    def __getattr__(self, name: str) -> Any:
        return getattr(self.config, name)


def test_a_layer_with_another_window_than_its_cache_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def hiding() -> Any:
        model = loaded("mistral", sliding_window=300)  # longer than the probe's texts: their numbers agree
        for layer in model.model.layers:
            layer.self_attn.config = _Windowless(model.config)
        return model

    assert isinstance(backend_for(hiding(), [2], 3), TransformersBackend)
    monkeypatch.setattr(choose, "_windows", lambda config: [None, None])
    assert isinstance(backend_for(hiding(), [2], 3), Decoder)


def test_stop_tokens_and_the_least_length_are_those_of_transformers() -> None:
    model = loaded(eos_token_id=None)
    free = [alone(model, prompt, 20, eos_token_id=None) for prompt in PROMPTS]
    stops = [free[0][4], free[3][11]]
    for least in (0, 8):
        expected = [alone(model, p, 20, eos_token_id=stops, min_new_tokens=least or None) for p in PROMPTS]
        found = run(model, PROMPTS, Sampling(20, min_new_tokens=least), 3, *stops)
        assert found == expected
        assert len({len(ids) for ids in found}) > 1


def test_a_penalty_is_that_of_transformers() -> None:
    model = loaded(eos_token_id=None)
    expected = [alone(model, p, 20, eos_token_id=None, repetition_penalty=1.7) for p in PROMPTS]
    assert run(model, PROMPTS, Sampling(20, repetition_penalty=1.7), 3) == expected
    assert run(model, PROMPTS, GREEDY, 3) != expected


SETTINGS = [
    Sampling(12, temperature=1.0),
    Sampling(12, temperature=2.5, top_p=0.8),
    Sampling(12, temperature=1.5, top_k=20, top_p=0.9, repetition_penalty=1.3),
    Sampling(12, temperature=1.5, min_p=0.1, top_p=0.9, frequency_penalty=0.7, presence_penalty=0.4),
    Sampling(12, temperature=1.0, logit_bias=((9, 3.0), (30, -100.0)), repetition_penalty=1.3, presence_penalty=-0.5),
]


@pytest.mark.parametrize("sampling", SETTINGS)
def test_sampled_answers_do_not_depend_on_the_batch_and_are_those_of_the_other_backend(sampling: Sampling) -> None:
    model = loaded().double()  # sums in another order must not turn a token into another
    found = run(model, PROMPTS, sampling, 3, 7)
    assert found == run(model, PROMPTS, sampling, 1, 7) == run(model, PROMPTS, sampling, 7, 7)
    other = TransformersBackend(model, [7], 3)
    seeds = [[i] for i in range(len(PROMPTS))]
    for size in (1, 4):  # padding before a prompt is no text that a penalty counts
        assert found == [ids for (ids,) in other.run(PROMPTS, sampling, seeds, batch_size=size)]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 99])
def test_completions_of_a_prompt_are_what_separate_calls_give(size: int) -> None:
    model = loaded("gemma3").double()
    sampling = Sampling(15, temperature=1.5)
    seeds = [[10 * i + j for j in range(4)] for i in range(3)]
    found = decoder_of(model, 7).run(PROMPTS[3:6], sampling, seeds, batch_size=size)
    for prompt, own, answers in zip(PROMPTS[3:6], seeds, found):
        assert answers == [decoder_of(model, 7).run([prompt], sampling, [[seed]])[0][0] for seed in own]


@pytest.mark.parametrize(("size", "n"), [(3, 1), (2, 3), (4, 3), (99, 3)])
def test_nothing_is_computed_twice_or_for_rows_that_are_done(size: int, n: int) -> None:
    model = loaded()
    backend = decoder_of(model)
    tokens: list[int] = []
    model.register_forward_pre_hook(lambda *call: tokens.append(call[2]["input_ids"].numel()), with_kwargs=True)
    lengths = [5, 1, 9, 2, 7, 3, 20]
    made = [0] * (n * len(PROMPTS))

    def ends(row: int, token: int) -> bool:
        made[row] += 1
        return made[row] == lengths[row // n]

    answers = backend.run(PROMPTS, GREEDY, [[0] * n for _ in PROMPTS], batch_size=size, ends=ends)
    assert [[len(ids) for ids in own] for own in answers] == [[length] * n for length in lengths]
    # The first token of an answer comes with its prompt, the others with one token each.
    assert sum(tokens) == sum(map(len, PROMPTS)) + n * sum(length - 1 for length in lengths)


@pytest.mark.parametrize("tuned", [False, True])
def test_adapters_on_and_off(tuned: bool) -> None:
    model = lora(loaded(eos_token_id=None))
    base = [alone(loaded(eos_token_id=None), p, 20, eos_token_id=None) for p in PROMPTS]
    adapted = [alone(model, p, 20, eos_token_id=None) for p in PROMPTS]
    assert adapted != base
    if tuned:  # as the trainer patches LoRA layers
        optimize_for_training(model)
    assert run(model, PROMPTS, GREEDY, 3) == adapted
    with model.disable_adapter():
        assert run(model, PROMPTS, GREEDY, 3) == base
    assert run(model, PROMPTS, GREEDY, 3) == adapted
    model.merge_adapter()
    assert run(model, PROMPTS, GREEDY, 3) == adapted
    with model.disable_adapter():
        assert run(model, PROMPTS, GREEDY, 3) == base


@pytest.mark.parametrize("settings", [{"use_dora": True}, {"use_rslora": True}, {"lora_dropout": 0.5}])
def test_other_kinds_of_adapters(settings: dict[str, Any]) -> None:
    model = lora(loaded(eos_token_id=None), **settings)
    expected = [alone(model, p, 20, eos_token_id=None) for p in PROMPTS]
    model.train()
    assert run(model, PROMPTS, GREEDY, 3) == expected
    assert model.training


def test_weights_that_change_between_calls_count_and_stay_as_they_are() -> None:
    model = lora(loaded(eos_token_id=None))
    optimize_for_training(model)
    first = run(model, PROMPTS, GREEDY, 3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data.mul_(-1.5)  # leaves no trace in the parameter's version
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    second = run(model, PROMPTS, GREEDY, 3)
    assert second == [alone(model, p, 20, eos_token_id=None) for p in PROMPTS] != first
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    model.train()
    model(input_ids=torch.tensor([PROMPTS[1]])).logits.sum().backward()
    assert all(p.grad is not None for n, p in model.named_parameters() if "lora_B" in n)


@pytest.mark.parametrize(
    "make", [loaded, lambda: lora(loaded()), lambda: loaded("gemma3")], ids=["plain", "lora", "gemma3"]
)
def test_a_model_that_only_answers_is_laid_out_once_and_answers_alike(
    make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make()
    expected = run(model, PROMPTS, GREEDY, 3)
    backend = backend_for(model, [], 3, inference_only=True)
    made: list[object] = []
    for name in ("keep_onednn_weights", "onednn_weights"):
        own = getattr(decoder, name)
        monkeypatch.setattr(decoder, name, lambda *a, own=own, name=name: made.append(name) or own(*a))
    seeds = [[i] for i in range(len(PROMPTS))]
    short = backend.run(PROMPTS, Sampling(4), seeds, batch_size=3)  # too few tokens to lay anything out for
    assert not made
    assert [ids for (ids,) in short] == [ids[:4] for ids in expected]
    for _ in range(2):
        assert [ids for (ids,) in backend.run(PROMPTS, GREEDY, seeds, batch_size=3)] == expected
        assert [ids for (ids,) in backend.run(PROMPTS, Sampling(4), seeds)] == [ids[:4] for ids in expected]
    assert made == ["keep_onednn_weights"]
    backend.make_ready()
    assert made == ["keep_onednn_weights"]
    layer = unwrap(model).model.layers[0].mlp.up_proj
    assert getattr(layer, "base_layer", layer).weight.layout != torch.strided


def test_a_model_is_made_ready_before_the_first_answer_only_where_it_only_answers() -> None:
    for only in (True, False):
        model = loaded()
        backend = backend_for(model, [], 3, inference_only=only)
        assert isinstance(backend, Decoder)
        backend.make_ready()
        assert (model.model.layers[0].mlp.up_proj.weight.layout != torch.strided) == only


@torch.no_grad()
def test_a_model_laid_out_for_good_gives_logits_for_all_of_its_rows() -> None:
    model = wide_model().eval()
    ids = torch.tensor([PROMPTS[1]])
    before = model(input_ids=ids).logits
    backend = backend_for(model, [], 3, known_tokens_of(model, tiny_tokenizer()), inference_only=True)
    assert isinstance(backend, Decoder)
    backend.make_ready()
    assert model.model.layers[0].mlp.up_proj.weight.layout != torch.strided
    torch.testing.assert_close(model(input_ids=ids).logits, before, rtol=1e-4, atol=1e-3)


def test_where_nothing_can_be_laid_out_for_good_it_answers_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded()
    expected = run(model, PROMPTS, GREEDY, 3)
    monkeypatch.setattr(onednn, "_works", lambda layer: False)
    backend = backend_for(model, [], 3, inference_only=True)
    assert [
        ids for (ids,) in backend.run(PROMPTS, GREEDY, [[i] for i in range(len(PROMPTS))], batch_size=3)
    ] == expected


def test_what_goes_wrong_is_said_and_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded()
    backend = decoder_of(model)
    forwards = {name: vars(module).get("forward") for name, module in model.named_modules()}
    with torch.no_grad():
        model.lm_head.weight[5] = float("nan")
    with pytest.raises(ServeError, match="not numbers"):
        backend.run(PROMPTS, GREEDY, [[0] for _ in PROMPTS], batch_size=3)

    def full(self: Any) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")

    monkeypatch.setattr(decoder.Pool, "step", full)
    with pytest.raises(ServeError, match=r"out of memory with 3 answers .* up to 30 tokens and 20 new tokens"):
        backend.run(PROMPTS, GREEDY, [[0] for _ in PROMPTS], batch_size=3)
    assert model.config._attn_implementation == "tree"
    assert {name: vars(module).get("forward") for name, module in model.named_modules()} == forwards


def test_a_layer_says_when_it_is_called_outside_of_a_step() -> None:
    model = loaded()
    model.set_attn_implementation("slots")
    with pytest.raises(Exception, match="inside a decoding step"):
        model(input_ids=torch.tensor([[5, 6]]))
