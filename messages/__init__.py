"""Translations of what the program says: gathering messages from the source, keeping catalogues in step, compiling them.

python -m messages          # bring catalogues in step with the source, compile them, say what is translated
"""

WHOLE = (
    *("api", "browse", "checkpoints", "cli", "config", "curation", "data", "disk", "evaluation", "export", "generate"),
    *("gguf", "hub", "kernels", "language", "memory", "migrate", "models", "network", "objectives", "package", "phi"),
    *("pipeline", "rendering", "rewards", "runs", "serve", "structured", "training", "trust", "vocabulary"),
)
"""Rooms in which every message is translated; a test holds them to it."""
