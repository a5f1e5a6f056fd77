"""Models that come from the Python package index: which, from where, and how they are converted."""
