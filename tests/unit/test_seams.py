"""What we override, call or read of other libraries beyond their documented interface still is what we take it for.

A renamed private method breaks nothing loudly: the override is simply never called any more. So each is looked for with the
signature that our code is written for, overrides are counted in a real run, and a private name that is new in the source
must be added here. These tests are to pass with the oldest and newest versions that pyproject.toml allows.
"""

import ast
import inspect
import re
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.layer import Linear as LoraLinear
from tests.stages import Bench
from tests.tiny import save_tiny, tiny_model
from torch import nn
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedModel, Trainer, TrainerCallback
from transformers.quantizers.base import HfQuantizer

import medicalgpt
from medicalgpt.kernels import lora
from medicalgpt.kernels.rotary import bind_rotary
from medicalgpt.models import quantized
from medicalgpt.training.policy import keep_differentiable
from medicalgpt.training.supervised.trainer import StageTrainer

SRC = Path(medicalgpt.__file__).parent


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


# -- transformers.Trainer ------------------------------------------------------------------------------------------------
TRAINER = {
    "_clip_grad_norm": ["self", "model"],
    "_defer_fsdp_gradient_reduction": ["self"],
    "_get_num_items_in_batch": ["self", "batch_samples", "device"],
    "_load_from_checkpoint": ["self", "resume_from_checkpoint", "model"],
    "_load_optimizer_and_scheduler": ["self", "checkpoint"],
    "_prepare_inputs": ["self", "inputs"],
    "_save_checkpoint": ["self", "model", "trial"],
    "compute_loss": ["self", "model", "inputs", "return_outputs", "num_items_in_batch"],
    "create_optimizer": ["self", "model"],
    "create_scheduler": ["self", "num_training_steps", "optimizer"],
    "evaluate": ["self", "eval_dataset", "ignore_keys", "metric_key_prefix"],
    "floating_point_ops": ["self", "inputs"],
    "get_train_dataloader": ["self"],
    "log": ["self", "logs", "start_time"],
    "training_step": ["self", "model", "inputs", "num_items_in_batch"],
}


def overridden() -> list[str]:
    """Methods of StageTrainer that transformers' Trainer has, too."""
    return [
        n for n, f in vars(StageTrainer).items() if inspect.isfunction(f) and n != "__init__" and hasattr(Trainer, n)
    ]


@pytest.mark.parametrize("name", TRAINER)
def test_trainer_has_the_methods_we_override(name: str) -> None:
    assert parameters(getattr(Trainer, name)) == TRAINER[name]
    ours = inspect.signature(getattr(StageTrainer, name)).parameters.values()
    takes_all = any(p.kind is p.VAR_POSITIONAL for p in ours)
    assert takes_all or [p.name for p in ours] == TRAINER[name]


def test_every_override_of_trainer_is_listed() -> None:
    assert set(overridden()) <= TRAINER.keys()


def test_every_override_of_trainer_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a run that is interrupted, and goes on."""
    called: Counter[str] = Counter()

    def counting(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            called[name] += 1
            return method(self, *args, **kwargs)

        return wrapped

    for name in overridden():
        monkeypatch.setattr(StageTrainer, name, counting(name, getattr(StageTrainer, name)))

    class Stop(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 1:
                signal.raise_signal(signal.SIGINT)

    begin = StageTrainer.__init__

    def stopping(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        self.add_callback(Stop())

    monkeypatch.setattr("medicalgpt.runs.report.write", lambda folder, record: None)
    bench, options = Bench.set_up(tmp_path), ("train.max_steps=3", "train.save_every=1")
    with monkeypatch.context() as patch:
        patch.setattr(StageTrainer, "__init__", stopping)
        assert bench.train("sft", tmp_path / "run", *options).status == "interrupted"
    assert bench.train("sft", tmp_path / "run", *options).status == "finished"
    # Sums of a divided model's gradients are deferred in a divided run only (tests/e2e/test_sharded.py).
    assert called.keys() == set(overridden()) - {"_defer_fsdp_gradient_reduction"}
    assert called["_get_num_items_in_batch"] == called["_clip_grad_norm"] == 3
    assert called["_load_from_checkpoint"] == 1


def test_trainer_leaves_a_divided_module_alone() -> None:
    """`StageModule.divide` says so; else it would be moved, wrapped, and its optimizer made before it was divided."""
    source = inspect.getsource(Trainer)
    assert 'getattr(model, "is_distributed_loading_by_transformers", False)' in source
    assert "is_fsdp_managed_module(self.model)" in source
    assert "sync_context = self._defer_fsdp_gradient_reduction" in source


def test_trainer_asks_who_made_the_schedule() -> None:
    """`create_scheduler` sets it, as transformers' own does; else a second `train` would keep a schedule that is over."""
    source = inspect.getsource(Trainer)
    assert "self._created_lr_scheduler = True" in source
    assert re.search(r"if self\._created_lr_scheduler:", source)


# -- transformers' models ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "gemma3", "mistral"])
def test_models_have_the_switches_we_read(kind: str) -> None:
    model: Any = tiny_model(kind)
    assert model._supports_attention_backend is True
    assert model._supports_sdpa is True
    assert model._is_stateful is False
    model.set_attn_implementation("eager")
    assert model.config._attn_implementation == "eager"
    assert model.all_tied_weights_keys is not None
    assert len(DynamicCache(config=model.config).layers) == model.config.num_hidden_layers


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "gemma3", "mistral"])
def test_attention_calls_the_function_we_bind_by_its_global_name(kind: str) -> None:
    model: Any = tiny_model(kind)
    assert bind_rotary(model) == model.config.num_hidden_layers


def test_layers_of_the_cache_are_told_apart_by_type() -> None:
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    types = {type(layer) for layer in DynamicCache(config=tiny_model("gemma3").config).layers}
    assert types == {DynamicLayer, DynamicSlidingWindowLayer}


def test_the_mask_interface_is_called_by_the_names_we_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    seen: list[set[str]] = []

    def mask(*args: Any, **kwargs: Any) -> Any:
        seen.append(set(kwargs))
        return sdpa_mask(*args, **kwargs)

    monkeypatch.setitem(AttentionMaskInterface._global_mapping, "tree", mask)
    model: Any = tiny_model("gemma3")
    model.set_attn_implementation("tree")
    model(input_ids=torch.arange(12)[None], use_cache=False)
    assert any("local_size" in names for names in seen)


# -- quantizers ----------------------------------------------------------------------------------------------------------
def test_quantizer_hooks_are_there_and_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = ("_process_model_before_weight_loading", "_process_model_after_weight_loading")
    called: Counter[str] = Counter()
    for name in hooks:
        assert parameters(getattr(HfQuantizer, name)) == ["self", "model", "kwargs"]
        own = getattr(quantized.CpuQuantizer, name)

        def hook(self: Any, model: Any, own: Any = own, name: str = name, **kwargs: Any) -> Any:
            called[name] += 1
            return own(self, model, **kwargs)

        monkeypatch.setattr(quantized.CpuQuantizer, name, hook)
    assert parameters(HfQuantizer.is_serializable) == ["self"]
    assert isinstance(HfQuantizer.is_trainable, property)
    assert "hf_quantizer" in inspect.getsource(PreTrainedModel.save_pretrained)
    assert "all_tied_weights_keys" in inspect.getsource(inspect.getmodule(PreTrainedModel))  # type: ignore[arg-type]
    model = AutoModelForCausalLM.from_pretrained(save_tiny(tmp_path / "plain"))
    quantized.quantize_for_cpu(model, "cpu-int8")
    model.save_pretrained(tmp_path / "int8")
    assert not called
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "int8")
    assert called == Counter(hooks)
    assert isinstance(again.hf_quantizer, quantized.CpuQuantizer)


def test_bitsandbytes_says_whether_it_may_repack() -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes")
    layer = bitsandbytes.nn.Linear4bit(8, 8)
    assert layer.support_avx512bf16_for_cpu in (True, False)
    layer.support_avx512bf16_for_cpu = True
    keep_differentiable(nn.Sequential(layer))
    assert layer.support_avx512bf16_for_cpu is False


# -- peft ----------------------------------------------------------------------------------------------------------------
def test_peft_layers_are_made_of_the_parts_we_multiply(monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = get_peft_model(tiny_model(), LoraConfig(r=2, target_modules=["q_proj", "k_proj", "v_proj"]))
    layer = next(m for m in model.modules() if type(m) is LoraLinear)
    assert parameters(LoraLinear.forward) == ["self", "x", "args", "kwargs"]
    assert parameters(LoraLinear.get_delta_weight) == ["self", "adapter"]
    assert type(layer.base_layer) is nn.Linear
    assert layer.active_adapters == ["default"]
    assert layer.lora_A["default"].weight.shape == (2, layer.in_features)
    assert layer.lora_B["default"].weight.shape == (layer.base_layer.out_features, 2)
    assert layer.lora_B["default"].bias is None
    assert isinstance(layer.lora_dropout["default"], nn.Identity)
    assert isinstance(layer.scaling["default"], float)
    assert not layer.lora_variant
    assert (layer.merged, layer.disable_adapters) == (False, False)
    with model.disable_adapter():
        assert layer.disable_adapters is True
    calls: list[int] = []
    compute = lora._Group._compute
    monkeypatch.setattr(lora._Group, "_compute", lambda self, x: calls.append(1) or compute(self, x))
    assert lora.fuse_lora(model) == 3 * model.config.num_hidden_layers
    model(input_ids=torch.arange(5)[None])
    assert len(calls) == model.config.num_hidden_layers


# -- torch ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("operator", "schema"),
    [
        ("mkldnn._is_mkldnn_bf16_supported", "() -> bool"),
        ("mkldnn._reorder_linear_weight", "(Tensor self, int? batch_size=None) -> Tensor"),
        (
            "mkldnn._linear_pointwise",
            "(Tensor X, Tensor W, Tensor? B, str attr, Scalar?[] scalars, str? algorithm) -> Tensor",
        ),
        ("aten._int_mm", "(Tensor self, Tensor mat2) -> Tensor"),
        ("aten._convert_weight_to_int4pack_for_cpu", "(Tensor self, int innerKTiles) -> Tensor"),
        (
            "aten._weight_int4pack_mm_for_cpu",
            "(Tensor self, Tensor mat2, int qGroupSize, Tensor qScaleAndZeros) -> Tensor",
        ),
    ],
)
def test_torch_has_the_operators_we_call(operator: str, schema: str) -> None:
    room, name = operator.split(".")
    if room == "mkldnn" and not torch.backends.mkldnn.is_available():
        pytest.skip("this build of torch has no oneDNN")
    assert schema in str(getattr(getattr(torch.ops, room), name).default._schema)


def test_torch_offers_the_integer_product_by_itself() -> None:
    a = torch.ones(32, 64, dtype=torch.int8)
    assert int(torch._int_mm(a, a.t())[0, 0]) == 64


# -- servers -------------------------------------------------------------------------------------------------------------
def test_uvicorn_repeats_the_signals_it_caught() -> None:
    uvicorn = pytest.importorskip("uvicorn")
    assert parameters(uvicorn.Server.shutdown) == ["self", "sockets"]
    assert parameters(uvicorn.Server.capture_signals) == ["self"]
    server = uvicorn.Server(uvicorn.Config(lambda: None))
    assert server._captured_signals == []
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        for clears in (True, False):
            with server.capture_signals():
                signal.raise_signal(signal.SIGTERM)
                assert server._captured_signals == [signal.SIGTERM]
                if clears:
                    server._captured_signals.clear()
            assert heard == ([] if clears else [signal.SIGTERM])
    finally:
        signal.signal(signal.SIGTERM, before)


def test_gradio_keeps_sessions_where_we_drop_them() -> None:
    gradio = pytest.importorskip("gradio")
    with gradio.Blocks() as blocks:
        gradio.Textbox()
    holder = blocks.state_holder
    holder.session_data["a session"] = holder["another"]
    assert holder.session_data.pop("a session", None) is not None
    assert holder.session_data.pop("a session", None) is None


def test_a_kernel_of_torch_is_found_again_behind_another() -> None:
    """`kernels.products` puts others in front of them for a while."""
    own = torch.library.get_kernel("aten::mm", "CPU")
    key = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
    two = 2 * torch.eye(2)
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library.impl("mm", lambda a, b: own.call_boxed(key, a, b) + 1, "CPU")
    try:
        assert torch.equal(two @ two, 4 * torch.eye(2) + 1)
    finally:
        library._destroy()
    assert torch.equal(two @ two, 4 * torch.eye(2))


# -- nothing private is used that is not looked for above ----------------------------------------------------------------
def test_the_last_rates_of_a_scheduler() -> None:
    """`RateCallback` sets them for a run that goes on with another schedule."""
    weight = nn.Parameter(torch.zeros(1))
    scheduler = torch.optim.lr_scheduler.LambdaLR(torch.optim.SGD([weight], lr=0.5), lambda step: 1.0)
    scheduler._last_lr = [0.25]
    assert scheduler.get_last_lr() == [0.25]


PRIVATE = {
    "_C": "torch, for the key of a kernel",
    "_actions": "argparse: the flags of the scripts of old",
    "_attn_implementation": "transformers' config",
    "_captured_signals": "uvicorn",
    "_clip_grad_norm": "Trainer",
    "_convert_weight_to_int4pack_for_cpu": "torch",
    "_created_lr_scheduler": "Trainer",
    "_defer_fsdp_gradient_reduction": "Trainer",
    "_destroy": "torch.library",
    "_exit": "os, as its documentation says",
    "_fields": "NamedTuple, as its documentation says",
    "_get_num_items_in_batch": "Trainer",
    "_int_mm": "torch",
    "_is_mkldnn_bf16_supported": "torch",
    "_is_stateful": "transformers' models",
    "_last_lr": "torch's schedulers",
    "_linear_pointwise": "torch",
    "_load_from_checkpoint": "Trainer",
    "_make_rich_text": "typer",
    "_load_optimizer_and_scheduler": "Trainer",
    "_prepare_inputs": "Trainer",
    "_process_model_after_weight_loading": "HfQuantizer",
    "_process_model_before_weight_loading": "HfQuantizer",
    "_reorder_linear_weight": "torch",
    "_replace": "NamedTuple, as its documentation says",
    "_save_checkpoint": "Trainer",
    "_supports_attention_backend": "transformers' models",
    "_supports_sdpa": "transformers' models",
    "_weight_int4pack_mm_for_cpu": "torch",
    "_wrap": "rich",
}


def test_help_is_wrapped_by_what_we_replace() -> None:
    """By their sources: a test before this one may have replaced them."""
    from rich import _wrap
    from typer import rich_utils

    wrap, made = inspect.getsource(_wrap), inspect.getsource(rich_utils)
    assert r're_word = re.compile(r"\s*\S+\s*")' in wrap
    assert "re_word.match(text, position)" in wrap
    assert made.count("_make_rich_text(") > 3
    assert "def _make_rich_text(" in made


def private(name: object) -> bool:
    return isinstance(name, str) and name.startswith("_") and not name.startswith("__") and name != "_"


@cache
def modules() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SRC.rglob("*.py"))}


def defined(tree: ast.Module) -> Iterator[str]:
    """Private names that a module of ours makes: definitions, variables, fields, and what is set on self."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            yield node.attr


def read(tree: ast.Module) -> Iterator[str]:
    """Private names that a module asks an object, or another module, for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
            yield from (node.module or "").split(".")
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "hasattr", "setattr"):
            yield from (str(word.value) for word in node.args[1:2] if isinstance(word, ast.Constant))


def test_private_names_of_other_libraries_are_listed() -> None:
    trees = modules()
    ours = {name for tree in trees.values() for name in defined(tree)}
    foreign = {
        f"{name} ({path.relative_to(SRC)})"
        for path, tree in trees.items()
        for name in read(tree)
        if private(name) and name not in ours and name not in PRIVATE
    }
    assert not foreign, f"look for these in a test above and add them to PRIVATE: {sorted(foreign)}"


def overrides(base: type, known: str, tree: ast.Module) -> set[str]:
    """Private names of classes that name `base` as their base, which the source of `base` (`known`) has as well."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(ast.unparse(b).split(".")[-1] == base.__name__ for b in node.bases):
            names = set(defined(ast.Module(node.body, [])))
            found |= {n for n in names if private(n) and re.search(rf"\b{n}\b", known)}
    return found


@pytest.mark.parametrize("base", [Trainer, HfQuantizer, nn.Module], ids=lambda c: c.__name__)
def test_private_methods_that_override_are_listed(base: type) -> None:
    """A name of ours that the base class has by accident would be an override, too."""
    known = "".join(inspect.getsource(c) for c in base.__mro__ if c.__module__.split(".")[0] not in ("builtins", "abc"))
    found = {name for tree in modules().values() for name in overrides(base, known, tree)}
    assert found <= PRIVATE.keys()
    if base is Trainer:
        assert {"_created_lr_scheduler", "_save_checkpoint"} <= found


def test_every_listed_name_is_still_used() -> None:
    trees = modules().values()
    used = {name for tree in trees for name in (*read(tree), *defined(tree))}
    assert PRIVATE.keys() <= used
