"""Keep third-party chatter off the terminal: progress bars of weight loading, deprecation notes, optional-kernel hints."""

import warnings


def quiet() -> None:
    """Errors of transformers still show; everything it merely mentions does not."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers.*")
    # peft sets these patterns itself for fused experts, and then misses the layers that they are for.
    warnings.filterwarnings("ignore", message="The following (rank|alpha)_pattern keys did not match", module="peft.*")
