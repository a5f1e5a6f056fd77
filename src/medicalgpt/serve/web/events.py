"""What happens on the page: Gradio's events on one side, a session per browser tab on the other."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr
from gradio.blocks import Block

from medicalgpt.config.emergency import find
from medicalgpt.serve.web import export, keeping
from medicalgpt.serve.web.judging import judge
from medicalgpt.serve.web.page import HERE, Offer, Page, words
from medicalgpt.serve.web.session import News, Session
from medicalgpt.serve.web.settings import Settings, read_seed
from medicalgpt.serve.web.texts import TEXTS, other, preferred, with_emergency
from medicalgpt.serve.web.trial import LETTERS, Verdict
from medicalgpt.serve.web.view import as_typed, compared, messages, ratings, version
from medicalgpt.serve.web.words import Texts

Changes = dict[Block, Any]
Value = Any
"""What a setting's component holds; Gradio does not say what that is."""

MOST_SESSIONS = 1000
_NAME_ICONS = "() => { document.querySelector('#dark').setAttribute('aria-label', 'Light or dark / 明暗'); }"
_NEXT = json.dumps({texts.other_language: texts.language for texts in TEXTS.values()})
# Screen readers speak it, and browsers choose the shapes of characters by it.
_SAY_LANGUAGE = f"(next) => {{ document.documentElement.lang = {_NEXT}[next]; }}"
_TO_QUESTION = "() => { document.querySelector('#ask textarea').focus(); }"
_PRINT = "() => { window.print(); }"
_TO_DARK = "() => { document.body.classList.toggle('dark'); }"


class Events:
    """Wires a page up.

    Args:
        open_session: makes the session of a new tab.
        defaults: settings that the page has no controls for are taken from here.
    """

    def __init__(self, page: Page, offer: Offer, open_session: Callable[[Texts], Session], defaults: Settings) -> None:
        self.page, self.offer, self.open_session, self.defaults = page, offer, open_session, defaults
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
            changed = page.language.click(self.change_language, None, **quiet)
            for filled in (loaded, changed):
                filled.success(None, page.language, js=_SAY_LANGUAGE, api_visibility="private")
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
            if self.offer.rated:
                page.chat.like(self.rate, None, **quiet)
            page.who.input(self.choose, page.who, **quiet)
            verdicts: list[Verdict | None] = [*LETTERS, "tie", "bad", None]
            for button, said in zip((*page.best, page.tie, page.all_bad, page.skip), verdicts):
                button.click(self.judge(said), None, **quiet)
            self._wire_kept(quiet)
            page.print.click(None, js=_PRINT, api_visibility="private")
            saving = (HERE / "save.js").read_text(encoding="utf-8")
            for button, make in ((page.markdown, self.markdown), (page.json, self.json)):
                made = button.click(make, None, page.file, show_progress="hidden", api_visibility="private")
                made.success(None, page.file, None, js=saving, api_visibility="private")

    def _wire_kept(self, quiet: dict[str, Any]) -> None:
        page = self.page
        page.keep.input(self.keep, [page.keep, page.kept_search], **quiet)
        gr.on([page.kept_search.submit, page.kept_search.blur], self.search, page.kept_search, **quiet)
        page.kept_open.click(self.open_kept, page.kept_list, **quiet)
        page.kept_delete.click(self.delete_kept, [page.kept_list, page.kept_search], **quiet)

    # -- tabs -----------------------------------------------------------------------------------------------------------
    def load(self, request: gr.Request) -> Changes:
        """A new tab, or one that was reloaded: nothing of before is there."""
        session = self._session(request)
        changes = self._everything(session) | self._list(session, "")
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
        session.note(session.texts.judge if session.trial is not None and not session.busy else "")
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
        return self._whole(session) | self._list(session, "")

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
        listed = {} if session.kept_as is None else self._list(session, "")
        yield (
            self._whole(session, busy=session.busy) | listed
        )  # refused because of another answer, which may still be stopped

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

    # -- models and comparisons -----------------------------------------------------------------------------------------
    def choose(self, request: gr.Request, names: list[str] | None) -> Changes:
        """Other models answer from now on."""
        session = self._session(request)
        session.choose(names or [])
        return self._words(session) | self._growing(session)

    def judge(self, said: Verdict | None) -> Callable[[gr.Request], Changes]:
        """What happens when the reader says so."""

        def judged(request: gr.Request) -> Changes:
            session = self._session(request)
            judge(session, said)
            return self._whole(session)

        return judged

    # -- kept conversations ---------------------------------------------------------------------------------------------
    def keep(self, request: gr.Request, on: bool, words: str) -> Changes:
        """Keep this conversation, or no longer."""
        session = self._session(request)
        keeping.keep(session, on)
        return self._list(session, words) | self._growing(session)

    def search(self, request: gr.Request, words: str) -> Changes:
        """Those in which the words stand."""
        session = self._session(request)
        return self._list(session, words) | self._growing(session)

    def open_kept(self, request: gr.Request, name: str | None) -> Changes:
        """Go on with an earlier conversation."""
        session = self._session(request)
        if name:
            keeping.go_on(session, name)
        return self._whole(session) | {self.page.keep: gr.update(value=session.kept_as is not None)}

    def delete_kept(self, request: gr.Request, name: str | None, words: str) -> Changes:
        """The first click asks, the second one deletes."""
        session = self._session(request)
        if name and session.deleting != name:
            session.deleting = name
            return {self.page.kept_delete: gr.update(value=session.texts.kept_sure, variant="stop")}
        if name:
            keeping.delete(session, name)
        return self._list(session, words) | self._growing(session)

    def _list(self, session: Session, words: str) -> Changes:
        """The kept conversations that the words find; nothing is chosen, so nothing is deleted by a click too much."""
        page, texts, session.deleting = self.page, session.texts, None
        found = keeping.entries(session, words)
        session.listed = len(found)
        label = texts.kept_list.format(count=session.listed)
        return {
            page.keep: gr.update(value=session.kept_as is not None),
            page.kept_list: gr.update(choices=found, value=None, label=label),
            page.kept_delete: gr.update(value=texts.kept_delete, variant="secondary"),
        }

    # -- files ----------------------------------------------------------------------------------------------------------
    def markdown(self, request: gr.Request) -> list[str]:
        """A file name and its text."""
        session = self._session(request)
        return [export.file_name("md"), export.markdown(session.conversation, session.texts)]

    def json(self, request: gr.Request) -> list[str]:
        """A file name and its text."""
        session = self._session(request)
        return [export.file_name("json"), export.as_json(session.conversation, self.offer.models, session.texts)]

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
        """Words and conversation; of the chat and the buttons both have something to say."""
        fixed, moving = self._words(session), self._whole(session)
        both = {part: fixed[part] | moving[part] for part in fixed.keys() & moving.keys()}
        return fixed | moving | both

    def _words(self, session: Session) -> Changes:
        """Every fixed word. A button that asked whether to delete for good no longer says so, and must ask anew."""
        session.deleting = None
        chosen = [model.name for model in session.chosen]
        label = session.texts.kept_list.format(count=session.listed)
        told: Changes = dict(words(self.page, self.offer, session.texts, session.emergency, chosen))
        return told | {self.page.kept_list: gr.update(label=label)}

    def _growing(self, session: Session) -> Changes:
        shown, _ = messages(session.conversation, session.texts)
        kind = "error" if session.failed else "fine"
        trial = compared(session.trial)
        columns = {part: gr.update(value=text) for part, text in zip(self.page.compared, trial)}
        return columns | {
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
        changes |= self._trial(session, busy)
        if session.draft is not None:
            changes[page.ask] = gr.update(value=session.draft)
            session.draft = None
        return changes

    def _trial(self, session: Session, busy: bool) -> Changes:
        """A comparison is in sight while it goes on, and what can be said of it once it is complete."""
        page, trial = self.page, session.trial
        count = 0 if trial is None else len(trial.models)
        changes: Changes = {
            page.trial: gr.update(visible=trial is not None),
            page.verdicts: gr.update(visible=trial is not None and not busy),
        }
        for number, (column, button) in enumerate(zip(page.compared, page.best)):
            changes[button] = gr.update(visible=number < count)
            if number >= count:
                changes[column] = gr.update(visible=False, value="")
        for column, text in zip(page.compared, compared(trial)):
            changes[column] = gr.update(visible=True, value=text)
        return changes
