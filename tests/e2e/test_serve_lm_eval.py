"""lm-evaluation-harness asks a server (`local-completions`: prompts echoed) and finds what our own evaluation finds."""

from pathlib import Path

import pytest
import torch
from tests.harness import SUBJECTS, ours, theirs, write_ward
from tests.serving import running
from tests.tiny import save_tiny

from medicalgpt.generate.engine import Engine
from medicalgpt.generate.live.engine import BatchingEngine
from medicalgpt.serve.api.service import Service


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "shots", "texts", "how"),
    [
        ("llama", 2, False, {}),
        ("qwen3", 0, True, {"batch_size": 4, "num_concurrent": 3}),
        ("gemma2", 2, True, {"batch_size": 2, "tokenized_requests": False}),  # soft-capped logits
    ],
)
def test_a_server_is_evaluated_as_the_model_is(
    kind: str, shots: int, texts: bool, how: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Log-likelihoods within 1e-3, and accuracies to the digit."""
    pytest.importorskip("lm_eval")
    pytest.importorskip("tenacity", reason="lm-eval's API models need tenacity: pip install -e '.[dev]'")
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    folder = write_ward(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(folder / "cache"))
    model = save_tiny(folder / "model", kind)
    mine = ours(folder, model, shots, texts)
    engine = Engine.open(str(model), dtype="float32")
    with BatchingEngine(engine, slots=4) as live, running(Service(live, ("ward",))) as server:
        url = f"{server.url}/v1/completions"
        lm = LocalCompletionsAPI(
            base_url=url, model="ward", tokenizer=str(model), tokenizer_backend="huggingface", **how
        )
        found, accuracies = theirs(folder, lm, shots, texts)
    for subject in SUBJECTS:
        a, b = torch.tensor(mine[subject]), torch.tensor(found[subject])
        assert a.shape == b.shape == (7, 4)
        torch.testing.assert_close(a, b, rtol=0, atol=1e-3)
        right = [row.argmax().item() == n % 4 for n, row in enumerate(a)]
        assert accuracies[subject] == sum(right) / 7
        assert a.std() > 0  # not all alike, or any order would do
