"""The end of a blind comparison: the reader's verdict is kept with the ratings, and the names are told."""

from medicalgpt.errors import ServeError
from medicalgpt.serve.web.feedback import Feedback
from medicalgpt.serve.web.session import Session
from medicalgpt.serve.web.trial import Verdict
from medicalgpt.serve.web.words import Texts


def judge(session: Session, verdict: Verdict | None) -> None:
    """Say which answer is best; None tells the names and keeps nothing."""
    trial, texts = session.trial, session.texts
    if trial is None or session.busy:
        return
    told, failed = texts.judged_unsaved, False
    if verdict is not None and session.feedback is not None:
        try:
            saved = session.feedback.compare(trial, verdict)
            told = texts.not_rated
            if saved.kept:
                told = f"{texts.judged.format(pairs=saved.pairs)} {tally(session.feedback, texts)}"
        except ServeError as error:
            told, failed = texts.went_wrong(error), True
    session.trial = None
    trial.reveal(verdict)
    session.note(f"{trial.names}{texts.period}{told}", failed)
    session.save()


def tally(feedback: Feedback, texts: Texts) -> str:
    """How often each model was the best in the file, and how often none was."""
    named = {"tie": texts.tie, "bad": texts.all_bad}
    counts = [f"{name}{texts.colon}{count}" for name, count in sorted(feedback.tally.won.items())]
    counts += [f"{named[verdict]}{texts.colon}{count}" for verdict, count in sorted(feedback.tally.undecided.items())]
    return texts.tally.format(counts=texts.comma.join(counts))
