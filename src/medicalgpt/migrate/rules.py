"""How words are carried over that are not ours under another name: what several words say together, and values of other forms."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from medicalgpt.config.foreign import FOREIGN
from medicalgpt.migrate.carry import Carrying, Rule, is_default
from medicalgpt.migrate.given import Word
from medicalgpt.migrate.rules_data import data
from medicalgpt.migrate.rules_objective import objective, rollouts

_SCHEDULES: Final = {
    "cosine": "cosine",
    "linear": "linear",
    "constant": "constant",
    "constant_with_warmup": "constant",
    "warmup_stable_decay": "wsd",
}
_OPTIMIZERS: Final = {
    **dict.fromkeys(("adamw_torch", "adamw_torch_fused", "adamw_hf", "adamw_apex_fused", "adamw"), "adamw"),
    **dict.fromkeys(("adamw_8bit", "adamw_bnb_8bit"), "adamw_8bit"),
    "paged_adamw_8bit": "paged_adamw_8bit",
    "adafactor": "adafactor",
    "muon": "muon",
    "galore_adamw": "galore",
}
_GALORE: Final[Mapping[str, tuple[str, float]]] = {
    "galore_rank": ("train.galore_rank", 16),
    "galore_update_interval": ("train.galore_interval", 200),
    "galore_scale": ("train.galore_scale", 2.0),
}
_DTYPES: Final = {"bfloat16": "bfloat16", "float16": "float16", "float32": "float32", "auto": "auto"}
_MIXED: Final = "there the weights stay in float32 and are multiplied in this type; here it is the type of the weights"
_KNOWN_LOGGERS: Final = ("tensorboard", "trackio", "wandb", "swanlab", "mlflow")


def rules(dataset_info: Path | None = None) -> tuple[Rule, ...]:
    """All of them, in the order in which they take words."""
    return (model, adapter, quantization, partial(data, dataset_info=dataset_info), batch, optimizer, schedule, steps, places, shards,
            objective, rollouts)  # fmt: skip


def number(value: object) -> float | None:
    """A number; None for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def listed(value: object) -> list[str]:
    """A list of words, or a text with commas between them, as a list."""
    parts = value if isinstance(value, list) else str(value).split(",")
    return [str(part).strip() for part in parts if str(part).strip()]


def model(found: Carrying) -> None:
    """Weight type: of several words the one that is on."""
    for name, dtype in (("bf16", "bfloat16"), ("fp16", "float16"), ("pure_bf16", "bfloat16")):
        if word := found.given.take(name):
            if word.value is True:
                found.put("model.dtype", dtype, word, note="" if name == "pure_bf16" else _MIXED)
            else:
                found.leave(word, "it is off, or says nothing")
    if word := found.given.take("torch_dtype", "dtype"):
        dtype = _DTYPES.get(str(word.value), "")
        if dtype and "model.dtype" not in found.values:
            found.put("model.dtype", dtype, word)
        else:
            found.leave(word, "bf16 or fp16 decides" if dtype else f"allowed here: {', '.join(_DTYPES)}")
    if word := found.given.take("rope_scaling"):
        _positions(found, word)
    if (word := found.given.take("model_revision")) and word.value != "main":
        found.put_as_meant(word)


def _positions(found: Carrying, word: Word) -> None:
    """A longer context; the other tools take its factor from the base and the longest row while they load."""
    if isinstance(word.value, dict):
        found.put("model.rope_scaling", word.value.get("rope_type", word.value.get("type")), word)
        found.put("model.rope_factor", word.value.get("factor"), word)
    elif not word.value:
        found.leave(word, "it is off, or says nothing")
    else:
        kind = "linear" if word.value == "linear" else "yarn"
        found.leave(
            word,
            f"model.rope_scaling={kind} and model.rope_factor=N: there N is data.max_tokens over the base's context, rounded up, "
            "which the file does not tell; it is needed only where that is above 1",
        )


def _adapters_on(found: Carrying) -> bool:
    """Whether adapters are trained, as here where the file says nothing."""
    return "lora.enabled" not in found.values or found.values["lora.enabled"].value is True


def adapter(found: Carrying) -> None:
    """Whether adapters are trained, which kind, and on which layers."""
    given = found.given
    if word := given.take("finetuning_type"):
        if word.value in ("lora", "full"):
            found.put("lora.enabled", word.value == "lora", word)
        else:
            found.leave(word, "here adapters are trained (lora.enabled=true) or all weights (false)")
    if word := given.take("use_peft"):
        found.put("lora.enabled", word.value is True, word)
    on = _adapters_on(found)
    for name, variant in (("use_dora", "dora"), ("use_rslora", "rslora"), ("pissa_init", "pissa")):
        if word := given.take(name):
            if word.value is True and "lora.variant" not in found.values:
                found.put("lora.variant", variant, word)
            else:
                reason = "one variant at a time" if word.value is True else "it is off, or says nothing"
                found.leave(word, reason)
    _ranks(found, on)
    _whole_modules(found, on)
    if word := given.take("lora_target", "target_modules", "lora_target_modules"):
        names = listed(word.value)
        everything = names in (["all"], ["all-linear"])
        found.put("lora.target_modules", "all-linear" if everything else names, word)


def _ranks(found: Carrying, on: bool) -> None:
    """Rank and scale; without adapters they would do nothing. LLaMA-Factory scales by twice the rank where nothing is said."""
    rank = found.given.take("lora_rank", "lora_r")
    alpha, dropout = found.given.take("lora_alpha"), found.given.take("lora_dropout")
    for word, key in ((rank, "lora.rank"), (alpha, "lora.alpha"), (dropout, "lora.dropout")):
        if word is not None and on:
            found.put(key, word.value, word)
        elif word is not None and not is_default(word):
            found.leave(word, "all weights are trained, so there is no adapter")
    value = number(rank.value) if rank else None
    if on and rank and alpha is None and value is not None and found.given.tool == "LLaMA-Factory":
        found.put("lora.alpha", 2 * value, rank, note="twice the rank, where lora_alpha is not set there")


def _whole_modules(found: Carrying, on: bool) -> None:
    """Modules trained whole, and LoRA+."""
    if word := found.given.take("additional_target", "modules_to_save", "lora_modules_to_save"):
        if on and word.value:
            found.put("lora.modules_to_save", listed(word.value), word)
        else:
            found.leave(word, "it is off, or says nothing" if on else "all weights are trained, so there is no adapter")
    if word := found.given.take("loraplus_lr_ratio"):
        if on and word.value:
            found.put("lora.plus_ratio", word.value, word)
        else:
            found.leave(word, "it is off, or says nothing" if on else "all weights are trained, so there is no adapter")


def optimizer(found: Carrying) -> None:
    """Which optimizer takes the steps."""
    muon = found.given.take("use_muon")
    if word := found.given.take("optim"):
        if (ours := _OPTIMIZERS.get(str(word.value))) is not None and not (muon and muon.value is True):
            found.put("train.optimizer", ours, word)
        elif ours is not None:
            found.leave(word, "use_muon decides")
        else:
            found.leave(word, f"here: {', '.join(dict.fromkeys(_OPTIMIZERS.values()))}")
    if muon and muon.value is True:
        found.put("train.optimizer", "muon", muon)
    elif muon:
        found.leave(muon, "it is off, or says nothing")
    if word := found.given.take("use_galore"):
        _galore(found, word)


def _galore(found: Carrying, switch: Word) -> None:
    """LLaMA-Factory's GaLore, with its defaults where the file has none; there, too, it is for training all weights."""
    words = {name: found.given.take(name) for name in ("galore_target", *_GALORE)}
    target = words.pop("galore_target")
    on = switch.value is True
    if not on or _adapters_on(found):
        reason = "adapters are smaller than what it projects" if on else "it is off, or says nothing"
        for word in filter(None, (switch, target, *words.values())):
            found.leave(word, reason)
        return
    found.put("train.optimizer", "galore", switch)
    for name, (key, default) in _GALORE.items():
        given = words[name]
        found.put(key, given.value if given else default, given or Word(name, default, "default of LLaMA-Factory"))
    if target:
        found.leave(target, FOREIGN[target.name].note)


def quantization(found: Carrying) -> None:
    """8 or 4 bits."""
    bits = {4: "nf4", 8: "int8"}
    if word := found.given.take("quantization_bit"):
        if word.value in (4, 8):
            found.put("quantization", bits[int(number(word.value) or 0)], word)
        else:
            found.leave(word, "allowed here: 4 (nf4) or 8 (int8)")
    for name, value in (("load_in_4bit", "nf4"), ("qlora", "nf4"), ("load_in_8bit", "int8")):
        if word := found.given.take(name):
            if word.value is True:
                found.put("quantization", value, word)
            else:
                found.leave(word, "it is off, or says nothing")


def batch(found: Carrying) -> None:
    """Rows a step become tokens a step, or prompts an update."""
    given = found.given
    rows, accumulated = given.take("per_device_train_batch_size"), given.take("gradient_accumulation_steps")
    words = [word for word in (rows, accumulated) if word is not None]
    counts = [number(word.value) if word else 1.0 for word in (rows, accumulated)]
    if any(count is None or count < 1 for count in counts):
        for word in words:
            found.leave(word, "it is no whole number above 0")
        return
    total = int((counts[0] or 1) * (counts[1] or 1)) * (given.processes or 1)
    unknown = "" if given.processes else "; times the number of processes, which the file does not tell"
    if "rollout.prompts" in found.keys:
        each = int(number(given.value("num_generations")) or 1) if found.given.tool == "TRL" else 1
        note = f"{total} answers an update there" + unknown if each > 1 else f"{total} an update{unknown}"
        found.put("rollout.prompts", max(1, total // max(1, each)), *words, note=note)
        return
    longest = found.values["data.max_tokens"].value if "data.max_tokens" in found.values else 1024
    size = int(number(longest) or 1024)
    note = (
        f"at most: {total} rows a step there, of up to {size} tokens each{unknown}. Rows are packed here and tokens counted: take "
        f"{total} times the mean length of your rows (medicalgpt data inspect shows it) for as many rows a step"
    )
    found.put("train.tokens_per_step", total * size, *words, note=note)


def schedule(found: Carrying) -> None:
    """Learning rate over the steps."""
    given = found.given
    if word := given.take("lr_scheduler_type"):
        if (ours := _SCHEDULES.get(str(word.value))) is not None:
            found.put("train.schedule", ours, word)
        else:
            found.leave(word, f"here: {', '.join(dict.fromkeys(_SCHEDULES.values()))}")
    share, count = given.take("warmup_ratio"), given.take("warmup_steps")
    steps = number(count.value) if count else None
    if count and steps:
        found.put("train.warmup", count.value, count, note="a share below 1, else steps")
        if share and not is_default(share):
            found.leave(share, "warmup_steps decides")
    elif share:
        found.put("train.warmup", share.value, share, *([count] if count else []))
    elif count:
        found.put("train.warmup", 0.0, count)
    if word := given.take("num_train_epochs"):
        found.put_as_meant(word)
    if word := given.take("max_steps"):
        if (number(word.value) or 0) > 0:
            found.put("train.max_steps", word.value, word)
        else:
            found.leave(word, "below 1 it says nothing, there as here")


def steps(found: Carrying) -> None:
    """What happens every so many steps, and which model is kept."""
    _every(found, ("eval_strategy", "evaluation_strategy"), "eval_steps", "train.eval_every", "the start and the end")
    _every(
        found,
        ("save_strategy",),
        "save_steps",
        "train.save_every",
        "every ten minutes and the end (train.save_minutes)",
    )
    _every(found, ("logging_strategy",), "logging_steps", "train.log_every", "every step")
    if word := found.given.take("save_total_limit"):
        found.put_as_meant(word)
    best = found.given.take("load_best_model_at_end")
    metric, greater = found.given.take("metric_for_best_model"), found.given.take("greater_is_better")
    words = [word for word in (best, metric, greater) if word]
    if best and best.value is True:
        name = str(metric.value if metric and metric.value else "loss").removeprefix("eval_")
        goal = "" if name == "loss" else "max:" if greater and greater.value is True else "min:"
        found.put("train.keep_best", f"{goal}eval/{name}", *words, note="names of numbers differ; see docs/metrics.md")
    else:
        for word in words:
            found.leave(word, "no best model is kept there")


def _every(found: Carrying, strategies: tuple[str, ...], name: str, key: str, otherwise: str) -> None:
    strategy, count = found.given.take(*strategies), found.given.take(name)
    said = str(strategy.value) if strategy else "steps"
    if strategy and said not in ("steps", "no", "False"):
        found.leave(strategy, f"here it is a number of steps, {key}; not set, it is {otherwise}")
    elif strategy and said != "steps":
        found.leave(strategy, f"{key} is not set; here it is still done at {otherwise}")
    if count is None:
        return
    value = number(count.value)
    if said != "steps":
        found.leave(count, f"{strategies[0]} is {said}")
    elif value is None or value < 1 or value != int(value):
        found.leave(count, f"{key} is a whole number of steps, no share of them")
    else:
        found.put(key, int(value), count)


def places(found: Carrying) -> None:
    """Where the run goes, and who else is told of it."""
    if (word := found.given.take("use_swanlab")) and word.value is True and "report_to" not in found.given.words:
        found.put("report_to", ["swanlab"], word)
    elif word:
        found.leave(word, "report_to decides" if word.value is True else "it is off, or says nothing")
    if word := found.given.take("report_to"):
        names = [name for name in listed(word.value) if name not in ("none", "all")]
        known = [name for name in names if name in _KNOWN_LOGGERS]
        if known:
            found.put("report_to", known, word)
        rest = [name for name in names if name not in _KNOWN_LOGGERS]
        if rest or not known:
            reason = (
                f"here: {', '.join(_KNOWN_LOGGERS)}" if rest else "report.html and metrics.jsonl are written anyway"
            )
            found.leave(word, reason)


_SHARDS: Final[Mapping[str, Callable[[Carrying, Word], None]]] = {
    "zero3": lambda found, word: found.put("distributed.shard", "full", word),
    "zero2": lambda found, word: _zero2(found, word),
}


def _zero2(found: Carrying, word: Word) -> None:
    found.put("distributed.shard", "full", word)
    found.put("distributed.reshard", False, word, note="as ZeRO-2: a layer's weights stay until its backward pass")


def shards(found: Carrying) -> None:
    """DeepSpeed and FSDP as far as the name of the file, or the word, tells what they divide."""
    if word := found.given.take("deepspeed"):
        text = str(word.value).lower().replace("-", "").replace("_", "")
        kind = "zero3" if any(z in text for z in ("zero3", "z3", "stage3")) else ""
        kind = kind or ("zero2" if any(z in text for z in ("zero2", "z2", "stage2")) else "")
        if kind:
            _SHARDS[kind](found, word)
            found.said.append(f"{word.place}: of the DeepSpeed file only what its name says was carried over")
        else:
            found.leave(
                word, "its name does not say the ZeRO stage; zero3 is distributed.shard=full, zero2 with reshard=false"
            )
    if word := found.given.take("fsdp"):
        text = str(word.value).lower()
        if "full_shard" in text:
            found.put("distributed.shard", "full", word)
        else:
            found.leave(word, "distributed.shard: full, or hybrid with distributed.replicate")
