"""Sections of gpu_check.py that answer: our decoder against transformers' generate, and vLLM behind our backend."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

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
        adapter = _adapter(base, Path(name) / "adapter")
        sampling = Sampling(32, temperature=0.0, min_new_tokens=32)
        ours, adapted = (Engine.open(where, dtype="bfloat16") for where in (base, adapter))
        theirs = Engine.open(base, dtype="bfloat16", backend="vllm", adapters={"other": adapter})
        prompts = [ours.tokenizer(text)["input_ids"] for text in _prompts(4 if smoke else 64)]
        run = partial(_answers, prompts=prompts, sampling=sampling)
        a, b, c = run(ours), run(theirs), run(adapted)
        d = _by_adapter(theirs.backend, prompts, sampling)
        for label, left, right in (("first tokens equal", a, b), ("by an adapter", c, d)):
            fact(label, f"{sum(x[0] == y[0] for x, y in zip(left, right, strict=True))} of {len(prompts)}")
        assert b != d, "vLLM answers by the adapter as without it"
        rates = [round(32 * len(prompts) / seconds_of(partial(run, engine), 2)) for engine in (theirs, ours)]
        fact("tokens/s", f"{rates[0]}, our decoder {rates[1]}")


def _adapter(base: str, folder: Path) -> str:
    """A random LoRA adapter of a base, which changes its answers."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=8, target_modules="all-linear"))
    torch.manual_seed(1)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(0, 0.05)
    adapted.save_pretrained(folder)
    return str(folder)


def _answers(engine: Any, prompts: list[list[int]], sampling: Any) -> list[list[int]]:
    seeds = [[number] for number in range(len(prompts))]
    return [ids for (ids,) in engine.backend.run(prompts, sampling, seeds, batch_size=len(prompts))]


def _by_adapter(backend: Any, prompts: list[list[int]], sampling: Any) -> list[list[int]]:
    """Answers by the adapter `other`, all of them under way together."""
    places = {backend.join(ids, sampling, number, "other"): number for number, ids in enumerate(prompts)}
    found: list[list[int]] = [[] for _ in prompts]
    while places:
        for name, new, finished in backend.advance():
            found[places[name]] += new
            if finished:
                del places[name]
    return found
