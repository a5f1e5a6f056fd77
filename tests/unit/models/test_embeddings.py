"""Embeddings made to fit a tokenizer: the rows that are there stay, new ones are the mean."""

import copy
from pathlib import Path

import pytest
import torch
from tests.tiny import save_tiny, tiny_model, tiny_tokenizer

from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ModelError
from medicalgpt.models.embeddings import require_rows, resize, rows
from medicalgpt.models.load import load


@pytest.mark.parametrize("kind", ["llama", "bloom", "gemma3"])  # an own head, a tied one, scaled embeddings
def test_new_rows_are_the_mean_and_old_logits_stay(kind: str) -> None:
    model, said = tiny_model(kind).eval(), []
    before, ids = model.get_input_embeddings().weight.clone(), torch.tensor([[5, 9, 200, 7]])
    with torch.no_grad():
        logits = model(ids).logits
        resize(model, 407, said.append)
        after = model(ids).logits
    assert rows(model) == model.config.vocab_size == 407
    assert said == ["embeddings grown from 400 to 407 tokens; the 7 new rows are the mean of the others"]
    assert torch.equal(model.get_input_embeddings().weight[:400], before)
    assert torch.allclose(model.get_input_embeddings().weight[400:], before.mean(0).expand(7, -1), atol=1e-6)
    assert torch.allclose(after[..., :400], logits, atol=1e-5)
    assert (after[..., 400:] <= logits.max(-1, keepdim=True).values + 1e-5).all(), "a new token never wins"


def test_a_padded_model_is_cut_and_an_equal_one_left_alone() -> None:
    model, said = tiny_model(), []
    resize(model, 400, said.append)
    assert said == []
    resize(model, 390, said.append)
    assert (rows(model), model.get_output_embeddings().weight.shape[0]) == (390, 390)
    assert said == ["embeddings cut from 400 to 390 tokens, as many as the tokenizer has"]


def test_only_tokens_that_can_come_need_an_embedding() -> None:
    tokenizer, model = copy.deepcopy(tiny_tokenizer()), tiny_model()
    require_rows(model, tokenizer, [5])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<image>"]})
    assert len(tokenizer) == 401
    require_rows(model, tokenizer, [5])
    with pytest.raises(ModelError, match="1 tokens that the model has no embedding for"):
        require_rows(model, tokenizer, [5, 400])  # the template writes it
    tokenizer.add_tokens(["fever", "頭痛"])
    with pytest.raises(ModelError, match="2 tokens"):
        require_rows(model, tokenizer, [5])


def test_an_adapter_of_a_larger_vocabulary_is_loaded_only_with_resizing(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    base = save_tiny(tmp_path / "base")
    larger = copy.deepcopy(tiny_tokenizer())
    larger.add_tokens(["fever", "頭痛"])
    model = tiny_model()
    model.resize_token_embeddings(402)
    config = LoraConfig(r=4, target_modules="all-linear", modules_to_save=["embed_tokens", "lm_head"])
    adapted = get_peft_model(model, config)
    with torch.no_grad():
        adapted.get_input_embeddings().weight[401] = 3.0
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(tmp_path / "adapter")
    larger.save_pretrained(tmp_path / "adapter")
    settings = ModelConfig(base=str(base), adapter=str(tmp_path / "adapter"))
    with pytest.raises(ModelError, match=r"2 tokens that the model has no embedding for .*--resize_emb"):
        load(settings)
    loaded = load(settings, resize_embeddings=True)
    assert loaded.token_map is None
    assert (loaded.model.get_input_embeddings().weight[401] == 3.0).all()
    for file in (tmp_path / "adapter").glob("token*"):
        file.unlink()
    with pytest.raises(ModelError, match=r"adapter does not fit this base model: .*--resize_emb"):
        load(settings)
