"""How a process that helps this one is started, and what it answers through.

It is a command of its own, which needs nothing of the user's main module, and finds what this one finds.
"""

import json
import os
import signal
import sys
from io import BufferedWriter


def python_running(module: str, function: str, *arguments: str) -> list[str]:
    """A command that calls a function in a Python that finds what this one finds; `arguments` are its sys.argv[2:]."""
    start = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {module} import {function}; {function}()"
    return [sys.executable, "-c", start, json.dumps(sys.path), *arguments]


def channel() -> BufferedWriter:
    """What a helper answers through; what anything else prints goes to standard error from now on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who started us, and ends our input
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers
