"""Records to token trees, verified row by row: exactly the assistant's text and its stop token are trained."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from medicalgpt.data.ledger import Ledger, Outcome
from medicalgpt.data.records import Dialogue, Document, Feedback, Message, Preference, Source, Tools
from medicalgpt.errors import RenderError
from medicalgpt.rendering.ahead import Encoded
from medicalgpt.rendering.conversation import conversation_parts, prompt_parts
from medicalgpt.rendering.dialogue import answer_span, check_content
from medicalgpt.rendering.fit import first_fitting, rough_length
from medicalgpt.rendering.mosaic import Parts
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.tree import Segment, TokenTree, chain

TrainOn = Literal["assistant", "last", "all"]
OverLength = Literal["truncate", "split", "drop"]


@dataclass(frozen=True)
class Rendered:
    """The trees of one row and how the row ends in the ledger.

    `over_length`: it was dropped because it has more than max_tokens tokens, which is no fault of the row. `not_learned`: the data
    gives weight 0 to every answer that would be trained.
    """

    trees: tuple[TokenTree, ...]
    outcome: Outcome = "kept"
    reason: str = ""
    over_length: bool = False
    not_learned: bool = False

    @property
    def ending(self) -> "Rendered":
        """The same without its trees."""
        return Rendered((), self.outcome, self.reason, self.over_length, self.not_learned)

    def settle(self, ledger: Ledger, file: str) -> None:
        """Record how the row ended."""
        ledger.settle(file, self.outcome, self.reason, over_length=self.over_length, not_learned=self.not_learned)


def _ended(trees: tuple[TokenTree, ...], outcome: Outcome = "kept") -> Rendered:
    """What was rendered; without any weighted token the row is dropped, as its data asks for."""
    if trees:
        return Rendered(trees, outcome)
    return Rendered((), "dropped", "every answer that could be trained has weight 0", not_learned=True)


def _too_long(reason: str) -> Rendered:
    return Rendered((), "dropped", reason, over_length=True)


class VerificationError(RenderError):
    """Decoding does not give back the text that should be trained. Both texts are kept for `data inspect`, not printed."""

    def __init__(self, expected: str, decoded: str) -> None:
        at = next((i for i, (a, b) in enumerate(zip(expected, decoded)) if a != b), min(len(expected), len(decoded)))
        super().__init__(
            f"the trained tokens decode to another text than the answer and its stop token (first difference at character {at} of "
            f"{len(expected)}); `medicalgpt data inspect` shows both texts"
        )
        self.expected, self.decoded = expected, decoded


def render_document(doc: Document, template: ChatTemplate, max_tokens: int) -> Rendered:
    """Every token of the document is predicted once; a long one is split into pieces that overlap by one token.

    Raises:
        RenderError: the text spells a special token, which would be read as control.
    """
    if found := template.encoder.special_pattern.search(doc.text):
        raise RenderError(f"the document contains the special token {found.group()!r}; remove it from the text")
    ends = [template.document_end] if doc.ends else []
    ids = np.concatenate([[template.document_start], template.encoder.array(doc.text), ends]).astype(np.int32)
    step = max_tokens - 1
    pieces = [ids[i : i + max_tokens] for i in range(0, len(ids) - 1, step)]
    trees = tuple(chain(p, [0.0] + [doc.weight] * (len(p) - 1), doc.source) for p in pieces)
    return Rendered(trees, "kept" if len(trees) == 1 else "split")


def encode_conversation(
    template: ChatTemplate,
    messages: Sequence[Message],
    tools: Tools,
    trained: set[int],
    everything: bool = False,
    encoded: Encoded | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Ids and weights of a finished conversation: one chain, or one per trained turn where the template rewrites turns.

    `encoded`: what is known of it already.
    """
    if encoded is None:
        check_content(template, messages, tools)
    if everything and any(m.weight == 0 and m.role != "assistant" for m in messages):
        raise RenderError(
            "a turn that is not the assistant's has weight 0, and objective.train_on=all learns it; use train_on=assistant"
        )
    weights = {turn: 1.0 if (own := messages[turn].weight) is None else own for turn in trained}
    if encoded is None and (found := conversation_parts(template, messages[: _answered(messages)], tools)):
        encoded = Encoded(found, template.encoder.arrays(found.texts))
    if encoded is not None:
        return [_weigh(template, encoded, weights, everything)]
    chains = []
    for turn in sorted(trained):
        full, start, end = answer_span(template, messages, turn, tools)
        texts = [*prompt_parts(template, messages[:turn], tools), full[start:end]]
        encoded = Encoded(Parts(texts, [None] * (len(texts) - 1) + [turn]), template.encoder.arrays(texts))
        chains.append(_weigh(template, encoded, {turn: weights[turn]}, everything))
    return chains


def _weigh(
    template: ChatTemplate, encoded: Encoded, trained: dict[int, float], everything: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Give the parts that are trained their turn's weight, and verify by decoding."""
    ids = np.concatenate(encoded.ids)
    weights = (np.ones if everything else np.zeros)(len(ids), np.float32)
    at = 0
    for text, piece, owner in zip(encoded.parts.texts, encoded.ids, encoded.parts.owners):
        weight = trained.get(owner) if owner is not None else None
        if weight:
            _verify(template, ids[:at], piece, text)
        if weight is not None:
            weights[at : at + len(piece)] = weight
        at += len(piece)
    weights[0] = 0.0
    return ids, weights


def _verify(template: ChatTemplate, before: np.ndarray, answer: np.ndarray, expected: str) -> None:
    if not template.encoder.spells(answer, expected):
        decode = template.encoder.decode
        # SentencePiece drops a leading space when it decodes out of context
        decoded = decode([*before.tolist(), *answer.tolist()])[len(decode(before.tolist())) :]
        if decoded != expected and unicodedata.normalize("NFKC", decoded) != unicodedata.normalize("NFKC", expected):
            raise VerificationError(expected, decoded)
    if not len(answer) or answer[-1] != template.stop_id:
        raise RenderError(f"the answer does not end in the stop token (id {template.stop_id})")


def render_dialogue(
    row: Dialogue,
    template: ChatTemplate,
    max_tokens: int,
    train_on: TrainOn = "assistant",
    over_length: OverLength = "truncate",
    encoded: Encoded | None = None,
) -> Rendered:
    """A dialogue as one chain (or several), with the over-length policy applied in whole turns, counted in tokens.

    `encoded`: as `encoded_ahead` gives it for the row.
    """
    if encoded is None and _surely_longer(template, row.messages, row.tools, max_tokens):
        check_content(template, row.messages, row.tools)  # what is cut off is refused as what is kept
    else:
        chains = _dialogue_chains(template, row.messages, row.tools, train_on, encoded)
        if all(len(ids) <= max_tokens for ids, _ in chains):
            return _ended(_trees(chains, row.source))
    if over_length == "drop":
        return _too_long(f"longer than {max_tokens} tokens")
    if over_length == "split":
        return _split(row, template, max_tokens, train_on)
    messages = shorten(template, row.messages, row.tools, max_tokens, keep=1)
    if messages is None:
        return _too_long(f"answer and template alone are longer than {max_tokens} tokens")
    return _ended(_trees(_dialogue_chains(template, messages, row.tools, train_on), row.source), "truncated")


def _dialogue_chains(
    template: ChatTemplate,
    messages: Sequence[Message],
    tools: Tools,
    train_on: TrainOn,
    encoded: Encoded | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    turns = [i for i, m in enumerate(messages) if m.role == "assistant"]
    return encode_conversation(
        template, messages, tools, set(turns[-1:] if train_on == "last" else turns), train_on == "all", encoded
    )


def _trees(chains: list[tuple[np.ndarray, np.ndarray]], source: Source) -> tuple[TokenTree, ...]:
    return tuple(chain(ids, weights, source) for ids, weights in chains if np.count_nonzero(weights))


def _length(template: ChatTemplate, messages: Sequence[Message], tools: Tools) -> int:
    return max(len(ids) for ids, _ in _dialogue_chains(template, messages, tools, "last"))


def shorten(
    template: ChatTemplate, messages: Sequence[Message], tools: Tools, max_tokens: int, keep: int
) -> tuple[Message, ...] | None:
    """Drop the oldest exchanges, then cut the middle out of the last question, until the conversation fits.

    The assistant's header, its last `keep` answers and their stop tokens always stay whole; None when they do not fit.
    """
    head = tuple(m for m in messages[:1] if m.role == "system")
    turns = list(messages[len(head) :])
    answers = [i for i, m in enumerate(turns) if m.role == "assistant"]
    end = answers[-keep] if len(answers) >= keep else 0  # of what may be dropped
    starts = [0, *(i for i in range(1, end) if turns[i].role == "user")]

    def fits(number: int) -> bool:
        return not _longer(template, (*head, *turns[starts[number] :]), tools, max_tokens)

    found = first_fitting(len(starts), fits)
    if found is None:
        return _cut_question(template, head, turns[starts[-1] :], tools, max_tokens)
    return (*head, *turns[starts[found] :])


def _longer(template: ChatTemplate, messages: Sequence[Message], tools: Tools, max_tokens: int) -> bool:
    return _surely_longer(template, messages, tools, max_tokens) or _length(template, messages, tools) > max_tokens


def _surely_longer(template: ChatTemplate, messages: Sequence[Message], tools: Tools, max_tokens: int) -> bool:
    """Of what is rendered, which ends with the last answer."""
    return rough_length(template, messages[: _answered(messages)], tools, max_tokens) is not None


def _answered(messages: Sequence[Message]) -> int:
    """How many turns there are up to the last answer."""
    return next(number for number in range(len(messages), 0, -1) if messages[number - 1].role == "assistant")


def _cut_question(
    template: ChatTemplate,
    head: tuple[Message, ...],
    turns: list[Message],
    tools: Tools,
    max_tokens: int,
) -> tuple[Message, ...] | None:
    """Keep the beginning and the end of the question: instructions stand at either."""
    question = template.encoder.ids(turns[0].content)
    room = len(question) - (_length(template, (*head, *turns), tools) - max_tokens)
    while room >= 8:
        start, end = (template.encoder.decode(part) for part in (question[: room // 2], question[-(room // 2) :]))
        # A character of several tokens may be cut in two, which decodes to a replacement character at the edge.
        text = start.rstrip("\ufffd") + " … " + end.lstrip("\ufffd")
        cut = (*head, Message(turns[0].role, text), *turns[1:])
        excess = _length(template, cut, tools) - max_tokens
        if excess <= 0:
            return cut
        room -= max(2, excess)
    return None


def _split(row: Dialogue, template: ChatTemplate, max_tokens: int, train_on: TrainOn) -> Rendered:
    """Pieces of whole exchanges, each with the system message; every answer is trained in exactly one piece."""
    head = tuple(m for m in row.messages[:1] if m.role == "system")
    exchanges: list[list[Message]] = []
    for message in row.messages[len(head) :]:
        if message.role == "user" or not exchanges:
            exchanges.append([])
        exchanges[-1].append(message)
    pieces: list[tuple[Message, ...]] = []
    for exchange in exchanges:
        grown = (*(pieces[-1] if pieces else head), *exchange)
        if pieces and not _longer(template, grown, row.tools, max_tokens):
            pieces[-1] = grown
            continue
        fitted = shorten(template, (*head, *exchange), row.tools, max_tokens, keep=1)
        if fitted is None:
            return _too_long(f"an answer alone is longer than {max_tokens} tokens")
        pieces.append(fitted)
    if train_on == "last":
        pieces = pieces[-1:]
    trees = [t for p in pieces for t in _trees(_dialogue_chains(template, p, row.tools, train_on), row.source)]
    return _ended(tuple(trees), "split")


def render_preference(
    row: Preference, template: ChatTemplate, max_tokens: int, over_length: OverLength = "truncate"
) -> Rendered:
    """One prompt with two branches: chosen first, rejected second. Only the branches' assistant turns carry weight."""
    return _render_answers(row, (row.chosen, row.rejected), template, max_tokens, over_length)


def render_feedback(
    row: Feedback | Preference, template: ChatTemplate, max_tokens: int, over_length: OverLength = "truncate"
) -> Rendered:
    """A prompt, one branch and the verdict on it. A pair is taken apart into a desirable and an undesirable tree, cut alike."""
    if isinstance(row, Feedback):
        found = _render_answers(row, (row.answer,), template, max_tokens, over_length)
        return replace(found, trees=tuple(replace(t, desirable=row.desirable) for t in found.trees))
    found = render_preference(row, template, max_tokens, over_length)
    halves = tuple(
        TokenTree((tree.segments[0], tree.segments[leaf]), tree.source, verdict)
        for tree in found.trees
        for leaf, verdict in zip(tree.leaves, (True, False))
    )
    return replace(found, trees=halves, outcome="split" if found.outcome == "kept" else found.outcome)


def _render_answers(
    row: Feedback | Preference,
    answers: Sequence[tuple[Message, ...]],
    template: ChatTemplate,
    max_tokens: int,
    over_length: OverLength,
) -> Rendered:
    """The row's prompt with a branch for each answer; the prompt is shortened until the longest of them fits."""
    prompt = row.prompt
    outcome: Outcome = "kept"
    whole = [(*prompt, *answer) for answer in answers]
    sizes = [rough_length(template, messages, row.tools, max_tokens) or 0 for messages in whole]
    if any(sizes):
        for messages in whole:
            check_content(template, messages, row.tools)
    else:
        sizes = [_length(template, messages, row.tools) for messages in whole]
    longest = answers[sizes.index(max(sizes))]
    if max(sizes) > max_tokens:
        if over_length != "truncate":
            return _too_long(f"longer than {max_tokens} tokens")
        keep = sum(m.role == "assistant" for m in longest)
        short = shorten(template, (*prompt, *longest), row.tools, max_tokens, keep=keep)
        if short is None:
            return _too_long(f"answer and template alone are longer than {max_tokens} tokens")
        prompt, outcome = short[: len(short) - len(longest)], "truncated"
    branches = []
    for answer in answers:
        turns = {len(prompt) + i for i, m in enumerate(answer) if m.role == "assistant"}
        chains = encode_conversation(template, (*prompt, *answer), row.tools, turns)
        if len(chains) > 1:
            return Rendered(
                (), "dropped", "the template rewrites earlier turns, so a multi-turn answer has no single text"
            )
        branches.append(chains[0])
    return Rendered((fork(branches, row.source),), outcome)


def fork(branches: Sequence[tuple[np.ndarray, np.ndarray]], source: Source) -> TokenTree:
    """Join chains that begin alike into a trunk with one branch each; the trunk ends before any trained token.

    Raises:
        RenderError: the chains share nothing, or two of them are equal from the fork on.
    """
    trunk = min(min(int(np.argmax(w > 0)) for _, w in branches), *(len(ids) - 1 for ids, _ in branches))
    first = branches[0][0]
    for ids, _ in branches[1:]:
        differ = np.flatnonzero(first[:trunk] != ids[:trunk])
        trunk = int(differ[0]) if len(differ) else trunk
    if trunk == 0:
        raise RenderError(f"{source}: the branches of this row share no prompt")
    if len({ids[trunk:].tobytes() for ids, _ in branches}) < len(branches):
        raise RenderError(f"{source}: two answers of this row have the same tokens")
    segments = [Segment(first[:trunk], np.zeros(trunk, np.float32))]
    segments += [Segment(ids[trunk:], weights[trunk:], 0) for ids, weights in branches]
    return TokenTree(tuple(segments), source)
