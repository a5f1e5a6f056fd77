"""The policy in training mode: NEFTune's noise and LoRA's dropout, and nothing of either when evaluating."""

import math
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.tiny import tiny_model
from tests.trees import PAIR, THREE_LEVELS, grow

from medicalgpt.kernels import attention
from medicalgpt.kernels.lora import fuse_lora
from medicalgpt.kernels.ulysses import Peers
from medicalgpt.models.adapters import adapter_off
from medicalgpt.models.part import Part
from medicalgpt.models.policy import Batching, CausalPolicy
from medicalgpt.objectives.dpo import DirectPreference
from medicalgpt.rendering.batch import TreeBatch, pack_trees, pad_trees
from medicalgpt.training.supervised.module import StageModule

ALPHA, DIM = 5.0, 32


def policy_of(batching: Batching = "tree", alpha: float = 0.0, kind: str = "llama") -> CausalPolicy:
    model = tiny_model(kind)
    attention.enable(model)
    policy = CausalPolicy(model, batching)
    policy.neftune_alpha = alpha
    return policy.train()


def batch_of(batching: Batching) -> TreeBatch:
    """Paths of 14 and 16 tokens; of 14, 14 and 11 tokens."""
    return (pack_trees if batching == "tree" else pad_trees)([grow(PAIR, 400), grow(THREE_LEVELS, 400)])


def noise(policy: CausalPolicy, batch: TreeBatch) -> torch.Tensor:
    part = Part(batch, policy.peers)
    return policy._noisy(part) - policy.model.get_input_embeddings()(part.tokens)


# -- NEFTune -------------------------------------------------------------------------------------------------------


def test_noise_is_bounded_by_the_length_of_the_path() -> None:
    """Packing must not weaken it: L is the branch's own length, not the row's."""
    policy, batch = policy_of(alpha=ALPHA), batch_of("tree")
    found = torch.cat([noise(policy, batch) for _ in range(50)], 0).abs().amax((0, 2)).tolist()
    # Segments of the pair: root of 9 (longest path 9 + 7), branches of 5 and 7;
    # of the deep tree: 6 (longest 6 + 3 + 5), 3 (same), 4 (6 + 4 + 1), 2 (6 + 3 + 2), 5 (14), 1 (11).
    lengths = [16] * 9 + [14] * 5 + [16] * 7 + [14] * 6 + [14] * 3 + [11] * 4 + [11] * 2 + [14] * 5 + [11] * 1
    assert len(found) == len(lengths)
    for largest, length in zip(found, lengths):
        bound = ALPHA / math.sqrt(length * DIM)
        assert 0.95 * bound < largest <= bound + 1e-6  # 1,600 uniform draws come close to their bound


def test_noise_of_a_shared_row_is_bounded_by_the_lengths_of_its_own_tokens_paths() -> None:
    """The second of four processes holds tokens 11 to 21 of the 42: the pair's branches and the deep tree's first token."""
    policy, batch = policy_of(alpha=ALPHA), batch_of("tree")
    group: Any = None  # nothing is sent
    policy.peers = Peers(group, 1, 4)
    found = torch.cat([noise(policy, batch) for _ in range(50)], 0).abs().amax((0, 2)).tolist()
    for largest, length in zip(found, [14] * 3 + [16] * 7 + [14], strict=True):
        bound = ALPHA / math.sqrt(length * DIM)
        assert 0.95 * bound < largest <= bound + 1e-6


def test_noise_of_padded_rows_counts_their_own_tokens() -> None:
    policy, batch = policy_of("padded", ALPHA), batch_of("padded")
    found = torch.stack([noise(policy, batch) for _ in range(20)]).abs().amax((0, 2, 3))
    lengths = batch.attention_mask.sum(1).tolist()  # type: ignore[union-attr]
    assert lengths == [14, 16, 11, 14, 11]  # leaves in order: of the pair, then of the deep tree
    for largest, length in zip(found.tolist(), lengths):
        bound = ALPHA / math.sqrt(length * DIM)
        assert 0.99 * bound < largest <= bound + 1e-6


@pytest.mark.parametrize("batching", ["tree", "padded"])
def test_noise_is_for_training_only(batching: Batching) -> None:
    plain, noisy, batch = policy_of(batching), policy_of(batching, ALPHA), batch_of(batching)
    with torch.no_grad():
        clean = plain.logps(batch)[0]
        assert not torch.equal(noisy.logps(batch)[0], noisy.logps(batch)[0])
        assert (noisy.logps(batch)[0] - clean).abs().max() > 0.01
        noisy.eval()
        assert torch.equal(noisy.logps(batch)[0], clean)


def test_without_alpha_there_is_no_noise() -> None:
    policy, batch = policy_of(), batch_of("tree")
    with torch.no_grad():
        assert torch.equal(policy.logps(batch)[0], policy.logps(batch)[0])


def test_noise_reaches_the_models_own_forward_too() -> None:
    policy, batch = policy_of("padded", ALPHA), batch_of("padded")
    policy.chunked_head = False
    with torch.no_grad():
        assert not torch.equal(policy.logps(batch)[0], policy.logps(batch)[0])


def test_embeddings_learn_through_the_noise() -> None:
    policy = policy_of(alpha=ALPHA)
    policy.nll(batch_of("tree"))[0].backward()
    assert policy.model.get_input_embeddings().weight.grad.abs().max() > 0  # type: ignore[operator]


# -- LoRA dropout --------------------------------------------------------------------------------------------------


def adapted(dropout: float, trained: bool = True) -> CausalPolicy:
    model: Any = tiny_model()
    attention.enable(model)
    config = LoraConfig(r=4, lora_dropout=dropout, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(model, config)
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if trained and "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=random) * 0.1)
    return CausalPolicy(model, "tree").train()


def test_lora_dropout_is_for_training_only() -> None:
    policy, batch = adapted(0.5), batch_of("tree")
    with torch.no_grad():
        assert not torch.equal(policy.logps(batch)[0], policy.logps(batch)[0])
        policy.eval()
        clean = policy.logps(batch)[0]
        assert torch.equal(policy.logps(batch)[0], clean)
        torch.testing.assert_close(adapted(0.0).logps(batch)[0], clean)


def test_only_layers_without_dropout_are_fused() -> None:
    assert fuse_lora(adapted(0.5).model) == 0
    assert fuse_lora(adapted(0.0).model) == 14


def test_the_reference_has_no_dropout_no_noise_and_no_adapter() -> None:
    policy, batch = adapted(0.5), batch_of("tree")
    policy.neftune_alpha = ALPHA
    module = StageModule(policy, DirectPreference()).train()
    found = module.reference_logps(batch)
    with torch.no_grad():
        torch.testing.assert_close(found, policy_of().eval().logps(batch)[0], rtol=1e-5, atol=1e-6)
    assert torch.equal(found, module.reference_logps(batch))
    assert policy.training  # training goes on as it was
    assert not found.requires_grad


def test_a_fresh_adapter_is_exactly_its_reference() -> None:
    """With B = 0 the first margin of DPO is exactly 0."""
    policy, batch = adapted(0.0, trained=False), batch_of("tree")
    fuse_lora(policy.model)
    with torch.no_grad():
        assert torch.equal(policy.logps(batch)[0], StageModule(policy, DirectPreference()).reference_logps(batch))


def test_switching_the_adapter_off_is_undone() -> None:
    policy, batch = adapted(0.0), batch_of("tree")
    with torch.no_grad():
        before = policy.logps(batch)[0]
        with adapter_off(policy.model):
            assert not torch.equal(policy.logps(batch)[0], before)
        assert torch.equal(policy.logps(batch)[0], before)
