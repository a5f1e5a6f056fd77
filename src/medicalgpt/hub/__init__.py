"""Data sets and models of the Hugging Face Hub and of ModelScope: which commit, which files, fetched into caches."""
