"""What stands at both ends of a stage: the hashes and memory it begins with, the model and manifest it leaves."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from medicalgpt.config.base import StageConfig
from medicalgpt.config.rl import RlConfig
from medicalgpt.export.save import save_model
from medicalgpt.kernels.device import device_name
from medicalgpt.kernels.free_memory import free_main_memory
from medicalgpt.language import translated
from medicalgpt.models.load import Loaded
from medicalgpt.models.locate import hub_address
from medicalgpt.models.shard import put_together
from medicalgpt.runs import manifest, report
from medicalgpt.runs.folder import MERGED
from medicalgpt.runs.hashes import hash_tree
from medicalgpt.runs.intervals import share
from medicalgpt.runs.metrics import held_out_numbers
from medicalgpt.runs.reward_report import RewardReport
from medicalgpt.runs.reward_report import write as write_reward_report
from medicalgpt.runs.staging import discard
from medicalgpt.training.best import take_best
from medicalgpt.training.context import AnyContext
from medicalgpt.training.others import other_addresses
from medicalgpt.training.plugins import plugin_hashes

_SHARES_OF_ROWS = {"eval/rewards/accuracy", "eval/stop_rate"}


def publish(
    ctx: AnyContext,
    loaded: Loaded,
    tokens: int,
    before: dict[str, float],
    after: dict[str, float],
    parents: tuple[Path, ...],
    report_of: RewardReport | None = None,
    best: manifest.BestStep | None = None,
) -> None:
    """Save the model, write the report with its figures, and the manifest last."""
    folder = ctx.folder
    with folder.publishing("model") as temp:
        save_model(temp, loaded, ctx.template)
        if report_of is not None:
            write_reward_report(temp, report_of)
    if (merged := folder.path / MERGED).exists():  # of the run when it was shorter
        discard(merged)
    facts = run_facts(ctx, tokens, before, after, parents)
    record = manifest.Manifest(**facts, best=best, files=hash_tree(folder.model))
    report.write(folder.path, record)
    manifest.write(folder.path, record)


def gather(ctx: AnyContext, module: torch.nn.Module) -> None:
    """Put a sharded model together in the first process, which will publish it; all processes call it.

    What does not fit its main memory lies in mapped files beside the model, so no process ever holds the whole.
    """
    needs = sum(p.numel() * p.element_size() for p in module.parameters())
    keep = ctx.rank == 0
    shelf = ctx.folder.path if needs > free_main_memory() // 2 else None
    put_together(module, keep, ctx.config.lora.enabled, shelf)


def chosen(
    ctx: AnyContext, weights: Mapping[str, torch.nn.Parameter], step: int, steps: int, after: dict[str, float]
) -> tuple[manifest.BestStep | None, dict[str, float]]:
    """Where `train.keep_best` is set, give `weights` back what they were at the best step.

    Args:
        step, steps: at which one the run ended, of how many.
        after: held-out numbers at the end.

    Returns:
        What the manifest says of the best step, and its held-out numbers in place of `after`.
    """
    if ctx.best is None:
        return None, after
    ctx.best.see(step, after)
    best, said = take_best(ctx.best, ctx.folder, weights, step, steps)
    for line in said:
        ctx.console.print(translated(line), highlight=False)
    if best is None or best.step == step:
        return best, after
    return best, held_out_numbers(ctx.folder.metrics, best.step)


def run_facts(
    ctx: AnyContext,
    tokens: int,
    before: Mapping[str, float],
    after: Mapping[str, float],
    parents: tuple[Path, ...],
) -> dict[str, Any]:
    """What a `manifest.Record` of this run holds, finished or not."""
    hashes, held_out = ctx.prepared.hashes, measured_rows(ctx.config, len(ctx.prepared.held_out or ()))
    model, others = ctx.config.model, other_addresses(ctx.config)
    return {
        "stage": ctx.name,
        "base": str(hub_address(model.base, model.at) or model.base),
        "models": others,
        "parents": [manifest.Parent.of(ctx.folder.path, p) for p in parents],
        "config_key": ctx.key.hash(),
        "hashes": manifest.Hashes(
            data=hashes["data"],
            eval=hashes.get("eval"),
            template=hashes["template"],
            tokenizer=hashes["tokenizer"],
            base=ctx.base["base"],
            code=ctx.key.code,
            plugins=plugin_hashes(ctx.config),
            models={role: ctx.base[role] for role in others},
        ),
        "versions": manifest.versions(),
        "seed": ctx.config.train.seed,
        "device": device_name(),
        "world_size": ctx.world,
        "ledger": ctx.prepared.ledger,
        "seconds": time.perf_counter() - ctx.started,
        "tokens": tokens,
        "before": with_intervals(before, held_out),
        "after": with_intervals(after, held_out),
    }


def measured_rows(config: StageConfig, held_out: int) -> int:
    """On how many of the held-out rows its numbers rest: of prompts at most `train.eval_prompts` are answered."""
    return min(held_out, config.train.eval_prompts) if isinstance(config, RlConfig) else held_out


def with_intervals(numbers: Mapping[str, float], rows: int) -> dict[str, float]:
    """Held-out numbers with how many rows they rest on, and with the 95 % interval of every share of these rows."""
    out = dict(numbers)
    for name in _SHARES_OF_ROWS & numbers.keys():
        if rows and f"{name}_low" not in numbers:
            found = share(numbers[name] * rows, rows)
            out |= {f"{name}_low": found.low, f"{name}_high": found.high}
    return out | {"eval/rows": float(rows)} if numbers and rows else out
