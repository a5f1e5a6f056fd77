"""The one trainer: transformers.Trainer's loop with our batches, our normalization and our checkpoints.

Losses come as a sum and a count of the objective's unit. Every micro-batch's sum is divided by the count of the whole
optimizer step over all accumulation steps and ranks, so neither batch shape nor world size changes the gradient.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, final

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerControl, TrainingArguments

from medicalgpt.checkpoints import checkpoint, random_state
from medicalgpt.checkpoints.checkpoint import SCHEDULER
from medicalgpt.checkpoints.divided import is_divided
from medicalgpt.checkpoints.parts import load_optimizer
from medicalgpt.checkpoints.saved_files import loaded
from medicalgpt.config.base import SupervisedConfig
from medicalgpt.models.adapters import trainable
from medicalgpt.models.shard import add_up, free, whole
from medicalgpt.rendering.batch import TreeBatch
from medicalgpt.runs.folder import RunFolder, StartState
from medicalgpt.runs.metrics import MetricsLog, SampleLog, held_out_numbers
from medicalgpt.training.best import BestSoFar
from medicalgpt.training.heartbeat import Heartbeat
from medicalgpt.training.optimizers import Group, optimizer_of, token_weights
from medicalgpt.training.phases import Phases
from medicalgpt.training.reached import GradientWatch, Movement
from medicalgpt.training.saver import Saver
from medicalgpt.training.schedule import Schedule, factor
from medicalgpt.training.sequence import OncePerRow, RowGroup
from medicalgpt.training.stages import StageObjective
from medicalgpt.training.supervised.module import StageModule
from medicalgpt.training.supervised.numbers import Overflows, TrainNumbers, flat, halt, held_out_means
from medicalgpt.training.supervised.plan import PlanDataset, loader
from medicalgpt.training.together import wait

# Every private method of transformers.Trainer that `StageTrainer` overrides.
PRIVATE_OVERRIDES = (
    "_get_num_items_in_batch",
    "_prepare_inputs",
    "_clip_grad_norm",
    "_save_checkpoint",
    "_load_from_checkpoint",
    "_load_optimizer_and_scheduler",
    "_defer_fsdp_gradient_reduction",
)


LoopBatch = Any
"""A `TreeBatch` where transformers' loop expects a dictionary."""


@final
class StageTrainer(Trainer):
    """Trains a `StageModule` over a planned dataset; the only subclass of transformers.Trainer in this package."""

    control: TrainerControl
    lr_scheduler: LambdaLR | None
    optimizer: Optimizer

    def __init__(
        self,
        module: StageModule,
        args: TrainingArguments,
        train: PlanDataset,
        held_out: PlanDataset | None,
        folder: RunFolder,
        schedule: tuple[Schedule, float],
        phases: Phases,
        group: RowGroup,
        config: SupervisedConfig,
    ) -> None:
        self.config = config
        self.module, self.folder, self.held_out, self.schedule = module, folder, held_out, schedule
        self.phases, self.group = phases, group
        self.loss_is_scaled_for_ga = True
        super().__init__(model=module, args=args, train_dataset=train, eval_dataset=held_out)
        self.once = OncePerRow(self.accelerator, group)
        self.numbers = TrainNumbers(self.once)
        self.watch = GradientWatch(trainable(module), self.accelerator)
        self.movement = Movement(trainable(module))
        self.metrics_log = MetricsLog(folder.metrics) if self.is_world_process_zero() else None
        self.answer: Callable[[int], None] = lambda step: None
        self.best: BestSoFar | None = None
        self.saver = Saver(folder, args.save_total_limit or 1)
        self._evaluated: tuple[int, dict[str, float]] = (-1, {})
        self._step_rows: list[str] = []
        self.overflows = Overflows()
        self.heartbeat: Heartbeat | None = None

    @property
    def tokens(self) -> int:
        """Tokens seen up to the last metrics line, over all processes."""
        return self.numbers.tokens

    def run(self, start: StartState) -> dict[str, float]:
        """Train from the start or from a checkpoint; returns the held-out numbers of step 0."""
        if start.checkpoint is None:
            before = self.evaluate()
            self.answer(0)
            if self.best is not None:
                self.saver.start(trainable(self.module))
            wait()
            self._loop(None)
            return before
        if self.metrics_log is not None:
            self.metrics_log.rewind(start.step)
            SampleLog(self.folder.samples).rewind(start.step)
        wait()
        self._evaluated = (start.step, held_out_numbers(self.folder.metrics, start.step))
        before = held_out_numbers(self.folder.metrics, 0)
        if self.best is not None:
            self.best.replay(self.folder.metrics)
        if self.best is not None and self.best.exhausted:  # it had ended, and was not published
            self._load_from_checkpoint(str(start.checkpoint))
            self.state.global_step = start.step
        else:
            self._loop(start.checkpoint)
        return before

    def _loop(self, resume: Path | None) -> None:
        self.numbers.start_clock()
        self.heartbeat = Heartbeat.listen(self.phases.say)
        try:
            self.train(resume_from_checkpoint=str(resume) if resume else None)
            self.saver.wait()
        except BaseException:
            self.saver.leave()
            # The loop skips this when it breaks off, but callbacks hold signals, the terminal and open files.
            self.callback_handler.on_train_end(self.args, self.state, self.control)
            raise
        finally:
            if self.heartbeat is not None:
                self.heartbeat.stop()

    # -- data --------------------------------------------------------------------------------------------------------
    def get_train_dataloader(self) -> "DataLoader[TreeBatch]":
        assert isinstance(self.train_dataset, PlanDataset)
        return loader(self.train_dataset, self.group.number, self.group.count)

    def _get_num_items_in_batch(self, batch_samples: list[TreeBatch], device: torch.device) -> torch.Tensor:
        """Units of the whole optimizer step, over accumulation and ranks."""
        self._step_rows = [row for batch in batch_samples for row in batch.rows]
        self.numbers.meter.tokens += sum(batch.tokens for batch in batch_samples)
        self._set_baseline(batch_samples)
        count = sum(float(self._objective.count(batch)) for batch in batch_samples)
        total = self.once.reduce(torch.tensor([count], dtype=torch.float64, device=device), "sum")
        return total.clamp(min=1e-9)[0]

    def _set_baseline(self, batches: Sequence[TreeBatch]) -> None:
        """Where the objective needs it: its mean over the mismatched rows of all batches and ranks, put into every batch."""
        if not self._objective.needs.baseline:
            return
        module = self.module
        training = module.training
        module.eval()
        total = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        for batch in batches:
            with self.accelerator.autocast():
                pair = module.baseline(batch.to(self.args.device))
            total += torch.stack([value.double() for value in pair])
            batch.mismatched = None
        module.train(training)
        total = self.once.reduce(total, "sum")
        for batch in batches:
            batch.baseline = (total[0] / total[1].clamp(min=1e-9)).float()

    @property
    def _objective(self) -> StageObjective:
        return self.module.objective

    # -- one step ----------------------------------------------------------------------------------------------------
    def _prepare_inputs(self, inputs: LoopBatch) -> LoopBatch:
        if self.heartbeat is not None:
            self.heartbeat.batch()
        return inputs.to(self.args.device)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: LoopBatch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        assert num_items_in_batch is not None
        out = model(inputs)
        self.numbers.meter.add({"loss": (out["sum"], out["count"]), **out["metrics"]})
        # The wrapper averages gradients over ranks; the objective is a sum over them, each of which adds its own tokens.
        loss: torch.Tensor = out["sum"] * (self.args.world_size / num_items_in_batch)
        return loss.float()

    @contextmanager
    def _defer_fsdp_gradient_reduction(self) -> Iterator[None]:
        """Around every micro-batch of a step but the last, where the module is sharded."""
        assert self.module.sharding is not None
        add_up(self.module, within=self.module.sharding.each, between=False)
        try:
            yield
        finally:
            add_up(self.module)

    def floating_point_ops(self, inputs: LoopBatch) -> int:
        return 0  # we report tokens per second; benchmarks count FLOPs themselves

    def training_step(
        self, model: nn.Module, inputs: LoopBatch, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            self._halt("loss", inputs.rows)
        return loss

    def _clip_grad_norm(self, model: nn.Module) -> torch.Tensor | float | None:
        self.watch.look()
        norm: torch.Tensor | float | None = super()._clip_grad_norm(model)  # type: ignore[no-untyped-call]  # transformers leaves it bare
        if norm is None:
            return None
        norm = whole(norm) if isinstance(norm, torch.Tensor) else torch.as_tensor(norm)
        if not self.overflows.bears(norm, scaled=self.accelerator.scaler is not None):
            self._halt("gradient norm", self._step_rows)
        return norm

    def _halt(self, what: str, rows: Sequence[str]) -> NoReturn:
        raise halt(self.folder.path, what, self.state.global_step, self.args.process_index, rows)

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        if self.optimizer is None:
            module = self.module if model is None else model
            decayed, t = set(self.get_decay_parameter_names(module)), self.config.train
            trained = trainable(module)
            groups = [
                Group({n: p for n, p in trained.items() if (n in decayed) == decays}, t.learning_rate, decay)
                for decays, decay in ((True, t.weight_decay), (False, 0.0))
            ]
            self.optimizer = optimizer_of(self.config, groups, token_weights(module), fused=True)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LambdaLR:
        if self.lr_scheduler is None:
            kind, warmup = self.schedule
            self.lr_scheduler = LambdaLR(
                self.optimizer if optimizer is None else optimizer,
                lambda step: factor(step, num_training_steps, warmup, kind),
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    # -- numbers -----------------------------------------------------------------------------------------------------
    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Write one metrics line from the meter; `logs` is the Trainer's own and gives gradient norm and learning rate."""
        if "loss" not in logs:
            return
        line = self.numbers.line(float(logs["grad_norm"]), float(logs["learning_rate"]))
        self._publish(line | self.overflows.drain())
        self.numbers.start_clock()

    def _publish(self, line: dict[str, float]) -> None:
        if self.metrics_log is not None:
            self.metrics_log.append(self.state.global_step, line)
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, flat(line))

    @torch.no_grad()
    def evaluate(self, *_: object, **__: object) -> dict[str, float]:
        """Mean loss and metrics over the held-out set, written as eval/…; once a step, however often it is asked."""
        if self.held_out is None:
            return {}
        if self._evaluated[0] == self.state.global_step and self._evaluated[1]:
            return self._evaluated[1]
        before = time.perf_counter()
        loaded = loader(self.held_out, self.group.number, self.group.count)
        batches: Iterable[TreeBatch] = loaded
        if self._objective.needs.baseline:
            batches = list(batches)
            self._set_baseline(batches)
        what = "measuring held-out rows" + (" before training" if self.state.global_step == 0 else "")
        batches = self.phases.over("held-out", what, batches, len(loaded))
        values = held_out_means(self.module, batches, self.once, self.args.device)
        free(self.module)
        if self.best is not None:
            self.best.see(self.state.global_step, values)
        self._publish(values)
        self._evaluated = (self.state.global_step, values)
        self._keep_if_best()
        self.numbers.leave_out(time.perf_counter() - before)  # evaluation is not training time
        return values

    def _keep_if_best(self) -> None:
        """After an evaluation: a better step is answered with and saved, and so is the one at which patience ends."""
        if self.best is None or self.state.global_step == 0:
            return
        if self.best.step == self.state.global_step:
            self.control.should_save = True
            self.answer(self.state.global_step)
        if self.best.exhausted:
            self.control.should_save = self.control.should_training_stop = True

    # -- checkpoints -------------------------------------------------------------------------------------------------
    def _save_checkpoint(self, model: nn.Module, trial: object = None) -> None:
        """Everything a resume needs, written under a temporary name and renamed when complete."""
        snapshot = checkpoint.Snapshot(
            "supervised",
            self.state.global_step,
            self.optimizer,
            random_state.gather(self.args.world_size),
            checkpoint.Pending(**self.numbers.meter.state(), total_tokens=self.tokens),
            dataclasses.asdict(self.state),
            scheduler=self.lr_scheduler,
            rows_per_step=self.args.gradient_accumulation_steps * self.group.count,
        )
        self.saver.best = self.best
        self.saver.save(snapshot, trainable(self.module))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """What the base class does, for moments of which this process, or the checkpoint, has parts."""
        if checkpoint is None or (self.module.sharding is None and not is_divided(Path(checkpoint))):
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        load_optimizer(Path(checkpoint), self.optimizer)
        if self.lr_scheduler is not None:
            self.lr_scheduler.load_state_dict(loaded(Path(checkpoint) / SCHEDULER))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Trained weights and pending sums; optimizer, schedule, random and Trainer's state are read by the base class."""
        saved = checkpoint.read(Path(resume_from_checkpoint), "supervised", self.args.world_size)
        saved.load_weights(trainable(self.module))
        self.movement = Movement(trainable(self.module), saved.header.step)
        self.numbers.tokens = saved.pending.total_tokens
        self.numbers.meter.restore(saved.pending.meter(), main=self.is_world_process_zero())
