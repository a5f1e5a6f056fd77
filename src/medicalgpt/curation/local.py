"""The executor of one machine: processes that do tasks until there are none left.

They are started as commands of their own, as those that render rows are (`rendering.workers`): that works from scripts, notebooks
and interactive sessions alike. A helper ends when its input does, so none outlives this process, however that ends.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol, TextIO

from medicalgpt import errors
from medicalgpt.curation.steps import Work, run_task
from medicalgpt.data.child import channel, python_running
from medicalgpt.errors import MedicalGPTError, RunError
from medicalgpt.rendering.row_stream import cores


class Executor(Protocol):
    """What does all tasks of a step; those that are done already are left alone."""

    def run(self, folder: Path, step: str, count: int) -> None: ...

    def close(self) -> None: ...


class LocalExecutor:
    """Up to `workers` processes; with one, or one task, this process does the work. They stay for all steps, until `close`.

    Args:
        say: gets a line now and then.
    """

    def __init__(self, workers: int | None, say: Callable[[str], None] = lambda text: None) -> None:
        self._workers = workers or cores()
        self._say = say
        self._work: Work | None = None
        self._helpers: list[_Helper] = []

    def close(self) -> None:
        """End the processes, whatever they are at: a task is done as a whole or not at all."""
        for helper in self._helpers:
            helper.close()
        self._helpers.clear()

    def run(self, folder: Path, step: str, count: int) -> None:
        """Do the tasks of a step. Raises whatever a task raised first; RunError where a process ended."""
        work = self._work if self._work is not None and self._work.folder == folder else Work(folder)
        self._work = work
        todo = [number for number in range(count) if not work.done(step, number)]
        if count > 1 and todo:
            self._say(f"{step}: {len(todo)} of {count} tasks to do")
        if min(self._workers, len(todo)) <= 1:
            for number in todo:
                run_task(work, step, number)
            return
        self._spread(folder, step, todo)

    def _spread(self, folder: Path, step: str, todo: list[int]) -> None:
        tasks: SimpleQueue[int] = SimpleQueue()
        for number in todo:
            tasks.put(number)
        failed: list[BaseException] = []
        count = min(self._workers, len(todo))
        while len(self._helpers) < count:
            self._helpers.append(_Helper(folder))
        helpers = self._helpers[:count]
        threads = [Thread(target=_drive, args=(helper, step, tasks, failed), daemon=True) for helper in helpers]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:  # Ctrl-C: what is under way is not waited for
            self.close()
            raise
        if failed:
            self.close()
            raise failed[0]


def _drive(helper: "_Helper", step: str, tasks: "SimpleQueue[int]", failed: list[BaseException]) -> None:
    """Give a helper one task after another, until there are none or one has failed."""
    while not failed:
        try:
            number = tasks.get_nowait()
        except Empty:
            return
        try:
            helper.do(step, number)
        except BaseException as error:
            failed.append(error)


class _Helper:
    def __init__(self, folder: Path) -> None:
        command = python_running("medicalgpt.curation.local", "serve", str(folder))
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def do(self, step: str, number: int) -> None:
        """Have it do a task. Raises RunError where it ended, or what the task raised."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps([step, number]) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except OSError:
            answer = ""
        if not answer:
            raise RunError(
                f"a process that curated rows ended (exit code {self.process.wait()}), for want of memory perhaps; the same "
                "command goes on from there; set scale.workers or scale.shard_rows to a smaller number"
            )
        name, text = json.loads(answer)
        if name:
            raise known_error(name)(text)

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def public_name(error: MedicalGPTError) -> str:
    """The name of its nearest class in `medicalgpt.errors`, by which another process raises it again."""
    names = [kind.__name__ for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind]
    return str(names[0])


def known_error(name: str) -> type[MedicalGPTError]:
    """The error of that name."""
    found = getattr(errors, name, None)
    return found if isinstance(found, type) and issubclass(found, MedicalGPTError) else RunError


def serve() -> None:
    """Do tasks as they come on the input. Output of libraries goes to standard error, where it disturbs no answer."""
    _serve(Path(sys.argv[2]), sys.stdin, TextIOWrapper(channel(), "utf-8"))


def _serve(folder: Path, tasks: TextIO, answers: TextIO) -> None:
    work: Work | None = None
    for line in tasks:
        step, number = json.loads(line)
        said = ["", ""]
        try:
            work = work or Work(folder)
            run_task(work, step, number)
        except MedicalGPTError as error:
            said = [public_name(error), str(error)]
        except Exception as error:  # its words might hold a row's
            said = ["RunError", f"{step} {number}: {type(error).__name__} in a process that curated rows"]
            trace(error)
        answers.write(json.dumps(said) + "\n")
        answers.flush()


def trace(error: Exception) -> None:
    """Where it happened, without the error's words."""
    import traceback

    for frame in traceback.extract_tb(error.__traceback__):
        print(f"{frame.filename}:{frame.lineno} in {frame.name}", file=sys.stderr)
