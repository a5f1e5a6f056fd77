"""The memory estimate: arithmetic against hand-made numbers, activations against what torch really keeps."""

import contextlib
from dataclasses import replace

import pytest
import torch
import transformers
from tests.tiny import NO_WEIGHTS, tiny_config
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.config.sections import LoraConfig
from medicalgpt.config.stages import DpoConfig, SftConfig
from medicalgpt.errors import ModelError
from medicalgpt.kernels import attention
from medicalgpt.kernels import free_memory as memory
from medicalgpt.kernels.ulysses import Peers
from medicalgpt.memory import estimate
from medicalgpt.memory.estimate import check_fits, estimate_stage, require_memory, setup_for, setup_of
from medicalgpt.memory.footprint import base_bytes, layer_token_bytes
from medicalgpt.memory.footprint import estimate as footprint
from medicalgpt.memory.setup import METHODS, Setup
from medicalgpt.memory.shape import shape_of_config, shape_of_model, shape_of_size
from medicalgpt.models.adapters import attach
from medicalgpt.models.optimize import optimize_for_training
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.rendering.batch import Span, TreeBatch

TOKENS = 64
DIMENSIONS = {
    "vocab_size": 1000,
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
FAMILIES = {
    "llama": transformers.LlamaConfig,
    "qwen2": transformers.Qwen2Config,
    "qwen3": transformers.Qwen3Config,
    "mistral": transformers.MistralConfig,
    "gemma3": transformers.Gemma3TextConfig,
    "glm4": transformers.Glm4Config,
}


def _config(family="llama", layers=2):
    return FAMILIES[family](num_hidden_layers=layers, pad_token_id=0, tie_word_embeddings=True, **DIMENSIONS)


def _kept_by_torch(family, layers, method, dtype="float32", autocast=None, peers=None):
    """Bytes per own token of distinct storages in the graph of one forward pass, weights and their casts left out."""
    width = 66 if peers else TOKENS  # a multiple of 2, 3 and 6
    own = width // (peers.size if peers else 1)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(_config(family, layers)).to(getattr(torch, dtype))
    attention.enable(model)
    if method == "lora":
        model = attach(model, LoraConfig(rank=4), None, quantized=False)
    optimize_for_training(model)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept, sizes = [], {}

    def pack(tensor):
        kept.append(tensor)  # alive, so that no address is used twice
        if {width, own} & set(tensor.shape) and tensor.untyped_storage().data_ptr() not in weights:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    places = torch.arange(width)
    batch = TreeBatch(
        input_ids=torch.randint(0, 1000, (1, width)),
        position_ids=places[None],
        at=places[:-1],
        targets=torch.randint(0, 1000, (width - 1,)),
        weights=torch.ones(width - 1),
        segment=torch.zeros(width - 1, dtype=torch.long),
        segments=1,
        leaves=torch.empty(0, dtype=torch.long),
        ends=torch.empty(0, dtype=torch.long),
        tokens=width,
        spans=(Span(0, width),),
    )
    cast = torch.autocast("cpu", getattr(torch, autocast)) if autocast else contextlib.nullcontext()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), cast:
        policy = CausalPolicy(model.train())
        policy.peers = peers
        policy.nll(batch)
    return sum(sizes.values()) / own


@pytest.mark.parametrize(
    ("method", "dtype", "compute"),
    [
        ("full", "float32", "float32"),
        ("lora", "float32", "float32"),
        ("full", "float32", "bfloat16"),
        ("full", "bfloat16", "bfloat16"),
        ("lora", "bfloat16", "bfloat16"),
    ],
)
def test_llama_activations_are_exactly_what_torch_keeps(method, dtype, compute):
    autocast = None if compute == "float32" else compute
    two, one = (_kept_by_torch("llama", layers, method, dtype, autocast) for layers in (2, 1))
    setup = Setup(method=method, dtype=dtype, compute=compute, rank=4)
    assert layer_token_bytes(shape_of_config(_config()), setup) == two - one


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "llama"])
def test_activations_of_other_families_are_within_one_percent(family, method):
    kept = _kept_by_torch(family, 2, method) - _kept_by_torch(family, 1, method)
    estimated = layer_token_bytes(shape_of_config(_config(family)), Setup(method=method, rank=4))
    assert estimated == pytest.approx(kept, rel=0.01)


def test_heap_holes_are_counted_on_the_cpu_only():
    shape = shape_of_config(_config())
    bare, holes = (footprint(shape, Setup("lora", 100, rank=4, heap_holes=h)) for h in (False, True))
    assert (bare.heap, holes.heap) == (0, int(0.25 * 100 * 2 * layer_token_bytes(shape, holes.setup)))
    assert not setup_for("lora", "mixed", "cuda").heap_holes


def test_shape_of_a_small_llama_by_hand():
    shape = shape_of_config(_config())
    # Per layer: q 96·96, k and v 96·32, o 96·96, three MLP matrices 96·256, two norms; then embeddings and last norm.
    layer = 96 * 96 * 2 + 96 * 32 * 2 + 96 * 256 * 3 + 2 * 96
    assert shape.parameters == 2 * layer + 1000 * 96 + 96
    assert (shape.query, shape.key, shape.feed_forward, shape.gated, shape.norms) == (96, 32, 256, True, 2)
    assert len(shape.linears) == 14


def test_published_sizes():
    assert shape_of_size("7B").parameters == 6_738_415_616
    assert shape_of_size("13b").parameters == 13_015_864_320
    assert shape_of_size("70B").parameters == 68_976_648_192
    with pytest.raises(ModelError, match=r"'8B' is unknown; allowed: 7B, 13B, 30B, 70B"):
        shape_of_size("8B")


def test_weights_gradients_and_moments_by_hand():
    shape = shape_of_config(_config())
    linear = 2 * (96 * 96 * 2 + 96 * 32 * 2 + 96 * 256 * 3)
    rest = shape.parameters - linear
    full = footprint(shape, Setup("full"))
    assert (full.weights, full.gradients, full.optimizer) == tuple(shape.parameters * n for n in (4, 4, 8))
    # A and B of every linear layer: rank · (in + out), in fp32 whatever the base.
    adapters = 2 * 4 * (2 * (96 + 96) + 2 * (96 + 32) + 3 * (96 + 256))
    lora = footprint(shape, Setup("lora", dtype="bfloat16", compute="bfloat16", rank=4))
    assert lora.trained_parameters == adapters
    assert (lora.weights, lora.gradients, lora.optimizer) == (
        2 * shape.parameters + 4 * adapters,
        4 * adapters,
        8 * adapters,
    )
    eight = footprint(shape, Setup("qlora8", dtype="bfloat16", compute="bfloat16", rank=4))
    outputs = 2 * (96 + 32 + 32 + 96 + 256 + 256 + 96)
    assert eight.weights == linear + 4 * outputs + 4 * rest + 4 * adapters
    four = footprint(shape, Setup("qlora4", dtype="bfloat16", compute="bfloat16", rank=4))
    scales = linear // 64
    assert four.weights == linear // 2 + scales + 4 * scales // 256 + 4 * rest + 96 * 256 * 2 + 4 * adapters


def test_mixed_precision_keeps_fp32_weights_and_their_short_copies():
    shape = shape_of_config(_config())
    linear = 2 * (96 * 96 * 2 + 96 * 32 * 2 + 96 * 256 * 3)
    setup = setup_for("full", "mixed", "cuda")
    assert (setup.dtype, setup.compute) == ("float32", "bfloat16")
    assert footprint(shape, setup).weights == 4 * shape.parameters + 2 * (linear + 1000 * 96)


def test_head_holds_one_chunk_of_logits_never_all():
    shape = shape_of_config(_config())
    long, longer = (footprint(shape, Setup("lora", row_tokens=n)).head for n in (4096, 8192))
    assert longer - long == 2 * 4096 * 96 * 4
    assert long == 2 * 512 * 1000 * 4 + 2 * 4096 * 96 * 4


def test_checkpointing_keeps_layer_inputs_and_one_layer():
    shape = replace(shape_of_config(_config()), layers=10)
    plain, light = (footprint(shape, Setup("full", 100, checkpointing=c)).activations for c in (False, True))
    layer = 6048  # bytes per token of this block, as torch keeps them (test above)
    assert plain - light == 100 * (10 * layer - 10 * 96 * 4 - layer)


def test_processes_hold_everything_once_each_and_gradient_buckets():
    shape = shape_of_config(_config())
    one, four = (footprint(shape, Setup("full", processes=n)) for n in (1, 4))
    assert four.total == one.total + one.gradients
    assert four.all_processes == 4 * four.total
    assert one.all_processes == one.total


def test_chosen_target_modules_count_alone_and_wrong_ones_are_named():
    shape = shape_of_config(_config())
    some = footprint(shape, Setup("lora", rank=4, target_modules=("q_proj",)))
    assert some.trained_parameters == 2 * 4 * (96 + 96)
    named = footprint(shape, Setup("lora", rank=4, target_modules=("self_attn.q_proj",)))
    assert named.trained_parameters == some.trained_parameters
    with pytest.raises(ModelError, match=r"\[query\] match no linear layer; this model has: .*lm_head.*q_proj"):
        footprint(shape, Setup("lora", target_modules=("query",)))


@pytest.mark.parametrize("targets", [("lm_head",), ("q_proj", "lm_head")])
def test_an_adapter_on_the_head_counts_and_needs_the_logits_of_a_row(targets):
    shape = shape_of_config(_config())
    found = footprint(shape, Setup("lora", rank=4, row_tokens=TOKENS, target_modules=targets))
    others = 2 * 4 * (96 + 96) if "q_proj" in targets else 0
    assert found.trained_parameters == others + 4 * (96 + 1000)
    assert found.head > 3 * TOKENS * 1000 * 4
    assert footprint(shape.grown(1100), found.setup).trained_parameters == others + 4 * (96 + 1100)


@pytest.mark.parametrize(
    "settings", [{"method": "lor"}, {"dtype": "int8"}, {"row_tokens": 0}, {"rank": 0}, {"processes": 0}]
)
def test_impossible_setups_are_refused(settings):
    with pytest.raises(ModelError):
        Setup(**settings)


@pytest.mark.parametrize("family", ["bloom", "mamba", "gemma2", "cohere"])
def test_models_of_other_build_have_an_estimate_too(family):
    shape = shape_of_config(tiny_config(family))
    assert all(footprint(shape, Setup(method)).total > base_bytes(shape, Setup(method)) for method in METHODS)


def test_a_model_that_is_no_language_model_is_refused():
    with pytest.raises(ModelError, match="vit: not a causal language model"):
        shape_of_config(transformers.ViTConfig())


@pytest.fixture
def base(tmp_path):
    """A model folder whose weights are empty: the estimate must not need them."""
    folder = tmp_path / "base"
    tiny_config("llama").save_pretrained(folder)
    (folder / "model.safetensors").write_bytes(NO_WEIGHTS)
    return folder


def _stage(base, kind=SftConfig, **sections):
    given = {"model": {"base": str(base), "dtype": "float32"}, "data": {"train": ["a"], "max_tokens": 300}, **sections}
    return kind(output_dir="out", **given)


def test_shape_comes_from_the_config_without_reading_weights(base, tmp_path):
    assert shape_of_model(str(base)) == shape_of_config(tiny_config("llama"))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(f'{{"base_model_name_or_path": "{base}"}}')
    (adapter / "adapter_model.safetensors").write_bytes(NO_WEIGHTS)
    assert shape_of_model(str(adapter)) == shape_of_config(tiny_config("llama"))
    (adapter / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="names no base model"):
        shape_of_model(str(adapter))


def test_setup_follows_the_stage(base):
    assert setup_of(_stage(base)).row_tokens == 300
    assert setup_of(_stage(base, DpoConfig)).row_tokens == 600
    assert setup_of(_stage(base, train={"row_tokens": 777})).row_tokens == 777
    assert setup_of(_stage(base, lora={"enabled": False})).method == "full"
    assert setup_of(_stage(base, quantization="nf4")).method == "qlora4"
    assert setup_of(_stage(base, quantization="int8")).method == "qlora8"
    assert setup_of(_stage(base, train={"gradient_checkpointing": True})).checkpointing
    assert setup_of(_stage(base, lora={"target_modules": ["q_proj"]})).target_modules == ("q_proj",)


def test_a_reference_model_is_counted(base):
    alone = estimate_stage(_stage(base, DpoConfig))
    beside = estimate_stage(_stage(base, DpoConfig, objective={"reference": "model"}))
    assert beside.total - alone.total == beside.reference == 4 * shape_of_model(str(base)).parameters


def test_too_large_a_model_is_refused_before_loading_with_parts_and_advice(base, monkeypatch):
    monkeypatch.setattr(estimate, "free_memory", lambda: 1_000_000)
    with pytest.raises(ModelError) as caught:
        require_memory(_stage(base, lora={"enabled": False}))
    message = str(caught.value)
    for word in ("weights", "optimizer", "0.00 GB are free", "lora.enabled", "nf4", "checkpointing", "now 300 tokens"):
        assert word in message
    monkeypatch.setenv("MEDICALGPT_SKIP_MEMORY_CHECK", "1")
    assert require_memory(_stage(base)).total > 1_000_000


def test_memory_that_suffices_exactly_is_enough():
    needed = footprint(shape_of_config(_config()), Setup())
    check_fits(needed, free=needed.total)
    with pytest.raises(ModelError, match="training needs about"):
        check_fits(needed, free=needed.total - 1)


def test_processes_of_one_machine_share_its_memory_and_the_first_checks(base, monkeypatch):
    needed = estimate_stage(_stage(base)).total
    monkeypatch.setattr(estimate, "free_memory", lambda: int(1.5 * needed))
    require_memory(_stage(base))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(ModelError, match="2 processes of"):
        require_memory(_stage(base))
    monkeypatch.setenv("LOCAL_RANK", "1")
    require_memory(_stage(base))


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_CGROUP_V2", tmp_path)
    monkeypatch.setattr(memory, "_CGROUP_V1", tmp_path / "none")
    (tmp_path / "memory.current").write_text("3000000\n")
    (tmp_path / "memory.stat").write_text("anon 2000000\ninactive_file 500000\n")
    (tmp_path / "memory.max").write_text("max\n")
    unlimited = memory.free_main_memory()
    (tmp_path / "memory.max").write_text("10000000\n")
    assert memory.free_main_memory() == 10_000_000 - 3_000_000 + 500_000
    assert unlimited > 10_000_000


def test_command_prints_parts_and_totals(base):
    result = CliRunner().invoke(app, ["estimate", "--model", str(base), "--method", "full", "--processes", "3"])
    assert result.exit_code == 0
    for word in ("weights", "gradients", "optimizer", "activations", "head", "total", "each of 3 data-parallel"):
        assert word in result.output


def test_command_prints_the_hardware_table():
    result = CliRunner().invoke(app, ["estimate", "--table", "--max-tokens", "2048", "--checkpointing"])
    rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in result.output.splitlines()}
    assert [x.strip() for x in rows["Method"]] == ["7B", "13B", "30B", "70B"]
    # fp32 master weights, gradients and two moments are 16 bytes a parameter, the bf16 copies nearly 2.
    assert 16 * 6.74 < float(rows["full"][0].split()[0]) < 20 * 6.74
    assert float(rows["qlora4"][3].split()[0]) < float(rows["lora"][3].split()[0]) / 2


@pytest.mark.parametrize("given", [[], ["--model", "x", "--params", "7B"]])
def test_command_wants_a_model_or_a_size(given):
    result = CliRunner().invoke(app, ["estimate", *given])
    assert result.exit_code == 2
    assert "either --model NAME or --params SIZE" in result.output


# -- divided among processes ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", METHODS)
def test_of_what_is_divided_each_process_holds_its_part(method):
    shape, whole = shape_of_size("7B"), setup_for(method, "mixed", "cuda", rank=16)
    eight = replace(whole, processes=8, shards=8)
    one, part = footprint(shape, whole), footprint(shape, eight)
    assert part.gradients == one.gradients // 8
    assert part.optimizer == one.optimizer // 8
    adapters = 0 if method == "full" else 4 * part.trained_parameters
    assert part.weights == (base_bytes(shape, eight) + adapters) // 8
    assert (part.activations, part.head) == (one.activations, one.head)
    assert 0 < part.gathered < one.weights
    assert part.total < one.total


def test_what_a_divided_model_sends_by_hand():
    """7B in full: bf16 weights twice and fp32 gradients once, seven eighths of them from others; then the gradients of a part."""
    shape = shape_of_size("7B")
    setup = setup_for("full", "mixed", "cuda", processes=64, shards=8)
    found = footprint(shape, setup).traffic
    count = shape.parameters
    assert found.row == pytest.approx(7 / 8 * (2 * 2 + 4) * count, rel=1e-4)
    assert found.copies == pytest.approx(2 * 7 / 8 * 4 * count / 8, rel=1e-9)


def test_the_command_knows_shards_and_copies():
    words = ["estimate", "--params", "7B", "--method", "full", "--shard", "8", "--replicate", "2"]
    done = CliRunner().invoke(app, [*words, "--device", "cuda", "--dtype", "mixed"])
    assert done.exit_code == 0, done.output
    assert "each of 16 processes that hold 1/8 of the model" in done.output
    assert "a step between groups" in done.output
    refused = CliRunner().invoke(app, [*words, "--processes", "4"])
    assert refused.exit_code == 2
    assert "give one of both" in refused.output


def test_advice_names_dividing_before_smaller_models():
    setup = setup_for("full", "mixed", "cuda", processes=8)
    with pytest.raises(ModelError) as refused:
        check_fits(footprint(shape_of_size("70B"), setup), free=80 * 10**9)
    said = str(refused.value)
    assert said.index("distributed.shard=full divides the model among the 8 processes") < said.index(
        "a smaller model.base"
    )
    assert said.index("distributed.sequence=N shares each row among N of the 8") < said.index(
        "a smaller data.max_tokens"
    )
    with pytest.raises(ModelError, match="shards=3 does not divide 4 processes"):
        Setup(processes=4, shards=3)


# -- rows that several processes share -----------------------------------------------------------------------------------
@pytest.fixture
def peers(request):
    """The first of so many processes that share rows; the others are not there, and nothing is sent (torch's fake group)."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=request.param)
    yield Peers(torch.distributed.group.WORLD, 0, request.param)
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("peers", [2, 3, 6], indirect=True)  # of 6 heads and 2 key heads
@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3"])
def test_activations_of_shared_rows_are_what_torch_keeps(family, method, peers):
    kept = [_kept_by_torch(family, layers, method, peers=peers) for layers in (2, 1)]
    setup = Setup(method=method, rank=4, processes=peers.size, sequence=peers.size)
    assert layer_token_bytes(shape_of_config(_config(family)), setup) == pytest.approx(kept[0] - kept[1], rel=0.01)


def test_a_process_holds_its_part_of_a_row():
    shape = shape_of_size("7B")
    one = setup_for("lora", "mixed", "cuda", row_tokens=131_072, checkpointing=True)
    whole, part = (footprint(shape, replace(one, processes=n, sequence=n)) for n in (1, 8))
    assert part.activations == whole.activations // 8
    assert (part.weights, part.gradients, part.optimizer) == (whole.weights, whole.gradients, whole.optimizer)
    # Three passes, 32 layers, 4096 wide queries, keys, values and answers of 16,384 tokens in two bytes, seven eighths of them.
    assert part.traffic.swaps == 7 * 16_384 * 3 * 32 * 4 * 4096 * 2 // 8
    assert whole.traffic.swaps == 0
    uneven = replace(one, row_tokens=9, processes=8, sequence=8)
    assert footprint(shape, uneven).activations == 2 * footprint(shape, replace(one, row_tokens=1)).activations


def test_keys_are_repeated_where_there_are_fewer_heads_than_processes():
    shape = shape_of_size("70B")  # 64 heads, 8 key heads
    eight, sixteen = (
        layer_token_bytes(shape, Setup("lora", compute="bfloat16", processes=n, sequence=n)) for n in (8, 16)
    )
    assert sixteen - eight == 2 * shape.key * 2


def test_the_command_knows_shared_rows():
    words = ["estimate", "--params", "7B", "--max-tokens", "131072", "--checkpointing", "--device", "cuda"]
    done = CliRunner().invoke(app, [*words, "--dtype", "mixed", "--shard", "8", "--sequence", "4"])
    assert done.exit_code == 0, done.output
    assert "rows of 131072 tokens on 4 processes" in done.output
    assert "of it to swap tokens for heads" in done.output
    alone = CliRunner().invoke(app, [*words, "--sequence", "8"])
    assert "each of 8 processes that hold the model" in alone.output
    for more, said in (
        (["--shard", "8", "--sequence", "3"], "sequence=3 does not divide 8 processes"),
        (["--sequence", "64"], "sequence=64 does not divide the model's 32 attention heads"),
    ):
        refused = CliRunner().invoke(app, [*words, *more])
        assert refused.exit_code != 0
        assert said in refused.output


def test_a_stage_is_estimated_with_its_shared_rows(base):
    config = {"data": {"train": ["x"]}, "output_dir": "y", "model": {"base": str(base)}}
    alone, shared = (
        estimate_stage(SftConfig.model_validate(config | {"distributed": {"sequence": n}})) for n in (1, 2)
    )
    assert shared.setup.sequence == 2
    assert shared.activations < alone.activations
