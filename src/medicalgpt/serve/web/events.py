"""What happens on the page: Gradio's events on one side, a session per browser tab on the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr
from gradio.blocks import Block

from medicalgpt.config.emergency import find
from medicalgpt.serve.web import export
from medicalgpt.serve.web.info import ModelInfo
from medicalgpt.serve.web.page import HERE, Page, words
from medicalgpt.serve.web.session import News, Session
from medicalgpt.serve.web.settings import Settings, read_seed
from medicalgpt.serve.web.texts import other, preferred, with_emergency
from medicalgpt.serve.web.view import as_typed, messages, ratings, version
from medicalgpt.serve.web.words import Texts

Changes = dict[Block, Any]
Value = Any
"""What a setting's component holds; Gradio does not say what that is."""

MOST_SESSIONS = 1000
_NAME_ICONS = "() => { document.querySelector('#dark').setAttribute('aria-label', 'Light or dark / 明暗'); }"
_TO_QUESTION = "() => { document.querySelector('#ask textarea').focus(); }"
_TO_DARK = "() => { document.body.classList.toggle('dark'); }"


class Events:
    """Wires a page up.

    Args:
        open_session: makes the session of a new tab.
        defaults: settings that the page has no controls for are taken from here.
    """

    def __init__(
        self, page: Page, info: ModelInfo, open_session: Callable[[Texts], Session], defaults: Settings, rated: bool
    ) -> None:
        self.page, self.info, self.open_session, self.defaults, self.rated = page, info, open_session, defaults, rated
        self.sessions: dict[str, Session] = {}

    def wire(self) -> None:
        """Connect every event. None of them can be called by name from outside."""
        page = self.page
        everything = [value for name, value in vars(page).items() if name not in ("blocks", "dark", "file")]
        quiet: dict[str, Any] = {"outputs": everything, "show_progress": "hidden", "api_visibility": "private"}
        sampling = page.sampling
        with page.blocks:
            loaded = page.blocks.load(self.load, None, **quiet)
            loaded.success(None, js=_TO_QUESTION, api_visibility="private")
            page.blocks.load(None, js=_NAME_ICONS, api_visibility="private")
            page.blocks.unload(self.unload)
            page.language.click(self.change_language, None, **quiet)
            page.emergency.input(self.change_emergency, page.emergency, **quiet)
            page.dark.click(None, js=_TO_DARK, api_visibility="private")
            # Gradio drops an Enter while it counts the answer before as unfinished; the session knows better when to refuse.
            asked = [page.send.click, page.ask.submit]
            gr.on(asked, self.ask, [page.ask, *sampling], trigger_mode="multiple", **quiet)
            page.chat.example_select(self.example, sampling, **quiet)
            page.chat.retry(self.again, sampling, **quiet)
            page.chat.edit(self.edit, sampling, **quiet)
            page.chat.clear(self.clear, None, **quiet)
            page.clear.click(self.clear, None, **quiet)
            page.stop.click(self.stop, None, **quiet)
            page.earlier.click(self.earlier, None, **quiet)
            page.later.click(self.later, None, **quiet)
            if self.rated:
                page.chat.like(self.rate, None, **quiet)
            saving = (HERE / "save.js").read_text(encoding="utf-8")
            for button, make in ((page.markdown, self.markdown), (page.json, self.json)):
                made = button.click(make, None, page.file, show_progress="hidden", api_visibility="private")
                made.success(None, page.file, None, js=saving, api_visibility="private")

    # -- tabs -----------------------------------------------------------------------------------------------------------
    def load(self, request: gr.Request) -> Changes:
        """A new tab, or one that was reloaded: nothing of before is there."""
        changes = self._everything(self._session(request))
        ready = (self.page.ask, self.page.send)
        return changes | {part: changes.get(part, {}) | gr.update(interactive=True) for part in ready}

    def unload(self, request: gr.Request) -> None:
        """The tab is gone: its answer is stopped, its conversation forgotten."""
        key = str(request.session_hash)
        session = self.sessions.pop(key, None)
        if session is not None:
            session.clear()
        # Gradio would keep the last state of every component for another hour.
        self.page.blocks.state_holder.session_data.pop(key, None)

    def change_language(self, request: gr.Request) -> Changes:
        """Put the page into the next language."""
        session = self._session(request)
        session.texts = with_emergency(other(session.texts), session.emergency)
        session.note("")
        return self._everything(session)

    def change_emergency(self, request: gr.Request, choice: str | None) -> Changes:
        """Put another number into the disclaimer, and into what is saved."""
        session = self._session(request)
        session.emergency = find(choice) if choice else None
        session.texts = with_emergency(session.texts, session.emergency)
        return self._everything(session)

    # -- asking ---------------------------------------------------------------------------------------------------------
    def ask(self, request: gr.Request, question: str, *values: Value) -> Iterator[Changes]:
        """A new question."""
        session = self._session(request)
        yield from self._follow(session, values, lambda settings: session.ask(question or "", settings))

    def example(self, request: gr.Request, chosen: gr.SelectData, *values: Value) -> Iterator[Changes]:
        """One of the example questions."""
        session = self._session(request)
        yield from self._follow(session, values, lambda settings: session.ask(chosen.value["text"], settings))

    def again(self, request: gr.Request, *values: Value) -> Iterator[Changes]:
        """Another answer to the last question."""
        session = self._session(request)
        yield from self._follow(session, values, session.again)

    def edit(self, request: gr.Request, edited: gr.EditData, *values: Value) -> Iterator[Changes]:
        """A question in other words."""
        session = self._session(request)
        number = self._owner(session, edited.index)
        question = as_typed(str(edited.value))
        yield from self._follow(session, values, lambda settings: session.ask(question, settings, number=number))

    def stop(self, request: gr.Request) -> Changes:
        """End the answer; whoever follows it shows what is there."""
        self._session(request).stop()
        return {self.page.stop: gr.update(interactive=False)}

    def clear(self, request: gr.Request) -> Changes:
        """An empty page."""
        session = self._session(request)
        session.clear()
        return self._whole(session)

    def _follow(
        self, session: Session, values: tuple[Value, ...], begin: Callable[[Settings], News]
    ) -> Iterator[Changes]:
        """Show everything at the beginning and at the end, and what grows in between."""
        whole = True
        try:
            settings = self._settings(values)
        except ValueError:
            session.note(session.texts.seed_wrong, failed=True)
            yield self._whole(session, busy=session.busy)
            return
        for _ in begin(settings):
            yield self._whole(session, busy=True) if whole else self._growing(session)
            whole = False
        yield self._whole(session, busy=session.busy)  # refused because of another answer, which may still be stopped

    # -- answers --------------------------------------------------------------------------------------------------------
    def earlier(self, request: gr.Request) -> Changes:
        """The answer before the one shown."""
        return self._turn(request, -1)

    def later(self, request: gr.Request) -> Changes:
        """The answer after the one shown."""
        return self._turn(request, 1)

    def _turn(self, request: gr.Request, step: int) -> Changes:
        session = self._session(request)
        if session.conversation.last is not None and not session.busy:
            session.conversation.last.turn(step)
            session.note("")
        return self._whole(session)

    def rate(self, request: gr.Request, rated: gr.LikeData) -> Changes:
        """Thumbs: up, down, or taken back."""
        session = self._session(request)
        verdict = rated.liked if isinstance(rated.liked, bool) else None
        session.rate(self._owner(session, rated.index), verdict)
        return self._growing(session)

    def markdown(self, request: gr.Request) -> list[str]:
        """A file name and its text."""
        session = self._session(request)
        return [export.file_name("md"), export.markdown(session.conversation, self.info, session.texts)]

    def json(self, request: gr.Request) -> list[str]:
        """A file name and its text."""
        session = self._session(request)
        return [export.file_name("json"), export.as_json(session.conversation, self.info, session.texts)]

    # -- between the two sides ------------------------------------------------------------------------------------------
    def _session(self, request: gr.Request) -> Session:
        """A tab's session; a new one where the server was started anew beneath an open page."""
        key = str(request.session_hash)
        if key not in self.sessions:
            self._make_room()
            self.sessions[key] = self.open_session(preferred(request.headers.get("accept-language", "")))
        return self.sessions[key]

    def _make_room(self) -> None:
        """Whoever opens tabs without end takes no more memory than so many."""
        idle = [key for key, session in self.sessions.items() if not session.busy]
        for key in idle[: max(0, len(self.sessions) - MOST_SESSIONS + 1)]:
            self.sessions.pop(key, None)

    def _settings(self, values: tuple[Value, ...]) -> Settings:
        """Raises ValueError for a seed that is none."""
        system, longest, temperature, top_p, top_k, penalty, seed = values
        return replace(
            self.defaults,
            system=system or "",
            max_new_tokens=int(longest),
            temperature=temperature,
            top_p=top_p,
            top_k=int(top_k),
            repetition_penalty=penalty,
            seed=read_seed(seed),
        )

    def _owner(self, session: Session, index: int | Sequence[int]) -> int:
        """The number of the exchange that a message of the chat belongs to."""
        place = index[0] if isinstance(index, Sequence) else index
        return messages(session.conversation, session.texts)[1][place]

    def _everything(self, session: Session) -> Changes:
        """Words and conversation; both have something to say about the chat."""
        fixed, moving = self._words(session), self._whole(session)
        both = {self.page.chat: fixed[self.page.chat] | moving[self.page.chat]}
        return fixed | moving | both

    def _words(self, session: Session) -> Changes:
        return dict(words(self.page, self.info, session.texts, self.rated, session.emergency))

    def _growing(self, session: Session) -> Changes:
        shown, _ = messages(session.conversation, session.texts)
        kind = "error" if session.failed else "fine"
        return {
            self.page.chat: gr.update(value=shown, feedback_value=ratings(session.conversation)),
            self.page.status: f'<p role="status" class="{kind}">{escape(session.status)}</p>',
        }

    def _whole(self, session: Session, busy: bool = False) -> Changes:
        page = self.page
        which = version(session.conversation, session.texts)
        changes = self._growing(session) | {
            page.send: gr.update(visible=not busy, value=session.texts.send),
            page.stop: gr.update(visible=busy, interactive=True, value=session.texts.stop),
            page.versions: gr.update(visible=bool(which) and not busy),
            page.version: f"<span>{escape(which)}</span>",
        }
        if session.draft is not None:
            changes[page.ask] = gr.update(value=session.draft)
            session.draft = None
        return changes
