"""Vocabulary extension: new tokens for an existing tokenizer, embeddings for them, and what they save."""
