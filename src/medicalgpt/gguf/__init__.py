"""The GGUF file format: headers, metadata, tokenizers and vocabularies."""
