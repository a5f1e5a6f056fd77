"""What stands at both ends of a stage: the hashes and memory it begins with, the model and manifest it leaves."""

import time
from pathlib import Path

import torch

from medicalgpt.export.save import save_model
from medicalgpt.models.load import Loaded
from medicalgpt.runs import manifest, report
from medicalgpt.runs.hashes import hash_tree
from medicalgpt.runs.reward_report import RewardReport
from medicalgpt.runs.reward_report import write as write_reward_report
from medicalgpt.training.context import AnyContext
from medicalgpt.training.plugins import plugin_hashes


def publish(
    ctx: AnyContext,
    loaded: Loaded,
    tokens: int,
    before: dict[str, float],
    after: dict[str, float],
    parents: tuple[Path, ...],
    report_of: RewardReport | None = None,
) -> None:
    """Save the model, write the report with its figures, and the manifest last."""
    folder = ctx.folder
    with folder.publishing("model") as temp:
        save_model(temp, loaded, ctx.template)
        if report_of is not None:
            write_reward_report(temp, report_of)
    hashes = ctx.prepared.hashes
    record = manifest.Manifest(
        stage=ctx.name,
        base=ctx.config.model.base,
        parents=[manifest.Parent.of(folder.path, p) for p in parents],
        config_key=ctx.key.hash(),
        hashes=manifest.Hashes(
            data=hashes["data"],
            eval=hashes.get("eval"),
            template=hashes["template"],
            tokenizer=hashes["tokenizer"],
            base=ctx.base["base"],
            code=ctx.key.code,
            plugins=plugin_hashes(ctx.config),
        ),
        versions=manifest.versions(),
        seed=ctx.config.train.seed,
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        world_size=ctx.world,
        ledger=ctx.prepared.ledger,
        seconds=time.perf_counter() - ctx.started,
        tokens=tokens,
        before=before,
        after=after,
        files=hash_tree(folder.model),
    )
    report.write(folder.path, record)
    manifest.write(folder.path, record)
