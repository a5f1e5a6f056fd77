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

from pydantic import BaseModel

from medicalgpt.checkpoints import checkpoint, random_state
from medicalgpt.config.rl import RlConfig
from medicalgpt.errors import RunError
from medicalgpt.kernels.malloc import release_memory
from medicalgpt.language import translated
from medicalgpt.objectives.ppo import ClippedValue
from medicalgpt.rendering.batch import TreeBatch
from medicalgpt.rewards.answers import Group, PromptRow
from medicalgpt.rewards.sources import Scores
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.duration import duration
from medicalgpt.runs.folder import RunFolder, StartState
from medicalgpt.runs.metrics import MetricsLog, SampleLog, held_out_numbers
from medicalgpt.training.best import BestSoFar
from medicalgpt.training.live_report import LiveReport
from medicalgpt.training.phases import Ahead, Phases
from medicalgpt.training.reached import Movement
from medicalgpt.training.rl import health
from medicalgpt.training.rl.drawing import Draw, Drawer
from medicalgpt.training.rl.experience import Experience, assign, logprob_gaps, measure
from medicalgpt.training.rl.heldout import HeldOut
from medicalgpt.training.rl.process_group import ProcessGroup
from medicalgpt.training.rl.rollout import RolloutSampler
from medicalgpt.training.rl.update import Updater, UpdateSettings
from medicalgpt.training.save_clock import SaveClock
from medicalgpt.training.saver import Saver
from medicalgpt.training.signals import StopSignal
from medicalgpt.training.stages import policy_objective
from medicalgpt.training.together import wait


class LoopState(BaseModel):
    """What a checkpoint keeps of the loop: the weight of the KL, the held-out scores and numbers before step 1, and how many
    prompts were drawn (None, of earlier versions: as many as every update wants)."""

    beta: float
    start: list[list[float]]
    first: dict[str, float]
    drawn: int | None = None


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
    phases: Phases
    report: LiveReport
    trackers: Any = None
    best: BestSoFar | None = None
    saver: Saver = field(init=False)
    beta: float = field(init=False)
    start: list[list[float]] = field(default_factory=list)
    first: dict[str, float] = field(default_factory=dict)
    tokens: int = 0
    step: int = 0
    drawn: int = 0
    _began: tuple[float, int, float] = (0.0, 0, 0.0)  # when the updates began, after which, and what phases had taken

    def __post_init__(self) -> None:
        c = self.config
        self.beta = c.kl.beta if c.kl else 0.0
        per_epoch = len(self.rows) / c.rollout.prompts
        self.updates = c.train.max_steps or max(1, math.ceil(c.train.epochs * per_epoch))
        self.value = ClippedValue[TreeBatch](c.critic.value_clip) if c.critic else None
        self.movement = Movement(self.updater.roles.trained())
        self.judged = c.scoring is not None and any(entry.judge is not None for entry in c.scoring.functions)
        self.saver = Saver(self.folder, c.train.keep_checkpoints, c.distributed.async_save)
        self.drawer = Drawer(c, self.sampler, self.rewards, self.rows, self.world)
        self.stop, self.clock = StopSignal(self.phases.console, "update"), SaveClock(c.train.save_minutes)
        # Opening a log mends it, so only the process that writes it may.
        writes = self.world.rank == 0
        self.log = MetricsLog(self.folder.metrics) if writes else None
        self.samples = SampleLog(self.folder.samples) if writes else None

    def run(self, start: StartState) -> tuple[dict[str, float], dict[str, float]]:
        """Train to the end or to a signal; returns the held-out numbers before and now."""
        self.saver.best = self.best
        self.stop.listen()
        try:
            if start.checkpoint is None:
                last = self.first = self._evaluate()
                self.start = self.held_out.scores.tolist()
                if self.best is not None:
                    self.saver.start(self.updater.roles.trained())
            else:
                self._restore(start)
                # A run that died after its last checkpoint has measured itself already; its log is there for every process.
                last = (self.first and held_out_numbers(self.folder.metrics, self.step)) or self.first
            self.clock.restart()
            self.report.begin(self.step, self.updates)
            self._began = (time.monotonic(), self.step, self.phases.spent)
            while self.step < self.updates and self.stop.number is None and not self._ended_early:
                last = self._update() or last
            self.saver.wait()
            return self.first, last
        finally:
            self.saver.leave()
            self.stop.restore()

    @property
    def _ended_early(self) -> bool:
        """Whether patience is at its end."""
        return self.best is not None and self.best.exhausted

    # -- one update --------------------------------------------------------------------------------------------------
    def _update(self) -> dict[str, float]:
        """One update with its metrics, checks and, where they are due, held-out numbers and checkpoint."""
        begin = time.perf_counter()
        rates = self.updater.set_rates(self.step, self.updates)
        self.sampler.renew(self.step)
        draw = self.drawer.draw(self.step, self.drawn)
        seen, known = None, dict[str, float]()
        if draw.total:
            seen = measure(self.updater.roles, draw.groups, self.updater.capacity, self.updater.filler)
            gaps = logprob_gaps(draw.groups, seen.targets.old, self.world)
            known = assign(self.config, seen, draw.scores, self.beta, self.world)
            release_memory()
            known = self._learn(seen, draw.owned, draw.total) | known | gaps
        self.step, self.drawn = self.step + 1, self.drawn + draw.prompts
        line = self._line(seen, draw, known | rates, time.perf_counter() - begin)
        if self.config.kl and draw.total:
            self.beta = health.adapted(self.beta, line["train/kl"], self.config.kl.target_kl)
        return self._after(line)

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

    def _line(self, seen: Experience | None, draw: Draw, learned: dict[str, float], seconds: float) -> dict[str, float]:
        """The update's metrics over all processes: of all answers that were drawn, and of those that were learned from."""
        answers = [a for g in draw.every for a in g.answers]
        sums = {
            "score": draw.score,
            "length": float(sum(len(a.ids) for a in answers)),
            "stop_rate": float(sum(a.stopped for a in answers)),
        }
        *totals, count, tokens = self.world.sums(*sums.values(), len(answers), draw.tokens)
        line = {name: total / count for name, total in zip(sums, totals)}
        if seen is not None:
            line |= self._learned_from(seen)
        if self.judged:
            (ungraded,) = self.world.sums(draw.scores.ungraded)
            line["ungraded"] = ungraded / count
        if self.config.rollout.dynamic_sampling is not None:
            line |= {"prompts": draw.prompts, "without_spread": draw.without_spread}
        training = learned.pop("train_seconds", 0.0)
        self.tokens += int(tokens)
        speeds = {
            "rollout_tokens_per_second": tokens / max(1e-9, draw.seconds),
            "rollout_share": draw.seconds / max(1e-9, seconds),
            "seconds": seconds,
        }
        if seen is not None:
            passes = self.config.objective.epochs * line.pop("used")
            speeds["tokens_per_second"] = passes / max(1e-9, training)
        line |= {"beta": self.beta, **learned, "tokens": self.tokens, **speeds}
        return {f"train/{name}": float(value) for name, value in line.items()}

    def _learned_from(self, seen: Experience) -> dict[str, float]:
        """Reward, KL and entropy of the answers that were learned from, and how many tokens those have."""
        reward = float((seen.total - self.beta * seen.kl).sum())
        sums = reward, float(seen.kl.sum()), float(seen.entropy.sum()), len(seen.lengths), float(seen.lengths.sum())
        reward, kl, entropy, count, tokens = self.world.sums(*sums)
        return {"reward": reward / count, "kl": kl / count, "entropy": entropy / tokens, "used": tokens}

    # -- what follows an update ------------------------------------------------------------------------------------------
    def _after(self, line: dict[str, float]) -> dict[str, float]:
        t, last = self.config.train, self.step == self.updates
        due = self.stop.agree(self.world.device if self.world.size > 1 else None, self.clock.due)
        measured: dict[str, float] = {}
        if last or (t.eval_every and self.step % t.eval_every == 0):
            measured = self._evaluate(publish=False)
        trouble = health.verdict(self.config.health, self.step, line | measured, self.first)
        if self.step % t.log_every == 0 or measured or last or trouble:
            self._publish(line | measured)
            self.report.now_and_then(self.step, self.updates)
        if trouble:
            self._halt(trouble, line | measured)
        if measured:
            self._write_samples()
        stops, ends = self.stop.number is not None and not last, last and t.save_minutes is not None
        better = self.best is not None and self.best.step == self.step
        if due or stops or ends or better or self._ended_early or (t.save_every and self.step % t.save_every == 0):
            self._save()
        return measured

    def _halt(self, trouble: str, line: dict[str, float]) -> None:
        if self.world.rank == 0:
            path = self.folder.path / "verdict.json"
            write_text(path, json.dumps({"step": self.step, "verdict": trouble, "metrics": line}, indent=1))
        raise RunError(
            f"{trouble}. The numbers are in {self.folder.path / 'verdict.json'}; earlier checkpoints are intact"
        )

    def _evaluate(self, publish: bool = True) -> dict[str, float]:
        self.sampler.renew(self.step)
        with self.phases.during("held-out", f"answering {len(self.held_out.rows)} held-out prompts"):
            found = self.held_out.evaluate(self.updater.roles.policy, self.updater.capacity, self.start)
        if self.best is not None:
            self.best.see(self.step, found)
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
        if line.get("train/ungraded"):
            parts.append(f"{line['train/ungraded']:.0%} of the answers ungraded")
        if line.get("train/without_spread"):
            parts.append(f"{line['train/without_spread']:.0f} of {line['train/prompts']:.0f} prompts without spread")
        if self.step > 0:
            parts.append(f"{self._left()} left")
        said = "  ".join(translated(part) for part in parts)
        self.phases.console.print(translated(f"update {self.step}/{self.updates}  {said}"), highlight=False)

    def _left(self) -> str:
        """How long the updates that are left take, with what is measured between and after them."""
        begun, first, spent = self._began
        each = (time.monotonic() - begun - (self.phases.spent - spent)) / max(1, self.step - first)
        measuring = Ahead(self.config.train.eval_every, None).seconds(self.step, self.updates, self.phases)
        return duration(each * (self.updates - self.step) + (measuring if self.step < self.updates else 0.0))

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
        state = LoopState(beta=self.beta, start=self.start, first=self.first, drawn=self.drawn).model_dump()
        pending = checkpoint.Pending(total_tokens=self.tokens)  # no metric sums stay open between updates
        optimizer, weights = self.updater.optimizer, self.updater.roles.trained()
        self.saver.save(checkpoint.Snapshot("rl", self.step, optimizer, random, pending, state), weights)
        self.clock.restart()

    def _restore(self, start: StartState) -> None:
        assert start.checkpoint is not None
        saved = checkpoint.read(start.checkpoint, "rl", self.world.size)
        saved.load_weights(self.updater.roles.trained())
        self.movement = Movement(self.updater.roles.trained(), start.step)
        saved.load_optimizer(self.updater.optimizer)
        saved.load_random(self.world.rank)
        state = saved.load_state(LoopState)
        self.step, self.tokens = start.step, saved.pending.total_tokens
        self.beta, self.start, self.first = state.beta, state.start, state.first
        self.drawn = self.step * self.config.rollout.prompts if state.drawn is None else state.drawn
        for log in (self.log, self.samples):
            if log is not None:
                log.rewind(start.step)
        wait()
        if self.best is not None:
            self.best.replay(self.folder.metrics)
