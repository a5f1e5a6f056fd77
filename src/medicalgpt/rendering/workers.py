"""Processes that help with rows, and give what they made back in the rows' order.

They are started as commands of their own (`rendering.worker`), not by `multiprocessing`: that would import the user's main module
again, which a script without a guard, a notebook or an interactive session cannot bear, or would copy a process with threads.
A helper ends when its input does, so none outlives this process, however that ends.
"""

import pickle
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import Final, TypeVar, cast

from medicalgpt.data.child import python_running
from medicalgpt.data.read_row import ReadRow
from medicalgpt.errors import RunError
from medicalgpt.rendering.row_work import Act, Chunk, RowWork

T = TypeVar("T")

_AHEAD: Final = 2  # chunks for each helper that are read before they are needed
_WAITING: Final = 8  # chunks for each helper that may be done before one that came earlier


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
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._starting: list[Future[None]] = []
        self._ready = 0
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="medicalgpt-rows")

    def give(self, work: RowWork) -> None:
        """Tell all of them what to do; they load what they need for it while this process goes on.

        Raises:
            WorkersError: it cannot be sent.
        """
        try:
            sent = pickle.dumps((None, work))
        except Exception as error:  # a tokenizer of foreign code may refuse in any way
            raise WorkersError(f"the tokenizer cannot be sent to another process ({type(error).__name__})") from error
        wait(self._starting)  # of work before this, which was done here before all of them were ready
        self._idle, self._ready = SimpleQueue(), 0
        self._starting = [self._threads.submit(self._start, worker, sent) for worker in self._all]

    def _start(self, worker: "_Worker", sent: bytes) -> None:
        worker.ask(sent)
        self._idle.put(worker)

    def map(self, work: RowWork, act: Act[T], chunks: Iterator[Chunk]) -> Iterator[tuple[int, list[ReadRow[T]]]]:
        """Each chunk's file and results, in order; what `chunks` raises comes after the results of those before.

        A chunk that no process is free for is worked on here.

        Raises:
            RunError: a process ended. Whatever the work raises.
        """
        waiting: deque[tuple[int, Future[object]]] = deque()
        failed: Exception | None = None
        more = True
        while more or waiting:
            self._take_in()
            while waiting and (waiting[0][1].done() or not more or len(waiting) > _WAITING * len(self._all)):
                file, future = waiting.popleft()
                yield file, cast(list[ReadRow[T]], future.result())
            if not more:
                continue
            try:
                chunk = next(chunks)
            except StopIteration:
                more = False
            except Exception as error:
                failed, more = error, False
            else:
                busy = sum(not future.done() for _, future in waiting)
                waiting.append(
                    (chunk.file, self._there(act, chunk) if busy < _AHEAD * self._ready else _here(work, act, chunk))
                )
        if failed is not None:
            raise failed

    def _take_in(self) -> None:
        """Count those that have taken up the work since. One that could not is left out, with a word."""
        for future in [future for future in self._starting if future.done()]:
            self._starting.remove(future)
            if error := future.exception():
                self._say(f"one process less: it could not take up the work ({type(error).__name__})")
            else:
                self._ready += 1

    def _there(self, act: Act[T], chunk: Chunk) -> Future[object]:
        return self._threads.submit(self._ask, pickle.dumps((act, chunk)))

    def _ask(self, sent: bytes) -> object:
        worker = self._idle.get()
        try:
            return worker.ask(sent)
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """End them, whatever they are at."""
        for worker in self._all:
            worker.process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._all:
            worker.process.communicate()


def _here(work: RowWork, act: Act[T], chunk: Chunk) -> Future[object]:
    found: Future[object] = Future()
    try:
        found.set_result(act(work, chunk))
    except Exception as error:
        found.set_exception(error)
    return found


class _Worker:
    def __init__(self) -> None:
        command = python_running("medicalgpt.rendering.worker", "main")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, sent: bytes) -> object:
        """Send a message and wait for the answer. Raises RunError where the process ended, or what it answers with."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(sent)
            self.process.stdin.flush()
            good, value = pickle.load(self.process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError, ValueError):
            code = self.process.wait()
            raise RunError(
                f"a process that rendered rows ended (exit code {code}), for want of memory perhaps; set data.workers to a "
                "smaller number, or to 1"
            ) from None
        if not good:
            raise value
        return value
