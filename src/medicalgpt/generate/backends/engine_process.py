"""An engine that is a process of its own, as vLLM's is: it is kept from Ctrl-C, and its end is noticed."""

import multiprocessing
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Protocol, TypeVar

T = TypeVar("T")


class Answers(Protocol):
    """Where what an engine says is waited for."""

    def put(self, said: Exception) -> None:
        """Let who waits, or comes to wait, raise this."""
        ...


def started(make: Callable[[], T]) -> tuple[T, list[BaseProcess]]:
    """What `make` gives, and the processes that it has started.

    None of them ever sees SIGINT: a terminal sends Ctrl-C to every process, and an engine would drop the answers that this
    process lets finish. This process sees it, also meanwhile.

    Raises:
        Whatever `make` raises, and KeyboardInterrupt; then a thread may go on with it until this process ends.
    """
    before = set(multiprocessing.active_children())
    made: Future[T] = Future()

    def run() -> None:
        # A process begins with the mask of the thread that starts it; this one's signals come to its main thread. Where
        # multiprocessing starts its tracker it unblocks SIGINT, so that has to be there already.
        if hasattr(signal, "pthread_sigmask"):
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            made.set_result(make())
        except BaseException as error:
            made.set_exception(error)

    threading.Thread(target=run, name="medicalgpt-start", daemon=True).start()
    result = made.result()
    return result, [process for process in multiprocessing.active_children() if process not in before]


def tell_of_end(processes: Sequence[BaseProcess], answers: Answers, error: Exception) -> None:
    """Let who waits for an engine's answers raise `error` when one of its processes has ended, in whatever way.

    vLLM (0.30 to 0.32) tells of an engine that fails, and not of one that was killed, as for want of memory: its step then
    waits for ever.
    """

    def run() -> None:
        wait([process.sentinel for process in processes])
        answers.put(error)

    if processes:
        threading.Thread(target=run, name="medicalgpt-engine", daemon=True).start()
