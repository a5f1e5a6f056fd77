"""Faster and leaner arithmetic for transformers' models, each compared with what it replaces before it is used."""
