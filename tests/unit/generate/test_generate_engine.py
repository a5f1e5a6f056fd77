"""The engine on tiny random models: against `transformers.generate`, across batches, in the midst of training."""

import copy
import json
import random
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.texts import byte_level
from tests.tiny import CHATML, save_tiny, tiny_model, tiny_tokenizer

from medicalgpt.data.records import Message
from medicalgpt.errors import ModelError, RenderError, ServeError
from medicalgpt.generate.engine import Completion, Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.kernels import attention
from medicalgpt.rendering.template import ChatTemplate

QUESTIONS = ["What is a fever?", "高血壓的症狀?", "How is high blood pressure treated in an old person with diabetes?"]


def engine_of(model: torch.nn.Module) -> Engine:
    tokenizer = tiny_tokenizer()
    return Engine(model, tokenizer, ChatTemplate.load(tokenizer))


def ask(text: str) -> list[Message]:
    return [Message("system", "Be brief."), Message("user", text)]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engine_of(tiny_model())


@pytest.fixture(scope="module")
def precise() -> Engine:
    """In float64, where the order of a batch's sums cannot turn one token into another."""
    return engine_of(tiny_model().double())


# A low cap makes Gemma 2's soft-capping of attention decide which tokens come.
FAMILIES = {
    "llama": {},
    "mistral": {},
    "gemma2": {"attn_logit_softcapping": 0.1},
    "gemma3": {},
    "bloom": {},
    "mamba": {},
}


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_greedy_batch_gives_what_transformers_gives_alone(kind: str) -> None:
    model = tiny_model(kind, scale=8.0, **FAMILIES[kind]).eval()
    template = ChatTemplate.load(tiny_tokenizer())
    attention.disable(model)
    expected = []
    for text in QUESTIONS:
        ids = torch.tensor([template.prompt_ids(ask(text))])
        out = model.generate(
            input_ids=ids, max_new_tokens=12, do_sample=False, eos_token_id=template.stop_ids, pad_token_id=3
        )
        expected.append(out[0, ids.shape[1] :].tolist())
    attention.enable(model)  # as models are loaded
    found = engine_of(model).generate([ask(q) for q in QUESTIONS], Sampling(max_new_tokens=12), batch_size=3)
    assert [c.token_ids for c in found] == expected
    assert [c.prompt_tokens for c in found] == [len(template.prompt_ids(ask(q))) for q in QUESTIONS]


@pytest.mark.parametrize(
    "sampling",
    [Sampling(10), Sampling(10, temperature=1.5, top_p=0.9, top_k=50, seed=7), Sampling(10, repetition_penalty=3.0)],
)
def test_answers_do_not_depend_on_the_batch(precise: Engine, sampling: Sampling) -> None:
    prompts = [ask(q) for q in (*QUESTIONS, *QUESTIONS)]
    together = precise.generate(prompts, sampling, batch_size=6)
    apart = precise.generate(prompts, sampling, batch_size=1)
    later = precise.generate(prompts[4:], sampling, numbers=range(4, len(prompts)))
    assert apart == together
    assert later == together[4:]
    assert len({tuple(c.token_ids) for c in together[:3]}) == 3


def test_the_seed_decides_a_sampled_answer(engine: Engine) -> None:
    def answers(seed: int) -> list[list[int]]:
        return [c.token_ids for c in engine.generate([ask("fever?")] * 2, Sampling(12, temperature=2.0, seed=seed))]

    first = answers(1)
    assert answers(1) == first
    assert answers(2) != first
    assert first[0] != first[1]  # the same prompt twice in one call is answered twice


def test_a_stop_token_ends_an_answer_and_is_not_in_its_text() -> None:
    model = tiny_model()
    whole = engine_of(model).generate([ask("fever?")], Sampling(20))[0]
    assert not whole.stopped
    assert len(whole.token_ids) == 20
    stop = whole.token_ids[7]
    first = whole.token_ids.index(stop)
    model.generation_config.eos_token_id = [stop]
    engine = engine_of(model)
    cut, other = engine.generate([ask("fever?"), ask(QUESTIONS[2])], Sampling(20))
    assert cut.stopped
    assert cut.token_ids == whole.token_ids[: first + 1]
    decoded = tiny_tokenizer().decode(whole.token_ids[:first], skip_special_tokens=True)
    assert cut.text == decoded.rstrip("\ufffd")
    assert other.stopped == (other.token_ids[-1] == stop)


def test_a_stop_text_ends_an_answer_and_is_not_in_its_text(engine: Engine) -> None:
    sampling = Sampling(40, temperature=1.0, seed=3)
    whole = engine.generate([ask("fever?")] * 3, sampling)
    stop = whole[1].text[5:7]
    assert "\ufffd" not in stop
    assert len(stop) == 2
    found = engine.generate([ask("fever?")] * 3, Sampling(40, temperature=1.0, seed=3, stop=("never there", stop)))
    assert found[1].stopped
    assert found[1].text == whole[1].text[: whole[1].text.index(stop)]
    assert len(found[1].token_ids) < 40
    for before, after in zip(whole, found):
        assert after.text == before.text.split(stop)[0]
        assert after.token_ids == before.token_ids[: len(after.token_ids)]


def test_a_stop_of_the_template_that_is_no_token_ends_an_answer_too(engine: Engine) -> None:
    """Not asked for in `Sampling`: the template says so, in every call and beside what is asked for."""
    sampling = Sampling(40, temperature=1.0, seed=3)
    whole = engine.generate([ask("fever?")] * 3, sampling)
    stop = whole[1].text[5:7]
    head = (
        "{#- medicalgpt template\nsource: ours\nurl: none\n" + f'stop: ["<|im_end|>", {json.dumps(stop)}]' + "\n-#}\n"
    )
    template = ChatTemplate(tiny_tokenizer(), head + CHATML, "own")
    assert template.stop_texts == (stop,)
    ours = Engine(engine.model, tiny_tokenizer(), template)
    asked = engine.generate([ask("fever?")] * 3, replace(sampling, stop=(stop,)))
    assert ours.generate([ask("fever?")] * 3, sampling) == asked
    assert asked[1].text == whole[1].text[: whole[1].text.index(stop)]
    rollouts = ours.complete([ours.prepare(ask("fever?"), sampling).ids] * 3, sampling)
    assert [ids for (ids,) in rollouts] == [one.token_ids for one in asked]
    pieces: list[str] = []
    assert _drain(ours.stream(ask("fever?"), sampling, index=1), pieces) == asked[1]
    earlier = whole[1].text[2:4]
    both = ours.generate([ask("fever?")] * 2, replace(sampling, stop=(earlier,)))[1]
    assert both.text == whole[1].text[: whole[1].text.index(earlier)]


def _drain(stream: Generator[str, None, Completion], pieces: list[str]) -> Completion:
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            return end.value


def test_the_stream_gives_the_same_answer_in_pieces(engine: Engine) -> None:
    for sampling in (
        Sampling(30),
        Sampling(30, temperature=1.0, seed=5),
        Sampling(30, temperature=1.0, seed=5, stop=("e",)),
    ):
        expected = engine.generate([ask("fever?")], sampling)[0]
        stream = engine.stream(ask("fever?"), sampling)
        pieces: list[str] = []
        assert _drain(stream, pieces) == expected
        assert "".join(pieces) == expected.text
        assert all(pieces)


def test_closing_the_stream_stops_the_model() -> None:
    model = tiny_model()
    steps: list[int] = []

    def slow(*_: object) -> None:
        steps.append(1)
        time.sleep(0.01)

    model.register_forward_pre_hook(slow)
    stream = engine_of(model).stream(ask("fever?"), Sampling(400, temperature=1.0))
    next(stream)
    stream.close()
    made = len(steps)
    assert made < 100
    time.sleep(0.1)
    assert len(steps) == made


def test_an_error_of_the_model_reaches_who_asked() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.lm_head.weight[5] = float("nan")
    engine = engine_of(model)
    with pytest.raises(ServeError, match="not numbers"):
        engine.generate([ask("fever?")], Sampling(4))
    with pytest.raises(ServeError, match="not numbers"):
        list(engine.stream(ask("fever?"), Sampling(4)))


def test_training_goes_on_as_if_nothing_was_asked() -> None:
    model = tiny_model()
    model.config.use_cache = False
    attention.enable(model)
    model.train()
    model.model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    own = model.generation_config
    torch.manual_seed(11)
    random.seed(11)
    before, plain = torch.get_rng_state(), random.getstate()
    engine = engine_of(model)
    answer = engine.generate([ask("fever?")], Sampling(6, temperature=1.0))[0]
    "".join(engine.stream(ask("fever?"), Sampling(6, temperature=1.0)))
    assert torch.equal(torch.get_rng_state(), before)
    assert random.getstate() == plain
    assert [module.training for module in model.modules()] == modes
    assert model.generation_config is own
    assert model.config._attn_implementation == "tree"
    model(torch.tensor([answer.token_ids])).logits.sum().backward()
    assert model.lm_head.weight.grad is not None


def test_only_the_given_sampling_decides(engine: Engine) -> None:
    model = tiny_model()
    expected = engine.generate([ask("fever?")], Sampling(12))[0]
    model.generation_config.update(
        do_sample=True, temperature=0.1, repetition_penalty=9.0, no_repeat_ngram_size=1, min_length=300
    )
    assert engine_of(model).generate([ask("fever?")], Sampling(12))[0] == expected


def test_a_penalty_makes_repetition_rarer(engine: Engine) -> None:
    plain, varied = (engine.generate([ask("fever?")], Sampling(40, repetition_penalty=p))[0] for p in (1.0, 5.0))
    assert len(set(varied.token_ids)) > len(set(plain.token_ids))


def test_markers_of_calls_and_thoughts_stay_in_the_text() -> None:
    """Some tokenizers have them as special tokens, which have no text."""
    names = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "[TOOL_CALLS]", "<think>", "</think>")
    tokenizer = byte_level(special=names)
    engine = Engine(tiny_model(vocab_size=len(tokenizer)), tokenizer, ChatTemplate.load(tokenizer, "chatml"))
    ids = engine.template.encoder.ids("<|im_start|><think>a</think> [TOOL_CALLS] []<|im_end|><|endoftext|>")
    assert ids[1] == engine.template.encoder.special["<think>"]
    assert engine.text(ids) == "<think>a</think> [TOOL_CALLS] []"


def test_token_ids_are_a_prompt_too(engine: Engine) -> None:
    ids = engine.template.prompt_ids(ask("fever?"))
    assert engine.generate([ids], Sampling(5)) == engine.generate([ask("fever?")], Sampling(5))
    assert engine.generate([], Sampling(5)) == []


def test_batch_size_must_be_positive(engine: Engine) -> None:
    with pytest.raises(ServeError, match="batch_size is 0"):
        engine.generate([ask("fever?")], Sampling(5), batch_size=0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model folder, and a folder with an adapter for it that changes the answers."""
    from peft import LoraConfig, get_peft_model

    base = save_tiny(tmp_path_factory.mktemp("base"))
    adapter = tmp_path_factory.mktemp("adapter")
    adapted = get_peft_model(tiny_model(), LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(adapter)
    return base, adapter


def test_open_takes_model_and_adapter_folders(folders: tuple[Path, Path]) -> None:
    base, adapter = map(str, folders)
    plain = Engine.open(base)
    on_base, alone = Engine.open(base, adapter=adapter), Engine.open(adapter)
    answers = [e.generate([ask("fever?")], Sampling(10))[0].token_ids for e in (plain, on_base, alone)]
    assert answers[1] == answers[2] != answers[0]
    assert plain.origin["places"] == [base]
    assert alone.origin["places"] == [base, adapter]
    assert plain.origin["dtype"] == "torch.float32"


def test_open_takes_another_template(folders: tuple[Path, Path]) -> None:
    engine = Engine.open(str(folders[0]), template="alpaca")
    assert engine.template.name == "alpaca"
    assert engine.prepare(ask("fever?"), Sampling(5)).ids == engine.template.prompt_ids(ask("fever?"))


def test_open_takes_a_tool_format(folders: tuple[Path, Path]) -> None:
    assert Engine.open(str(folders[0])).template.tool_use.format.name == "qwen"  # type: ignore[union-attr]
    engine = Engine.open(str(folders[0]), tool_format="react")
    assert engine.template.tool_use.format.name == "react"  # type: ignore[union-attr]
    with pytest.raises(RenderError, match="tool format 'hermes' is not known"):
        Engine.open(str(folders[0]), tool_format="hermes")


def test_open_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model"):
        Engine.open(str(tmp_path / "gone"))
    base = save_tiny(tmp_path)
    (base / "chat_template.jinja").unlink()
    said: list[str] = []
    assert Engine.open(str(base), say=said.append).template.name == "vicuna"
    assert "neither run nor tokenizer has a chat template" in said[0]


def test_open_takes_the_template_of_the_adapter_and_the_tokenizer_of_another_folder(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    base, adapter = map(str, folders)
    other = copy.deepcopy(tiny_tokenizer())
    other.add_tokens(["fever"])
    other.chat_template = None
    other.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="1 tokens that the model has no embedding for"):
        Engine.open(base, adapter=adapter, tokenizer=str(tmp_path))
    said: list[str] = []
    engine = Engine.open(base, tokenizer=str(tmp_path), resize_embeddings=True, say=said.append)
    assert len(engine.tokenizer) == engine.model.get_input_embeddings().weight.shape[0] == 401
    assert [text.split(";")[0] for text in said] == [
        "embeddings grown from 400 to 401 tokens",
        "neither run nor tokenizer has a chat template",
    ]
    (Path(adapter) / "chat_template.jinja").write_text(str(tiny_tokenizer().chat_template) + "{# saved #}")
    try:
        saved = Engine.open(base, adapter=adapter, tokenizer=str(tmp_path), resize_embeddings=True)
        assert saved.template.source.endswith("{# saved #}")
    finally:
        (Path(adapter) / "chat_template.jinja").unlink()


def test_completions_of_a_prompt_are_what_separate_calls_give(precise: Engine) -> None:
    prompts = [precise.template.prompt_ids(ask(q)) for q in QUESTIONS]
    sampling = Sampling(12, temperature=1.5, seed=9)
    found = precise.complete(prompts, sampling, n=4, batch_size=5, first_index=2)
    for i, ids in enumerate(prompts):
        alone = [precise.generate([ids], sampling, numbers=[(2 + i) * 4 + j])[0].token_ids for j in range(4)]
        assert found[i] == alone
        assert len({tuple(a) for a in alone}) == 4
    assert precise.complete([], sampling, n=2) == []


def test_completions_that_cannot_be_made_are_refused(engine: Engine) -> None:
    with pytest.raises(ServeError, match="n is 0"):
        engine.complete([[5]], Sampling(5), n=0)
    with pytest.raises(ServeError, match="the prompt is empty"):
        engine.complete([[5], []], Sampling(5))
    with pytest.raises(ServeError, match="the prompt has 510 tokens"):
        engine.complete([[5] * 510], Sampling(5))


def test_no_stop_token_comes_before_the_least_length(engine: Engine) -> None:
    ids = engine.template.prompt_ids(ask("fever?"))
    free = engine.complete([ids], Sampling(20))[0][0]
    model = tiny_model()
    model.generation_config.eos_token_id = [free[3]]
    stopping = engine_of(model)
    early, late = (stopping.complete([ids], Sampling(20, min_new_tokens=m))[0][0] for m in (0, 9))
    first = free.index(free[3])
    assert early == free[: first + 1]
    assert late[:first] == free[:first]
    assert free[3] not in late[:9]
    assert len(late) >= 9
