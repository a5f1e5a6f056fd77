"""Which larger base this machine could train, by the estimate: for people whose first base was a small one."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from medicalgpt.kernels.free_memory import free_memory
from medicalgpt.memory.footprint import estimate
from medicalgpt.memory.setup import Setup
from medicalgpt.memory.shape import shape_of_config

if TYPE_CHECKING:  # transformers is imported where a shape is made only
    from transformers import PreTrainedConfig

# Open bases (Apache-2.0) of one family in several sizes, with Chinese and English: hidden, feed-forward, layers, heads,
# tied head, from their config.json; head width 128, 8 key-value heads, 151,936 tokens.
BASES: dict[str, tuple[int, int, int, int, bool]] = {
    "Qwen/Qwen3-0.6B": (1024, 3072, 28, 16, True),
    "Qwen/Qwen3-1.7B": (2048, 6144, 28, 16, True),
    "Qwen/Qwen3-4B": (2560, 9728, 36, 32, True),
    "Qwen/Qwen3-8B": (4096, 12288, 36, 32, False),
    "Qwen/Qwen3-14B": (5120, 17408, 40, 40, False),
    "Qwen/Qwen3-32B": (5120, 25600, 64, 64, False),
}


@dataclass(frozen=True, slots=True)
class Larger:
    """A base that fits: its Hub id, parameters, and what training it takes in bytes of what is free."""

    name: str
    parameters: int
    need: int
    free: int


def largest_that_fits(setup: Setup, more_than: int = 0, free: int | None = None) -> Larger | None:
    """The largest of BASES that `setup` can train here with adapters; None where none fits that is larger.

    Args:
        setup: row length, types and checkpointing; full training is taken as LoRA.
        more_than: parameters that it must exceed.
        free: bytes; None measures it.
    """
    free = free_memory() if free is None else free
    wanted = replace(setup, method="lora") if setup.method == "full" else setup
    found: Larger | None = None
    for name, dimensions in BASES.items():
        shape = shape_of_config(_config(dimensions))
        need = estimate(shape, wanted).total
        if need > free:
            break
        if shape.parameters > more_than:
            found = Larger(name, shape.parameters, need, free)
    return found


def _config(dimensions: tuple[int, int, int, int, bool]) -> "PreTrainedConfig":
    from transformers import Qwen3Config

    hidden, wide, layers, heads, tied = dimensions
    return Qwen3Config(
        vocab_size=151_936,
        hidden_size=hidden,
        intermediate_size=wide,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=8,
        head_dim=128,
        tie_word_embeddings=tied,
    )
