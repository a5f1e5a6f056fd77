"""A time limit for calls into text that others wrote: a chat template comes with a model from anywhere, and may never end.

The sandbox of Jinja keeps a template from reading and writing what is not its own, but not from looping. A call is not moved
into another process for it, which would cost more than most renderings take: one thread watches the clock, and what is
over time gets an exception where it is (`PyThreadState_SetAsyncExc`).
"""

import ctypes
import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")

_TICK = 0.2  # seconds


class Overtime(BaseException):
    """Raised inside a call that takes too long. No Exception, so that nothing in the call takes it for one of its own."""


class _Call:
    """An open call. Who takes it first decides how it ends: its own thread in time, or the watch over time.

    The exception may come between any two steps of the thread, also behind a lock taken and before the block that would give
    it back; so the thread takes no lock here, and its steps are single operations of the interpreter.
    """

    def __init__(self, seconds: float) -> None:
        self.thread = threading.get_ident()
        self.deadline = time.monotonic() + seconds
        self.fired = False
        self._open = [True]

    def take(self) -> bool:
        try:
            return self._open.pop()
        except IndexError:
            return False

    def is_open(self) -> bool:
        return bool(self._open)

    def break_off(self) -> None:
        """By the watch."""
        if self.take():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread), ctypes.py_object(Overtime))
            self.fired = True

    def end(self) -> None:
        """By the call's own thread: after this no exception comes.

        Raises:
            Overtime: the watch was first.
        """
        if self.take():
            return
        while not self.fired:  # it is about to
            time.sleep(0.001)
        _checkpoint()
        raise Overtime  # it came before, and was swallowed where nothing can be raised, as in a finalizer


def _checkpoint() -> None:
    """What is pending is raised where a function begins, or a loop turns.

    It cannot be taken back: PyThreadState_SetAsyncExc(thread, None) leaves the interpreter looking for it for ever, and
    CPython 3.11 never comes out of the next call where a tracer is set (a debugger, coverage).
    """
    for _ in range(2):
        pass


class _Watch:
    """Breaks off the calls of all threads that are over time; its thread sleeps while there are none."""

    def __init__(self) -> None:
        self._begun: SimpleQueue[_Call] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self, seconds: float) -> _Call:
        if self._thread is None:  # so no call is open, and no exception can come behind the lock
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="medicalgpt-time-limit", daemon=True)
                    self._thread.start()
        call = _Call(seconds)
        self._begun.put(call)
        return call

    def _run(self) -> None:
        calls: list[_Call] = []
        while True:
            if not calls:
                calls.append(self._begun.get())
            time.sleep(_TICK)
            calls += [self._begun.get() for _ in range(self._begun.qsize())]
            now = time.monotonic()
            for call in calls:
                if now > call.deadline:
                    call.break_off()
            calls = [call for call in calls if call.is_open()]


_watch = _Watch()


def _renew() -> None:
    global _watch
    _watch = _Watch()  # threads do not live on in a process that was forked off


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def within(seconds: float, call: Callable[[], T]) -> T:
    """What `call` returns.

    Raises:
        TimeoutError: it was not done after `seconds`, and was broken off.
    """
    try:
        return _watched(seconds, call)
    except Overtime:
        raise TimeoutError(f"not done after {seconds:g} s") from None


def _watched(seconds: float, call: Callable[[], T]) -> T:
    opened = _watch.begin(seconds)
    try:  # an exception on this very line is seen by the caller alone: the line itself belongs to no block
        return call()
    finally:
        opened.end()
