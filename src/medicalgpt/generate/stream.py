"""An answer while it is being made: its tokens as they come, and their text without half characters or stop texts."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence

from medicalgpt.generate.backends.base import Backend
from medicalgpt.generate.sampling import Sampling
from medicalgpt.rendering.thinking import partial_match

_POLL_SECONDS = 0.2  # Windows delivers Ctrl-C only between waits
_HALF = "\ufffd"  # what decoders write for bytes that are no whole character


class TextStream:
    """Decodes one answer as its tokens come. The pieces together are the answer's text.

    Tokens are decoded together with the ones before them, as SentencePiece writes spaces by context; a piece is given
    out when it ends in a whole character and cannot be the beginning of a stop text.
    """

    def __init__(self, decode: Callable[[list[int]], str], stop: Sequence[str] = ()) -> None:
        self.decode = decode
        self.stop = tuple(stop)
        self.stopped = False
        self._ids: list[int] = []
        self._start = 0  # where decoding begins: the last piece is decoded again as context
        self._done = 0  # tokens whose text was taken
        self._held = ""  # text that may turn out to begin a stop text

    def push(self, token: int) -> str:
        """Take a token; gives the text that can be shown now, maybe "". Sets `stopped` when a stop text is complete."""
        self._ids.append(token)
        text = self._new_text()
        if text.endswith(_HALF):
            return ""
        self._start, self._done = self._done, len(self._ids)
        return self._pass_on(text)

    def finish(self) -> str:
        """The rest when no more tokens come; bytes of a character that was never completed are left out."""
        if self.stopped:
            return ""
        rest = self._pass_on(self._new_text().rstrip(_HALF))
        rest, self._held = rest + self._held, ""
        return rest

    def _new_text(self) -> str:
        known = self.decode(self._ids[self._start : self._done])
        return self.decode(self._ids[self._start :])[len(known) :]

    def _pass_on(self, text: str) -> str:
        text = self._held + text
        found = [at for s in self.stop if (at := text.find(s)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        keep = max((partial_match(text, s) for s in self.stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


class StreamThread:
    """One answer in the making on a thread of its own, as `generate` calls back but a stream is asked.

    The program waits for it at its end, where the thread stops after the token it is at: a thread that is inside a product of torch
    while the interpreter goes away takes the process down with it.
    """

    def __init__(self, backend: Backend, ids: list[int], sampling: Sampling, seed: int) -> None:
        self.given: list[int] = []
        self.answer: list[int] = []
        self._queue: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(backend, ids, sampling, seed))

    def _work(self, backend: Backend, ids: list[int], sampling: Sampling, seed: int) -> None:
        try:
            self.answer = backend.run([ids], sampling, [[seed]], ends=self._take)[0][0]
        except BaseException as error:  # handed to whoever asks for the next token
            self._queue.put(error)
        else:
            self._queue.put(None)

    def _take(self, row: int, token: int) -> bool:
        self._queue.put(token)
        return self._cancelled.is_set() or not threading.main_thread().is_alive()

    def tokens(self) -> Iterator[int]:
        """The answer's tokens as they come, the stop token left out."""
        self._thread.start()
        while True:
            try:
                item = self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            self.given.append(item)
            yield item

    def stop(self) -> None:
        """End the work and wait until the model is free again."""
        self._cancelled.set()
        if self._thread.is_alive():
            self._thread.join()
