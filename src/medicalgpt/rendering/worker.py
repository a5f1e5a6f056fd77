"""A helper of `rendering.workers`: takes work and chunks of rows from its input, gives results on its output, until the input ends."""

import gc
import os
import pickle
import sys
from typing import BinaryIO

from medicalgpt.data.child import channel
from medicalgpt.rendering.row_work import RowWork
from medicalgpt.rendering.wire import answered, failed, get, put


def main() -> None:
    """Serve the process that started this one. Output of libraries goes to standard error, where it disturbs no message."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # there is a process for each core
    serve(sys.stdin.buffer, channel())


def serve(messages: BinaryIO, answers: BinaryIO) -> None:
    """Answer each message, in order: (None, work) or (an act, a chunk of rows)."""
    work: RowWork | None = None
    while True:
        try:
            act, given = pickle.loads(get(messages))
            if act is None:
                work, answer = given, answered([])
                gc.freeze()  # this stays for good
            else:
                assert work is not None
                answer = answered(act(work, given))
        except EOFError:
            return
        except Exception as error:
            answer = failed(error)
        put(answers, answer)
