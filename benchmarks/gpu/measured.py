"""Sections of gpu_check.py that measure: the estimate against the card's peak, tokens a second and the share of the card's peak."""

from collections.abc import Callable

import numpy as np
import torch
from transformers import PreTrainedConfig

from gpu.facts import device, fact, peak_bytes, seconds_of

SIZES = {"smoke": (64, 2, 4, 2, 256, 320), "1.5B": (1536, 28, 12, 2, 8960, 151_936)}
"""Hidden size, layers, query heads, key heads, inner size, vocabulary (the second is Qwen2.5-1.5B's)."""
TOLERANCE = 0.15


def _config(size: str) -> PreTrainedConfig:
    from transformers import Qwen2Config

    hidden, layers, heads, keys, inner, vocabulary = SIZES[size]
    return Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=keys,
        tie_word_embeddings=True,
        max_position_embeddings=32_768,
    )


def _model(size: str, dtype: torch.dtype, rank: int | None) -> torch.nn.Module:
    """A random Qwen2 on the card, with a fresh adapter where a rank is given."""
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2ForCausalLM

    from medicalgpt.kernels.attention import enable

    torch.manual_seed(0)
    with torch.device(device()):
        model = Qwen2ForCausalLM(_config(size)).to(dtype)
    enable(model)
    if rank is None:
        return model.train()
    return get_peft_model(model, LoraConfig(r=rank, target_modules="all-linear", task_type="CAUSAL_LM")).train()


def _row(tokens: int, document: int, vocabulary: int, pairs: bool = False) -> object:
    """A packed row on the card: documents, or prompts of half the length with two answers of a quarter each."""
    from medicalgpt.data.records import Source
    from medicalgpt.rendering.batch import pack_trees
    from medicalgpt.rendering.tree import Segment, TokenTree, chain

    draws = np.random.default_rng(0)
    trees = []
    for number in range(tokens // document):
        ids = draws.integers(17, vocabulary, document).astype(np.int32)
        source = Source("drawn", number)
        if not pairs:
            trees.append(chain(ids, [0.0] + [1.0] * (document - 1), source))
            continue
        half, quarter = document // 2, document // 4
        prompt = Segment(ids[:half], np.zeros(half, np.float32), -1)
        answers = [Segment(ids[at : at + quarter], np.ones(quarter, np.float32), 0) for at in (half, half + quarter)]
        trees.append(TokenTree((prompt, *answers), source))
    return pack_trees(trees).to(device())


def _stepper(model: torch.nn.Module, batch: object, stage: str, autocast: bool) -> Callable[[], None]:
    """One optimizer step of a stage on one row."""
    from medicalgpt.models.policy import CausalPolicy
    from medicalgpt.objectives.dpo import DirectPreference
    from medicalgpt.objectives.language import SupervisedFineTuning
    from medicalgpt.training.supervised.module import StageModule

    module = StageModule(CausalPolicy(model), DirectPreference() if stage == "dpo" else SupervisedFineTuning())
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5, fused=True)

    def step() -> None:
        with torch.autocast(device().type, torch.bfloat16, enabled=autocast):
            out = module(batch)
        (out["sum"] / out["count"]).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def beside_peak(expected: int, used: int) -> tuple[bool, str]:
    """Whether estimated bytes are near the card's peak, or there is no card (a peak of 0); and both in words."""
    if not used:
        return True, f"estimated {expected / 1e9:.3f} GB, not measured without a card"
    off = expected / used - 1
    return abs(off) <= TOLERANCE, f"measured {used / 1e9:.2f} GB, estimated {expected / 1e9:.2f} GB, {off:+.1%}"


def memory(smoke: bool) -> None:
    """`medicalgpt estimate` against the most the card held, of a 1.5B model with rows of 4,096 tokens."""
    from medicalgpt.memory.estimate import setup_for
    from medicalgpt.memory.footprint import estimate
    from medicalgpt.memory.shape import shape_of_config

    size = "smoke" if smoke else "1.5B"
    tokens = 256 if smoke else 4096
    wrong = []
    for method, checkpointing in (("lora", False), ("lora", True), ("full", False), ("full", True)):
        full = method == "full"

        def work(full: bool = full, checkpointing: bool = checkpointing) -> None:
            model = _model(size, torch.float32 if full else torch.bfloat16, None if full else 8)
            if checkpointing:
                model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
            step = _stepper(model, _row(tokens, 512 if not smoke else 64, SIZES[size][5]), "sft", full)
            step()
            step()

        used = peak_bytes(work)
        shape = shape_of_config(_config(size))
        setup = setup_for(method, "mixed", "cuda", row_tokens=tokens, rank=8, checkpointing=checkpointing)
        expected = estimate(shape, setup).total
        assert expected > 0
        name = f"{method}{', recomputed' if checkpointing else ''}"
        fits, said = beside_peak(expected, used)
        wrong += [] if fits else [name]
        fact(name, said)
    assert not wrong, f"off by more than {TOLERANCE:.0%}: {', '.join(wrong)}"


def _padded_step(model: torch.nn.Module, tokens: int, document: int, vocabulary: int) -> Callable[[], None]:
    """The usual step: a padded batch through transformers' own loss; a quarter of the places is padding."""
    draws = torch.Generator().manual_seed(0)
    ids = torch.randint(17, vocabulary, (tokens // document, document), generator=draws)
    lengths = torch.linspace(document // 2, document, len(ids)).long()
    keep = torch.arange(document)[None] < lengths[:, None]
    labels = ids.masked_fill(~keep, -100)
    ids, keep, labels = (x.to(device()) for x in (ids, keep.long(), labels))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5, fused=True)

    def step() -> None:
        model(input_ids=ids, attention_mask=keep, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def speed(smoke: bool) -> None:
    """Tokens a second of SFT and DPO, full and LoRA, the share of the card's peak, and a padded transformers step beside it."""
    size, tokens, document = ("smoke", 256, 64) if smoke else ("1.5B", 8192, 512)
    vocabulary = SIZES[size][5]
    top = 0.0
    if torch.cuda.is_available():
        a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
        top = 2 * 8192**3 / seconds_of(lambda: a @ a, 10)
        del a
    for name, stage, rank in (("SFT, LoRA", "sft", 8), ("DPO, LoRA", "dpo", 8), ("SFT, full", "sft", None)):
        model = _model(size, torch.bfloat16, rank)
        batch = _row(tokens, document, vocabulary, stage == "dpo")
        used = peak_bytes(lambda model=model, batch=batch, stage=stage: _stepper(model, batch, stage, False)())  # type: ignore[misc]
        taken = seconds_of(_stepper(model, batch, stage, False), 3)
        weights = sum(p.numel() for p in model.parameters())
        # Forward 2, backward to the inputs 2, to the weights 2 a parameter and token; DPO's reference is one more forward.
        work = (6 if rank is None else 4) + (2 if stage == "dpo" else 0)
        share = f", {work * weights * tokens / taken / top:.0%} of the card's peak" if top else ""
        fact(name, f"{tokens / taken:.0f} tokens/s{share}, {used / 2**30:.1f} GiB beside the weights")
        del model, batch
    model = _model(size, torch.bfloat16, 8)
    model.base_model.model.set_attn_implementation("sdpa")  # type: ignore[union-attr,operator]
    taken = seconds_of(_padded_step(model, tokens, document, vocabulary), 3)
    real = int(torch.linspace(document // 2, document, tokens // document).long().sum())
    fact("SFT, LoRA, padded transformers step", f"{real / taken:.0f} tokens/s that are no padding")
