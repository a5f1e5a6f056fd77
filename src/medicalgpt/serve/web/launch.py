"""From an engine to a served page."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from medicalgpt.config.emergency import chosen
from medicalgpt.errors import ServeError
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.live.engine import BatchingEngine
from medicalgpt.network.address import is_local, take
from medicalgpt.network.connections import ConnectionLimits, Connections
from medicalgpt.network.pauses import short_pauses
from medicalgpt.serve.web.discreet import discreet
from medicalgpt.serve.web.feedback import Feedback
from medicalgpt.serve.web.guard import guarded
from medicalgpt.serve.web.info import describe
from medicalgpt.serve.web.kept import KeptConversations
from medicalgpt.serve.web.served import ServedModel
from medicalgpt.serve.web.session import Session
from medicalgpt.serve.web.settings import Settings
from medicalgpt.serve.web.shield import Doors, middleware
from medicalgpt.serve.web.words import Texts

if TYPE_CHECKING:  # reads its environment when it is imported
    from gradio import Blocks

_SHARED = ".gradio.live"
_EXTRA_THREADS = 16  # for everything on the page that is not an answer


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how the page is served.

    `slots` answers are made at the same time; four times as many questions may wait. `context` lowers the model's own.
    `emergency` is the region or number that the disclaimer opens with. `allow_host`: names beside this machine's own under
    which a proxy shows the page. `keep` is a folder for conversations that readers want to keep.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    share: bool = False
    slots: int = 4
    context: int | None = None
    feedback: Path | None = None
    keep: Path | None = None
    emergency: str | None = None
    allow_host: tuple[str, ...] = ()

    @property
    def doors(self) -> Doors:
        """Which hosts a request may name."""
        names = tuple(name.lower() for name in self.allow_host)
        return Doors(names, (_SHARED,) if self.share else (), any_host=not is_local(self.host.strip("[]")))

    @property
    def connections(self) -> ConnectionLimits:
        """As many as the open files allow; of one address half of them, but all of a proxy or of Gradio's tunnel."""
        alone = None if not (self.share or self.allow_host) else ConnectionLimits.fitting().most
        return ConnectionLimits.fitting(per_address=alone)


def check(place: Place) -> None:
    """Before a model is loaded: whether the port is free.

    Raises:
        ServeError: it is not, or the host is none of this machine; or conversations would be kept where others reach the
            page. ConfigError: the emergency number.
    """
    chosen(place.emergency)
    if place.keep is not None and (place.share or place.allow_host or not is_local(place.host.strip("[]"))):
        raise ServeError(
            "--keep: everybody who reaches the page could read the kept conversations, as it asks for no password; leave it "
            "out, or --share, --allow-host and a --host of other machines"
        )
    try:
        take(place.host.strip("[]"), place.port).close()
    except OSError as error:
        raise ServeError(
            f"the page cannot be served at {place.host}:{place.port}: {error.strerror}; choose another --port or --host"
        ) from error


def warnings(place: Place) -> list[str]:
    """What whoever starts the page should know."""
    told = []
    if place.share:
        told.append(
            "--share: the page gets a public address, and every question and answer passes through the servers of "
            "Gradio (gradio.live). Never use it with patient data."
        )
    elif os.environ.get("GRADIO_SHARE", "").lower() == "true":
        told.append("GRADIO_SHARE=True is set, but nothing is shared without --share.")
    if not is_local(place.host):
        told.append(
            f"--host {place.host}: everybody who reaches this machine can use the page; it asks for no password."
        )
    return told


def serve(
    engines: Mapping[str, Engine],
    model: str,
    adapters: Mapping[str, str | None],
    place: Place,
    defaults: Settings,
    say: Callable[[str], None],
    stopping: threading.Event | None = None,
) -> None:
    """Serve the page until Ctrl-C, SIGTERM or `stopping`.

    Args:
        engines: the models that answer, by the names that readers choose from.
        model, adapters: as the user called them; an adapter (or None) for each of the names.
        defaults: the settings that the page opens with.
        say: told what the user should know, and the address.

    Raises:
        ServeError: a setting out of range, an unusable feedback file or folder of conversations, or the port is taken.
    """
    contexts = {name: _context(engine.context, place.context) for name, engine in engines.items()}
    defaults = _with_room(defaults, min(filter(None, contexts.values()), default=None), say)
    infos = {
        name: describe(model, adapters[name], engine.origin, contexts[name], str(engine.template.name))
        for name, engine in engines.items()
    }
    feedback = Feedback(place.feedback) if place.feedback else None
    kept = KeptConversations(place.keep) if place.keep else None
    for line in warnings(place):
        say(line)
    with ExitStack() as opened:
        lives = [
            opened.enter_context(BatchingEngine(engine, slots=place.slots, queue=4 * place.slots))
            for engine in engines.values()
        ]
        stopped = opened.enter_context(_until_stopped(stopping))
        opened.enter_context(discreet())
        served = [ServedModel(name, live, contexts[name], infos[name]) for name, live in zip(engines, lives)]
        blocks = _launch(served, feedback, kept, place, defaults)
        try:
            say(f"{', '.join(engines)} is at {blocks.share_url or blocks.local_url} (Ctrl-C ends it)")
            _say_what_is_kept(feedback, kept, say)
            with suppress(KeyboardInterrupt), short_pauses():  # Ctrl-C is the way to end it, so no error
                while not stopped.wait(1.0):
                    pass
        finally:
            for live in lives:
                live.close()
            blocks.close(verbose=False)


def _say_what_is_kept(feedback: Feedback | None, kept: KeptConversations | None, say: Callable[[str], None]) -> None:
    if feedback:
        say(f"ratings go to {feedback.pairs} (pairs) and {feedback.verdicts} (single verdicts)")
    if kept:
        say(f"conversations that a reader keeps go to {kept.folder}; nothing else of them is written")


def _context(own: int | None, asked: int | None) -> int | None:
    if asked is not None and own is not None and asked > own:
        raise ServeError(f"--context-len is {asked}, but the model's context is {own} tokens; allowed: at most {own}")
    return asked or own


def _with_room(defaults: Settings, context: int | None, say: Callable[[str], None]) -> Settings:
    """A longest answer that leaves room for questions."""
    if context is None or defaults.max_new_tokens < context:
        return defaults
    half = context // 2
    say(f"the page opens with answers of at most {half} tokens, as the context is {context}")
    return replace(defaults, max_new_tokens=half)


def _launch(
    served: Sequence[ServedModel],
    feedback: Feedback | None,
    kept: KeptConversations | None,
    place: Place,
    defaults: Settings,
) -> "Blocks":
    # Asked for whenever gradio would report something, so it stays for the life of the process; nobody is told anything.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from medicalgpt.serve.web.events import Events
    from medicalgpt.serve.web.page import HERE, Offer, build, theme

    emergency = chosen(place.emergency)
    offer = Offer({model.name: model.info for model in served}, feedback is not None, kept is not None)
    page = build(offer, defaults, emergency)

    def open_session(texts: Texts) -> Session:
        return Session(served, feedback, texts, emergency, kept)

    Events(page, offer, open_session, defaults).wire()
    page.blocks.queue(api_open=False, default_concurrency_limit=None)
    try:
        with _without_proxy(place.host), guarded(Connections(place.connections)):
            page.blocks.launch(
                server_name=place.host,
                server_port=place.port,
                share=place.share,
                prevent_thread_lock=True,
                quiet=True,
                inbrowser=False,
                inline=False,
                show_error=False,
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                max_file_size=1,
                max_threads=5 * place.slots * len(served) + _EXTRA_THREADS,
                ssr_mode=False,
                mcp_server=False,
                pwa=False,
                state_session_capacity=200,
                app_kwargs={"middleware": middleware(place.doors), "openapi_url": None},
                theme=theme(),
                css_paths=HERE / "style.css",
                head=f"<style>{(HERE / 'print.css').read_text(encoding='utf-8')}</style>",
            )
    except OSError as error:
        raise ServeError(f"port {place.port} is in use; choose another with --port") from error
    return page.blocks


@contextmanager
def _without_proxy(host: str) -> Iterator[None]:
    """While it starts, gradio asks its own server whether it is there; a proxy must not answer for it."""
    names = ("NO_PROXY", "no_proxy")
    before = {name: os.environ.get(name) for name in names}
    for name in names:
        os.environ[name] = ",".join(filter(None, (before[name], host, "localhost", "127.0.0.1")))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _until_stopped(stopping: threading.Event | None) -> Iterator[threading.Event]:
    """An event that SIGTERM sets, too, where signals can be had (the main thread)."""
    stopped = stopping or threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGTERM, before)
