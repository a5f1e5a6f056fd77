"""A packed row of token trees gives every branch the loss and gradients it has alone in the model's own forward."""

import sys
from typing import Any

import pytest
import torch
from tests.tiny import tiny_model
from tests.trees import CHAIN, PAIR, SHORT_ROOT_PAIR, THREE_LEVELS, assert_same_gradients, gradients, grow, logps_alone
from tests.zoo import zoo_config, zoo_model
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, GptOssConfig

from medicalgpt.kernels import attention
from medicalgpt.kernels.elementwise import use_fused_elementwise
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.probe import probe
from medicalgpt.models.reward import probe_scores
from medicalgpt.rendering.batch import pack_trees, pad_trees
from medicalgpt.training.policy import checkpoint_activations

TREE_FAMILIES = ["llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3", "glm4", "cohere"]
ROWS = {
    "pairs": (PAIR, SHORT_ROOT_PAIR),
    "three levels": (THREE_LEVELS,),
    "several trees": (PAIR, CHAIN, THREE_LEVELS, CHAIN, SHORT_ROOT_PAIR),
}


def alone(kind: str) -> Any:
    """The family's model as its authors wrote it: eager attention."""
    model = tiny_model(kind)
    model.set_attn_implementation("eager")
    return model


def policy_of(kind: str) -> CausalPolicy:
    """The same weights, run the way the probe chooses."""
    model = tiny_model(kind)
    attention.enable(model)
    found = probe(model)
    return CausalPolicy(model, found.batching, found.chunked_head)


def trees_of(row: str, model: Any) -> list[Any]:
    return [grow(shape, model.config.vocab_size, seed) for seed, shape in enumerate(ROWS[row])]


def coefficients_of(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the weighted NLL, and of a loss that pushes some tokens up and others down, as preference losses do."""
    return -weights, torch.randn(len(weights), generator=torch.Generator().manual_seed(1))


def expected(model: Any, trees: list[Any]) -> list[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Both losses with their gradients, branch by branch."""
    found = []
    for number in (0, 1):
        logps, weights = logps_alone(model, trees)
        loss = (logps * coefficients_of(weights)[number]).sum()
        found.append((loss.detach(), gradients(model, loss)))
    return found


def compare(policy: CausalPolicy, wanted: list[tuple[torch.Tensor, dict[str, torch.Tensor]]], trees: list[Any]) -> None:
    batch = (pack_trees if policy.batching == "tree" else pad_trees)(trees)
    for number, (loss, slopes) in enumerate(wanted):
        mixed = coefficients_of(batch.weights)[number]
        found = (policy.logps(batch)[0] * mixed).sum() if number else policy.nll(batch)[0]
        torch.testing.assert_close(found.detach(), loss, rtol=1e-5, atol=1e-5)
        assert_same_gradients(gradients(policy.model, found), slopes)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("kind", TREE_FAMILIES)
def test_a_packed_row_equals_its_branches_alone(kind: str, row: str) -> None:
    policy = policy_of(kind)
    assert (policy.batching, policy.chunked_head) == ("tree", True)
    trees = trees_of(row, policy.model)
    compare(policy, expected(alone(kind), trees), trees)


@pytest.mark.parametrize("kind", TREE_FAMILIES)
def test_recomputed_activations_give_the_same_gradients(kind: str) -> None:
    policy = policy_of(kind)
    checkpoint_activations(policy.model)
    policy.train()
    assert any(getattr(m, "gradient_checkpointing", False) for m in policy.model.modules())
    trees = trees_of("several trees", policy.model)
    compare(policy, expected(alone(kind), trees), trees)


@pytest.mark.parametrize("kind", ["bloom", "mamba"])
def test_a_model_without_the_attention_interface_is_padded(kind: str) -> None:
    model = tiny_model(kind)
    attention.enable(model)
    found = probe(model)
    assert found.batching == "padded"
    assert "attention interface" in found.reason
    trees, own = trees_of("several trees", model), alone(kind) if kind == "bloom" else tiny_model(kind)
    compare(CausalPolicy(model, found.batching, found.chunked_head), expected(own, trees), trees)


@pytest.mark.parametrize("kind", TREE_FAMILIES)
def test_padded_batches_give_the_same_numbers(kind: str) -> None:
    model = tiny_model(kind)
    attention.enable(model)
    found = probe(model, "padded")
    assert found.batching == "padded"
    trees = trees_of("several trees", model)
    compare(CausalPolicy(model, "padded", found.chunked_head), expected(alone(kind), trees), trees)


@pytest.mark.parametrize("kind", TREE_FAMILIES)
def test_lean_layers_give_the_same_numbers(kind: str) -> None:
    policy = policy_of(kind)
    trees = trees_of("several trees", policy.model)
    wanted = expected(alone(kind), trees)
    family = sys.modules[type(policy.model).__module__]
    rotary = family.apply_rotary_pos_emb
    done = use_fused_elementwise(policy.model)
    assert ("rotary" in done) == (kind not in ("glm4", "cohere"))  # these two interleave
    compare(policy, wanted, trees)
    assert family.apply_rotary_pos_emb is rotary  # other models of the family keep their own


def test_attention_sinks_are_left_to_the_model() -> None:
    def sinks() -> Any:
        torch.manual_seed(0)
        config = GptOssConfig(
            vocab_size=50,
            hidden_size=32,
            intermediate_size=32,
            head_dim=8,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            num_local_experts=2,
            num_experts_per_tok=1,
            sliding_window=6,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        )
        return AutoModelForCausalLM.from_config(config).float()

    model, own = sinks(), sinks()
    attention.enable(model)
    assert probe(model).batching == "padded"
    ids = torch.arange(12)[None]
    with torch.no_grad():
        torch.testing.assert_close(model(input_ids=ids).logits, own(input_ids=ids).logits)


def test_leaking_attention_is_noticed_by_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed without block structure the second tree would see the first: the probe must refuse that."""
    model = tiny_model()
    attention.enable(model)
    plain = attention.AttentionInterface()["sdpa"]
    monkeypatch.setitem(
        attention.AttentionInterface._global_mapping, "tree", lambda *args, tree=None, **kwargs: plain(*args, **kwargs)
    )
    found = probe(model)
    assert found.batching == "padded"
    assert "differs by" in found.reason
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(("window", "batching"), [(100, "padded"), (512, "tree"), (None, "tree")])
def test_a_window_that_attention_is_not_told_of_is_noticed_though_the_probe_fits_into_it(
    window: int | None, batching: str
) -> None:
    """PhiMoE has its window in its masks only, and a tree has none. One as wide as the context is no limit."""
    model = zoo_model("phimoe", sliding_window=window)
    attention.enable(model)
    found = probe(model)
    assert found.batching == batching
    assert ("window of 100" in found.reason) == (batching == "padded")
    model = AutoModelForSequenceClassification.from_config(zoo_config("phimoe", sliding_window=window, num_labels=1))
    attention.enable(model)
    assert probe_scores(model).batching == batching


def test_convolutions_are_noticed_where_rounding_hides_their_leak() -> None:
    model = zoo_model("lfm2").to(torch.bfloat16)
    attention.enable(model)
    found = probe(model)
    assert found.batching == "padded"
    assert "1 of 2 layers" in found.reason


@pytest.mark.parametrize("kind", ["gemma2", "mistral"])
def test_without_a_layout_tree_attention_is_the_models_own(kind: str) -> None:
    """Generation and every other caller: a left-padded batch through the same model."""
    model, own = tiny_model(kind).eval(), alone(kind).eval()
    attention.enable(model)
    ids = torch.randint(0, model.config.vocab_size, (2, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, :5] = 0
    with torch.no_grad():
        found, wanted = (m(input_ids=ids, attention_mask=mask).logits for m in (model, own))
        torch.testing.assert_close(found[mask.bool()], wanted[mask.bool()], rtol=1e-4, atol=1e-4)
        found, wanted = (m.generate(ids[:1], max_new_tokens=8, do_sample=False, pad_token_id=3) for m in (model, own))
    assert found.tolist() == wanted.tolist()


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("cap", [None, 4.0])
@pytest.mark.parametrize("heads", [(4, 4), (4, 2)])
def test_flex_attention_equals_one_call_per_segment(
    window: int | None, cap: float | None, heads: tuple[int, int]
) -> None:
    trees = [grow(shape, 50, seed) for seed, shape in enumerate(ROWS["several trees"])]
    batch = pack_trees(trees)
    layout = attention.TreeLayout(batch.spans, batch.position_ids)
    random = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, h, batch.tokens, 16, generator=random) * 2 for h in (heads[0], heads[1], heads[1]))
    with torch.no_grad():
        flex = attention._flex(layout, q, k, v, window, 0.3, cap)
        loop = attention.by_segment(layout, q, k, v, window, 0.3, cap, 0.0)
    torch.testing.assert_close(flex, loop, rtol=1e-5, atol=1e-5)
