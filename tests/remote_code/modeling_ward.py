"""A decoder with names and attention of its own: one projection for query, key and value, no attention interface."""

import math

import torch
from torch import nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from .configuration_ward import WardConfig


def _rotate(x, positions):
    half = x.shape[-1] // 2
    steps = 10000.0 ** (-torch.arange(half, device=x.device) / half)
    angle = positions[:, None, :, None] * steps
    left, right = x[..., :half], x[..., half:]
    return torch.cat([left * angle.cos() - right * angle.sin(), right * angle.cos() + left * angle.sin()], -1)


class WardAttention(nn.Module):
    def __init__(self, config, layer_number):
        super().__init__()
        self.heads, self.layer_number = config.num_attention_heads, layer_number
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(self, x, positions, mask, past):
        batch, length, width = x.shape
        q, k, v = self.query_key_value(x).view(batch, length, self.heads, -1).transpose(1, 2).chunk(3, -1)
        q, k = _rotate(q, positions), _rotate(k, positions)
        if past is not None:
            k, v = past.update(k, v, self.layer_number)
        scores = (q @ k.transpose(-1, -2)) / math.sqrt(q.shape[-1])
        weights = scores.masked_fill(mask, torch.finfo(scores.dtype).min).softmax(-1)
        return self.dense((weights @ v).transpose(1, 2).reshape(batch, length, width))


class WardBlock(nn.Module):
    def __init__(self, config, layer_number):
        super().__init__()
        self.input_layernorm = nn.LayerNorm(config.hidden_size)
        self.self_attention = WardAttention(config, layer_number)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size)
        self.dense_h_to_4h = nn.Linear(config.hidden_size, config.ffn_hidden_size, bias=False)
        self.dense_4h_to_h = nn.Linear(config.ffn_hidden_size, config.hidden_size, bias=False)

    def forward(self, x, positions, mask, past):
        x = x + self.self_attention(self.input_layernorm(x), positions, mask, past)
        return x + self.dense_4h_to_h(nn.functional.gelu(self.dense_h_to_4h(self.post_attention_layernorm(x))))


class WardPreTrainedModel(PreTrainedModel):
    config_class = WardConfig
    base_model_prefix = "transformer"


class WardModel(WardPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.word_embeddings = nn.Embedding(config.padded_vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(WardBlock(config, i) for i in range(config.num_layers))
        self.final_layernorm = nn.LayerNorm(config.hidden_size)
        self.post_init()

    def get_input_embeddings(self):
        return self.word_embeddings

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        inputs_embeds=None,
        use_cache=None,
        **kwargs,
    ):
        x = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache()
        held = 0 if past_key_values is None else past_key_values.get_seq_length()
        length = x.shape[1]
        if attention_mask is None:
            attention_mask = x.new_ones(x.shape[0], held + length)
        if position_ids is None:
            position_ids = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)[:, held : held + length]
        later = torch.ones(length, held + length, dtype=torch.bool, device=x.device).triu(held + 1)
        mask = later[None, None] | (attention_mask[:, None, None, :] == 0)
        for layer in self.layers:
            x = layer(x, position_ids, mask, past_key_values)
        return BaseModelOutputWithPast(self.final_layernorm(x), past_key_values)


class WardForConditionalGeneration(WardPreTrainedModel, GenerationMixin):
    def __init__(self, config):
        super().__init__(config)
        self.transformer = WardModel(config)
        self.output_layer = nn.Linear(config.hidden_size, config.padded_vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self):
        return self.transformer.word_embeddings

    def get_output_embeddings(self):
        return self.output_layer

    def forward(self, input_ids=None, logits_to_keep=0, **kwargs):
        out = self.transformer(input_ids, **kwargs)
        kept = out.last_hidden_state[:, -logits_to_keep:] if logits_to_keep else out.last_hidden_state
        return CausalLMOutputWithPast(logits=self.output_layer(kept), past_key_values=out.past_key_values)
