"""Every optimizer against numbers worked out apart from it, on the weights that are its own, and the same after a resume."""

import io
import math

import pytest
import torch
from tests.tiny import tiny_model
from torch import nn

from medicalgpt.config.loader import load
from medicalgpt.config.sections import LoraConfig
from medicalgpt.config.stages import SftConfig
from medicalgpt.errors import ConfigError
from medicalgpt.kernels.eight_bit import LEAST
from medicalgpt.models.adapters import attach, trainable
from medicalgpt.training.optimizers import Group, optimizer_of, require_optimizer, token_weights
from medicalgpt.training.reached import Movement
from medicalgpt.training.sharding import sharding_of

OTHERS = ("adamw_8bit", "adafactor", "muon", "galore")
SMALL = {"galore": ("train.galore_rank=3", "train.galore_interval=2")}
"""Of an optimizer that would take no weight as small as these."""


def config(*words: str) -> SftConfig:
    return load(SftConfig, None, ["data.train=rows.jsonl", "output_dir=run", *words]).value


def built(
    named: dict[str, nn.Parameter], *words: str, rate: float = 0.1, decay: float = 0.0, rows: tuple[str, ...] = ()
) -> torch.optim.Optimizer:
    """One group over `named`, of which `rows` are embeddings or heads."""
    return optimizer_of(config(*words, *small(*words)), [Group(named, rate, decay)], {id(named[name]) for name in rows})


def small(*words: str) -> tuple[str, ...]:
    """What small weights need besides."""
    return next((SMALL[name] for name in SMALL if f"train.optimizer={name}" in words), ())


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_adamw_takes_the_step_of_its_paper() -> None:
    weight = nn.Parameter(torch.tensor([2.0]))
    optimizer = built(
        {"w": weight}, "train.adam_beta1=0.8", "train.adam_beta2=0.9", "train.adam_epsilon=0.5", decay=0.1
    )
    for gradient in (1.0, -3.0):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
    # m = 0.2, then 0.16 − 0.6 = −0.44; v = 0.1, then 0.09 + 0.9 = 0.99; both divided by 1 − βᵗ.
    first = 2.0 * (1 - 0.1 * 0.1) - 0.1 * 1.0 / (1.0 + 0.5)
    second = first * (1 - 0.1 * 0.1) - 0.1 * (-0.44 / 0.36) / (math.sqrt(0.99 / 0.19) + 0.5)
    assert weight.item() == pytest.approx(second, abs=1e-6)


def test_adafactor_is_its_paper_in_float64() -> None:
    """arXiv 1804.04235, algorithms 4 and 5 with a learning rate that is given, written out in float64."""
    matrix, vector = nn.Parameter(noise(5, 3)), nn.Parameter(noise(4, seed=1))
    optimizer = built({"m": matrix, "v": vector}, "train.optimizer=adafactor", rate=0.01)
    held = {"m": matrix.detach().double(), "v": vector.detach().double()}
    rows, columns, whole = torch.zeros(5).double(), torch.zeros(3).double(), torch.zeros(4).double()
    for step in (1, 2, 3):
        beta, grads = 1 - step**-0.8, {"m": noise(5, 3, seed=10 + step), "v": noise(4, seed=20 + step)}
        squares = {name: g.double() ** 2 + 1e-30 for name, g in grads.items()}
        rows = beta * rows + (1 - beta) * squares["m"].sum(1)
        columns = beta * columns + (1 - beta) * squares["m"].sum(0)
        whole = beta * whole + (1 - beta) * squares["v"]
        second = {"m": torch.outer(rows, columns) / rows.sum(), "v": whole}
        for name in held:
            update = grads[name].double() / second[name].sqrt()
            held[name] -= 0.01 * update / max(1.0, update.square().mean().sqrt().item())
        matrix.grad, vector.grad = grads["m"], grads["v"]
        optimizer.step()
    torch.testing.assert_close(matrix.detach().double(), held["m"], atol=1e-5, rtol=0)
    torch.testing.assert_close(vector.detach().double(), held["v"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(7, 5), (5, 7)])
def test_galore_is_its_paper_in_float64(shape: tuple[int, int]) -> None:
    """arXiv 2403.03507, algorithm 2 with AdamW, written out in float64: new directions at the steps 1, 3 and 6."""
    matrix, bias = nn.Parameter(noise(*shape)), nn.Parameter(noise(4, seed=1))
    twin = nn.Parameter(bias.detach().clone())
    words = ("train.optimizer=galore", "train.galore_rank=2", "train.galore_interval=3", "train.galore_scale=0.5")
    optimizer = optimizer_of(config(*words), [Group({"m": matrix, "b": bias}, 0.1, 0.2)], set())
    plain, tall = torch.optim.AdamW([twin], lr=0.1, weight_decay=0.2), shape[0] >= shape[1]
    wanted = matrix.detach().double()
    first, second = torch.zeros(1).double(), torch.zeros(1).double()
    for step in range(1, 8):
        matrix.grad, twin.grad = noise(*shape, seed=10 + step), noise(4, seed=30 + step)
        bias.grad = twin.grad.clone()
        gradient = matrix.grad.double() if tall else matrix.grad.double().T
        if step == 1 or step % 3 == 0:
            directions = torch.linalg.svd(gradient, full_matrices=False).Vh[:2]
        # Signs of singular vectors are free, and the moments go on with new ones: take the library's.
        held = optimizer.state[matrix].get("projection")
        optimizer.step()
        now = optimizer.state[matrix]["projection"].double()
        now = now if tall else now.T
        signs = (now * directions).sum(1).sign()
        torch.testing.assert_close(now, signs[:, None] * directions, atol=1e-5, rtol=0)
        assert held is None or step % 3 == 0 or torch.equal(held, optimizer.state[matrix]["projection"])
        low = gradient @ now.T
        first, second = 0.9 * first + 0.1 * low, 0.999 * second + 0.001 * low**2
        update = (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8) @ now * 0.5
        wanted = (wanted - 0.1 * (update if tall else update.T)) * (1 - 0.1 * 0.2)
        plain.step()
    torch.testing.assert_close(matrix.detach().double(), wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(bias, twin, atol=0, rtol=0)


def test_galore_keeps_tensors_alone_between_steps() -> None:
    named = {"m": nn.Parameter(noise(8, 6)), "still": nn.Parameter(noise(8, 6))}
    optimizer = built(named, "train.optimizer=galore")
    named["m"].grad = noise(8, 6, seed=1)
    optimizer.step()
    assert set(optimizer.state) == {named["m"]}
    assert {name: tuple(v.shape) for name, v in optimizer.state[named["m"]].items()} == {
        "exp_avg": (8, 3),
        "exp_avg_sq": (8, 3),
        "projection": (3, 6),
    }


def test_galore_needs_a_matrix_of_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {"adapter": nn.Parameter(noise(8, 64)), "rows": nn.Parameter(noise(64, 64))}
    said = r"more than train\.galore_rank=8 rows and columns.*Set lora\.enabled=false, a lower galore_rank or optimizer=adamw"
    with pytest.raises(ConfigError, match=said):
        optimizer_of(
            config("train.optimizer=galore", "train.galore_rank=8"),
            [Group(weights, 0.1, 0.0)],
            {id(weights["rows"])},
        )
    monkeypatch.setattr("medicalgpt.kernels.galore.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'medicalgpt\[galore\]'"):
        require_optimizer("galore")


def newton_schulz(x: torch.Tensor) -> torch.Tensor:
    """Five steps of the quintic, in float64 on the singular values themselves."""
    u, s, v = torch.linalg.svd(x / x.norm(), full_matrices=False)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return u @ torch.diag(s) @ v


def test_muon_orthogonalizes_hidden_matrices_and_leaves_the_rest_to_adamw() -> None:
    hidden, embedding, bias = (nn.Parameter(noise(*s, seed=i)) for i, s in enumerate(((8, 4), (6, 4), (4,))))
    twins = [nn.Parameter(p.detach().clone()) for p in (embedding, bias)]
    named = {"hidden": hidden, "embedding": embedding, "bias": bias}
    optimizer = built(named, "train.optimizer=muon", rate=0.02, decay=0.5, rows=("embedding",))
    plain = torch.optim.AdamW(twins, lr=0.02, weight_decay=0.5)
    wanted, momentum = hidden.detach().double(), torch.zeros(8, 4).double()
    for step in (1, 2, 3):
        hidden.grad = noise(8, 4, seed=10 + step)
        momentum += 0.05 * (hidden.grad.double() - momentum)
        update = hidden.grad.double() + 0.95 * (momentum - hidden.grad.double())
        wanted = wanted * (1 - 0.02 * 0.5) - 0.02 * 0.2 * math.sqrt(8) * newton_schulz(update)
        for one, other in zip((embedding, bias), twins):
            one.grad = other.grad = noise(*one.shape, seed=20 + step)
        optimizer.step()
        plain.step()
    # torch iterates in bfloat16, whose steps are 2⁻⁸ of a number; a step is about 0.011 a weight.
    torch.testing.assert_close(hidden.detach().double(), wanted, atol=6e-4, rtol=0)
    assert (hidden.detach() - noise(8, 4)).abs().mean() > 0.01
    for one, other in zip((embedding, bias), twins):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_eight_bits_begin_like_adamw_and_stay_near_it() -> None:
    """The first step rounds nothing: moments become bytes after it."""
    start = noise(64, 64)
    eight, plain = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizer = built({"w": eight}, "train.optimizer=adamw_8bit", rate=1e-3)
    reference = torch.optim.AdamW([plain], lr=1e-3, weight_decay=0.0)
    for step in range(30):
        eight.grad, plain.grad = (noise(64, 64, seed=100) + noise(64, 64, seed=step) for _ in range(2))
        optimizer.step()
        reference.step()
        if step == 0:
            torch.testing.assert_close(eight, plain, atol=1e-6, rtol=0)
    assert optimizer.state[eight]["state1"].dtype is torch.uint8
    moved, wanted = (eight - start).flatten(), (plain - start).flatten()
    assert torch.cosine_similarity(moved, wanted, dim=0) > 0.995
    assert not torch.equal(moved, wanted)


def test_small_weights_and_tokens_keep_whole_moments() -> None:
    named = {"large": nn.Parameter(noise(LEAST)), "small": nn.Parameter(noise(8)), "rows": nn.Parameter(noise(LEAST))}
    optimizer = built(named, "train.optimizer=adamw_8bit", rows=("rows",))
    for weight in named.values():
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert {name for name, weight in named.items() if "state1" in optimizer.state[weight]} == {"large"}
    assert optimizer.state[named["rows"]]["exp_avg"].dtype is torch.float32


@pytest.mark.parametrize("tied", [True, False])
def test_embeddings_and_heads_are_found(tied: bool) -> None:
    model = tiny_model(tie_word_embeddings=tied)
    found = token_weights(model)
    assert {n for n, p in model.named_parameters() if id(p) in found} == {
        "model.embed_tokens.weight",
        *([] if tied else ["lm_head.weight"]),
    }


def test_adapters_on_embeddings_and_heads_are_found() -> None:
    lora = LoraConfig(target_modules=["embed_tokens", "lm_head", "q_proj"])
    model = attach(tiny_model(tie_word_embeddings=False), lora, None, quantized=False)
    found = token_weights(model)
    left = {n for n, p in trainable(model).items() if id(p) not in found}
    assert len(left) == 4  # A and B of two layers
    assert all(".q_proj." in name for name in left)


def steps(optimizer: torch.optim.Optimizer, named: dict[str, nn.Parameter], first: int, count: int) -> None:
    for step in range(first, first + count):
        for number, weight in enumerate(named.values()):
            weight.grad = noise(*weight.shape, seed=50 * step + number).to(weight.dtype)
        optimizer.step()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["adamw", *OTHERS])
def test_a_checkpoint_brings_back_the_very_state(name: str, dtype: torch.dtype) -> None:
    """Also where weights are shorter than their moments, which torch would shorten when it reads them."""

    def fresh() -> dict[str, nn.Parameter]:
        shapes = ((64, 80), (16, 8), (5,))
        return {str(i): nn.Parameter(noise(*s, seed=i).to(dtype)) for i, s in enumerate(shapes)}

    whole = fresh()
    steps(built(whole, f"train.optimizer={name}"), whole, 0, 6)
    broken = fresh()
    optimizer = built(broken, f"train.optimizer={name}")
    steps(optimizer, broken, 0, 3)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    again = built(broken, f"train.optimizer={name}")
    again.load_state_dict(torch.load(file, weights_only=True))
    steps(again, broken, 3, 3)
    for one, other in zip(whole.values(), broken.values()):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


@pytest.mark.parametrize("name", ["adamw", *OTHERS])
def test_a_weight_without_gradient_is_seen_in_the_moments(name: str) -> None:
    named = {"moved": nn.Parameter(noise(64, 64)), "still": nn.Parameter(noise(64, 64, seed=1))}
    optimizer = built(named, f"train.optimizer={name}", decay=0.1)
    movement = Movement(named)
    for _ in range(2):
        named["moved"].grad, named["still"].grad = noise(64, 64, seed=2), torch.zeros(64, 64)
        optimizer.step()
    (said,) = movement.findings(2, optimizer)
    assert said.startswith("1 of 2 trained weights did not change in 2 steps but by weight decay: still")


@pytest.mark.parametrize("name", ["adamw", *OTHERS])
def test_lora_plus_lets_b_learn_faster(name: str) -> None:
    model = attach(tiny_model(), LoraConfig(rank=4, plus_ratio=16), None, quantized=False)
    named = trainable(model)
    words = (f"train.optimizer={name}", "lora.plus_ratio=16")
    optimizer = optimizer_of(config(*words, *small(*words)), [Group(named, 1e-3, 0.0)], token_weights(model))
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {rates[id(p)] for n, p in named.items() if ".lora_A." in n} == {1e-3}
    assert {rates[id(p)] for n, p in named.items() if ".lora_B." in n} == {16 * 1e-3}
    assert len(rates) == len(named)
    assert optimizer.param_groups[0]["lr"] == 1e-3  # of which the log tells
    assert all(group["peak"] == group["lr"] for group in optimizer.param_groups)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train.optimizer=adafactor", "train.adam_beta2=0.95"], "adam_beta2 does nothing with optimizer=adafactor"),
        (["lora.enabled=false", "lora.plus_ratio=16"], "lora.plus_ratio does nothing with lora.enabled=false"),
        (["train.optimizer=apollo"], "adamw_8bit"),
        (["train.galore_rank=64"], "galore_rank does nothing with optimizer=adamw"),
    ],
)
def test_what_would_do_nothing_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(*words)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (
            "train.optimizer=muon",
            r"train\.optimizer=muon needs whole matrices, and distributed\.shard=full divides them",
        ),
        ("lora.modules_to_save=[norm]", r"lora\.modules_to_save keeps two copies of a module"),
    ],
)
def test_what_a_divided_model_cannot_do_is_refused(word: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        sharding_of(config("distributed.shard=full", "model.dtype=float32", word), 2)


def test_pages_need_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medicalgpt.training.optimizers.accelerator", lambda: None)
    with pytest.raises(ConfigError, match="no GPU here; use adamw_8bit"):
        require_optimizer("paged_adamw_8bit")
    monkeypatch.setattr("medicalgpt.training.optimizers.accelerator", lambda: torch.device("cuda"))
    require_optimizer("paged_adamw_8bit")
    monkeypatch.setattr("medicalgpt.kernels.eight_bit.version", lambda name: "0.49.2")
    require_optimizer("adamw_8bit")
    monkeypatch.setattr("medicalgpt.training.optimizers.accelerator", lambda: None)
    with pytest.raises(ConfigError, match=r"0\.49\.2 takes steps in 8 bits on GPUs only"):
        require_optimizer("adamw_8bit")
    monkeypatch.setattr("medicalgpt.kernels.eight_bit.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'medicalgpt\[quant\]'"):
        require_optimizer("adamw_8bit")
