"""One model on the held-out sets of a pipeline: the numbers of the before → after table."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from medicalgpt.config.data_source import DataPath
from medicalgpt.config.pipeline import CompareConfig
from medicalgpt.config.sections import DataConfig
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Dialogue, Kind, Message
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.models.batches import batches
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.context import fitting
from medicalgpt.models.load import Loaded
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.probe import probe
from medicalgpt.objectives.segments import segment_sums
from medicalgpt.rendering.build import prepare
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.tree import TokenTree
from medicalgpt.runs.intervals import Estimate, exp, mean, ratio, share


@dataclass
class Scores:
    """Numbers and sample answers of one model. Losses are in nats per token.

    `losses` holds what two models are compared by row by row: Σ of the loss and number of tokens [rows, 2], by kind.
    """

    numbers: dict[str, Estimate] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    losses: dict[str, np.ndarray] = field(default_factory=dict)


def score(loaded: Loaded, config: CompareConfig, cache: Path) -> Scores:
    """Evaluate a loaded model; sets that the config leaves empty are left out."""
    if config.dialogues or config.preferences or config.questions:
        template = ChatTemplate.load(loaded.tokenizer, config.template)
    else:
        template = ChatTemplate.for_documents(loaded.tokenizer, config.template)
    most = fitting(config.max_tokens, unwrap(loaded.model).config, "compare.max_tokens")
    config = config.model_copy(update={"max_tokens": most})
    found = probe(loaded.model)
    policy = CausalPolicy(loaded.model, found.batching, found.chunked_head).eval()
    out = Scores()
    if config.documents:
        trees = _trees(config, "document", config.documents, template, cache)
        sums, counts = _sums(policy, trees, template)
        out.numbers["document perplexity"] = exp(ratio(-sums[:, 0], counts[:, 0]))
        out.losses["document_loss"] = np.stack([-sums[:, 0], counts[:, 0]], 1)
    if config.dialogues:
        trees = _trees(config, "dialogue", config.dialogues, template, cache)
        sums, counts = _sums(policy, trees, template)
        out.numbers["answer loss"] = ratio(-sums[:, 0], counts[:, 0])
        out.losses["answer_loss"] = np.stack([-sums[:, 0], counts[:, 0]], 1)
    if config.preferences:
        trees = _trees(config, "preference", config.preferences, template, cache)
        sums, counts = _sums(policy, trees, template)
        margin = sums[:, 1] / counts[:, 1] - sums[:, 2] / counts[:, 2]
        out.numbers["preference accuracy"] = share(float((margin > 0).sum() + 0.5 * (margin == 0).sum()), len(margin))
        out.numbers["preference margin"] = mean(margin)
    _answer(out, Engine(loaded.model, loaded.tokenizer, template), config)
    return out


def _trees(
    config: CompareConfig, kind: Kind, paths: Sequence[DataPath], template: ChatTemplate, cache: Path
) -> list[TokenTree]:
    data = DataConfig(train=list(paths), eval_fraction=0, max_tokens=config.max_tokens)
    store = prepare(data, kind, template, cache, seed=0).train
    count = len(store) if config.rows is None else min(config.rows, len(store))
    return [store[i] for i in range(count)]


@torch.no_grad()
def _sums(
    policy: CausalPolicy, trees: Sequence[TokenTree], template: ChatTemplate, capacity: int = 2048
) -> tuple[np.ndarray, np.ndarray]:
    """Σ log p and number of weighted tokens per tree and segment [trees, segments]."""
    width = max(len(t.segments) for t in trees)
    sums, counts = np.zeros((len(trees), width)), np.zeros((len(trees), width))
    device = next(policy.parameters()).device
    for batch in batches(trees, policy.batching, capacity, template.pad_id or 0, device):
        logps = policy.logps(batch)[0]
        total = segment_sums(logps * batch.weights, batch.segment, batch.segments).cpu().numpy()
        count = segment_sums(batch.weights, batch.segment, batch.segments).cpu().numpy()
        at = 0
        for i in batch.items:
            size = len(trees[i].segments)
            sums[i, :size], counts[i, :size] = total[at : at + size], count[at : at + size]
            at += size
    return sums, counts


def _answer(out: Scores, engine: Engine, config: CompareConfig) -> None:
    """Greedy answers to held-out questions (stop rate) and to the pipeline's own questions (samples)."""
    asked: list[tuple[Message, ...]] = [(Message("user", q),) for q in config.questions]
    if config.dialogues and config.stop_prompts:
        for row in read(config.dialogues, "dialogue", ledger=Ledger()):
            if len(asked) >= len(config.questions) + config.stop_prompts:
                break
            assert isinstance(row, Dialogue)  # what the kind says
            asked.append(row.messages[: max(i for i, m in enumerate(row.messages) if m.role == "assistant")])
    if not asked:
        return
    done = engine.generate(asked, Sampling(max_new_tokens=config.stop_tokens, temperature=0.0))
    out.answers = [d.text for d in done[: len(config.questions)]]
    held_out = done[len(config.questions) :]
    if held_out:
        out.numbers["stop rate"] = share(sum(d.stopped for d in held_out), len(held_out))
