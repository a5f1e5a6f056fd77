"""What the page shows of a conversation."""

import re

from medicalgpt.rendering.thinking import ThinkingStream
from medicalgpt.serve.web.conversation import Conversation, WebAnswer
from medicalgpt.serve.web.trial import LETTERS, Trial
from medicalgpt.serve.web.words import Texts

_JOINER = "\u2060"
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


def harmless(text: str) -> str:
    """Markdown in which no `<` can begin a tag, so that "K<x" is shown and nothing is run; looks the same."""
    return _TAG.sub("<" + _JOINER, text)


def as_typed(text: str) -> str:
    """What `harmless` was given."""
    return text.replace("<" + _JOINER, "<")


def parts(text: str) -> tuple[str, str, bool]:
    """An answer as (thought, the rest, whether the thought is complete); without a thought the first is empty."""
    stream = ThinkingStream()
    first, last = stream.push(text), stream.finish()
    return first.reasoning + last.reasoning, first.answer + last.answer, not stream.thinking


def messages(conversation: Conversation, texts: Texts) -> tuple[list[dict[str, object]], list[int]]:
    """The conversation as Gradio's messages, and for each of them the number of its exchange."""
    shown: list[dict[str, object]] = []
    owners: list[int] = []
    for number, exchange in enumerate(conversation.exchanges):
        turns = [_message("user", exchange.question)]
        if exchange.answer is not None and exchange.answer.text:
            turns += _answer(exchange.answer, texts)
        shown += turns
        owners += [number] * len(turns)
    return shown, owners


def ratings(conversation: Conversation) -> list[str | None]:
    """One entry per answer that is shown, as Gradio's thumbs want it."""
    names = {True: "Like", False: "Dislike", None: None}
    shown = [e.answer for e in conversation.exchanges if e.answer is not None and e.answer.text]
    return [names[answer.rating] for answer in shown]


def version(conversation: Conversation, texts: Texts) -> str:
    """Which of several answers to the last question is shown; empty where there is one only."""
    last = conversation.last
    if last is None or len(last.answers) < 2:
        return ""
    return texts.version.format(number=last.shown + 1, of=len(last.answers))


def _answer(answer: WebAnswer, texts: Texts) -> list[dict[str, object]]:
    thought, rest, complete = parts(answer.text)
    turns = []
    if thought:
        pending = not complete and answer.ending is None
        turns.append(_message("assistant", thought) | {"metadata": _metadata(texts.thoughts, pending)})
    if rest or not turns:
        turns.append(_message("assistant", rest))
    if line := signature(answer):
        # A part of the last message, so that the thumbs below it still stand for one answer.
        content = turns[-1]["content"]
        assert isinstance(content, list)
        content.append({"type": "text", "text": line})
    return turns


def compared(trial: Trial | None) -> list[str]:
    """Markdown of the answers of a comparison, each under its letter, with nothing that tells the model."""
    if trial is None:
        return []
    shown = []
    for number in range(len(trial.models)):
        text = trial.answers[number].text if number < len(trial.answers) else ""
        thought, rest, _ = parts(text)
        quoted = "\n".join(f"> {line}" for line in harmless(thought).splitlines())
        shown.append("\n\n".join(filter(None, (f"**{LETTERS[number]}**", quoted, harmless(rest) or "…"))))
    return shown


def signature(answer: WebAnswer) -> str:
    """Markdown of who gave an answer, as code so that no name can be read as markup; style.css makes it small."""
    plain = " ".join(answer.signature.replace("`", "'").split())
    return f"`{plain}`" if plain else ""


def _metadata(title: str, pending: bool) -> dict[str, str]:
    return {"title": title, "status": "pending" if pending else "done"}


def _message(role: str, text: str) -> dict[str, object]:
    # Not a bare string, which Gradio would strip of its indentation.
    return {"role": role, "content": [{"type": "text", "text": harmless(text)}]}
