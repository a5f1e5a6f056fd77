"""What loading says on the terminal, and what it keeps off it."""

import sys
import warnings

from medicalgpt.language import translated


def to_stderr(line: str) -> None:
    """Say one line in the chosen language, without touching stdout, which may carry results."""
    print(translated(line), file=sys.stderr)


def quiet() -> None:
    """Errors of transformers still show; everything it merely mentions does not."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers.*")
    # peft sets these patterns itself for fused experts, and then misses the layers that they are for.
    warnings.filterwarnings("ignore", message="The following (rank|alpha)_pattern keys did not match", module="peft.*")
