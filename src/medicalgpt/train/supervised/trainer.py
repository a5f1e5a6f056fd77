"""The one trainer: transformers.Trainer's loop with our batches, our normalisation and our checkpoints.

Losses come as a sum and a count of the objective's unit. Every micro-batch's sum is divided by the count of the whole
optimiser step over all accumulation steps and ranks, so neither batch shape nor world size changes the gradient.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, final

import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from medicalgpt.errors import RunError
from medicalgpt.models.adapters import trainable
from medicalgpt.render.batch import TreeBatch
from medicalgpt.runs.folder import RunFolder, StartState
from medicalgpt.runs.metrics import MetricsLog, SampleLog, held_out_numbers
from medicalgpt.train.meter import Meter
from medicalgpt.train.schedule import factor
from medicalgpt.train.stages import StageObjective
from medicalgpt.train.supervised.dataset import PlanDataset, loader
from medicalgpt.train.supervised.module import StageModule

WEIGHTS = "trainable.safetensors"
PENDING = "pending.json"


@final
class StageTrainer(Trainer):
    """Trains a `StageModule` over a planned dataset; the only subclass of transformers.Trainer in this package."""

    def __init__(
        self,
        module: StageModule,
        args: TrainingArguments,
        train: PlanDataset,
        held_out: PlanDataset | None,
        folder: RunFolder,
        schedule: tuple[str, float],
    ) -> None:
        self.module, self.folder, self.held_out, self.schedule = module, folder, held_out, schedule
        self.loss_is_scaled_for_ga = True
        super().__init__(model=module, args=args, train_dataset=train, eval_dataset=held_out)
        self.meter = Meter(self.accelerator)
        self.metrics_log = MetricsLog(folder.metrics) if self.is_world_process_zero() else None
        self.latest: dict[str, float] = {}
        self.answer: Callable[[int], None] = lambda step: None
        self.tokens = 0
        self._evaluated: tuple[int, dict[str, float]] = (-1, {})
        self._step_rows: list[str] = []
        self._clock = time.perf_counter()

    def run(self, start: StartState) -> dict[str, float]:
        """Train from the start or from a checkpoint; returns the held-out numbers of step 0."""
        if start.checkpoint is None:
            before = self.evaluate()
            self.answer(0)
            self._loop(None)
            return before
        if self.is_world_process_zero():
            for log in (self.metrics_log, SampleLog(self.folder.samples)):
                log.rewind(start.step)  # type: ignore[union-attr]
        self.accelerator.wait_for_everyone()
        self._evaluated = (start.step, held_out_numbers(self.folder.metrics, start.step))
        before = held_out_numbers(self.folder.metrics, 0)
        self._loop(start.checkpoint)
        return before

    def _loop(self, checkpoint: Path | None) -> None:
        self._clock = time.perf_counter()
        try:
            self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except BaseException:
            # The loop skips this when it breaks off, but callbacks hold signals, the terminal and open files.
            self.callback_handler.on_train_end(self.args, self.state, self.control)
            raise

    # -- data --------------------------------------------------------------------------------------------------------
    def get_train_dataloader(self) -> "DataLoader[TreeBatch]":
        return loader(self.train_dataset, self.args.process_index, self.args.world_size)  # type: ignore[arg-type]

    def _get_num_items_in_batch(self, batch_samples: list[TreeBatch], device: torch.device) -> torch.Tensor:
        """Units of the whole optimiser step, over accumulation and ranks."""
        self._step_rows = [row for batch in batch_samples for row in batch.rows]
        self.meter.tokens += sum(batch.tokens for batch in batch_samples)
        self._set_baseline(batch_samples)
        count = sum(float(self._objective.count(batch)) for batch in batch_samples)
        total = self.accelerator.reduce(torch.tensor([count], dtype=torch.float64, device=device), "sum")
        return total.clamp(min=1e-9)[0]  # type: ignore[no-any-return,union-attr]

    def _set_baseline(self, batches: Sequence[TreeBatch]) -> None:
        """Where the objective needs it: its mean over the mismatched rows of all batches and ranks, put into every batch."""
        if not self._objective.needs.baseline:
            return
        module = self.accelerator.unwrap_model(self.model)
        training = module.training
        module.eval()
        total = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        for batch in batches:
            with self.accelerator.autocast():
                pair = module.baseline(batch.to(self.args.device))
            total += torch.stack([value.double() for value in pair])
            batch.mismatched = None
        module.train(training)
        total = self.accelerator.reduce(total, "sum")
        for batch in batches:
            batch.baseline = (total[0] / total[1].clamp(min=1e-9)).float()

    @property
    def _objective(self) -> StageObjective:
        return self.module.objective

    # -- one step ----------------------------------------------------------------------------------------------------
    def _prepare_inputs(self, inputs: TreeBatch) -> TreeBatch:  # type: ignore[override]
        return inputs.to(self.args.device)

    def compute_loss(
        self, model: Any, inputs: TreeBatch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        out = model(inputs)
        self.meter.add({"loss": (out["sum"], out["count"]), **out["metrics"]})
        # The wrapper averages gradients over ranks; the objective is a sum over them.
        return (out["sum"] * (self.args.world_size / num_items_in_batch)).float()

    def floating_point_ops(self, inputs: Any) -> int:
        return 0  # we report tokens per second; benchmarks count FLOPs themselves

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            self._halt("loss", inputs.rows)
        return loss

    def _clip_grad_norm(self, model: Any) -> Any:
        norm = super()._clip_grad_norm(model)
        if norm is not None and not torch.isfinite(torch.as_tensor(float(norm))):
            self._halt("gradient norm", self._step_rows)
        return norm

    def _halt(self, what: str, rows: Any) -> None:
        """Stop at the first non-finite number, before it reaches the weights, and keep the row ids."""
        step = self.state.global_step
        path = self.folder.path / f"nonfinite-step-{step}-rank-{self.args.process_index}.json"
        path.write_text(
            json.dumps({"step": step, "what": what, "rows": list(rows)}, ensure_ascii=False, indent=1), encoding="utf-8"
        )
        raise RunError(
            f"the {what} became non-finite at step {step}; the ids of the {len(rows)} rows are in {path}. No weight was "
            "touched by it. Try a lower train.learning_rate, model.dtype=float32 or bfloat16 instead of float16, or look at those rows"
        )

    lr_scheduler: Any
    control: Any

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        if self.lr_scheduler is None:
            kind, warmup = self.schedule
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                self.optimizer if optimizer is None else optimizer,
                lambda step: factor(step, num_training_steps, warmup, kind),  # type: ignore[arg-type]
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    # -- numbers -----------------------------------------------------------------------------------------------------
    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Write one metrics line from the meter; `logs` is the Trainer's own and gives gradient norm and learning rate."""
        if "loss" not in logs:
            return
        now = time.perf_counter()
        values, tokens = self.meter.drain()
        self.tokens += tokens
        line = {f"train/{k}": v for k, v in values.items()}
        line["train/grad_norm"], line["train/learning_rate"] = float(logs["grad_norm"]), float(logs["learning_rate"])
        line["train/tokens"] = self.tokens
        line["train/tokens_per_second"] = tokens / max(1e-9, now - self._clock)
        self._publish(line)
        self._clock = time.perf_counter()

    def _publish(self, line: dict[str, float]) -> None:
        self.latest |= line
        if self.metrics_log is not None:
            self.metrics_log.append(self.state.global_step, line)
        flat = {k.removeprefix("train/").replace("eval/", "eval_"): v for k, v in line.items()}
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, flat)

    @torch.no_grad()
    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:  # type: ignore[override]
        """Mean loss and metrics over the held-out set, written as eval/…; once a step, however often it is asked."""
        if self.held_out is None:
            return {}
        if self._evaluated[0] == self.state.global_step and self._evaluated[1]:
            return self._evaluated[1]
        before, module = time.perf_counter(), self.accelerator.unwrap_model(self.model)
        batches: Iterable[TreeBatch] = loader(self.held_out, self.args.process_index, self.args.world_size)
        if self._objective.needs.baseline:
            batches = list(batches)
            self._set_baseline(batches)
        module.eval()
        meter = Meter(self.accelerator)
        for batch in batches:
            with self.accelerator.autocast():
                out = module(batch.to(self.args.device))
            meter.add({"loss": (out["sum"], out["count"]), **out["metrics"]})
        module.train()
        values = {f"eval/{k}": v for k, v in meter.drain()[0].items()}
        self._publish(values)
        self._evaluated = (self.state.global_step, values)
        self._clock += time.perf_counter() - before  # evaluation is not training time
        return values

    # -- checkpoints -------------------------------------------------------------------------------------------------
    def _save_checkpoint(self, model: Any, trial: Any = None) -> None:
        """Everything a resume needs, written by rank 0 under a temporary name and renamed when complete."""
        module = self.accelerator.unwrap_model(self.model)
        random = self._gather_random()
        pending = self.meter.state() | {"total_tokens": self.tokens}
        if self.is_world_process_zero():
            with self.folder.saving(self.state.global_step) as temp:
                save_file({n: p.detach().contiguous() for n, p in trainable(module).items()}, temp / WEIGHTS)
                torch.save(self.optimizer.state_dict(), temp / "optimizer.pt")
                torch.save(self.lr_scheduler.state_dict(), temp / "scheduler.pt")  # type: ignore[union-attr]
                for rank, state in enumerate(random):
                    torch.save(state, temp / ("rng_state.pth" if len(random) == 1 else f"rng_state_{rank}.pth"))
                (temp / PENDING).write_text(json.dumps(pending), encoding="utf-8")
                self.state.save_to_json(str(temp / "trainer_state.json"))
            self.folder.prune(self.args.save_total_limit or 1)
        self.accelerator.wait_for_everyone()

    def _gather_random(self) -> list[dict[str, Any]]:
        import random

        import numpy as np

        mine: dict[str, Any] = {
            "python": random.getstate(),
            "numpy": np.random.get_state(),
            "cpu": torch.random.get_rng_state(),
        }
        if torch.cuda.is_available():
            mine["cuda"] = (
                torch.cuda.random.get_rng_state_all() if self.args.world_size > 1 else torch.cuda.random.get_rng_state()
            )
        if self.args.world_size == 1:
            return [mine]
        states: list[Any] = [None] * self.args.world_size
        torch.distributed.all_gather_object(states, mine)
        return states

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Trained weights and pending sums; optimiser, schedule and random state are read by the base class."""
        checkpoint = Path(resume_from_checkpoint)
        wanted = trainable(self.accelerator.unwrap_model(self.model))
        saved = load_file(checkpoint / WEIGHTS)
        if saved.keys() != wanted.keys():
            raise RunError(f"{checkpoint} holds other trained weights than this model has; use another output_dir")
        with torch.no_grad():
            for name, parameter in wanted.items():
                parameter.copy_(saved[name])
        pending = json.loads((checkpoint / PENDING).read_text(encoding="utf-8"))
        self.tokens = pending.pop("total_tokens")
        self.meter.restore(pending, main=self.is_world_process_zero())
