"""Whether a short prompt may be padded beside a long one, as the model itself answers."""

from typing import Any

import pytest
import torch
from tests.tiny import tiny_model
from tests.zoo import zoo_model

from medicalgpt.generate.backends.padding import takes_padding
from medicalgpt.generate.backends.transformers import TransformersBackend
from medicalgpt.generate.sampling import Sampling


def widths(model: Any) -> list[int]:
    """Rows of each forward pass over a prompt."""
    seen: list[int] = []
    model.register_forward_pre_hook(lambda *call: seen.append(len(call[2]["input_ids"])), with_kwargs=True)
    TransformersBackend(model, [], 3).run([[5] * 9, [6] * 4], Sampling(1), [[0], [1]], batch_size=2)
    return seen


@pytest.mark.parametrize(("kind", "pads"), [("bloom", True), ("falcon", True), ("minimax", False), ("mamba", False)])
def test_only_models_that_tell_padding_from_text_get_any(kind: str, pads: bool) -> None:
    model = zoo_model(kind).eval()
    assert takes_padding(model, 3) == pads
    assert widths(model) == ([2] if pads else [1, 1])


def test_padding_that_a_model_cannot_read_is_none() -> None:
    model = tiny_model("bloom").eval()
    forward = model.forward

    def refuses(*args: Any, attention_mask: torch.Tensor, **kwargs: Any) -> Any:
        if not bool(attention_mask.all()):
            raise ValueError("no padding here")
        return forward(*args, attention_mask=attention_mask, **kwargs)

    model.forward = refuses
    assert not takes_padding(model, 3)
