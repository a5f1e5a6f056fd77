"""Versioned tasks, scorers, gates and the report."""
