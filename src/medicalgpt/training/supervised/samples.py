"""Sample answers during training, written to samples.jsonl by the same engine that serves."""

from medicalgpt.config.base import SupervisedConfig
from medicalgpt.data.records import Message
from medicalgpt.errors import MedicalGPTError
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.language import translated
from medicalgpt.models.load import Loaded
from medicalgpt.rendering.build import Prepared
from medicalgpt.rendering.first_rows import SamplePrompt
from medicalgpt.runs.metrics import SampleLog
from medicalgpt.training.context import Context


class SampleWriter:
    """Answers the same few held-out prompts each time it is asked. PT has no prompts and writes none."""

    def __init__(self, ctx: Context[SupervisedConfig, Prepared], loaded: Loaded, log: SampleLog | None) -> None:
        """`log` is None in a process that answers only because the others do."""
        self.ctx, self.loaded, self.log = ctx, loaded, log
        self.prompts = held_out_prompts(ctx)
        self.room_said = False

    def write(self, step: int) -> None:
        """Answer greedily and append to samples.jsonl; the model's mode and the random state are left as they were."""
        if not self.prompts:
            return
        # A process that was killed between these answers and the next checkpoint left some behind.
        if self.log is not None:
            self.log.rewind(step - 1)
        engine = Engine(self.loaded.model, self.loaded.tokenizer, self.ctx.template)
        sampling = Sampling(max_new_tokens=self.ctx.config.train.sample_tokens, temperature=0.0)
        fitting = [sample for sample in self.prompts if _fits(engine, sample.prompt, sampling)]
        if len(fitting) < len(self.prompts) and not self.room_said:
            self.room_said = True
            self.ctx.console.print(
                translated(
                    f"{len(self.prompts) - len(fitting)} of {len(self.prompts)} sample prompts are not answered: the model's "
                    f"context has no room for them and train.sample_tokens={sampling.max_new_tokens}"
                ),
                highlight=False,
            )
        with self.ctx.phases.during("samples", f"answering {len(fitting)} sample prompts at step {step}"):
            answers = engine.generate([s.prompt for s in fitting], sampling)
        for sample, done in zip(fitting, answers) if self.log is not None else ():
            assert self.log is not None
            self.log.append(
                step,
                [m.as_dict() for m in sample.prompt],
                done.text,
                reference=sample.reference,
                stopped=done.stopped,
                source=str(sample.source),
            )


def _fits(engine: Engine, prompt: tuple[Message, ...], sampling: Sampling) -> bool:
    """Whether the model's context has room for a prompt and its answer; a sample is not worth stopping a run for."""
    try:
        engine.prepare(prompt, sampling)
    except MedicalGPTError:
        return False
    return True


def held_out_prompts(ctx: Context[SupervisedConfig, Prepared]) -> list[SamplePrompt]:
    """The first `train.sample_count` held-out prompts. A reward model answers nothing, so it has none."""
    return [] if ctx.config.scores else ctx.prepared.first_rows.prompts[: ctx.config.train.sample_count]
