"""Sections of gpu_check.py that answer: our decoder against transformers' generate, and vLLM behind our backend."""

import tempfile
from functools import partial
from pathlib import Path

import torch

from gpu.facts import fact, seconds_of
from gpu.material import save_model

QUESTION = "What is a fever, and when should a doctor be called about it? "


def _prompts(count: int) -> list[str]:
    return [QUESTION * (1 + number % 4) + str(number) for number in range(count)]


def generate(smoke: bool) -> None:
    """Greedy answers equal transformers' own in float32; tokens a second of both by the number of answers."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from medicalgpt.generate.engine import Engine
    from medicalgpt.generate.sampling import Sampling

    wide = {} if smoke else {"hidden": 1024, "layers": 16, "heads": 16, "keys": 4}
    new = 8 if smoke else 128
    with tempfile.TemporaryDirectory() as name:
        base = save_model(Path(name) / "base", **wide)
        tokenizer = AutoTokenizer.from_pretrained(base)
        for dtype in ("float32",) if smoke else ("float32", "bfloat16"):
            engine = Engine.open(str(base), dtype=dtype)  # type: ignore[arg-type]
            card = engine.model.device if engine.model is not None else "cpu"
            model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, dtype)).to(card).eval()
            for count in (2,) if smoke else (1, 32, 128):
                prompts = [tokenizer(text)["input_ids"] for text in _prompts(count)]
                sampling = Sampling(new, temperature=0.0, min_new_tokens=new)
                seeds = [[number] for number in range(count)]
                run = partial(engine.backend.run, prompts, sampling, seeds, batch_size=count)
                answers, ours = run(), seconds_of(run, 1)
                right, theirs = _theirs(model, prompts, new)
                same = sum(a == b for (a,), b in zip(answers, right, strict=True))
                rates = f"{count * new / ours:.0f} tokens/s, transformers {count * new / theirs:.0f}"
                fact(f"{dtype}, {count} answers", f"{rates}; {same} of {count} equal")
                assert dtype != "float32" or same >= 0.9 * count, "greedy answers in float32 differ from transformers'"


def _theirs(model: torch.nn.Module, prompts: list[list[int]], new: int) -> tuple[list[list[int]], float]:
    """Answers of `transformers.generate`, padded on the left, and its seconds."""
    width = max(map(len, prompts))
    place = next(model.parameters()).device
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts], device=place)
    keep = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=place)

    def run() -> torch.Tensor:
        found = model.generate(  # type: ignore[operator]
            input_ids=ids, attention_mask=keep, max_new_tokens=new, min_new_tokens=new, do_sample=False, pad_token_id=0
        )
        assert isinstance(found, torch.Tensor)
        return found

    return run()[:, width:].tolist(), seconds_of(run, 1)


def vllm(smoke: bool) -> None:
    """vLLM behind our backend: greedy answers beside our decoder's, tokens a second, and an adapter that is honored."""
    try:
        import vllm as installed
    except ImportError:
        fact("vLLM", "not installed")
        return
    from medicalgpt.generate.engine import Engine
    from medicalgpt.generate.sampling import Sampling

    fact("vLLM", installed.__version__)
    with tempfile.TemporaryDirectory() as name:
        base = str(save_model(Path(name) / "base"))
        sampling = Sampling(32, temperature=0.0, min_new_tokens=32)
        ours, theirs = (Engine.open(base, dtype="bfloat16", backend=backend) for backend in ("transformers", "vllm"))
        prompts = [ours.tokenizer(text)["input_ids"] for text in _prompts(4 if smoke else 64)]
        seeds = [[number] for number in range(len(prompts))]
        a, b = (engine.backend.run(prompts, sampling, seeds, batch_size=len(prompts)) for engine in (ours, theirs))
        fact("first tokens equal", f"{sum(x[0][0] == y[0][0] for x, y in zip(a, b, strict=True))} of {len(prompts)}")
        taken = seconds_of(partial(theirs.backend.run, prompts, sampling, seeds, batch_size=len(prompts)), 2)
        fact("tokens/s", round(32 * len(prompts) / taken))
