"""Equal runs leave equal files: what a library keeps in a set is written in one order."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.stages import probe_logps
from tests.tiny import save_tiny

from medicalgpt.config.sections import LoraConfig, ModelConfig
from medicalgpt.export.save import _sort_sets, save_model
from medicalgpt.models import adapters
from medicalgpt.models.load import load
from medicalgpt.rendering.template import ChatTemplate

NAMES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SCRIPT = """
import sys
from pathlib import Path
from peft import LoraConfig
from medicalgpt.export.save import _sort_sets
names = sys.argv[2].split(",")
config = LoraConfig(target_modules=names, exclude_modules=names[:3], layers_to_transform=[3, 1, 2])
config.save_pretrained(sys.argv[1])
_sort_sets(Path(sys.argv[1]) / "adapter_config.json", vars(config))
"""


@pytest.mark.slow
def test_an_adapters_config_is_the_same_in_every_process(tmp_path: Path) -> None:
    texts = set()
    for seed in ("1", "2"):
        place = tmp_path / seed
        command = [sys.executable, "-c", SCRIPT, str(place), ",".join(NAMES)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
        texts.add((place / "adapter_config.json").read_bytes())
    (text,) = texts
    written = json.loads(text)
    assert written["target_modules"] == sorted(NAMES)
    assert written["exclude_modules"] == sorted(NAMES[:3])
    assert written["layers_to_transform"] == [3, 1, 2]  # a list has an order of its own


def test_what_is_no_set_keeps_its_order(tmp_path: Path) -> None:
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps({"a": ["y", "x"], "b": ["y", "x"], "c": None}), encoding="utf-8")
    _sort_sets(file, {"a": {"x", "y"}, "b": ["y", "x"], "c": set(), "d": {"x"}})
    assert json.loads(file.read_text(encoding="utf-8")) == {"a": ["x", "y"], "b": ["y", "x"], "c": None}


@pytest.mark.parametrize("tied", [True, False])
def test_an_adapter_on_the_head_is_saved_without_the_base_and_old_ones_load(tmp_path: Path, tied: bool) -> None:
    base = save_tiny(tmp_path / "base", tie_word_embeddings=tied)
    config, lora = (
        ModelConfig(base=str(base), dtype="float32"),
        LoraConfig(rank=2, target_modules=["q_proj", "lm_head"]),
    )
    loaded = load(config, lora=lora)
    for name, parameter in adapters.trainable(loaded.model).items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    wanted = probe_logps(loaded.model)
    save_model(tmp_path / "new", loaded, ChatTemplate.load(loaded.tokenizer))
    # As versions before this one did, by peft's own choice.
    adapters.peft_model(loaded.model).save_pretrained(str(tmp_path / "old"), save_embedding_layers=True)
    new, old = ((tmp_path / name / "adapter_model.safetensors").stat().st_size for name in ("new", "old"))
    assert new < 20_000
    assert old > new + 4 * 32 * 400
    for name in ("new", "old"):
        again = load(config.model_copy(update={"adapter": str(tmp_path / name)}))
        torch.testing.assert_close(probe_logps(again.model), wanted)


def test_a_tokenizer_is_saved_alike_with_a_network_and_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, written = save_tiny(tmp_path / "base"), []
    for name, offline in (("with", False), ("without", True)):
        monkeypatch.setattr("transformers.tokenization_utils_base.is_offline_mode", lambda offline=offline: offline)
        loaded = load(ModelConfig(base=str(base)))
        folder = tmp_path / name
        folder.mkdir()
        save_model(folder, loaded, ChatTemplate.load(loaded.tokenizer))
        written.append((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert written[0] == written[1]
    assert "local" not in written[0]
