"""The trainer of a stage with its arguments and callbacks."""

from collections.abc import Callable
from typing import Any

from transformers import TrainingArguments
from transformers.integrations.integration_utils import TensorBoardCallback
from transformers.trainer_callback import PrinterCallback

from medicalgpt.config.base import SupervisedConfig
from medicalgpt.kernels.device import accelerator
from medicalgpt.language import translated
from medicalgpt.models.load import Loaded
from medicalgpt.models.shard import has_room, put_out
from medicalgpt.rendering.build import Prepared
from medicalgpt.runs.metrics import SampleLog
from medicalgpt.training.context import Context
from medicalgpt.training.live_report import LiveReport
from medicalgpt.training.phases import Ahead
from medicalgpt.training.policy import mixed_precision
from medicalgpt.training.sequence import RowGroup
from medicalgpt.training.supervised.callbacks import (
    ProgressCallback,
    RateCallback,
    ReportCallback,
    SampleCallback,
    StopCallback,
)
from medicalgpt.training.supervised.module import StageModule
from medicalgpt.training.supervised.plan import Plan
from medicalgpt.training.supervised.samples import SampleWriter
from medicalgpt.training.supervised.trainer import StageTrainer
from medicalgpt.training.together import gathered


def arguments(
    ctx: Context[SupervisedConfig, Prepared], plan: Plan, group: RowGroup, sharded: bool = False
) -> TrainingArguments:
    """transformers' arguments for our plan: one epoch over all rows of the run, in order."""
    t, precision = ctx.config.train, mixed_precision(ctx.config)
    return TrainingArguments(
        output_dir=str(ctx.folder.path),
        num_train_epochs=1,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=plan.run.rows_per_step // group.count,
        learning_rate=t.learning_rate,
        max_grad_norm=t.max_grad_norm,
        seed=t.seed + group.member,  # two parts of a row must not draw the same dropout
        logging_steps=t.log_every,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if t.eval_every and plan.held_out is not None else "no",
        eval_steps=t.eval_every,
        save_strategy="steps" if t.save_every else "no",
        save_steps=t.save_every or 500,
        save_total_limit=t.keep_checkpoints,
        # transformers saves and restores no optimizer of a sharded model; ours does (checkpoints/parts.py).
        save_only_model=sharded,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        log_level="error",
        report_to=list(ctx.config.report_to) or "none",
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=accelerator() is None,
        dataloader_pin_memory=False,
    )


def build_trainer(
    ctx: Context[SupervisedConfig, Prepared],
    module: StageModule,
    plan: Plan,
    loaded: Loaded,
    report: LiveReport,
    group: RowGroup,
) -> tuple[Any, StopCallback]:
    """The trainer, ready to run, and the callback that knows whether it was asked to stop."""
    t = ctx.config.train
    schedule = (t.schedule, t.warmup)
    settings = arguments(ctx, plan, group, module.sharding is not None)
    rows = (plan.train, plan.held_out)
    trainer = StageTrainer(module, settings, *rows, ctx.folder, schedule, ctx.phases, group, ctx.config)
    trainer.pop_callback(PrinterCallback)
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            # Its own choice comes only when training begins, after the first held-out numbers were written elsewhere.
            callback.logging_dir = str(ctx.folder.path / "tensorboard")
    trainer.answer = answering(ctx, module, loaded)
    trainer.best = ctx.best
    trainer.saver.behind = ctx.config.distributed.async_save
    stop = StopCallback(ctx.console, t.save_minutes)
    ahead = Ahead(t.eval_every, t.sample_every)
    progress = ProgressCallback(ctx.phases, ctx.name, ahead)
    samples = SampleCallback(t.sample_every, trainer.answer)
    for callback in (progress, samples, ReportCallback(report), stop, RateCallback()):
        trainer.add_callback(callback)
    return trainer, stop


def answering(ctx: Context[SupervisedConfig, Prepared], module: StageModule, loaded: Loaded) -> Callable[[int], None]:
    """What writes the sample answers of a step.

    A sharded model is gathered for it in all processes, which answer alike; one that ran alone would wait for the others.
    """
    # Opening samples.jsonl mends it, so only the process that writes it may.
    log = SampleLog(ctx.folder.samples) if ctx.rank == 0 else None
    if module.sharding is None:
        return SampleWriter(ctx, loaded, log).write if log is not None else _silent
    if not all(gathered(has_room(module))):
        if ctx.config.train.sample_count and not ctx.config.scores:
            ctx.console.print(
                translated(
                    "no sample answers: they need the whole model on one device, which has no room for it (train.sample_count=0 "
                    "asks for none)"
                ),
                highlight=False,
            )
        return _silent
    writer, reshard = SampleWriter(ctx, loaded, log), module.sharding.reshard

    def write(step: int) -> None:
        with put_out(module, reshard):
            writer.write(step)

    return write


def _silent(step: int) -> None:
    """No samples."""
