"""A helper of `rendering.workers`: takes work and chunks of rows from its input, gives results on its output, until the input ends."""

import os
import pickle
import sys
from typing import BinaryIO

from medicalgpt.data.child import channel
from medicalgpt.rendering.row_work import RowWork


def main() -> None:
    """Serve the process that started this one. Output of libraries goes to standard error, where it disturbs no message."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # there is a process for each core
    serve(sys.stdin.buffer, channel())


def serve(messages: BinaryIO, answers: BinaryIO) -> None:
    """Answer each message with (True, value) or (False, error)."""
    work: RowWork | None = None
    answer: tuple[bool, object]
    while True:
        try:
            act, given = pickle.load(messages)
            if act is None:
                work, answer = given, (True, None)
            else:
                assert work is not None
                answer = (True, act(work, given))
        except EOFError:
            return
        except Exception as error:
            answer = (False, error)
        answers.write(_packed(answer))
        answers.flush()


def _packed(answer: tuple[bool, object]) -> bytes:
    try:
        return pickle.dumps(answer)
    except Exception:  # an error that holds what cannot be sent
        return pickle.dumps((False, RuntimeError(f"{type(answer[1]).__name__} in a process that rendered rows")))
