"""Short pauses of a process that serves.

Python's garbage collector looks through all objects whenever many new ones have come, and nobody is served meanwhile. After
torch and transformers have been imported that takes a third of a second, and a request of ten thousand messages sets it off.
Threads that check requests or render them hold the interpreter for 5 ms each, one after the other, before the event loop
has its turn; and an answer takes it several turns.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SWITCH_SECONDS: Final = 0.0005


@contextmanager
def short_pauses() -> Iterator[None]:
    """What was there before is not looked through until the end (what comes is, as before), and threads give way sooner."""
    interval = sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.unfreeze()
