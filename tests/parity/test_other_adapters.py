"""Adapters of other kinds than LoRA that peft made: read, answered with, trained on and merged as peft's own model is."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    HRAConfig,
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    OFTConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptTuningConfig,
    VeraConfig,
    get_peft_model,
)
from safetensors.torch import load_file
from tests.marks import quick_and_slow
from tests.stages import SMALL, dialogues, write
from tests.tiny import save_tiny, tiny_tokenizer
from transformers import AutoModelForCausalLM

from medicalgpt.config.loader import load as load_config
from medicalgpt.config.sections import LoraConfig, ModelConfig
from medicalgpt.config.stages import SftConfig
from medicalgpt.data.records import Message
from medicalgpt.errors import ModelError
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.models.load import load
from medicalgpt.models.merge import merge_adapter
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.probe import probe, probe_trees
from medicalgpt.models.trial import Trial
from medicalgpt.rendering.batch import pack_trees
from medicalgpt.training.stage import run_stage

_ON: Any = {"target_modules": ["q_proj", "v_proj", "down_proj"], "task_type": "CAUSAL_LM"}
KINDS = {
    "OFT": OFTConfig(r=0, oft_block_size=8, **_ON),
    "IA3": IA3Config(feedforward_modules=["down_proj"], **_ON),
    "LOHA": LoHaConfig(r=4, alpha=8, **_ON),
    "LOKR": LoKrConfig(r=4, alpha=8, **_ON),
    "HRA": HRAConfig(r=4, **_ON),
    "VERA": VeraConfig(r=8, target_modules=["q_proj", "o_proj"], task_type="CAUSAL_LM"),
}
BEFORE_THE_TEXT = {
    "PROMPT_TUNING": PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"),
    "PREFIX_TUNING": PrefixTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"),
}
pytestmark = pytest.mark.filterwarnings("ignore:The PEFT config's `base_model_name_or_path` was renamed")
OF_KINDS = pytest.mark.parametrize("kind", quick_and_slow(["OFT", "IA3"], ["LOHA", "LOKR", "HRA", "VERA"]))


def plain(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def adapter(base: Path, folder: Path, config: Any) -> Any:
    """An adapter as peft saves it, with numbers in it that move the model; peft's own model with it on."""
    torch.manual_seed(0)
    made = get_peft_model(plain(base), config)
    for parameter in made.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    made.save_pretrained(folder)
    return PeftModel.from_pretrained(plain(base), folder, is_trainable=True).eval()


@OF_KINDS
def test_it_answers_and_is_merged_as_peft_s_own(kind: str, tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    theirs = adapter(base, tmp_path / kind, KINDS[kind])
    engine = Engine.open(str(tmp_path / kind), dtype="float32")
    turns = [Message("user", "What is a fever?")]
    (found,) = engine.generate([turns], Sampling(max_new_tokens=12, temperature=0.0))
    ids = torch.tensor([engine.template.prompt_ids(turns)])
    with torch.no_grad():
        wanted = theirs.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
        assert (theirs(ids).logits - plain(base)(ids).logits).abs().max() > 0.1, "it moves the model"
        logits = theirs(ids).logits
    assert [*found.token_ids] == wanted[0, ids.shape[1] :].tolist()[: len(found.token_ids)]
    merged: Any = merge_adapter(load(ModelConfig(base=str(tmp_path / kind), dtype="float32")).model)
    with torch.no_grad():
        torch.testing.assert_close(merged(ids).logits, logits, atol=1e-5, rtol=0)


@OF_KINDS
def test_its_gradient_in_packed_rows_is_peft_s(kind: str, tmp_path: Path) -> None:
    theirs = adapter(save_tiny(tmp_path / "base"), tmp_path / kind, KINDS[kind])
    ours = load(ModelConfig(base=str(tmp_path / kind), dtype="float32"), lora=LoraConfig()).model
    assert probe(ours, trial=Trial(backward=True)).batching == "tree"
    trees = probe_trees(len(tiny_tokenizer()))
    CausalPolicy(ours, "tree", chunked_head=True).logps(pack_trees(trees))[0].sum().backward()
    for tree in trees:
        for leaf in tree.leaves:
            ids, weights = (torch.tensor(part) for part in tree.path(leaf))
            logps = theirs(ids[None].long()).logits.log_softmax(-1)[0, :-1]
            (logps.gather(1, ids[1:, None].long())[:, 0] * weights[1:]).sum().backward()
    wanted = {name: p.grad for name, p in theirs.named_parameters() if p.requires_grad}
    found = {name: p.grad for name, p in ours.named_parameters() if p.requires_grad}
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-4, rtol=1e-3)


@OF_KINDS
def test_it_is_trained_on_and_keeps_its_kind(kind: str, tmp_path: Path) -> None:
    base, data = save_tiny(tmp_path / "base"), write(tmp_path / "rows.jsonl", dialogues(8))
    adapter(base, tmp_path / kind, KINDS[kind])
    words = [f"model.base={base}", f"model.adapter={tmp_path / kind}", f"data.train=[{data}]"]
    done = run_stage(
        load_config(SftConfig, None, [*words, f"output_dir={tmp_path / 'run'}", *SMALL, "data.eval_fraction=0"])
    )
    assert done.status == "finished"
    saved = json.loads((tmp_path / "run/model/adapter_config.json").read_text(encoding="utf-8"))
    assert saved["peft_type"] == kind
    before, after = (load_file(one / "adapter_model.safetensors") for one in (tmp_path / kind, tmp_path / "run/model"))
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("kind", BEFORE_THE_TEXT)
def test_tokens_before_the_text_are_refused(kind: str, tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    get_peft_model(plain(base), BEFORE_THE_TEXT[kind]).save_pretrained(tmp_path / kind)
    with pytest.raises(
        ModelError, match=f"of kind {kind}, which puts tokens of its own before every text; allowed are"
    ):
        load(ModelConfig(base=str(tmp_path / kind)))
