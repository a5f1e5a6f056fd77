"""The probe runs what will train: its number type, its backward pass, through whatever wraps it."""

from typing import Any

import pytest
import torch
from tests.tiny import tiny_model

from medicalgpt.kernels import attention
from medicalgpt.models.probe import probe
from medicalgpt.models.reward import probe_scores
from medicalgpt.models.trial import PLAIN, Outcome, Trial

TRAINS = Trial(backward=True)


def enabled(**extra: Any) -> Any:
    model = tiny_model(**extra)
    attention.enable(model)
    return model


class _NoWayBack(torch.autograd.Function):
    """A kernel without a backward pass, as FlexAttention's on some cards."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no kernel image is available")


class _Halved(torch.autograd.Function):
    """A kernel whose forward pass is right and whose gradient is not."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return grad / 2


@pytest.mark.parametrize(
    ("kernel", "reason"),
    [(_NoWayBack, "does not run on this model (RuntimeError)"), (_Halved, "has a gradient of length")],
)
def test_a_kernel_with_a_wrong_backward_pass_is_not_trained_with(
    kernel: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = attention.by_segment
    monkeypatch.setattr(attention, "by_segment", lambda *args: kernel.apply(whole(*args)))
    assert probe(enabled()).batching == "tree", "nothing is trained here"
    found = probe(enabled(), trial=TRAINS)
    assert found.batching == "padded"
    assert f"tree batching {reason}" in found.reason


def test_nothing_is_left_of_the_trial() -> None:
    model = enabled()
    state = torch.random.get_rng_state()
    assert probe(model, trial=TRAINS).batching == "tree"
    assert [n for n, p in model.named_parameters() if p.grad is not None] == []
    assert model.training
    assert torch.equal(torch.random.get_rng_state(), state), "a run's dropout would be another one"


def test_frozen_models_are_tried_without_a_backward_pass() -> None:
    model = enabled().requires_grad_(False)
    assert probe(model, trial=TRAINS).batching == "tree"


def test_the_trial_runs_in_the_type_of_training_and_through_what_wraps_the_model() -> None:
    model, seen = enabled(), list[tuple[bool, torch.dtype]]()

    def run(forward: Any) -> Any:
        seen.append((torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")))
        return forward()

    found = probe(model, trial=Trial(torch.bfloat16, True, run))
    assert found.batching == "tree", found.reason
    assert len(seen) == 3  # the plain way, the chunked head, trees
    assert set(seen) == {(True, torch.bfloat16)}


def test_scorers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.tiny import tiny_config
    from transformers import AutoModelForSequenceClassification

    config = tiny_config()
    config.num_labels = 1
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config).float()
    attention.enable(model)
    assert probe_scores(model, trial=TRAINS).batching == "tree"
    whole = attention.by_segment
    monkeypatch.setattr(attention, "by_segment", lambda *args: _NoWayBack.apply(whole(*args)))
    assert probe_scores(model, trial=TRAINS).batching == "padded"


def test_what_is_rounding_and_what_is_not() -> None:
    truth = Outcome(torch.zeros(3), 2.0)
    near = Outcome(torch.full((3,), 9e-4), 2.01)
    assert near.objection(truth, torch.float32, "log-probability") == ""
    assert "differs by 0.002" in Outcome(torch.full((3,), 2e-3), 2.0).objection(truth, torch.float32, "score")
    assert "gradient of length 2.1" in Outcome(torch.zeros(3), 2.1).objection(truth, torch.float32, "score")
    assert "differs by nan" in Outcome(torch.full((3,), torch.nan), 2.0).objection(truth, torch.float32, "score")
    assert "gradient of length nan" in Outcome(torch.zeros(3), float("nan")).objection(truth, torch.float32, "score")
    assert Trial(None, False) == PLAIN
