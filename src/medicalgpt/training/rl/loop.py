"""The loop of PPO, RLOO and GRPO: answers are drawn, scored, turned into advantages, and learned from.

One update is one step of the run: metrics, evaluation and checkpoints count updates. Everything random in an update comes
from the seed and its number, so a run that goes on from a checkpoint draws what an unbroken run would have drawn.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from rich.console import Console
from safetensors.torch import save_file

from medicalgpt.checkpoints import checkpoint, random_state
from medicalgpt.config.rl import RlConfig
from medicalgpt.errors import RunError
from medicalgpt.kernels.malloc import release_memory
from medicalgpt.objectives.ppo import ClippedValue
from medicalgpt.rendering.batch import TreeBatch
from medicalgpt.rewards.answers import Group, PromptRow
from medicalgpt.rewards.sources import Scores
from medicalgpt.runs.folder import RunFolder, StartState
from medicalgpt.runs.metrics import MetricsLog, SampleLog, held_out_numbers
from medicalgpt.training.rl import health
from medicalgpt.training.rl.experience import Experience, assign, measure
from medicalgpt.training.rl.heldout import HeldOut
from medicalgpt.training.rl.process_group import ProcessGroup
from medicalgpt.training.rl.rollout import Rollouts, RolloutSampler, require_answers
from medicalgpt.training.rl.update import Updater, UpdateSettings
from medicalgpt.training.signals import StopSignal
from medicalgpt.training.stages import policy_objective


class LoopState(BaseModel):
    """What a checkpoint keeps of the loop: the weight of the KL, and the held-out scores and numbers before step 1."""

    beta: float
    start: list[list[float]]
    first: dict[str, float]


@dataclass
class RlTrainer:
    """Trains `updater`'s policy (and critic) on the rewards of its own answers."""

    config: RlConfig
    updater: Updater
    sampler: RolloutSampler
    rewards: Callable[[Sequence[Group]], Scores]
    rows: Sequence[PromptRow]
    held_out: HeldOut
    folder: RunFolder
    world: ProcessGroup
    console: Console
    trackers: Any = None
    beta: float = field(init=False)
    start: list[list[float]] = field(default_factory=list)
    first: dict[str, float] = field(default_factory=dict)
    tokens: int = 0
    step: int = 0

    def __post_init__(self) -> None:
        c = self.config
        self.beta = c.kl.beta if c.kl else 0.0
        per_epoch = len(self.rows) / c.rollout.prompts
        self.updates = c.train.max_steps or max(1, math.ceil(c.train.epochs * per_epoch))
        self.value = ClippedValue[TreeBatch](c.critic.value_clip) if c.critic else None
        self.stop = StopSignal(self.console, "update")
        # Opening a log mends it, so only the process that writes it may.
        writes = self.world.rank == 0
        self.log = MetricsLog(self.folder.metrics) if writes else None
        self.samples = SampleLog(self.folder.samples) if writes else None

    def run(self, start: StartState) -> tuple[dict[str, float], dict[str, float]]:
        """Train to the end or to a signal; returns the held-out numbers before and now."""
        self.stop.listen()
        try:
            if start.checkpoint is None:
                last = self.first = self._evaluate()
                self.start = self.held_out.scores.tolist()
            else:
                self._restore(start)
                # A run that died after its last checkpoint has measured itself already; its log is there for every process.
                last = (self.first and held_out_numbers(self.folder.metrics, self.step)) or self.first
            while self.step < self.updates and self.stop.number is None:
                last = self._update() or last
            return self.first, last
        finally:
            self.stop.restore()

    # -- one update --------------------------------------------------------------------------------------------------
    def _update(self) -> dict[str, float]:
        """One update with its metrics, checks and, where they are due, held-out numbers and checkpoint."""
        begin = time.perf_counter()
        rows = self._prompts(self.step)
        rates = self.updater.set_rates(self.step, self.updates)
        first, mine = self.world.mine(rows)
        rolled = self.sampler.sample(mine, first, self.step)
        release_memory()  # each phase asks for other sizes; what the last one left in pieces would come on top of them
        said = self.world.gather([bool(a.text.strip()) for g in rolled.groups for a in g.answers])
        require_answers([one for part in said for one in part], self.step + 1)
        seen = measure(self.updater.roles, rolled.groups, self.updater.capacity, self.updater.filler)
        known = assign(self.config, seen, self.rewards(rolled.groups), self.beta, self.world)
        release_memory()
        owned = range(first, first + len(mine))
        learned = self._learn(seen, owned, len(rows))
        self.step += 1
        line = self._line(seen, rolled, learned | known | rates, time.perf_counter() - begin)
        if self.config.kl:
            self.beta = health.adapted(self.beta, line["train/kl"], self.config.kl.target_kl)
        return self._after(line)

    def _prompts(self, update: int) -> list[PromptRow]:
        """Prompts of an update: passes over all of them, each in a new order."""
        count, size = len(self.rows), self.config.rollout.prompts
        places = [divmod(place, count) for place in range(update * size, (update + 1) * size)]
        orders = {
            epoch: np.random.default_rng([self.config.train.seed, 5, epoch]).permutation(count)
            for epoch in {epoch for epoch, _ in places}
        }
        return [self.rows[int(orders[epoch][at])] for epoch, at in places]

    def _learn(self, seen: Experience, owned: Sequence[int], total: int) -> dict[str, float]:
        o, kl, critic = self.config.objective, self.config.kl, self.config.critic
        warming = critic is not None and self.step < critic.critic_warmup
        return self.updater.run(
            seen,
            policy_objective(self.config, self.beta),
            self.value,
            owned,
            total,
            UpdateSettings(o.epochs, o.minibatches, kl.stop_kl if kl else None),
            self.step,
            train_policy=not warming,
        )

    def _line(self, seen: Experience, rolled: Rollouts, learned: dict[str, float], seconds: float) -> dict[str, float]:
        """The update's metrics over all processes."""
        answers = [a for g in rolled.groups for a in g.answers]
        sums = {
            "score": float(seen.score.sum()),
            "reward": float((seen.total - self.beta * seen.kl).sum()),
            "kl": float(seen.kl.sum()),
            "length": float(seen.lengths.sum()),
            "stop_rate": float(sum(a.stopped for a in answers)),
            "entropy": float(seen.entropy.sum()),
        }
        *totals, count, tokens = self.world.sums(*sums.values(), len(answers), rolled.tokens)
        means = {name: total / (tokens if name == "entropy" else count) for name, total in zip(sums, totals)}
        training = learned.pop("train_seconds")
        self.tokens += int(tokens)
        speeds = {
            "rollout_tokens_per_second": tokens / max(1e-9, rolled.seconds),
            "tokens_per_second": tokens * self.config.objective.epochs / max(1e-9, training),
            "rollout_share": rolled.seconds / max(1e-9, seconds),
            "seconds": seconds,
        }
        line = {**means, "beta": self.beta, **learned, "tokens": self.tokens, **speeds}
        return {f"train/{name}": float(value) for name, value in line.items()}

    # -- what follows an update ------------------------------------------------------------------------------------------
    def _after(self, line: dict[str, float]) -> dict[str, float]:
        t, last = self.config.train, self.step == self.updates
        if self.world.size > 1:
            self.stop.agree(self.world.device)
        measured: dict[str, float] = {}
        if last or (t.eval_every and self.step % t.eval_every == 0):
            measured = self._evaluate(publish=False)
        trouble = health.verdict(self.config.health, self.step, line | measured, self.first)
        if self.step % t.log_every == 0 or measured or last or trouble:
            self._publish(line | measured)
        if trouble:
            self._halt(trouble, line | measured)
        if measured:
            self._write_samples()
        if (t.save_every and self.step % t.save_every == 0) or (self.stop.number is not None and not last):
            self._save()
        return measured

    def _halt(self, trouble: str, line: dict[str, float]) -> None:
        if self.world.rank == 0:
            path = self.folder.path / "verdict.json"
            path.write_text(json.dumps({"step": self.step, "verdict": trouble, "metrics": line}, indent=1), "utf-8")
        raise RunError(
            f"{trouble}. The numbers are in {self.folder.path / 'verdict.json'}; earlier checkpoints are intact"
        )

    def _evaluate(self, publish: bool = True) -> dict[str, float]:
        found = self.held_out.evaluate(self.updater.roles.policy, self.updater.capacity, self.start)
        if publish and found:
            self._publish(found)
            self._write_samples()
        return found

    def _publish(self, line: dict[str, float]) -> None:
        if self.log is None:
            return
        self.log.append(self.step, line)
        if self.trackers is not None:
            self.trackers.log(line, step=self.step)
        shown = ("score", "kl", "entropy", "stop_rate", "length", "rollout_tokens_per_second")
        parts = [f"{name} {line[f'train/{name}']:.4g}" for name in shown if f"train/{name}" in line]
        parts += [
            f"held-out {n} {line[f'eval/{n}']:.4g}"
            for n in ("score", "stop_rate", "answer_loss")
            if f"eval/{n}" in line
        ]
        self.console.print(f"update {self.step}/{self.updates}  " + "  ".join(parts), highlight=False)

    def _write_samples(self) -> None:
        """The first held-out answers with their scores."""
        if self.samples is None:
            return
        self.samples.rewind(self.step - 1)
        for group, score in zip(self.held_out.groups[: self.config.train.sample_count], self.held_out.scores[:, 0]):
            answer = group.answers[0]
            self.samples.append(
                self.step,
                [m.as_dict() for m in group.row.dialogue.messages],
                answer.text,
                reference=group.row.reference,
                stopped=answer.stopped,
                source=str(group.row.source),
                score=float(score),
            )

    # -- checkpoints -------------------------------------------------------------------------------------------------
    def _save(self) -> None:
        random = random_state.gather(self.world.size)
        if self.world.rank == 0:
            state = LoopState(beta=self.beta, start=self.start, first=self.first).model_dump()
            pending = checkpoint.Pending(total_tokens=self.tokens)  # no metric sums stay open between updates
            with self.folder.saving(self.step) as temp:
                save_file(checkpoint.tensors(self.updater.roles.trained()), temp / checkpoint.WEIGHTS)
                checkpoint.write(
                    temp, checkpoint.Snapshot("rl", self.step, self.updater.optimizer, random, pending, state)
                )
            self.folder.prune(self.config.train.keep_checkpoints)
        if self.world.size > 1:
            torch.distributed.barrier()

    def _restore(self, start: StartState) -> None:
        assert start.checkpoint is not None
        saved = checkpoint.read(start.checkpoint, "rl", self.world.size)
        saved.load_weights(self.updater.roles.trained())
        saved.load_optimizer(self.updater.optimizer)
        saved.load_random(self.world.rank)
        state = saved.load_state(LoopState)
        self.step, self.tokens = start.step, saved.pending.total_tokens
        self.beta, self.start, self.first = state.beta, state.start, state.first
        for log in (self.log, self.samples):
            if log is not None:
                log.rewind(start.step)
        if self.world.size > 1:
            torch.distributed.barrier()
