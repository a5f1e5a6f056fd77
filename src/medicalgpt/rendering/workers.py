"""Processes that help with rows, and give what they made back in the rows' order.

They are started as commands of their own (`rendering.worker`), not by `multiprocessing`: that would import the user's main module
again, which a script without a guard, a notebook or an interactive session cannot bear, or would copy a process with threads.
A helper ends when its input does, so none outlives this process, however that ends.
"""

import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import IO, Final, TypeVar, cast

from medicalgpt.data.child import python_running
from medicalgpt.data.read_row import ReadRow
from medicalgpt.errors import RunError
from medicalgpt.rendering.row_work import Act, Chunk, RowWork
from medicalgpt.rendering.wire import get, put, taken

if sys.platform != "win32":
    import fcntl

T = TypeVar("T")

_AHEAD: Final = 3  # chunks that each helper has: the next one lies there when it is done with one, though a thread here took its time
_WAITING: Final = 16  # chunks for each helper that may be done before one that came earlier
_PIPE: Final = 1 << 20  # bytes: about a chunk, so that nobody waits until the other one reads


class WorkersError(Exception):
    """The work cannot be sent to another process."""


class Workers:
    """`count` processes beside this one. `close` ends them at once.

    Args:
        say: is told of processes that cannot help.
    """

    def __init__(self, count: int, say: Callable[[str], None] = lambda text: None) -> None:
        self._say = say
        self._all = [_Worker() for _ in range(count)]
        self._starting: dict[_Worker, Future[bytes]] = {}
        self._ready: list[_Worker] = []

    def give(self, work: RowWork) -> None:
        """Tell all of them what to do; they load what they need for it while this process goes on.

        Raises:
            WorkersError: it cannot be sent.
        """
        try:
            sent = pickle.dumps((None, work))
        except Exception as error:  # a tokenizer of foreign code may refuse in any way
            raise WorkersError(f"the tokenizer cannot be sent to another process ({type(error).__name__})") from error
        self._ready = []
        self._starting = {worker: worker.ask(sent) for worker in self._all}

    def map(self, work: RowWork, act: Act[T], chunks: Iterator[Chunk]) -> Iterator[tuple[int, list[ReadRow[T]]]]:
        """Each chunk's file and results, in order; what `chunks` raises comes after the results of those before.

        A chunk that no process is free for is worked on here.

        Raises:
            RunError: a process ended. Whatever the work raises.
        """
        waiting: deque[tuple[Chunk, Future[bytes] | Future[list[ReadRow[T]]]]] = deque()
        failed: Exception | None = None
        more = True
        while more or waiting:
            self._take_in()
            while waiting and (waiting[0][1].done() or not more or len(waiting) > _WAITING * len(self._all)):
                chunk, future = waiting.popleft()
                found = future.result()
                rows = taken(found, chunk.path) if isinstance(found, bytes) else found
                yield chunk.file, cast(list[ReadRow[T]], rows)
            if not more:
                continue
            try:
                chunk = next(chunks)
            except StopIteration:
                more = False
            except Exception as error:
                failed, more = error, False
            else:
                waiting.append((chunk._replace(rows=[]), self._asked(work, act, chunk)))
        if failed is not None:
            raise failed

    def _take_in(self) -> None:
        """Note those that have taken up the work since. One that could not is left out, with a word."""
        for worker, future in [(worker, future) for worker, future in self._starting.items() if future.done()]:
            del self._starting[worker]
            try:
                taken(future.result(), "")
            except Exception as error:
                self._say(f"one process less: it could not take up the work ({type(error).__name__})")
            else:
                self._ready.append(worker)

    def _asked(self, work: RowWork, act: Act[T], chunk: Chunk) -> "Future[bytes] | Future[list[ReadRow[T]]]":
        worker = min(self._ready, key=_Worker.busy, default=None)
        return _here(work, act, chunk) if worker is None or worker.busy() == _AHEAD else _there(worker, act, chunk)

    def close(self) -> None:
        """End them, whatever they are at."""
        for worker in self._all:
            worker.process.kill()
        for worker in self._all:
            worker.close()


def _there(worker: "_Worker", act: Act[T], chunk: Chunk) -> Future[bytes]:
    return worker.ask(pickle.dumps((act, chunk)))


def _here(work: RowWork, act: Act[T], chunk: Chunk) -> Future[list[ReadRow[T]]]:
    found: Future[list[ReadRow[T]]] = Future()
    try:
        found.set_result(act(work, chunk))
    except Exception as error:
        found.set_exception(error)
    return found


class _Worker:
    """A process, with a thread that sends and one that receives: neither looks into what it moves, as that would take time from
    the one that works."""

    def __init__(self) -> None:
        command = python_running("medicalgpt.rendering.worker", "main")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._messages, self._answers = self.process.stdin, self.process.stdout
        for pipe in (self._messages, self._answers):
            _widen(pipe)
        self._sending, self._receiving = (ThreadPoolExecutor(1, thread_name_prefix="medicalgpt-rows") for _ in range(2))
        self._asked: deque[Future[bytes]] = deque()

    def busy(self) -> int:
        """How many messages it has not answered yet."""
        while self._asked and self._asked[0].done():
            self._asked.popleft()
        return len(self._asked)

    def ask(self, message: bytes) -> Future[bytes]:
        """Send a message; the answer comes after those to the messages before. Its error is RunError where the process ended."""
        self._sending.submit(self._send, message)
        self._asked.append(self._receiving.submit(self._receive))
        return self._asked[-1]

    def _send(self, message: bytes) -> None:
        with suppress(OSError, ValueError):  # a process that ended does not answer, either
            put(self._messages, message)

    def _receive(self) -> bytes:
        try:
            return get(self._answers)
        except (OSError, EOFError, ValueError):
            code = self.process.wait()
            raise RunError(
                f"a process that rendered rows ended (exit code {code}), for want of memory perhaps; set data.workers to a "
                "smaller number, or to 1"
            ) from None

    def close(self) -> None:
        """Let go of a process that was killed."""
        for thread in (self._sending, self._receiving):
            thread.shutdown(wait=True, cancel_futures=True)
        self.process.communicate()


def _widen(pipe: IO[bytes]) -> None:
    """Let a pipe hold more, where the system can and allows it."""
    if sys.platform == "linux":
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
