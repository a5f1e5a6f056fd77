"""A decoder with slots: rows join and leave one batch and share one key-value cache."""
