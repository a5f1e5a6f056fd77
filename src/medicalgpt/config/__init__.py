"""Typed schema of every command and the one loader: YAML + key=value overrides, all errors at once."""
