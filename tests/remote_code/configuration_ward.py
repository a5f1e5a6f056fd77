"""Configuration of a small model that ships its own code, in the manner of the first ChatGLM."""

from typing import ClassVar

from transformers import PretrainedConfig


class WardConfig(PretrainedConfig):
    model_type = "ward"
    attribute_map: ClassVar = {"num_hidden_layers": "num_layers", "max_position_embeddings": "seq_length"}

    def __init__(
        self,
        padded_vocab_size=400,
        hidden_size=32,
        ffn_hidden_size=64,
        num_layers=2,
        num_attention_heads=4,
        seq_length=512,
        **kwargs,
    ):
        self.vocab_size = padded_vocab_size
        self.padded_vocab_size = padded_vocab_size
        self.hidden_size = hidden_size
        self.ffn_hidden_size = ffn_hidden_size
        self.num_layers = num_layers
        self.num_attention_heads = num_attention_heads
        self.seq_length = seq_length
        super().__init__(**kwargs)
