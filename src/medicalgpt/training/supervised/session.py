"""The trainer of a stage with its arguments and callbacks."""

from typing import Any

import torch
from transformers import TrainingArguments
from transformers.integrations.integration_utils import TensorBoardCallback
from transformers.trainer_callback import PrinterCallback

from medicalgpt.config.base import SupervisedConfig
from medicalgpt.models.load import Loaded
from medicalgpt.rendering.build import Prepared
from medicalgpt.training.context import Context
from medicalgpt.training.live_report import LiveReport
from medicalgpt.training.phases import Ahead
from medicalgpt.training.policy import mixed_precision
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


def arguments(ctx: Context[SupervisedConfig, Prepared], plan: Plan) -> TrainingArguments:
    """transformers' arguments for our plan: one epoch over all rows of the run, in order."""
    t, precision = ctx.config.train, mixed_precision(ctx.config)
    return TrainingArguments(
        output_dir=str(ctx.folder.path),
        num_train_epochs=1,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=plan.run.rows_per_step // ctx.world,
        learning_rate=t.learning_rate,
        weight_decay=t.weight_decay,
        max_grad_norm=t.max_grad_norm,
        optim="adamw_torch_fused",
        seed=t.seed,
        logging_steps=t.log_every,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if t.eval_every and plan.held_out is not None else "no",
        eval_steps=t.eval_every,
        save_strategy="steps" if t.save_every else "no",
        save_steps=t.save_every or 500,
        save_total_limit=t.keep_checkpoints,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        log_level="error",
        report_to=list(ctx.config.report_to) or "none",
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
    )


def build_trainer(
    ctx: Context[SupervisedConfig, Prepared], module: StageModule, plan: Plan, loaded: Loaded, report: LiveReport
) -> tuple[Any, StopCallback]:
    """The trainer, ready to run, and the callback that knows whether it was asked to stop."""
    t = ctx.config.train
    schedule = (t.schedule, t.warmup)
    trainer = StageTrainer(module, arguments(ctx, plan), plan.train, plan.held_out, ctx.folder, schedule, ctx.phases)
    trainer.pop_callback(PrinterCallback)
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            # Its own choice comes only when training begins, after the first held-out numbers were written elsewhere.
            callback.logging_dir = str(ctx.folder.path / "tensorboard")
    # Opening samples.jsonl mends it, so only the process that writes it may.
    trainer.answer = SampleWriter(ctx, loaded).write if ctx.rank == 0 else _silent
    trainer.best = ctx.best
    stop = StopCallback(ctx.console, t.save_minutes)
    ahead = Ahead(t.eval_every, t.sample_every)
    progress = ProgressCallback(ctx.phases, ctx.name, ahead)
    samples = SampleCallback(t.sample_every, trainer.answer)
    for callback in (progress, samples, ReportCallback(report), stop, RateCallback()):
        trainer.add_callback(callback)
    return trainer, stop


def _silent(step: int) -> None:
    """Ranks other than 0 write no samples."""
