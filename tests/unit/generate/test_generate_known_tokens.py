"""Ids that no token has are never chosen, whoever draws: the numbers are those of a model that lacks their rows."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.llamacpp import tiny_gguf
from tests.tiny import cut_model, save_tiny, tiny_model, tiny_tokenizer, wide_model
from tests.vllm_core import Core, stand_in
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from medicalgpt.generate.backends.decoder.backend import Decoder
from medicalgpt.generate.backends.decoder.pool import SequenceState
from medicalgpt.generate.backends.select import backend_for
from medicalgpt.generate.backends.transformers import TransformersBackend
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.kernels import attention
from medicalgpt.kernels.known_tokens import KnownTokens
from medicalgpt.models.known_tokens import known_tokens, known_tokens_of
from medicalgpt.rendering.template import ChatTemplate

TOKENS = len(tiny_tokenizer())
PROMPTS = [[9, 30, 200], [50, 5, 7, 100, 21], [9, 30, 200], [380]]
SAMPLINGS = {
    "greedy": Sampling(12),
    "sampled": Sampling(12, temperature=1.2),
    "top-k": Sampling(12, temperature=1.2, top_k=20),
    "top-p": Sampling(12, temperature=1.2, top_p=0.9),
    "penalty and shortest": Sampling(12, temperature=1, repetition_penalty=1.3, min_new_tokens=6),
}
BACKENDS = pytest.mark.parametrize("kind", [Decoder, TransformersBackend])


def run(kind: Any, model: Any, known: KnownTokens | None, sampling: Sampling, *stop_ids: int) -> list[list[int]]:
    """Two completions of each prompt, three at a time."""
    attention.enable(model)
    more = (known,) if kind is Decoder else (3, known)
    seeds = [[2 * i, 2 * i + 1] for i in range(len(PROMPTS))]
    found = kind(model.eval(), list(stop_ids), *more).run(PROMPTS, sampling, seeds, batch_size=3)
    return [ids for own in found for ids in own]


def test_the_model_alone_would_choose_such_ids() -> None:
    assert all(max(ids) >= TOKENS for ids in run(Decoder, wide_model(), None, SAMPLINGS["greedy"]))


@pytest.mark.parametrize("name", SAMPLINGS)
@BACKENDS
def test_answers_are_those_of_a_model_without_these_rows(kind: Any, name: str) -> None:
    wide = wide_model(scale=8.0).double()
    known = known_tokens_of(wide, tiny_tokenizer())
    assert known == KnownTokens(TOKENS)
    expected = run(kind, cut_model(wide), None, SAMPLINGS[name], 7)
    assert run(kind, wide, known, SAMPLINGS[name], 7) == expected


@pytest.mark.parametrize("family", ["llama", "gemma2", "bloom"])
def test_the_head_is_the_models_own_again_afterwards(family: str) -> None:
    """Also in fp32, where it is laid out anew, and where it is the embedding table (gemma2, bloom)."""
    wide = tiny_model(family, vocab_size=512).eval()
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        before = wide(input_ids=ids).logits
    backend = backend_for(wide, [], 3, known_tokens_of(wide, tiny_tokenizer()))
    found = backend.run([[9, 30, 200]], Sampling(20, temperature=2), [[0, 1, 2, 3]], batch_size=4)[0]
    assert max(max(answer) for answer in found) < TOKENS
    with torch.no_grad():
        after = wide(input_ids=ids).logits
    assert after.shape[-1] == 512
    torch.testing.assert_close(after, before)


@BACKENDS
def test_holes_are_never_drawn(kind: Any) -> None:
    holes = tuple(range(0, TOKENS, 2))
    for name in ("greedy", "top-k", "top-p"):
        for ids in run(kind, wide_model(), KnownTokens(TOKENS, holes), SAMPLINGS[name]):
            assert all(i % 2 and i < TOKENS for i in ids)


@pytest.mark.parametrize("holes", [(), (4, 9, 300)])
def test_log_probabilities_add_up_to_one_over_the_tokens(holes: tuple[int, ...]) -> None:
    model = wide_model().eval()
    attention.enable(model)
    decoder = Decoder(model, [], KnownTokens(TOKENS, holes))
    row = SequenceState(0, [5, 6, 7], random.Random(0), Sampling(4), top=1000)
    with decoder.decoding():
        pool = decoder.pool(1)
        pool.add([row])
        while pool.busy:
            pool.step()
    for score in row.scores:
        ids = [i for i, _ in score.top]
        assert len(ids) == TOKENS - len(holes)
        assert not {*holes} & {*ids}
        assert sum(torch.tensor([logp for _, logp in score.top]).double().exp()) == pytest.approx(1, abs=1e-5)


def test_a_prompt_of_ids_without_a_token_is_read_all_the_same() -> None:
    wide = wide_model().eval()
    attention.enable(wide)
    decoder = Decoder(wide, [], KnownTokens(TOKENS))
    (found,) = decoder.run([[500, 5]], Sampling(5, repetition_penalty=1.5), [[0]])
    assert max(found[0]) < TOKENS


def test_the_engine_finds_out_by_itself(tmp_path: Path) -> None:
    wide_model().save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    engine = Engine.open(str(tmp_path))
    texts = engine.generate(["fever?", "高血壓?"], Sampling(12))
    assert all(max(answer.token_ids) < TOKENS and answer.text for answer in texts)


# -- which ids a tokenizer has ---------------------------------------------------------------------------------------
def words(**vocabulary: int) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(vocabulary, "a")))


def test_holes_and_tail_of_a_tokenizer() -> None:
    gapped = words(a=0, b=1, c=5, d=9)
    assert known_tokens(gapped, 16) == KnownTokens(10, (2, 3, 4, 6, 7, 8))
    assert known_tokens(gapped, 10) == KnownTokens(10, (2, 3, 4, 6, 7, 8))
    assert known_tokens(gapped, 4) == KnownTokens(2)  # more tokens than rows
    assert known_tokens(gapped, None) == KnownTokens(10, (2, 3, 4, 6, 7, 8))
    assert known_tokens(words(a=0, b=1), 2) is None
    assert known_tokens(words(a=0, b=1), 1) is None


def test_an_added_token_behind_a_gap_and_the_models_own_stop_token_may_come() -> None:
    gapped = words(a=0, b=1, c=5)
    gapped.add_tokens(["<tool>"])
    (added,) = gapped.convert_tokens_to_ids(["<tool>"])
    found = known_tokens(gapped, 40, [33])
    assert found is not None
    assert found.ids == sorted({0, 1, 5, added, 33})
    assert known_tokens(gapped, 40, [99]) == known_tokens(gapped, 40)  # beyond the model: nothing to choose


class Odd:
    """A tokenizer of a model's own code: two tokens are spelled alike, and ids beyond it are errors."""

    unk_token, added_tokens_decoder = "?", dict[int, Any]()

    def get_vocab(self) -> dict[str, int]:
        return {"?": 0, "a": 2}

    def __len__(self) -> int:
        return 4

    def convert_ids_to_tokens(self, token: int) -> str:
        return ["?", "a", "a", "?"][token]


def test_a_token_that_the_vocabulary_does_not_list_is_asked_for() -> None:
    assert known_tokens(Odd(), 8) == KnownTokens(3)  # type: ignore[arg-type]


# -- those who load the model themselves ------------------------------------------------------------------------------
@pytest.mark.parametrize(("rows", "given"), [(512, list(range(TOKENS))), (TOKENS, None)])
def test_vllm_is_told_which_ids_it_may_choose(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rows: int, given: list[int] | None
) -> None:
    core = stand_in(monkeypatch, Core())
    engine = Engine.open(str(save_tiny(tmp_path, vocab_size=rows)), backend="vllm")
    engine.complete([[5, 6]], Sampling(2))
    assert [params.allowed_token_ids for params, _ in core.given] == [given]


def test_llamacpp_answers_as_the_decoder_does(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    torch.manual_seed(0)
    path = tmp_path / "wide.gguf"
    model = tiny_gguf(path, build=wide_model)
    tokenizer = tiny_tokenizer()
    here, there = Engine(model, tokenizer, ChatTemplate.load(tokenizer)), Engine.open(str(path))
    for sampling in (Sampling(16), Sampling(16, min_new_tokens=9)):
        answers = [engine.complete(PROMPTS, sampling, batch_size=2) for engine in (here, there)]
        assert answers[0] == answers[1]
    drawn = there.complete(PROMPTS, Sampling(16, temperature=2), n=3)
    assert max(i for own in drawn for ids in own for i in ids) < TOKENS
