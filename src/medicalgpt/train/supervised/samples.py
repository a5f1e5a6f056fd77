"""Sample answers during training, written to samples.jsonl by the same engine that serves."""

from itertools import islice

from medicalgpt.config.base import SupervisedConfig
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Dialogue, Feedback, Message, Preference
from medicalgpt.data.split import choose_eval, group_key
from medicalgpt.errors import MedicalGPTError
from medicalgpt.generate.engine import Engine, Sampling
from medicalgpt.models.load import Loaded
from medicalgpt.render.build import Prepared
from medicalgpt.runs.metrics import SampleLog
from medicalgpt.train.context import Context


class SampleWriter:
    """Answers the same few held-out prompts each time it is asked. PT has no prompts and writes none."""

    def __init__(self, ctx: Context[SupervisedConfig, Prepared], loaded: Loaded) -> None:
        self.ctx, self.loaded = ctx, loaded
        self.log = SampleLog(ctx.folder.samples)
        self.prompts = held_out_prompts(ctx, ctx.config.train.sample_count)

    def write(self, step: int) -> None:
        """Answer greedily and append to samples.jsonl; the model's mode and the random state are left as they were."""
        if not self.prompts:
            return
        # A process that was killed between these answers and the next checkpoint left some behind.
        self.log.rewind(step - 1)
        engine = Engine(self.loaded.model, self.loaded.tokenizer, self.ctx.template)
        sampling = Sampling(max_new_tokens=self.ctx.config.train.sample_tokens, temperature=0.0)
        fitting = [row for row in self.prompts if _fits(engine, row[0], sampling)]
        for (prompt, reference, source), done in zip(fitting, engine.generate([p for p, _, _ in fitting], sampling)):
            self.log.append(
                step, [m.as_dict() for m in prompt], done.text, reference=reference, stopped=done.stopped, source=source
            )


def _fits(engine: Engine, prompt: tuple[Message, ...], sampling: Sampling) -> bool:
    """Whether the model's context has room for a prompt and its answer; a sample is not worth stopping a run for."""
    try:
        engine.prepare(prompt, sampling)
    except MedicalGPTError:
        return False
    return True


def held_out_prompts(
    ctx: Context[SupervisedConfig, Prepared], count: int
) -> list[tuple[tuple[Message, ...], str, str]]:
    """The first held-out prompts with their reference answers and row ids."""
    data, kind = ctx.config.data, ctx.config.kind
    if kind == "document" or ctx.config.scores or count == 0 or not (data.eval or data.eval_fraction):
        return []

    def rows(paths: list[str]):  # type: ignore[no-untyped-def]
        return read(paths, kind, columns=data.columns, on_bad_row="drop", max_bad_share=1.0, ledger=Ledger())

    if data.eval:
        found = rows(data.eval)
    else:
        held = choose_eval([group_key(r) for r in rows(data.train)], data.eval_fraction, ctx.config.train.seed)
        found = (r for r in rows(data.train) if group_key(r) in held)
    out: list[tuple[tuple[Message, ...], str, str]] = []
    for record in islice((r for r in found if not isinstance(r, Feedback) or r.desirable), count):
        if isinstance(record, Dialogue):
            last = max(i for i, m in enumerate(record.messages) if m.role == "assistant")
            out.append((record.messages[:last], record.messages[last].content, str(record.source)))
        elif isinstance(record, Preference):
            out.append((record.prompt, record.chosen[-1].content, str(record.source)))
        elif isinstance(record, Feedback):
            out.append((record.prompt, record.answer[-1].content, str(record.source)))
    return out
