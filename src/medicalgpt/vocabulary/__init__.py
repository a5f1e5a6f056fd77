"""New tokens for existing tokenizers: counting, learning, extending, reporting."""
