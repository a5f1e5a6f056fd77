"""Publishing a model: saving, merging, quantizing, GGUF, with certificates, lineage and model cards."""
