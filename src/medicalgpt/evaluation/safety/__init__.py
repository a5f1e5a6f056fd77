"""Refusals, harmful requests and their harmless neighbors, measured without a judge."""
