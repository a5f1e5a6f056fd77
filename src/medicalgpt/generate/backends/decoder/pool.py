"""The pool: completions under way in slots, and those that wait for one."""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from medicalgpt.generate.backends.base import StopCallback
from medicalgpt.generate.backends.decoder.draw import next_tokens
from medicalgpt.generate.backends.decoder.kv import Slots, Snapshot, Step
from medicalgpt.generate.backends.decoder.prompt_scores import prompt_scores, watched
from medicalgpt.generate.backends.decoder.token_score import TokenScore, top_of
from medicalgpt.generate.sampling import Sampling
from medicalgpt.kernels.known_tokens import KnownTokens
from medicalgpt.models.causal_lm import CausalLM
from medicalgpt.structured.row import RowGrammar, mask

_PROMPT_TOKENS = 2048  # of new prompts in one forward pass: enough for full speed, little beside the weights in memory


@dataclass(eq=False)
class SequenceState:
    """A completion in the making. With `top` set, each token's log-probability and that many others go to `scores`.

    `grammar` rules out tokens that its constraint does not allow. With `echo` the prompt's tokens are scored as well, when
    the row enters: `prompt_scores` has one for each but the first, or stays None where the model's head is out of reach.
    """

    number: int
    prompt: Sequence[int]
    random: random.Random
    sampling: Sampling
    top: int | None = None
    tokens: list[int] = field(default_factory=list)
    scores: list[TokenScore] = field(default_factory=list)
    known: dict[int, None] | None = None
    grammar: RowGrammar | None = None
    echo: bool = False
    prompt_scores: list[TokenScore] | None = None

    def take(self, token: int) -> None:
        """Add a token."""
        self.tokens.append(token)
        if self.known is not None:
            self.known[token] = None
        if self.grammar is not None:
            self.grammar.take(token)

    @property
    def seen(self) -> list[int]:
        """The different tokens of prompt and answer."""
        if self.known is None:
            self.known = dict.fromkeys([*self.prompt, *self.tokens])
        return list(self.known)

    @property
    def held(self) -> int:
        """Tokens in its slot: all but the newest."""
        return len(self.prompt) + len(self.tokens) - 1


@dataclass
class CachedPrompt:
    """A prompt whose completions have not all found room yet: what is in its slot, its last logits [1, V], its scores."""

    prompt: Sequence[int]
    slot: Snapshot
    logits: torch.Tensor
    scores: list[TokenScore] | None


class Pool:
    """Rows under way, `active[i]` in slot i; the others wait in the order they came. Call `step` while `busy`."""

    def __init__(
        self,
        model: CausalLM,
        stop_ids: Sequence[int],
        size: int,
        ends: StopCallback | None = None,
        known: KnownTokens | None = None,
    ) -> None:
        self.model, self.size, self.ends, self.known = model, size, ends, known
        self.stop_ids = list(stop_ids)
        self.device = model.get_input_embeddings().weight.device
        self.slots = Slots(size)
        self.active: list[SequenceState] = []
        self.waiting: deque[SequenceState] = deque()
        self.kept: CachedPrompt | None = None

    def add(self, rows: Sequence[SequenceState]) -> None:
        """Let rows wait for a slot; those of one prompt (the same list) side by side, so that it is computed once."""
        self.waiting.extend(rows)

    def discard(self, row: SequenceState) -> None:
        """Take out a row that nobody waits for any more."""
        if row in self.waiting:
            self.waiting.remove(row)
        elif row in self.active:
            self._leave(self.active.index(row))

    @property
    def busy(self) -> bool:
        """Whether a row is not done."""
        return bool(self.active or self.waiting)

    def step(self) -> list[SequenceState]:
        """One more token for every row under way, and the first for those that enter; gives the rows that are done."""
        free = self.size - len(self.active)
        kept, again = self.kept, self._same_prompt(self.kept.prompt, free) if self.kept else []
        groups = self._enter(free - len(again))
        logits = self._forward(groups)  # [active + groups, V]
        first = len(self.active)
        source = list(range(first + len(groups)))
        self.active += [group[0] for group in groups]
        for leader, group in enumerate(groups, first):
            for row in group[1:]:
                self.slots.copy(leader, len(self.active), len(row.prompt))
                self.active.append(row)
                source.append(leader)
        self._keep(groups, logits)
        if len(source) > len(logits):
            logits = logits[torch.tensor(source, device=logits.device)]
        if kept and again:
            for row in again:
                row.prompt_scores = kept.scores
                self.slots.load(len(self.active), kept.slot)
                self.active.append(row)
            logits = torch.cat([logits, kept.logits.expand(len(again), -1)])
        return self._take(logits)

    def _same_prompt(self, prompt: Sequence[int], free: int) -> list[SequenceState]:
        """Waiting rows with this prompt, as many as there is room for."""
        rows: list[SequenceState] = []
        while self.waiting and len(rows) < free and self.waiting[0].prompt is prompt:
            rows.append(self.waiting.popleft())
        return rows

    def _enter(self, free: int) -> list[list[SequenceState]]:
        """Rows that find room now, grouped by their prompt."""
        groups: list[list[SequenceState]] = []
        tokens = 0
        while self.waiting and free:
            prompt = self.waiting[0].prompt
            tokens += len(prompt)
            if groups and tokens > _PROMPT_TOKENS:
                break
            groups.append(self._same_prompt(prompt, free))
            free -= len(groups[-1])
        return groups

    def _keep(self, groups: Sequence[Sequence[SequenceState]], logits: torch.Tensor) -> None:
        """Hold on to the last prompt while rows that share it wait."""
        following = self.waiting[0].prompt if self.waiting else None
        if groups and groups[-1][0].prompt is following:
            slot = len(logits) - 1
            saved, scores = self.slots.save(slot, len(following)), groups[-1][0].prompt_scores
            self.kept = CachedPrompt(following, saved, logits[slot:].clone(), scores)
        elif self.kept and self.kept.prompt is not following:
            self.kept = None

    def _forward(self, groups: Sequence[Sequence[SequenceState]]) -> torch.Tensor:
        """fp32 logits [rows, V] of the next token of rows under way and of new prompts, of ids that may be chosen."""
        prompts = [group[0].prompt for group in groups]
        if not self.active and not prompts:
            assert self.kept is not None
            return self.kept.logits[:0]
        step = Step([row.held for row in self.active], [len(prompt) for prompt in prompts], self.device)
        self.slots.reserve(max([*(row.held + 1 for row in self.active), *map(len, prompts)]))
        ids = [*(row.tokens[-1] for row in self.active), *(token for prompt in prompts for token in prompt)]
        echoed = any(group[0].echo for group in groups)
        with self.slots.running(step), watched(self.model, echoed) as seen:
            out = self.model(
                input_ids=torch.tensor([ids], device=self.device),
                position_ids=step.positions,
                use_cache=False,
                logits_to_keep=step.last,
            )
        logits = (out.logits[0] if self.known is None else self.known.drawable(out.logits[0])).float()
        if seen.states is not None:
            self._score_prompts(groups, seen.states[0], logits)
        return logits

    def _score_prompts(
        self, groups: Sequence[Sequence[SequenceState]], states: torch.Tensor, logits: torch.Tensor
    ) -> None:
        """Give rows that echo the scores of their prompt, from the states [N + T, D] of a step."""
        assert isinstance(self.model, nn.Module)
        first = len(self.active)
        for group, last in zip(groups, logits[first:]):
            prompt, top = group[0].prompt, group[0].top
            if group[0].echo and top is not None:
                mine = states[first : first + len(prompt)]
                scores = prompt_scores(self.model, mine, prompt, last, top, self.known)
                for row in group:
                    row.prompt_scores = scores
            first += len(prompt)

    def _take(self, logits: torch.Tensor) -> list[SequenceState]:
        """Draw a token for every row; rows that are done leave, and the last one moves into the gap."""
        # Before the masks and the draw, which write over the logits.
        scored = {i: torch.log_softmax(logits[i], -1) for i, row in enumerate(self.active) if row.top is not None}
        mask(logits, {i: row.grammar for i, row in enumerate(self.active) if row.grammar is not None})
        tokens = next_tokens(logits, self.active, self.stop_ids)
        done = []
        for i, (row, token) in enumerate(zip(self.active, tokens)):
            row.take(token)
            if i in scored:
                row.scores.append(_score(scored[i], token, row.top or 0))
            ended = token in self.stop_ids or bool(self.ends and self.ends(row.number, token))
            if ended or len(row.tokens) == row.sampling.max_new_tokens:
                done.append(i)
        return [self._leave(i) for i in reversed(done)]

    def _leave(self, i: int) -> SequenceState:
        gone, last = self.active[i], self.active.pop()
        if i < len(self.active):
            self.slots.copy(len(self.active), i, last.held)
            self.active[i] = last
        return gone


def _score(logps: torch.Tensor, token: int, count: int) -> TokenScore:
    return TokenScore(float(logps[token]), top_of(logps[None], count)[0])
