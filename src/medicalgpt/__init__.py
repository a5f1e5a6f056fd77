"""MedicalGPT: a base language model and medical text in; a medical assistant, measured and served, out."""

__version__ = "0.1.0"
