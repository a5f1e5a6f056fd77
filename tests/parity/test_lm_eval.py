"""Choices and log-likelihoods against lm-evaluation-harness, run offline on the same local files."""

from pathlib import Path

import pytest
import torch
from tests.harness import SUBJECTS, ours, theirs, write_ward
from tests.marks import quick_and_slow
from tests.tiny import save_tiny
from transformers import AutoModelForCausalLM, AutoTokenizer


@pytest.mark.parametrize(
    ("kind", "shots", "texts"), quick_and_slow([("gemma3", 2, False)], [("qwen3", 0, False), ("qwen3", 2, True)])
)
def test_every_likelihood_is_that_of_the_harness(
    kind: str, shots: int, texts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval")
    from lm_eval.models.huggingface import HFLM

    folder = write_ward(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(folder / "cache"))
    model = save_tiny(folder / "model", kind)
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    lm = HFLM(pretrained=loaded, tokenizer=AutoTokenizer.from_pretrained(model), batch_size=3, device="cpu")
    a, (b, _) = ours(folder, model, shots, texts), theirs(folder, lm, shots, texts)
    for subject in SUBJECTS:
        first, second = torch.tensor(a[subject]), torch.tensor(b[subject])
        assert first.shape == second.shape == (7, 4)
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-4)
        assert first.argmax(1).tolist() == second.argmax(1).tolist()
