"""The rows that ratings and comparisons become."""

from datetime import UTC, datetime
from uuid import uuid4

from medicalgpt.serve.web.conversation import WebAnswer
from medicalgpt.serve.web.trial import LETTERS, Trial, Verdict

Row = dict[str, object]


def pair(good: WebAnswer, bad: WebAnswer) -> Row:
    """Preference: two answers to one prompt."""
    return {"messages": _turns(good), "chosen": good.text, "rejected": bad.text} | _about(good, bad)


def verdict(answer: WebAnswer, desirable: bool) -> Row:
    """Feedback: one answer."""
    return {"messages": _turns(answer), "completion": answer.text, "desirable": desirable} | _about(answer)


def comparison(trial: Trial, said: Verdict) -> Row:
    """Everything of a blind comparison, with an id of its own."""
    answers = [
        {"letter": letter, "model": answer.model, "version": answer.version, "text": answer.text}
        for letter, answer in zip(LETTERS, trial.answers)
    ]
    row: Row = {"messages": _turns(trial.answers[0]), "answers": answers, "verdict": said}
    return row | {"comparison": uuid4().hex, "rated": _now()}


def compared_pairs(trial: Trial, row: Row, good: WebAnswer) -> list[Row]:
    """The best answer with each of the others, but not with its own words. Without the ids of the answers: thumbs that are
    taken back later take back no comparison.
    """
    worse = [answer for answer in trial.answers if answer.text.strip() != good.text.strip()]
    return [pair(good, bad) | {"answers": [], "comparison": row["comparison"]} for bad in worse]


def _turns(answer: WebAnswer) -> list[dict[str, object]]:
    return [turn.as_dict() for turn in answer.prompt]


def _about(*answers: WebAnswer) -> Row:
    """Who gave them: one model, or as many as there are answers."""
    names = [answer.signature for answer in answers]
    models: Row = {"model": names[0]} if len(set(names)) == 1 else {"models": names}
    return {"answers": [answer.id for answer in answers]} | models | {"rated": _now()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
