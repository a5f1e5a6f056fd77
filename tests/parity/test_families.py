"""Every architecture of the zoo, from a folder through training, merging and answering, against plain transformers."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.marks import quick_and_slow
from tests.tiny import tiny_tokenizer
from tests.trees import CHAIN, PAIR, THREE_LEVELS, assert_same_gradients, gradients, grow, logps_alone
from tests.zoo import CHINESE, save_member, table, transformers_class
from tests.zoo_families import FAMILIES, RARE, experts
from torch import nn
from transformers import AutoConfig

from medicalgpt.config.loader import load as load_config
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.sections import LoraConfig, ModelConfig
from medicalgpt.data.records import Message
from medicalgpt.export.merge import merge_adapter_checked
from medicalgpt.export.save import save_model
from medicalgpt.generate.backends.decoder.backend import Decoder
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.models.adapters import attach, trainable
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.load import Loaded, load
from medicalgpt.objectives.language import SupervisedFineTuning
from medicalgpt.rendering.batch import pack_trees, pad_trees
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.training.policy import as_policy
from medicalgpt.training.supervised.module import StageModule

LORA = LoraConfig(rank=4, alpha=8)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "families.md"
QUESTIONS = ("What is a fever?", "高血壓的症狀?")
TREES = [grow(shape, len(tiny_tokenizer()), seed) for seed, shape in enumerate((PAIR, CHAIN, THREE_LEVELS))]


def plain(folder: Path) -> Any:
    """The model as its authors wrote it."""
    kind = transformers_class(AutoConfig.from_pretrained(folder))
    return kind.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()


def with_adapter(base: Path) -> nn.Module:
    """A plain model with an adapter that has learned something: with B = 0 no gradient would reach A."""
    model = attach(plain(base), LORA, None, quantized=False)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in trainable(model).items():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=random) * 0.05)
    return model


def step(loaded: Loaded, batching: str, loss: torch.Tensor, slopes: dict[str, torch.Tensor]) -> None:
    """One optimizer step on the trees, whose loss and gradients must be those of the branches one by one."""
    config = load_config(stage_schema("sft"), None, ["data.train=[x.jsonl]", "output_dir=x"]).value
    policy, note = as_policy(loaded, config)
    assert policy.batching == batching, note
    batch = (pack_trees if batching == "tree" else pad_trees)(TREES)
    module = StageModule(policy, SupervisedFineTuning()).train()
    learned = trainable(loaded.model)
    optimizer = torch.optim.AdamW(learned.values(), lr=1e-3)
    out = module(batch)
    first = out["sum"] / out["count"]
    torch.testing.assert_close(first.detach(), loss, rtol=0, atol=1e-4)
    first.backward()
    assert_same_gradients({name: p.grad for name, p in learned.items() if p.grad is not None}, slopes)
    assert min(float(p.grad.abs().max()) for p in learned.values()) > 0
    optimizer.step()
    with torch.no_grad():
        out = module(batch)
    assert out["sum"] / out["count"] < first


def answers_of(model: Any, prompts: list[list[int]], stops: list[int]) -> list[list[int]]:
    found = []
    for ids in prompts:
        settings = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": stops, "pad_token_id": 3}
        out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), **settings)
        found.append(out[0, len(ids) :].tolist())
    return found


@pytest.mark.parametrize("kind", quick_and_slow([k for k in FAMILIES if k not in RARE.split()], RARE.split()))
def test_a_family_learns_merges_and_answers(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    family = FAMILIES[kind]
    base = save_member(tmp_path / "base", kind)
    adapted = with_adapter(base)
    code = sys.modules[type(unwrap(adapted)).__module__]
    if rotary := getattr(code, "apply_rotary_pos_emb", None):
        monkeypatch.setattr(
            code, "apply_rotary_pos_emb", rotary
        )  # training swaps it for all models; put back afterwards
    mixture = any(name.endswith("experts") for name, _ in unwrap(adapted).named_modules())
    reached = any(".experts." in name and ".router." not in name for name in trainable(adapted))
    assert experts(kind) == (reached if mixture else None)

    logps, weights = logps_alone(adapted, TREES)
    loss = -(logps * weights).sum() / weights.sum()
    slopes = gradients(adapted, loss)
    adapted.save_pretrained(tmp_path / "adapter")

    config = ModelConfig(base=str(base), adapter=str(tmp_path / "adapter"), dtype="float32")
    loaded = load(config, lora=LORA)
    step(loaded, family.batching, loss.detach(), slopes)

    loaded.model, certificate = merge_adapter_checked(loaded.model)
    assert certificate.worst.max_abs_delta <= certificate.tolerance.max_abs_delta
    save_model(tmp_path / "merged", loaded, ChatTemplate.load(loaded.tokenizer))
    engine = Engine.open(str(tmp_path / "merged"), dtype="float32")
    assert isinstance(engine.backend, Decoder) == family.decoder
    turns = [[Message("user", text)] for text in QUESTIONS]
    found = engine.generate(turns, Sampling(max_new_tokens=8))
    prompts = [engine.template.prompt_ids(t) for t in turns]
    assert [c.token_ids for c in found] == answers_of(plain(tmp_path / "merged"), prompts, engine.stop_ids)


def test_the_pages_say_what_is_tested() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert table() in page, f"put this into {PAGE}:\n{table()}"
    assert all(family.why in page.partition("## What the reasons mean")[2] for family in FAMILIES.values())
    chinese = (PAGE.parent / "zh-CN" / PAGE.name).read_text(encoding="utf-8")
    assert table(CHINESE) in chinese, f"put this into the page in 简体中文:\n{table(CHINESE)}"
    reasons = chinese.partition("## 原因是什么意思")[2]
    assert all(CHINESE.get(family.why, family.why) in reasons for family in FAMILIES.values())
    kinds = len({family.model_type or kind for kind, family in FAMILIES.items()})
    assert f"The {kinds} model types" in page
    for name in ("README.md", "README.zh-CN.md", "README.zh-TW.md", "CHANGELOG.md"):
        assert f"{kinds} " in (PAGE.parents[1] / name).read_text(encoding="utf-8"), name
