"""What a reader does with kept conversations: keep this one, go on with an earlier one, delete one."""

from collections.abc import Iterator
from contextlib import contextmanager

from medicalgpt.errors import ServeError
from medicalgpt.serve.web.kept import KeptConversations
from medicalgpt.serve.web.session import Session


def keep(session: Session, on: bool) -> None:
    """Keep the conversation shown from now on, or delete what is kept of it."""
    if session.kept is None:
        return
    if not on:
        if session.kept_as is not None:
            delete(session, session.kept_as)
        return
    with _told(session):
        if session.kept_as is None:
            session.kept_as = session.kept.new_name()
        session.note(session.texts.is_kept)
        session.save()


def go_on(session: Session, name: str) -> None:
    """Show a kept conversation in place of the present one, and keep what is added to it."""
    if session.kept is None or session.busy:
        return
    with _told(session):
        found = session.kept.load(name)
        session.clear()
        session.conversation, session.kept_as = found, name


def delete(session: Session, name: str) -> None:
    """Delete a kept conversation for good; one that is shown stays on the page, and is kept no longer."""
    if session.kept is None:
        return
    with _told(session):
        session.kept.delete(name)
        if session.kept_as == name:
            session.kept_as = None
        session.note(session.texts.is_deleted)


def entries(session: Session, words: str) -> list[tuple[str, str]]:
    """(what the list shows, name) of those kept conversations in which the words stand, the latest first."""
    kept: KeptConversations | None = session.kept
    if kept is None:
        return []
    with _told(session):
        found, damaged = kept.search(words)
        if damaged:
            session.note(session.texts.kept_damaged.format(count=damaged), failed=True)
        return [(f"{entry.changed:%Y-%m-%d %H:%M} · {entry.title}", entry.name) for entry in found]
    return []


@contextmanager
def _told(session: Session) -> Iterator[None]:
    try:
        yield
    except ServeError as error:
        session.note(session.texts.went_wrong(error), failed=True)
