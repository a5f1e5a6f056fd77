"""Checks on the real rows before step 0; one that fails stops the run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.text import Text
from torch import nn

from medicalgpt.data.records import Message
from medicalgpt.errors import RenderError
from medicalgpt.language import translated
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.rendering.conversation import conversation_parts
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.tree import TokenTree


@dataclass(frozen=True)
class Proof:
    """One proven fact, as printed."""

    name: str
    value: str


def preflight(
    trees: Sequence[TokenTree], template: ChatTemplate, model: nn.Module, conversations: Sequence[tuple[Message, ...]]
) -> list[Proof]:
    """Check the promises training relies on.

    Args:
        trees: every row of the training set.
        conversations: some finished conversations of the data; empty for documents.

    Raises:
        RenderError: naming the promise, what was found, and what to do.
    """
    embeddings = unwrap(model).get_input_embeddings().weight.shape[0]
    largest, trained = 0, 0
    for tree in trees:
        largest = max(largest, max(int(s.ids.max()) for s in tree.segments))
        if not tree.trained:
            raise RenderError(f"{tree.source}: no token of this row is trained")
        trained += tree.trained
    _vocabulary(largest, len(template.tokenizer), embeddings)
    if template.pad_id is not None and template.pad_id in template.stop_ids:
        raise RenderError(f"the pad token (id {template.pad_id}) is also a stop token; choose another pad token")
    proofs = [
        Proof("vocabulary", f"largest id {largest} < {embeddings} embeddings; tokenizer has {len(template.tokenizer)}"),
        Proof("padding", f"pad id {template.pad_id} is none of the stop ids {template.stop_ids}"),
        Proof("masking", f"{trained} trained tokens, none of {len(trees)} rows fully masked"),
    ]
    if conversations:
        proofs.append(Proof("stop token", _stop_coverage(trees, template)))
        proofs.append(Proof("generation prompt", _prompts_agree(template, conversations)))
    return proofs


def _vocabulary(largest: int, tokenizer: int, embeddings: int) -> None:
    if largest >= embeddings or tokenizer > embeddings:
        raise RenderError(
            f"the tokenizer has {tokenizer} tokens and the data uses ids up to {largest}, but the model has only {embeddings} "
            "embeddings; this tokenizer belongs to another model"
        )


def _stop_coverage(trees: Sequence[TokenTree], template: ChatTemplate) -> str:
    """Every leaf must end in the trained stop token (rendering has proven the same of every earlier turn)."""
    leaves = 0
    for tree in trees:
        for leaf in tree.leaves:
            segment = tree.segments[leaf]
            last = int(np.flatnonzero(segment.weights > 0)[-1]) if (segment.weights > 0).any() else -1
            if last < 0 or int(segment.ids[last]) != template.stop_id:
                raise RenderError(
                    f"{tree.source}: its last trained token is not the stop token (id {template.stop_id})"
                )
            leaves += 1
    return f"{leaves} of {leaves} answers end in trained id {template.stop_id} ({template.encoder.decode([template.stop_id])!r}), 100 %"


def _prompts_agree(template: ChatTemplate, conversations: Sequence[tuple[Message, ...]]) -> str:
    """Training puts the same ids before an answer as inference gives the model, on real rows and awkward answers."""
    turns = (
        Message("user", "What is a fever?"),
        Message("assistant", "38 °C or more."),
        Message("user", "血壓高？\nAnd now?"),
    )
    answers = ("Plain.", "\nBegins with a newline.", " Begins with a space.", "血壓")
    checked = [*conversations, *((*turns, Message("assistant", a)) for a in answers)]
    for messages in checked:
        found = conversation_parts(template, messages)
        if found is None:  # the template rewrites turns: rendering built the prompt with the very same call
            continue
        parts = template.encoder.parts(found[0])
        last = found[1].index(len(messages) - 1)
        if [i for part in parts[:last] for i in part] != template.prompt_ids(messages[:-1]):
            raise RenderError(
                f"chat template '{template.name}': the prompt differs between training and inference; choose another data.template"
            )
    return f"equal token by token in {len(checked)} conversations"


def show(tree: TokenTree, template: ChatTemplate) -> Text:
    """One decoded row, trained tokens in green on the plain context."""
    out = Text()
    leaf = tree.leaves[0]
    ids, weights = tree.path(leaf)
    for kept, run in _runs(ids, weights):
        out.append(template.encoder.decode(run), style="bold green" if kept else "dim")
    for other in tree.leaves[1:]:
        segment = tree.segments[other]
        out.append(f"\n{translated('— other branch —')}\n", style="cyan")
        for kept, run in _runs(segment.ids, segment.weights):
            out.append(template.encoder.decode(run), style="bold red" if kept else "dim")
    return out


def _runs(ids: np.ndarray, weights: np.ndarray) -> list[tuple[bool, list[int]]]:
    runs: list[tuple[bool, list[int]]] = []
    for i, w in zip(ids.tolist(), (weights > 0).tolist()):
        if not runs or runs[-1][0] != w:
            runs.append((w, []))
        runs[-1][1].append(i)
    return runs


def as_table(proofs: Sequence[Proof]) -> Any:
    """The proofs as a small table."""
    from rich.table import Table

    table = Table(translated("preflight"), translated("proven on these rows"), title=None, expand=False)
    for proof in proofs:
        table.add_row(translated(proof.name), translated(proof.value))
    return table
