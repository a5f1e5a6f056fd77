"""Loading by family, tree attention, chunked head, adapters, vocabulary extension, merging, quantizing and export."""

import logging

# Importing bitsandbytes on a CPU warns about an optional kernel package, before anyone asked for quantization.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
