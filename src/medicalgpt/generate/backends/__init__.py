"""What runs a model to sample tokens: a decoder of our own, transformers, vLLM or llama.cpp."""
