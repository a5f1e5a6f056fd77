"""Embeddings for new tokens: exact means, old tokens untouched, rows that only pad."""

from typing import Any

import pytest
import torch
from tests.tiny import tiny_model

from medicalgpt.errors import ModelError
from medicalgpt.models.embeddings import grow, trained_rows
from medicalgpt.models.token_map import TokenMap

MAP = TokenMap("", 400, ((5, 7), (5, 7, 9), (11,)))
IDS = torch.arange(0, 400, 7)[None]


def with_rows(rows: int) -> Any:
    """An untied model with more rows than its tokenizer has tokens, as Qwen's have."""
    return tiny_model(vocab_size=rows)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_a_new_row_is_the_mean_of_the_rows_it_replaces(tied: bool) -> None:
    model = tiny_model(tie_word_embeddings=tied)
    embed = model.get_input_embeddings().weight
    with torch.no_grad():
        embed[5], embed[7], embed[9], embed[11] = 1.0, 2.0, 6.0, -0.5
        if not tied:
            head = model.get_output_embeddings().weight
            head[5], head[7], head[9], head[11] = 10.0, 30.0, 20.0, 4.0
    grow(model, MAP)
    embed, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert embed.shape == head.shape == (403, 32)
    assert [embed[i].unique().tolist() for i in (400, 401, 402)] == [[1.5], [3.0], [-0.5]]
    expected = [[1.5], [3.0], [-0.5]] if tied else [[20.0], [20.0], [4.0]]
    assert [head[i].unique().tolist() for i in (400, 401, 402)] == expected
    assert (embed.data_ptr() == head.data_ptr()) == tied
    assert model.config.vocab_size == 403


def test_the_bias_of_a_head_is_averaged_too() -> None:
    from transformers import AutoModelForCausalLM, PhiConfig

    config = PhiConfig(vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        model.lm_head.bias.copy_(torch.arange(400.0))
    grow(model, MAP)
    assert model.lm_head.bias[400:].tolist() == [6.0, 7.0, 11.0]
    # peft's layer for single rows leaves a bias out, so this head is trained whole.
    wanted = trained_rows(model, MAP)
    assert wanted["modules_to_save"] == ["lm_head"]
    assert wanted["trainable_token_indices"] == {"model.embed_tokens": [400, 401, 402]}


@pytest.mark.parametrize("kind", ["llama", "gemma2", "cohere", "bloom"])
def test_what_the_model_says_about_old_tokens_does_not_change(kind: str) -> None:
    model = tiny_model(kind).eval()
    with torch.no_grad():
        before = model(input_ids=IDS).logits
        grow(model, TokenMap("", 400, MAP.replaces, pad_to=64))
        after = model(input_ids=IDS).logits
    assert after.shape[-1] == 448
    torch.testing.assert_close(after[..., :400], before, atol=2e-6, rtol=1e-5)


def test_the_logit_of_a_new_token_is_the_mean_of_those_it_replaces() -> None:
    model = tiny_model().eval()
    grow(model, MAP)
    with torch.no_grad():
        logits = model(input_ids=IDS).logits
    torch.testing.assert_close(logits[..., 400], logits[..., [5, 7]].mean(-1))


def test_rows_that_are_there_already_are_filled_and_none_is_added() -> None:
    model = with_rows(448)
    before = model.get_input_embeddings().weight.clone()
    grow(model, TokenMap("", 400, MAP.replaces, pad_to=64))
    after = model.get_input_embeddings().weight
    assert after.shape == before.shape
    torch.testing.assert_close(after[401], before[[5, 7, 9]].mean(0))
    assert torch.equal(after[:400], before[:400])
    assert torch.equal(after[403:], before[403:])


def test_rows_that_only_pad_are_the_mean_of_all_old_ones() -> None:
    model = tiny_model()
    mean = model.get_input_embeddings().weight.mean(0)
    grow(model, TokenMap("", 400, MAP.replaces, pad_to=64))
    rows = model.get_input_embeddings().weight[403:]
    assert rows.shape == (45, 32)
    torch.testing.assert_close(rows, mean.expand_as(rows))


def test_means_are_formed_in_fp32() -> None:
    model = tiny_model().to(torch.bfloat16)
    rows = model.get_input_embeddings().weight[[5, 7, 9]].float()
    grow(model, MAP)
    assert torch.equal(model.get_input_embeddings().weight[401], rows.mean(0).to(torch.bfloat16))


def test_a_model_of_fewer_rows_is_refused() -> None:
    with pytest.raises(ModelError, match="400 tokens, but the model has 300 embeddings"):
        grow(with_rows(300), MAP)


def test_a_model_that_scores_has_no_head_to_resize() -> None:
    from tests.tiny import tiny_config
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_config(tiny_config(num_labels=1))
    grow(model, MAP)
    assert model.get_input_embeddings().weight.shape == (403, 32)
    assert trained_rows(model, MAP) == {"trainable_token_indices": {"model.embed_tokens": [400, 401, 402]}}


def test_sizes_of_a_map() -> None:
    assert (MAP.size, list(MAP.new_ids)) == (403, [400, 401, 402])
    assert MAP.old_ids([1, 401, 402, 2]) == [1, 5, 7, 9, 11, 2]
    padded = TokenMap("", 400, MAP.replaces, pad_to=64)
    assert [padded.rows(n) for n in (400, 403, 410, 448, 500)] == [448, 403, 410, 448, 500]
