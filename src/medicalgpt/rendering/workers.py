"""Processes that help with rows, and give what they made back in the rows' order.

They are started as commands of their own (`rendering.worker`), not by `multiprocessing`: that would import the user's main module
again, which a script without a guard, a notebook or an interactive session cannot bear, or would copy a process with threads.
A helper ends when its input does, so none outlives this process, however that ends.
"""

import json
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Final, TypeVar, cast

from medicalgpt.data.read_row import ReadRow
from medicalgpt.errors import RunError
from medicalgpt.rendering.row_work import Act, Chunk, RowWork

T = TypeVar("T")

_AHEAD: Final = 2  # chunks for each helper that are read before they are needed
_START: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from medicalgpt.rendering.worker import main; main()"
)


class WorkersError(Exception):
    """The helpers could not take up the work: something of it cannot be sent to, or made again in, another process."""


class Workers:
    """`count` processes. `close` ends them at once."""

    def __init__(self, count: int) -> None:
        self._all = [_Worker() for _ in range(count)]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="medicalgpt-rows")
        for worker in self._all:
            self._idle.put(worker)

    def give(self, work: RowWork) -> None:
        """Tell all of them what to do.

        Raises:
            WorkersError: they cannot.
        """
        try:
            sent = pickle.dumps((None, work))
        except Exception as error:  # a tokenizer of foreign code may refuse in any way
            raise WorkersError(f"the tokenizer cannot be sent to another process ({type(error).__name__})") from error
        try:
            list(self._threads.map(lambda worker: worker.ask(sent), self._all))
        except Exception as error:
            raise WorkersError(f"another process could not take up the work ({type(error).__name__})") from error

    def map(self, act: Act[T], chunks: Iterator[Chunk]) -> Iterator[tuple[int, list[ReadRow[T]]]]:
        """Each chunk's file and results, in order; what `chunks` raises comes after the results of those before.

        Raises:
            RunError: a process ended. Whatever the work raises.
        """
        waiting: deque[tuple[int, Future[object]]] = deque()
        failed: Exception | None = None
        more = True
        while more or waiting:
            while more and len(waiting) < _AHEAD * len(self._all):
                try:
                    chunk = next(chunks)
                except StopIteration:
                    more = False
                except Exception as error:
                    failed, more = error, False
                else:
                    waiting.append((chunk.file, self._threads.submit(self._ask, pickle.dumps((act, chunk)))))
            if waiting:
                file, future = waiting.popleft()
                yield file, cast(list[ReadRow[T]], future.result())
        if failed is not None:
            raise failed

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


class _Worker:
    def __init__(self) -> None:
        command = [sys.executable, "-c", _START, json.dumps(sys.path)]
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
