"""How many products oneDNN keeps ready: machine code for every number of rows that a layer ever met.

Every prompt has another length, so a server meets a new number of rows with every request. torch and oneDNN each keep the
code of the last 1024 products, 0.35 to 0.6 MB a product: a tiny model grew from 397 to 1,125 MiB in 1,000 requests.
What is used again and again is the code for few rows, one for each number of answers under way; a prompt's code pays
for itself in its one product.
"""

import os
from typing import Final

_VARIABLES: Final = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")  # oneDNN's, torch's
_LEAST: Final = 128
_LAYERS: Final = 16  # kinds of layers by their sizes, which few models have more of


def bound_primitive_caches(rows: int) -> None:
    """Keep the code for products of up to so many rows, and little else. Variables that are set already stay.

    For the whole process, and read by the two libraries at their first product: for commands that serve, and before training.
    """
    for name in _VARIABLES:
        os.environ.setdefault(name, str(max(_LEAST, _LAYERS * rows)))
